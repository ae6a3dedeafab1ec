//! App tokens, as scripts, editors and browsers show them.

mod real;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Method, StatusCode};
use station_tests::http::{Answer, Client, Upgraded, WebSocket};
use station_tests::standin;
use station_tests::station::{App, Station};
use tokio_tungstenite::tungstenite::Message;

use super::stands_nowhere;

const BASE: &str = "/apps/jupyterlab";
const HEAD: &str = "/apps/jupyterlab/head";

/// Makes a token as a person does.
async fn mint(station: &Station) -> String {
    let made = station.ctl(&["login", "--token", "--app", "jupyterlab"]).await.unwrap();
    assert!(made.status.success(), "{}", made.all());
    let lines: Vec<&str> = made.stdout.lines().collect();
    let [url, token] = lines[..] else { panic!("{}", made.stdout) };
    assert!(url.ends_with("/apps/jupyterlab/") && !url.contains("stn_"), "{url}");
    assert!(token.starts_with("stn_") && token.len() == 47, "{token}");
    token.to_owned()
}

async fn get_with(client: &Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    client.call(Method::GET, path, fields, Bytes::new()).await.unwrap()
}

/// The answer to a request with the token as Jupyter's own clients send it.
async fn by_header(client: &Client, path: &str, token: &str) -> Answer {
    get_with(client, path, &[("authorization", &format!("token {token}"))]).await
}

async fn upgrade(client: &Client, path: &str, fields: &[(&str, &str)]) -> WebSocket {
    match client.websocket(path, fields).await.unwrap() {
        Upgraded::Open(socket) => *socket,
        Upgraded::Refused(answer) => panic!("{}: {}", answer.status, answer.text()),
    }
}

#[tokio::test]
async fn a_token_opens_its_app_in_every_form_and_never_reaches_it() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let mut client = station.client().await.unwrap();
    client.origin = Some("https://editor.example".to_owned());
    let token = mint(&station).await;
    let (bearer, scheme) = (format!("Bearer {token}"), format!("token {token}"));
    let query = format!("{HEAD}?a=%2f&token={token}&b=//c");
    for header in [&bearer, &scheme] {
        let fields = [("authorization", header.as_str())];
        get_with(&client, HEAD, &fields).await.expect(200).unwrap();
        client.call(Method::POST, HEAD, &fields, Bytes::new()).await.unwrap().expect(200).unwrap();
        upgrade(&client, &format!("{BASE}/echo"), &fields).await;
    }
    client.get(&query).await.unwrap().expect(200).unwrap();
    upgrade(&client, &format!("{BASE}/echo?token={token}&session_id=x"), &[]).await;
    let seen = standin::seen(station.folder()).unwrap();
    assert_eq!(seen.len(), 8);
    for one in &seen {
        assert!(!format!("{one:?}").contains("stn_"), "{one:?}");
        // Jupyter's pair is there, and the editor's Origin is not.
        let value = one.header("x-xsrftoken").unwrap();
        assert!(value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit()), "{value}");
        assert_eq!(one.header("cookie"), Some(format!("_xsrf={value}").as_str()));
        assert_eq!((one.header("origin"), one.header("authorization")), (None, None));
    }
    assert_eq!(seen[6].target, format!("{HEAD}?a=%2f&b=//c"));
    assert_eq!(seen[7].target, format!("{BASE}/echo?session_id=x"));
    let different: std::collections::BTreeSet<_> =
        seen.iter().map(|one| one.header("x-xsrftoken")).collect();
    assert_eq!(different.len(), 8, "the value is drawn for each request");
}

#[tokio::test]
async fn an_apps_own_token_passes_untouched() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.login().await.unwrap();
    let fields = [("authorization", "token theirs"), ("origin", client.origin.as_deref().unwrap())];
    let path = format!("{HEAD}?token=theirs&a=%zz");
    get_with(&client, &path, &fields).await.expect(200).unwrap();
    let token = mint(&station).await;
    let stranger = station.client().await.unwrap();
    let both = format!("{HEAD}?token=theirs&token={token}");
    get_with(&stranger, &both, &fields[..1]).await.expect(200).unwrap();
    let seen = standin::seen(station.folder()).unwrap();
    assert_eq!((seen[0].target.as_str(), seen[0].header("x-xsrftoken")), (path.as_str(), None));
    assert_eq!(seen[0].header("origin"), client.origin.as_deref());
    assert_eq!(seen[1].target, format!("{HEAD}?token=theirs"));
    for one in seen {
        assert_eq!(one.header("authorization"), Some("token theirs"));
    }
}

