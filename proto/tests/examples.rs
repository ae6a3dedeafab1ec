//! Payloads of every release are read for ever: `examples/RELEASE/` may grow, never change.
//!
//! Each file is read as its type, written again, and must lose no field. The same file with a field of
//! a later release in each of its objects is read as the same.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use station_proto::{api, app, event, gpu, heartbeat, mount, node, problem, token};

/// Reads `text` as `T`; what comes out again must hold all that went in.
fn check<T: Serialize + DeserializeOwned>(text: &str) -> Result<(), String> {
    let before: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let read: T = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let after = serde_json::to_value(read).map_err(|error| error.to_string())?;
    if before != after {
        return Err(format!("{before} became {after}"));
    }
    let later = serde_json::from_value::<T>(of_a_later_release(&before));
    let later = later.map_err(|error| format!("with fields that are not known: {error}"))?;
    let later = serde_json::to_value(later).map_err(|error| error.to_string())?;
    if before == later { Ok(()) } else { Err(format!("{before} became {later}")) }
}

/// The same with a field that nobody knows in each object, but for what an event says in `data`: that
/// is passed on as it is.
fn of_a_later_release(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(of_a_later_release).collect(),
        Value::Object(fields) => {
            let known = fields.iter().map(|(name, value)| {
                let kept = name == "data";
                (name.clone(), if kept { value.clone() } else { of_a_later_release(value) })
            });
            let unknown = ("of_a_later_release".to_owned(), serde_json::json!({ "x": [1, null] }));
            known.chain([unknown]).collect()
        }
        other => other.clone(),
    }
}

fn check_named(name: &str, text: &str) -> Result<(), String> {
    match name {
        "heartbeat.json" | "heartbeat-8-gpus.json" => check::<heartbeat::Heartbeat>(text),
        "heartbeat-delta.json" => check::<heartbeat::HeartbeatDelta>(text),
        "delta.json" => check::<heartbeat::Delta>(text),
        "samples.json" => check::<node::Samples>(text),
        "mounts.json" => check::<Vec<mount::Mount>>(text),
        "gpus.json" => check::<gpu::Gpus>(text),
        "lease.json" => check::<heartbeat::Lease>(text),
        "app.json" => check::<app::App>(text),
        "app-logs.json" => check::<app::AppLogs>(text),
        "event.ndjson" | "events.ndjson" => text.lines().try_for_each(check::<event::Event>),
        "login-link.json" => check::<api::LoginLink>(text),
        "token.json" => check::<token::NewToken>(text),
        "tokens.json" => check::<Vec<token::Token>>(text),
        "down.json" => check::<api::DownReport>(text),
        "problem.json" | "problem-410.json" => check::<problem::Problem>(text),
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
    assert!(count >= 18, "only {count} examples were found");
}
