//! Tokens for programs: each reaches the routes that need its actions, and nothing else.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use station_proto::token::{Action, Token};
use station_tests::http::{Answer, Client, Upgraded};
use station_tests::standin;
use station_tests::station::{App, Station};
use stationd::admin::rules::RULES;

/// Makes a token as a person does; its secret.
async fn mint(station: &Station, actions: &[Action]) -> String {
    let mut arguments = vec!["token", "create", "--ttl", "1h", "--name", "poller"];
    for action in actions {
        arguments.extend(["--action", action.name()]);
    }
    let made = station.ctl(&arguments).await.unwrap();
    assert!(made.status.success(), "{}", made.all());
    let secret = made.stdout.trim_end();
    assert!(secret.starts_with("stn_") && secret.len() == 47, "{}", made.all());
    secret.to_owned()
}

async fn ask(client: &Client, method: &Method, path: &str, secret: &str) -> Answer {
    let bearer = format!("Bearer {secret}");
    let fields = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    client.call(method.clone(), path, &fields, Bytes::new()).await.unwrap()
}

#[tokio::test]
async fn each_action_reaches_the_routes_that_need_it_and_no_other() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.client().await.unwrap();
    for action in Action::ALL {
        let secret = mint(&station, &[action]).await;
        for rule in RULES {
            let method = Method::from_bytes(rule.method.as_bytes()).unwrap();
            // What nobody has is not found, once the gate was passed.
            let path = rule.path.replace("{name}", "nobody").replace("{id}", "0");
            let answer = ask(&client, &method, &path, &secret).await;
            let may = rule.action == action.name();
            let refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(!may, refused, "{method} {path}, {action:?}: {}", answer.text());
            assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.text());
            if method == Method::GET {
                let headers = [("authorization", format!("Bearer {secret}"))];
                let headers = [(headers[0].0, headers[0].1.as_str())];
                let opened = match client.websocket(&path, &headers).await.unwrap() {
                    Upgraded::Open(_) => true,
                    Upgraded::Refused(answer) => answer.status != StatusCode::FORBIDDEN,
                };
                assert_eq!(opened, may, "upgrade of {path}, {action:?}");
            }
        }
    }
    let heartbeat = station.heartbeat().await.unwrap();
    assert!(heartbeat.status.ready, "what was refused has done nothing");
}

#[tokio::test]
async fn no_action_leads_into_an_app_or_to_the_pages() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.client().await.unwrap();
    let secret = mint(&station, &Action::ALL).await;
    let (get, post) = (Method::GET, Method::POST);
    for path in ["/apps/jupyterlab/head", "/apps/jupyterlab/", "/apps/other/", "/", "/nothing"] {
        let answer = ask(&client, &get, path, &secret).await.expect(403).unwrap();
        assert!(answer.text().contains("token create --action"), "{}", answer.text());
        let query = format!("{path}?token={secret}");
        client.get(&query).await.unwrap().expect(403).unwrap();
        client.page(&query).await.unwrap().expect(403).unwrap();
    }
    ask(&client, &post, "/logout", &secret).await.expect(403).unwrap();
    let bearer = format!("token {secret}");
    let fields = [("authorization", bearer.as_str())];
    match client.websocket("/apps/jupyterlab/echo", &fields).await.unwrap() {
        Upgraded::Open(_) => panic!("the upgrade went through"),
        Upgraded::Refused(answer) => assert_eq!(answer.status, StatusCode::FORBIDDEN),
    }
    for path in ["/v1/tokens", "/v1/down"] {
        ask(&client, &post, path, &secret).await.expect(403).unwrap();
    }
    assert_eq!(standin::seen(station.folder()).unwrap(), []);
    // What it does lead to: the app is stopped, started, and the user is sent a link.
    let stop = ask(&client, &post, "/v1/apps/jupyterlab/stop", &secret).await;
    assert_eq!(stop.status, StatusCode::ACCEPTED);
    ask(&client, &post, "/v1/apps/jupyterlab/start", &secret).await.expect(202).unwrap();
    let fields = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = Bytes::from_static(b"{}");
    let link = client.call(post, "/v1/login-links", &fields, body).await.unwrap();
    assert!(link.status.is_success(), "{}", link.text());
}

#[tokio::test]
async fn it_ends_at_once_and_its_stream_too_and_its_use_is_shown() {
    let mut station = Station::start(App::None, "app = []").await.unwrap();
    let client = station.client().await.unwrap();
    let secret = mint(&station, &[Action::Read, Action::Stop, Action::Read]).await;
    let list = async |station: &Station| -> Vec<Token> {
        let value = station.ctl_json(&["token", "list"]).await.unwrap();
        serde_json::from_value(value).unwrap()
    };
    let before = list(&station).await;
    assert_eq!(before[0].actions, ["computes/read", "computes/stop/action"]);
    assert_eq!((before[0].note.as_str(), before[0].app.as_str()), ("poller", ""));
    assert_eq!(before[0].last_used_at, None);
    ask(&client, &Method::GET, "/v1/heartbeat", &secret).await.expect(200).unwrap();
    assert!(list(&station).await[0].last_used_at.is_some());
    let text = station.ctl(&["token", "list"]).await.unwrap();
    assert!(text.stdout.contains("computes/read, computes/stop/action"), "{}", text.stdout);
    // It holds over a restart, and nobody finds its secret on the disk or in the log.
    station.terminate().await.unwrap();
    station.launch().await.unwrap();
    super::stands_nowhere(&station, &secret);
    ask(&client, &Method::GET, "/v1/lease", &secret).await.expect(200).unwrap();
    let bearer = format!("Bearer {secret}");
    let fields = [("authorization", bearer.as_str())];
    let Upgraded::Open(mut events) = client.websocket("/v1/events", &fields).await.unwrap() else {
        panic!("no stream of events");
    };
    let revoked = station.ctl(&["token", "revoke", &before[0].id.to_string()]).await.unwrap();
    assert!(revoked.status.success(), "{}", revoked.all());
    ask(&client, &Method::GET, "/v1/lease", &secret).await.expect(401).unwrap();
    let ends = async { while let Some(Ok(_)) = events.next().await {} };
    tokio::time::timeout(Duration::from_secs(60), ends).await.unwrap();
    assert!(list(&station).await.is_empty());
}

#[tokio::test]
async fn an_unknown_action_is_refused_with_the_list() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    let made = ["token", "create", "--ttl", "1h", "--action", "computes/fly/action"];
    let output = station.ctl(&made).await.unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", output.all());
    for action in Action::ALL {
        assert!(output.all().contains(action.name()), "{}", output.all());
    }
    for (body, says) in [
        (json!({ "actions": ["computes/fly/action"] }), "computes/restart/action"),
        (json!({ "actions": [] }), "`actions`"),
        (json!({ "app": "jupyterlab", "actions": ["computes/read"] }), "make two"),
        (json!({ "actions": ["computes/read"], "ttl_seconds": 1 }), "ttl_seconds"),
    ] {
        let answer = station.admin(Method::POST, "/v1/tokens", &body.to_string()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        let problem: Value = serde_json::from_slice(answer.body()).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
}
