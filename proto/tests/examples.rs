//! Payloads of every release are read for ever: `examples/RELEASE/` may grow, never change.
//!
//! Each file is read as its type, written again, and must lose no field.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use station_proto::{api, app, event, heartbeat, node, problem, token};

/// Reads `text` as `T`; what comes out again must hold all that went in.
fn check<T: Serialize + DeserializeOwned>(text: &str) -> Result<(), String> {
    let before: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let read: T = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let after = serde_json::to_value(read).map_err(|error| error.to_string())?;
    if before == after { Ok(()) } else { Err(format!("{before} became {after}")) }
}

fn check_named(name: &str, text: &str) -> Result<(), String> {
    match name {
        "heartbeat.json" => check::<heartbeat::Heartbeat>(text),
        "lease.json" => check::<heartbeat::Lease>(text),
        "app.json" => check::<app::App>(text),
        "app-logs.json" => check::<app::AppLogs>(text),
        "node.json" => check::<node::Node>(text),
        "event.ndjson" => text.lines().try_for_each(check::<event::Event>),
        "login-link.json" => check::<api::LoginLink>(text),
        "token.json" => check::<token::NewToken>(text),
        "tokens.json" => check::<Vec<token::Token>>(text),
        "down.json" => check::<api::DownReport>(text),
        "problem.json" => check::<problem::Problem>(text),
        _ => Err("no type is known for this file: add it to this test".to_owned()),
    }
}

#[test]
fn every_payload_ever_released_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut count = 0;
    for release in fs::read_dir(folder).unwrap() {
        for file in fs::read_dir(release.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let read = check_named(&name, &fs::read_to_string(&path).unwrap());
            assert_eq!(read, Ok(()), "{}", path.display());
            count += 1;
        }
    }
    assert!(count >= 10, "only {count} examples were found");
}

#[test]
fn a_newer_release_may_say_more() {
    let text = r#"{"seq":1,"at":"2026-11-23T10:00:00.000Z","kind":"new.kind","message":"m","new_field":1}"#;
    assert!(serde_json::from_str::<event::Event>(text).is_ok());
}