#[tokio::test]
async fn a_token_opens_nothing_but_its_app() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.client().await.unwrap();
    let token = mint(&station).await;
    for path in ["/apps/other/", "/apps/jupyter/tree", "/", "/v1/heartbeat", "/v1/events"] {
        for (path, fields) in [
            (path.to_owned(), vec![("authorization", format!("Bearer {token}"))]),
            (format!("{path}?token={token}"), vec![]),
        ] {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
            let answer = get_with(&client, &path, &fields).await.expect(403).unwrap();
            let detail = answer.json().unwrap()["detail"].to_string();
            assert!(detail.contains("stationctl login --token --app"), "{path}: {detail}");
            assert!(!answer.text().contains(&token), "{}", answer.text());
        }
    }
    // Nor does it make another one, or end one.
    let header = [("authorization", format!("token {token}"))];
    let fields: Vec<_> = header.iter().map(|(name, value)| (*name, &**value)).collect();
    let body = r#"{"app":"jupyterlab"}"#;
    for (method, path) in [(Method::POST, "/v1/tokens"), (Method::DELETE, "/v1/tokens/1")] {
        let answer = client.call(method, path, &fields, body.into()).await.unwrap();
        assert!(answer.status.is_client_error(), "{answer:?}");
    }
    let wrong = format!("stn_{}", "A".repeat(43));
    by_header(&client, HEAD, &wrong).await.expect(401).unwrap();
    assert_eq!(standin::seen(station.folder()).unwrap(), []);
    by_header(&client, HEAD, &token).await.expect(200).unwrap();
}

#[tokio::test]
async fn a_browser_session_may_not_make_list_or_revoke_tokens() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.login().await.unwrap();
    let token = mint(&station).await;
    let body = serde_json::json!({ "app": "jupyterlab" });
    client.post("/v1/tokens", &body).await.unwrap().expect(403).unwrap();
    client.get("/v1/tokens").await.unwrap().expect(403).unwrap();
    let delete = client.call(Method::DELETE, "/v1/tokens/1", &[], Bytes::new()).await.unwrap();
    assert_eq!(delete.status, StatusCode::FORBIDDEN);
    by_header(&station.client().await.unwrap(), HEAD, &token).await.expect(200).unwrap();
}

#[tokio::test]
async fn stationctl_lists_and_revokes_and_says_what_is_wrong() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.client().await.unwrap();
    let made = station
        .ctl_json(&["login", "--token", "--app", "jupyterlab", "--ttl", "30m", "--note", "laptop"])
        .await
        .unwrap();
    let token = made["secret"].as_str().unwrap();
    let listed = station.ctl_json(&["token", "list"]).await.unwrap();
    let row = &listed[0];
    assert_eq!(
        (&row["note"], &row["app"], row.get("last_used_at")),
        (&"laptop".into(), &"jupyterlab".into(), None)
    );
    by_header(&client, HEAD, token).await.expect(200).unwrap();
    let listed = station.ctl_json(&["token", "list"]).await.unwrap();
    assert!(listed[0]["last_used_at"].is_string(), "{listed}");
    let shown = station.ctl(&["token", "list"]).await.unwrap();
    for part in ["laptop", "jupyterlab", "expires in", "last used"] {
        assert!(shown.stdout.contains(part), "{}", shown.stdout);
    }
    assert!(!shown.all().contains(token) && !listed.to_string().contains(token));
    let id = made["id"].to_string();
    let revoked = station.ctl(&["token", "revoke", &id]).await.unwrap();
    assert!(revoked.status.success(), "{}", revoked.all());
    let refused = by_header(&client, HEAD, token).await.expect(401).unwrap();
    assert!(refused.text().contains("expired or revoked"), "{}", refused.text());
    for (arguments, code, part) in [
        (vec!["token", "revoke", id.as_str()], 1, "no such token"),
        (vec!["login", "--token", "--app", "other"], 1, "no such app"),
        (vec!["login", "--token"], 2, "--app"),
        (vec!["login", "--token", "--app", "jupyterlab", "--ttl", "30s"], 2, "30m, 12h or 7d"),
        (vec!["login", "--token", "--app", "jupyterlab", "--ttl", "91d"], 2, "90 days at most"),
    ] {
        let output = station.ctl(&arguments).await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", output.all());
        assert!(output.stderr.contains(part), "{}", output.stderr);
    }
    let body = r#"{"app":"jupyterlab","ttl_seconds":59}"#;
    let answer = station.admin(Method::POST, "/v1/tokens", body).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(answer.body()).contains("`ttl_seconds` is 59"));
    let events = station.events(0).await.unwrap();
    let told = |kind: &str| events.iter().filter(|event| event.kind == kind).count();
    assert_eq!((told("token.created"), told("token.revoked")), (1, 1));
}

