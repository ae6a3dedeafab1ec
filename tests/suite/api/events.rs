//! Events: each transition once, in one order, over restarts, as lines and as a websocket.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use station_proto::app::AppPhase;
use station_proto::event::Event;
use station_tests::station::{App, Station};
use tokio_tungstenite::tungstenite::Message;

fn sequences(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

#[tokio::test]
async fn numbers_only_grow_and_after_gives_the_rest() {
    let mut station = Station::with_app(App::StandIn).await.unwrap();
    let all = station.events(0).await.unwrap();
    assert!(all.iter().any(|event| event.subject == "jupyterlab"), "{all:#?}");
    assert!(sequences(&all).is_sorted_by(|a, b| a < b), "{all:#?}");
    let middle = all[all.len() / 2].seq;
    let rest = station.events(middle).await.unwrap();
    assert!(rest.iter().all(|event| event.seq > middle));
    let last = all.last().unwrap().seq;
    station.kill().await.unwrap();
    station.launch().await.unwrap();
    let later = station.events(last).await.unwrap();
    assert!(!later.is_empty(), "the new start is an event");
    assert!(later[0].seq > last, "{later:#?}");
}

#[tokio::test]
async fn a_websocket_gives_each_event_once() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.login().await.unwrap();
    let before = station.events(0).await.unwrap();
    let mut socket = client.open_websocket("/v1/events?after=0").await.unwrap();
    let stopped = station.admin(Method::POST, "/v1/apps/jupyterlab/stop", "").await.unwrap();
    assert!(stopped.status().is_success(), "{stopped:?}");
    station.app_in(AppPhase::Stopped).await.unwrap();
    let after = station.events(0).await.unwrap();
    assert!(after.len() > before.len());
    let mut heard = Vec::new();
    while heard.len() < after.len() {
        let next = tokio::time::timeout(Duration::from_secs(20), socket.next()).await.unwrap();
        if let Message::Text(text) = next.unwrap().unwrap() {
            heard.push(serde_json::from_str::<Event>(&text).unwrap());
        }
    }
    assert_eq!(sequences(&heard), sequences(&after));
}

#[tokio::test]
async fn streams_end_when_their_session_does() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    let client = station.login().await.unwrap();
    let mut socket = client.open_websocket("/v1/events?after=0").await.unwrap();
    let body = Full::new(Bytes::new());
    let path = "/v1/events?after=0&follow=true";
    let request = client.request(&Method::GET, path, &[], body).unwrap();
    let mut lines = client.send(request).await.unwrap().into_body();
    client.post("/logout", &serde_json::Value::Null).await.unwrap().expect(200).unwrap();
    let ends = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Text(text) = message {
                assert!(!text.contains("session.logout"), "read after the end of the session");
            }
        }
        while lines.frame().await.is_some() {}
    };
    tokio::time::timeout(Duration::from_secs(20), ends).await.unwrap();
}

#[tokio::test]
async fn stationctl_prints_them() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let output = station.ctl(&["events"]).await.unwrap();
    assert!(output.status.success(), "{}", output.all());
    assert!(output.stdout.contains("jupyterlab"), "{}", output.stdout);
    let none = station.ctl(&["events", "--after", "999999"]).await.unwrap();
    assert_eq!(none.stdout, "");
    let api = station.admin(Method::GET, "/v1/events?after=x", "").await.unwrap();
    assert_eq!(api.status(), StatusCode::BAD_REQUEST);
}
