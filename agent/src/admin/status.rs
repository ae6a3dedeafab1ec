//! What the machine shows: the heartbeat's parts, GPUs, and `/metrics`.

pub mod gpus;
pub mod history;
pub mod mounts;
pub mod poll;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use station_proto::node::{Node, Samples};
use station_proto::time::Time;

use super::Sources;
use super::answers::gzip::takes_gzip;
use super::answers::pieces::Pieces;
use crate::metrics::{Scraped, Wanted};
use crate::os::clock;

const OPEN_METRICS: &str = "application/openmetrics-text";

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

/// Prometheus metrics: as OpenMetrics for whoever accepts it, in the older text format otherwise.
#[utoipa::path(get, path = "/metrics", responses(
    (status = 200, content(
        (String = "application/openmetrics-text"), (String = "text/plain")))))]
pub async fn metrics(State(sources): State<Sources>, headers: HeaderMap) -> Response {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|one| one.to_str().ok());
    let open = accepted.any(|one| one.contains(OPEN_METRICS));
    let kind = if open {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        "text/plain; version=0.0.4; charset=utf-8"
    };
    let wanted = Wanted { open, gzip: takes_gzip(&headers) };
    let Scraped { pieces, gzip } = sources.control.metrics(wanted);
    let fields = [(header::CONTENT_TYPE, kind), (header::VARY, "accept")];
    let mut answer = (fields, Body::new(Pieces::new(pieces))).into_response();
    if gzip {
        answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

fn latest_samples(sources: &Sources) -> Samples {
    let nothing_yet = || Samples::nothing(Time(clock::now().wall));
    let host = sources.samples.borrow().as_deref().cloned().unwrap_or_else(nothing_yet);
    let control = &sources.control;
    Samples { gpus: control.gpu_samples(), mounts: control.mount_samples(), ..host }
}