#[tokio::test]
async fn a_revoked_token_closes_its_websockets() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.client().await.unwrap();
    let (token, other) = (mint(&station).await, mint(&station).await);
    let (echo, header) = (format!("{BASE}/echo"), format!("token {other}"));
    let mut open = upgrade(&client, &format!("{echo}?token={token}"), &[]).await;
    let mut stays = upgrade(&client, &echo, &[("authorization", &header)]).await;
    open.send(Message::text("hello")).await.unwrap();
    assert_eq!(open.next().await.unwrap().unwrap(), Message::text("hello"));
    station.ctl(&["token", "revoke", "1"]).await.unwrap();
    by_header(&client, HEAD, &token).await.expect(401).unwrap();
    // The proxy asks once a minute.
    let closed = tokio::time::timeout(Duration::from_secs(90), open.next()).await.unwrap();
    let Some(Ok(Message::Close(Some(frame)))) = closed else { panic!("{closed:?}") };
    assert_eq!(u16::from(frame.code), 1008);
    stays.send(Message::text("still here")).await.unwrap();
    assert_eq!(stays.next().await.unwrap().unwrap(), Message::text("still here"));
}

#[tokio::test]
async fn a_token_survives_a_restart_until_it_expires() {
    let mut station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.client().await.unwrap();
    let token = mint(&station).await;
    for (hours, status) in [(0, 200), (11, 200), (2, 401)] {
        station.kill().await.unwrap();
        station.age(Duration::from_secs(hours * 3600), Duration::ZERO).unwrap();
        station.launch().await.unwrap();
        station.app_in(station_proto::app::AppPhase::Ready).await.unwrap();
        let answer = by_header(&client, HEAD, &token).await;
        assert_eq!(answer.status.as_u16(), status, "{hours} h later: {}", answer.text());
    }
    // It is on no list any more, and whoever revokes it hears that there is none.
    let listed = station.ctl_json(&["token", "list"]).await.unwrap();
    assert_eq!(listed, serde_json::json!([]));
    let revoked = station.ctl(&["token", "revoke", "1"]).await.unwrap();
    assert_eq!(revoked.status.code(), Some(1), "{}", revoked.all());
    let events = station.events(0).await.unwrap();
    assert!(events.iter().any(|event| event.kind == "token.expired"), "{events:#?}");
}

#[tokio::test]
async fn a_browser_changes_the_token_for_a_cookie_of_that_app() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let mut client = station.client().await.unwrap();
    let token = mint(&station).await;
    let opened = client.page(&format!("{BASE}/lab?token={token}&reset")).await.unwrap();
    let opened = opened.expect(303).unwrap();
    assert_eq!(opened.header("location"), format!("{BASE}/lab?reset"));
    assert_eq!(opened.header("referrer-policy"), "no-referrer");
    assert_eq!(opened.header("cache-control"), "no-store");
    let cookie = opened.header("set-cookie");
    for part in ["-app=", "; Path=/apps/jupyterlab/;", "; HttpOnly", "; SameSite=Lax"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let life = cookie.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap();
    assert!((43_000..=43_200).contains(&life.parse::<u32>().unwrap()), "{cookie}");
    assert!(!cookie.contains(&token[4..]), "the cookie is the token");
    assert_eq!(standin::seen(station.folder()).unwrap(), []);
    client.page(&format!("{BASE}/lab?reset")).await.unwrap().expect(200).unwrap();
    client.open_websocket(&format!("{BASE}/echo")).await.unwrap();
    client.call(Method::POST, HEAD, &[], Bytes::new()).await.unwrap().expect(200).unwrap();
    let seen = standin::seen(station.folder()).unwrap();
    for one in &seen {
        // A cookie is sent by any page: the app's own checks stay as they are.
        assert_eq!((one.header("cookie"), one.header("x-xsrftoken")), (None, None), "{one:?}");
    }
    assert_eq!(seen[2].header("origin"), client.origin.as_deref());
    for path in ["/", "/v1/heartbeat", "/apps/other/"] {
        assert!(client.get(path).await.unwrap().status.is_client_error(), "{path}");
    }
    client.origin = Some("https://evil.example".to_owned());
    client.call(Method::POST, HEAD, &[], Bytes::new()).await.unwrap().expect(403).unwrap();
    assert!(matches!(
        client.websocket(&format!("{BASE}/echo"), &[]).await.unwrap(),
        Upgraded::Refused(answer) if answer.status == StatusCode::FORBIDDEN
    ));
    station.ctl(&["token", "revoke", "1"]).await.unwrap();
    let refused = client.page(&format!("{BASE}/lab")).await.unwrap().expect(401).unwrap();
    assert!(refused.text().contains("stationctl login --token"), "{}", refused.text());
    assert_eq!(standin::seen(station.folder()).unwrap().len(), 3);
}

