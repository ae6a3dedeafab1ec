//! Answers as gzip: who asks for it gets it, where it is worth it, by any way in.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{Method, StatusCode, header};
use station_tests::station::{App, Station};

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn large_answers_are_compressed_for_who_asks() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let gzip = [(header::ACCEPT_ENCODING, "br, gzip")];
    for path in ["/v1/heartbeat", "/metrics", "/v1/lease", "/v1/events?after=0"] {
        let plain = station.admin(Method::GET, path, "").await.unwrap();
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING), "{path}");
        let compressed = plain.body().len() >= 1024 && !path.starts_with("/v1/events");
        let answer = station.admin_with(Method::GET, path, "", &gzip).await.unwrap();
        let coding = answer.headers().get(header::CONTENT_ENCODING);
        assert_eq!(coding.is_some_and(|coding| coding == "gzip"), compressed, "{path}");
        // Both sides of a choice say that there is one.
        let vary = |answer: &http::Response<Bytes>| answer.headers().get(header::VARY).cloned();
        assert_eq!(vary(&plain), vary(&answer), "{path}");
        assert_eq!(vary(&plain).is_some(), !path.starts_with("/v1/events"), "{path}");
        if compressed {
            let text = unpacked(answer.body());
            assert!(answer.body().len() * 3 < text.len() * 2, "{path}: {}", answer.body().len());
            assert_eq!(text.len() / 100, plain.body().len() / 100, "{path}");
        }
        assert_eq!(compressed, path == "/v1/heartbeat" || path == "/metrics", "{path}");
    }
    let refused = [(header::ACCEPT_ENCODING, "gzip;q=0")];
    let answer = station.admin_with(Method::GET, "/v1/heartbeat", "", &refused).await.unwrap();
    assert!(!answer.headers().contains_key(header::CONTENT_ENCODING));
}

#[tokio::test]
async fn the_tag_holds_for_both_and_the_public_listener_compresses_too() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.login().await.unwrap();
    let gzip = [("accept-encoding", "gzip")];
    let answer = client.call(Method::GET, "/v1/heartbeat", &gzip, Bytes::new()).await.unwrap();
    assert_eq!(answer.header("content-encoding"), "gzip");
    let heartbeat: station_proto::heartbeat::Heartbeat =
        serde_json::from_str(&unpacked(&answer.body)).unwrap();
    assert!(heartbeat.status.ready);
    let known = [("accept-encoding", "gzip"), ("if-none-match", answer.header("etag"))];
    let same = client.call(Method::GET, "/v1/heartbeat", &known, Bytes::new()).await.unwrap();
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    assert_eq!((same.body.len(), same.header("content-encoding")), (0, ""));
    assert_eq!(same.header("vary"), "accept-encoding");
}
