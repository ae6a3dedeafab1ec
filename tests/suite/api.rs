//! The API as a whole: every route of its description, and the commands that print it.

mod control;
mod doctor;
mod events;
mod heartbeat;
mod machine;
mod openapi;
mod poll;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use station_tests::http::Upgraded;
use station_tests::station::{App, Station};

/// Every route of the API's description, with `NAME` where a name belongs.
fn routes() -> Vec<(Method, String)> {
    let document = serde_json::to_value(stationd::admin::openapi()).unwrap();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            routes.push((method, path.replace("{name}", "jupyterlab")));
        }
    }
    assert!(routes.len() >= 15, "{routes:?}");
    routes
}

#[tokio::test]
async fn no_route_answers_a_stranger() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.client().await.unwrap();
    for (method, path) in routes() {
        let answer = client.call(method.clone(), &path, &[], Bytes::new()).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {path}");
        let Upgraded::Refused(answer) = client.websocket(&path, &[]).await.unwrap() else {
            panic!("a stranger opened a websocket at {path}");
        };
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "upgrade {path}: {}", answer.text());
    }
    let heartbeat = station.heartbeat().await.unwrap();
    assert!(heartbeat.status.ready, "nothing was stopped by a stranger");
}

#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let station = Station::start(App::None, "").await.unwrap();
    for (method, path, body, status) in [
        (Method::GET, "/v1/nothing", "", 404),
        (Method::GET, "/v1/apps/nobody", "", 404),
        (Method::POST, "/v1/apps/nobody/start", "", 404),
        (Method::GET, "/v1/down", "", 405),
        (Method::GET, "/v1/heartbeat?wait=61", "", 400),
        (Method::GET, "/v1/heartbeat?wait=soon", "", 400),
        (Method::GET, "/v1/events?unknown=1", "", 400),
        (Method::POST, "/v1/login-links", "{", 400),
        (Method::POST, "/v1/login-links", r#"{"nxt":"/"}"#, 422),
        (Method::POST, "/v1/login-links", "[]", 422),
        (Method::POST, "/v1/login-links", r#"{"next":"//evil.example"}"#, 400),
    ] {
        let answer = station.admin(method.clone(), path, body).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path} {body}: {answer:?}");
        let problem: station_proto::problem::Problem =
            serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(problem.status, status, "{path}");
        assert!(problem.kind.starts_with("about:stationd/"), "{problem:?}");
    }
}

#[tokio::test]
async fn json_of_a_command_is_the_apis_own() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let api = async |path: &str| -> Value {
        let answer = station.admin(Method::GET, path, "").await.unwrap();
        serde_json::from_slice(answer.body()).unwrap()
    };
    let printed = station.ctl_json(&["status", "--json"]).await.unwrap();
    assert_eq!(printed, api("/v1/status").await);
    let printed = station.ctl_json(&["app", "list", "--json"]).await.unwrap();
    assert_eq!(printed, api("/v1/apps").await);
    let printed = station.ctl_json(&["app", "logs", "jupyterlab", "--json"]).await.unwrap();
    assert_eq!(printed["name"], "jupyterlab");
    let printed = station.ctl_json(&["heartbeat"]).await.unwrap();
    assert_eq!(printed["status"], api("/v1/status").await);
    let printed = station.ctl_json(&["check", "--json"]).await.unwrap();
    assert_eq!(printed["mistakes"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn commands_say_what_is_wrong_and_end_with_their_code() {
    let station = Station::start(App::None, "").await.unwrap();
    for (arguments, code, says) in [
        (&["app", "start", "nobody"][..], 1, "no app is called"),
        (&["app", "start", "No Body"][..], 2, "is not a name"),
        (&["explain", "NoSuchThing"][..], 1, "AppCrashLoop"),
        (&["--socket", "/nowhere.sock", "status"][..], 3, "/nowhere.sock"),
    ] {
        let output = station.ctl(arguments).await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", output.all());
        assert!(output.all().contains(says), "{arguments:?}: {}", output.all());
    }
}