#[tokio::test]
async fn a_session_goes_before_a_token() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.login().await.unwrap();
    let token = mint(&station).await;
    let before = client.cookies();
    let opened = client.page(&format!("{BASE}?token={token}")).await.unwrap().expect(303).unwrap();
    assert_eq!(opened.header("location"), format!("{BASE}/"));
    assert_eq!((opened.header("set-cookie"), client.cookies()), ("", before));
    by_header(&client, HEAD, &token).await.expect(200).unwrap();
    let seen = standin::seen(station.folder()).unwrap();
    assert_eq!((seen.len(), seen[0].header("x-xsrftoken")), (1, None));
    assert!(!format!("{seen:?}").contains("stn_"));
    let listed = station.ctl_json(&["token", "list"]).await.unwrap();
    assert_eq!(listed[0].get("last_used_at"), None, "the session was used, not the token");
}

#[tokio::test]
async fn a_token_stands_neither_in_the_log_nor_in_a_file_nor_in_an_event() {
    let mut station = Station::prepare(App::StandIn, "[log]\nlevel = \"debug\"\n").unwrap();
    station.launch().await.unwrap();
    station.app_in(station_proto::app::AppPhase::Ready).await.unwrap();
    let client = station.client().await.unwrap();
    let token = mint(&station).await;
    by_header(&client, HEAD, &token).await.expect(200).unwrap();
    let (other, nothing) = (format!("/apps/other/?token={token}"), format!("/no?token={token}"));
    for path in [&format!("{HEAD}?token={token}"), &other, &nothing] {
        client.get(path).await.unwrap();
    }
    // A refused page, too, and one that is asked for in a way that no route knows.
    let page = client.page(&other).await.unwrap().expect(403).unwrap();
    assert!(!page.text().contains(&token[4..]), "{}", page.text());
    client.page(&format!("{BASE}/lab?token={token}")).await.unwrap().expect(303).unwrap();
    client.get(&format!("{BASE}/lab/stn_{}", &token[4..])).await.unwrap();
    let cookie = client.cookies().into_values().next().unwrap();
    let events = format!("{:?}", station.events(0).await.unwrap());
    assert!(events.contains("token.created"), "{events}");
    station.terminate().await.unwrap();
    assert!(station.log().contains("/apps/other/"), "requests are in the log");
    for secret in [&token[4..], &cookie] {
        stands_nowhere(&station, secret);
        assert!(!events.contains(secret), "a secret stands in an event");
    }
}

#[tokio::test]
async fn with_tls_the_cookie_of_a_token_is_bound_to_it() {
    let station = Station::start(App::StandIn, "[listen]\ntls = \"self-signed\"\n").await.unwrap();
    station.app_in(station_proto::app::AppPhase::Ready).await.unwrap();
    let client = station.client().await.unwrap();
    let token = mint(&station).await;
    let opened = client.page(&format!("{HEAD}?token={token}")).await.unwrap().expect(303).unwrap();
    let cookie = opened.header("set-cookie");
    assert!(cookie.starts_with("__Secure-stationd-") && cookie.ends_with("; Secure"), "{cookie}");
    client.page(HEAD).await.unwrap().expect(200).unwrap();
    let seen = standin::seen(station.folder()).unwrap();
    assert_eq!((seen.len(), seen[0].header("cookie")), (1, None));
}
