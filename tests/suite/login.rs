//! Login links and sessions, as a browser meets them.

mod actions;
mod tokens;

use std::time::Duration;

use http::{Method, StatusCode};
use station_tests::station::{App, Station};

#[tokio::test]
async fn a_link_opens_a_session_and_leads_to_the_wanted_path() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.client().await.unwrap();
    let link = station.login_path("/apps/jupyterlab/lab?a=1").await.unwrap();
    let answer = client.page(&link).await.unwrap().expect(303).unwrap();
    assert_eq!(answer.header("location"), "/apps/jupyterlab/lab?a=1");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("cache-control"), "no-store");
    let cookie = answer.header("set-cookie");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let page = client.page("/apps/jupyterlab/lab?a=1").await.unwrap().expect(200).unwrap();
    assert_eq!(page.text(), "stand-in /lab");
}

#[tokio::test]
async fn a_link_works_once_and_head_does_not_use_it_up() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    let client = station.client().await.unwrap();
    let link = station.login_path("/").await.unwrap();
    let looked = client.call(Method::HEAD, &link, &[], bytes::Bytes::new()).await.unwrap();
    assert!(!looked.status.is_server_error(), "{looked:?}");
    assert!(client.cookies().is_empty(), "HEAD opens no session");
    client.page(&link).await.unwrap().expect(303).unwrap();
    let before = station.heartbeat().await.unwrap().status.seq;
    let other = station.client().await.unwrap();
    let second = other.page(&link).await.unwrap().expect(401).unwrap();
    assert!(second.text().contains("stationctl login"), "{}", second.text());
    assert!(other.cookies().is_empty());
    let events = station.events(0).await.unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert!(kinds.contains(&"login.reused"), "{kinds:?}, status was {before}");
    client.page("/").await.unwrap().expect(200).unwrap();
}

#[tokio::test]
async fn links_that_nobody_opens_make_room() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    let first = station.login_path("/").await.unwrap();
    for _ in 0..32 {
        station.login_path("/").await.unwrap();
    }
    let client = station.client().await.unwrap();
    let answer = client.page(&first).await.unwrap().expect(401).unwrap();
    assert!(answer.text().contains("stationctl login"), "{}", answer.text());
    let events = station.events(0).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.kind == "login.dropped").count(), 1);
    station.login().await.unwrap();
}

#[tokio::test]
async fn an_unknown_link_is_401_and_names_the_command() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    let client = station.client().await.unwrap();
    let link = format!("/login/{}", "A".repeat(43));
    let answer = client.page(&link).await.unwrap().expect(401).unwrap();
    assert!(answer.text().contains("stationctl login"), "{}", answer.text());
}

/// Neither the log nor a file of the state may hold a secret.
fn stands_nowhere(station: &Station, secret: &str) {
    assert!(!station.log().contains(secret), "a secret stands in the log");
    for entry in std::fs::read_dir(station.home().join("state")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "a secret stands in {}", path.display());
    }
}

#[tokio::test]
async fn the_token_stands_neither_in_the_log_nor_in_the_database() {
    let mut station = Station::start(App::None, "[log]\nlevel = \"debug\"\n").await.unwrap();
    let client = station.client().await.unwrap();
    let link = station.login_path("/").await.unwrap();
    client.page(&link).await.unwrap().expect(303).unwrap();
    let token = link.strip_prefix("/login/").unwrap();
    let cookie = client.cookies().into_values().next().unwrap();
    station.terminate().await.unwrap();
    for secret in [token, cookie.as_str()] {
        stands_nowhere(&station, secret);
    }
}

#[tokio::test]
async fn a_login_never_leads_to_another_server() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    let client = station.client().await.unwrap();
    for next in ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:x"] {
        let body = serde_json::json!({ "next": next }).to_string();
        let answer = station.admin(Method::POST, "/v1/login-links", &body).await.unwrap();
        if answer.status() == StatusCode::BAD_REQUEST {
            continue;
        }
        let path = station.login_path(next).await.unwrap();
        let to = client.page(&path).await.unwrap().expect(303).unwrap();
        assert_eq!(to.header("location"), "/", "{next}");
    }
}

#[tokio::test]
async fn a_session_survives_a_restart_and_ends_with_logging_out() {
    let mut station = Station::start(App::None, "app = []").await.unwrap();
    let client = station.login().await.unwrap();
    station.kill().await.unwrap();
    station.launch().await.unwrap();
    client.page("/").await.unwrap().expect(200).unwrap();
    let out = client.post("/logout", &serde_json::Value::Null).await.unwrap();
    assert!(out.status.is_success() || out.status.is_redirection(), "{out:?}");
    client.page("/").await.unwrap().expect(401).unwrap();
}

#[tokio::test]
async fn stationctl_prints_the_link_alone_or_with_the_tunnel() {
    let mut station = Station::prepare(App::None, "app = []").unwrap();
    station.launch().await.unwrap();
    let output = station.ctl(&["login", "--print"]).await.unwrap();
    assert!(output.status.success(), "{}", output.all());
    assert_eq!(output.stdout.lines().count(), 1, "{}", output.stdout);
    assert!(output.stdout.contains("/login/"), "{}", output.stdout);
    let json = station.ctl_json(&["login"]).await.unwrap();
    assert!(json["url"].as_str().unwrap().contains("/login/"));
    let unknown = station.ctl(&["login", "--app", "nothing", "--print"]).await.unwrap();
    assert_eq!(unknown.status.code(), Some(1), "{}", unknown.all());
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_link_of_eleven_minutes_has_expired() {
    let mut station = Station::start(App::None, "app = []").await.unwrap();
    let client = station.client().await.unwrap();
    let link = station.login_path("/").await.unwrap();
    station.kill().await.unwrap();
    station.age(Duration::from_secs(11 * 60), Duration::ZERO).unwrap();
    station.launch().await.unwrap();
    let answer = client.page(&link).await.unwrap().expect(401).unwrap();
    assert!(answer.text().contains("expired"), "{}", answer.text());
    assert!(answer.text().contains("stationctl login"), "{}", answer.text());
    assert!(client.cookies().is_empty());
}

#[tokio::test]
async fn a_session_ends_twelve_hours_after_its_last_use_and_seven_days_after_its_login() {
    let mut station = Station::start(App::None, "app = []").await.unwrap();
    for (unused, since, status) in [
        (11 * HOUR, Duration::ZERO, 200),
        (13 * HOUR, Duration::ZERO, 401),
        (HOUR, 6 * 24 * HOUR, 200),
        (HOUR, 7 * 24 * HOUR, 401),
    ] {
        let client = station.login().await.unwrap();
        station.kill().await.unwrap();
        station.age(unused, since).unwrap();
        station.launch().await.unwrap();
        let page = client.page("/").await.unwrap();
        assert_eq!(page.status.as_u16(), status, "{unused:?} {since:?}: {}", page.text());
    }
}
