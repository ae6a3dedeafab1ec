//! `GET /v1/heartbeat`, its parts, and `/metrics`.

pub mod gpus;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use station_proto::heartbeat::{Heartbeat, Lease, Status};
use station_proto::mount::Mount;
use station_proto::node::{Node, Samples};
use station_proto::time::Time;
use utoipa::IntoParams;

use super::Sources;
use super::answers::{Asked, Failure, problem};
use crate::heartbeat::{etag, lease as compose_lease};
use crate::os::clock;

/// The longest wait that a poller may ask for.
const WAIT_MAX_SECONDS: u64 = 60;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// With `If-None-Match`: wait this many seconds, 60 at most, for the status to change
    /// before answering 304.
    #[serde(default)]
    wait: u64,
}

/// Lease, status and samples in one answer.
#[utoipa::path(get, path = "/v1/heartbeat", params(Wait), responses(
    (status = 200, body = Heartbeat, description = "carries a weak ETag over the status"),
    (status = 304, description = "the status is the one named in If-None-Match")))]
pub async fn heartbeat(
    State(sources): State<Sources>,
    Asked(wait): Asked<Wait>,
    headers: HeaderMap,
) -> Response {
    conditional(&sources, wait.wait, &headers, |status| {
        let heartbeat = Heartbeat {
            lease: lease_of(&sources, &status),
            status: (*status).clone(),
            samples: latest_samples(&sources),
        };
        Json(heartbeat).into_response()
    })
    .await
}

/// The status alone.
#[utoipa::path(get, path = "/v1/status", params(Wait), responses(
    (status = 200, body = Status, description = "carries a weak ETag"),
    (status = 304, description = "the status is the one named in If-None-Match")))]
pub async fn status(
    State(sources): State<Sources>,
    Asked(wait): Asked<Wait>,
    headers: HeaderMap,
) -> Response {
    conditional(&sources, wait.wait, &headers, |status| Json(&*status).into_response()).await
}

/// The lease alone: the cheapest proof of life.
#[utoipa::path(get, path = "/v1/lease", responses((status = 200, body = Lease)))]
pub async fn lease(State(sources): State<Sources>) -> Json<Lease> {
    let status = Arc::clone(&sources.status.borrow());
    Json(lease_of(&sources, &status))
}

/// Measured values of the moment.
#[utoipa::path(get, path = "/v1/samples", responses((status = 200, body = Samples)))]
pub async fn samples(State(sources): State<Sources>) -> Json<Samples> {
    Json(latest_samples(&sources))
}

/// What the machine is: system, hardware, cloud, CUDA. Read again when its files change.
#[utoipa::path(get, path = "/v1/node", responses(
    (status = 200, body = Node, description = "empty in the first moments")))]
pub async fn node(State(sources): State<Sources>) -> Json<Node> {
    Json(sources.node.borrow().as_deref().cloned().unwrap_or_default())
}

/// The shares that apps work on.
#[utoipa::path(get, path = "/v1/mounts", responses((status = 200, body = [Mount])))]
pub async fn mounts(State(sources): State<Sources>) -> Json<Vec<Mount>> {
    Json(sources.status.borrow().mounts.clone())
}

/// Prometheus metrics in the text format.
#[utoipa::path(get, path = "/metrics", responses(
    (status = 200, body = String, content_type = "application/openmetrics-text")))]
pub async fn metrics(State(sources): State<Sources>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], sources.control.metrics()).into_response()
}

/// Answers 304 while the poller holds the present status, and waits for a change if asked to.
async fn conditional(
    sources: &Sources,
    wait: u64,
    headers: &HeaderMap,
    answer: impl FnOnce(Arc<Status>) -> Response,
) -> Response {
    if wait > WAIT_MAX_SECONDS {
        let detail = format!("`wait` is {wait}; use {WAIT_MAX_SECONDS} seconds at most");
        return Failure(problem(
            StatusCode::BAD_REQUEST,
            "bad-wait",
            "the wait is too long",
            detail,
        ))
        .into_response();
    }
    let held = headers.get_all(header::IF_NONE_MATCH);
    let held: Vec<&str> = held.iter().filter_map(|value| value.to_str().ok()).collect();
    let holds = |status: &Status| {
        let tag = etag(&sources.boot_id, status.seq);
        held.iter().flat_map(|list| list.split(',')).any(|one| {
            let one = one.trim();
            one == "*" || weak(one) == weak(&tag)
        })
    };
    let mut updates = sources.status.clone();
    let changed = updates.wait_for(|status| !holds(status));
    if tokio::time::timeout(Duration::from_secs(wait), changed).await.is_err() {
        tracing::trace!("nothing changed while the poller waited");
    }
    let status = Arc::clone(&sources.status.borrow());
    let tag = [(header::ETAG, etag(&sources.boot_id, status.seq))];
    let fresh = [(header::CACHE_CONTROL, "no-cache")];
    if holds(&status) {
        return (StatusCode::NOT_MODIFIED, tag, fresh).into_response();
    }
    (tag, fresh, answer(status)).into_response()
}

/// Weak comparison: RFC 9110, section 8.8.3.2.
fn weak(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

fn lease_of(sources: &Sources, status: &Status) -> Lease {
    compose_lease(&sources.instance_id, &sources.boot_id, status, sources.started, clock::now())
}

fn latest_samples(sources: &Sources) -> Samples {
    let nothing_yet = || Samples {
        at: Time(clock::now().wall),
        cpu: None,
        load: None,
        memory: None,
        pressure: None,
        os_disk: None,
        disks: Vec::new(),
        agent: None,
        gpus: Vec::new(),
    };
    let host = sources.samples.borrow().as_deref().cloned().unwrap_or_else(nothing_yet);
    Samples { gpus: sources.control.gpu_samples(), ..host }
}
