//! What a control plane polls: heartbeat, status and lease, whole or as what changed.
//!
//! A poller that sends `since` gets the changes alone. One whose status is not known any more gets 410,
//! whatever the reason: the number is too old, of another boot, or of another history. The remedy is one.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use station_proto::heartbeat::{Delta, Heartbeat, HeartbeatDelta, Lease, Status};
use station_proto::problem::Problem;
use utoipa::IntoParams;

use super::latest_samples;
use crate::admin::Sources;
use crate::admin::answers::{Asked, Failure, come_again, problem};
use crate::base::limits;
use crate::heartbeat::{Ledger, etag, lease as compose_lease};
use crate::os::clock;

/// The longest wait that a poller may ask for.
const WAIT_MAX_SECONDS: u64 = 60;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// With `If-None-Match` or `since`: wait this many seconds, 60 at most, for the status to change
    /// before answering that it did not.
    #[serde(default)]
    #[param(required = false, maximum = 60)]
    wait: u64,
    /// The `seq` of the status that the poller holds: the answer is what changed since.
    #[serde(default)]
    since: Option<u64>,
    /// The `boot_id` under which that status was given out. After a reboot the answer is 410.
    #[serde(default)]
    boot: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PollAll {
    /// With `If-None-Match` or `since`: wait this many seconds, 60 at most, for the status to change
    /// before answering that it did not.
    #[serde(default)]
    #[param(required = false, maximum = 60)]
    wait: u64,
    /// The `seq` of the status that the poller holds: the answer is what changed since.
    #[serde(default)]
    since: Option<u64>,
    /// The `boot_id` under which that status was given out. After a reboot the answer is 410.
    #[serde(default)]
    boot: Option<String>,
    /// `false` leaves the samples out.
    #[serde(default = "yes")]
    #[param(required = false)]
    samples: bool,
}

fn yes() -> bool {
    true
}

/// Lease, status and samples in one answer; with `since`, lease, what changed, and samples.
#[utoipa::path(get, path = "/v1/heartbeat", params(PollAll), responses(
    (status = 200, body = inline(Beat), description = "carries a weak ETag over the status"),
    (status = 304, description = "the status is the one named in If-None-Match"),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 410, body = Problem, content_type = "application/problem+json",
     description = "what changed since `since` is not known: poll without it"),
    (status = 503, body = Problem, content_type = "application/problem+json",
     description = "too many polls wait: come again after Retry-After")))]
pub async fn heartbeat(
    State(sources): State<Sources>,
    Asked(asked): Asked<PollAll>,
    headers: HeaderMap,
) -> Response {
    let PollAll { wait, since, boot, samples } = asked;
    conditional(&sources, Poll { wait, since, boot }, &headers, |status, delta| {
        let lease = lease_of(&sources, status);
        let samples = samples.then(|| latest_samples(&sources));
        match delta {
            None => Json(Heartbeat { lease, status: status.clone(), samples }).into_response(),
            Some(delta) => Json(HeartbeatDelta { lease, delta, samples }).into_response(),
        }
    })
    .await
}

/// The status alone; with `since`, what changed in it.
#[utoipa::path(get, path = "/v1/status", params(Poll), responses(
    (status = 200, body = inline(Shown), description = "carries a weak ETag"),
    (status = 304, description = "the status is the one named in If-None-Match"),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 410, body = Problem, content_type = "application/problem+json",
     description = "what changed since `since` is not known: poll without it"),
    (status = 503, body = Problem, content_type = "application/problem+json",
     description = "too many polls wait: come again after Retry-After")))]
pub async fn status(
    State(sources): State<Sources>,
    Asked(asked): Asked<Poll>,
    headers: HeaderMap,
) -> Response {
    conditional(&sources, asked, &headers, |status, delta| match delta {
        None => Json(status).into_response(),
        Some(delta) => Json(delta).into_response(),
    })
    .await
}

/// The lease alone: the cheapest proof of life.
#[utoipa::path(get, path = "/v1/lease", responses((status = 200, body = Lease)))]
pub async fn lease(State(sources): State<Sources>) -> Json<Lease> {
    let ledger = Arc::clone(&sources.ledger.borrow());
    Json(lease_of(&sources, ledger.status()))
}

/// What `GET /v1/heartbeat` answers.
#[derive(Debug, utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the answer")]
enum Beat {
    Whole(Heartbeat),
    Changes(HeartbeatDelta),
}

/// What `GET /v1/status` answers.
#[derive(Debug, utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the answer")]
enum Shown {
    Whole(Status),
    Changes(Delta),
}

/// Answers 304 while the poller holds the present status, and waits for a change if asked to.
async fn conditional(
    sources: &Sources,
    asked: Poll,
    headers: &HeaderMap,
    answer: impl FnOnce(&Status, Option<Delta>) -> Response,
) -> Response {
    match prepared(sources, asked, headers).await {
        Err(failure) => {
            let mut answer = failure.into_response();
            if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
                answer.headers_mut().insert(header::RETRY_AFTER, come_again().into());
            }
            answer
        }
        Ok((ledger, held, delta)) => {
            let status = ledger.status();
            let tag = [(header::ETAG, etag(&sources.boot_id, status.seq))];
            let fresh = [(header::CACHE_CONTROL, "no-cache")];
            if held {
                return (StatusCode::NOT_MODIFIED, tag, fresh).into_response();
            }
            (tag, fresh, answer(status, delta)).into_response()
        }
    }
}

/// The status to answer with, whether the poller's tag names it, and what changed if that was asked.
async fn prepared(
    sources: &Sources,
    asked: Poll,
    headers: &HeaderMap,
) -> Result<(Arc<Ledger>, bool, Option<Delta>), Failure> {
    let Poll { wait, since, boot } = asked;
    if wait > WAIT_MAX_SECONDS {
        let detail = format!("`wait` is {wait}; use {WAIT_MAX_SECONDS} seconds at most");
        let status = StatusCode::BAD_REQUEST;
        return Err(Failure(problem(status, "bad-wait", "the wait is too long", detail)));
    }
    if let Some(from) = since.filter(|from| i64::try_from(*from).is_err()) {
        let detail = format!("`since` is {from}, which no `seq` can be: use one of an answer");
        let status = StatusCode::BAD_REQUEST;
        return Err(Failure(problem(status, "bad-since", "the number is too large", detail)));
    }
    let tags = headers.get_all(header::IF_NONE_MATCH);
    let tags: Vec<&str> = tags
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect();
    let holds = |status: &Status| {
        let tag = etag(&sources.boot_id, status.seq);
        tags.iter().any(|one| *one == "*" || weak(one) == weak(&tag))
    };
    let delta = |ledger: &Ledger| match since {
        None => Ok(None),
        Some(from) => ledger.since(from).map(Some).map_err(|_why| gone(from)),
    };
    let boots = tags.iter().filter_map(|tag| boot_of(tag)).chain(boot.as_deref());
    if let Some(from) = since
        && boots.into_iter().any(|boot| boot != sources.boot_id)
    {
        return Err(gone(from));
    }
    let mut updates = sources.ledger.clone();
    // Before the wait: who holds nothing that is known need not wait to hear so.
    delta(&updates.borrow())?;
    let same = |ledger: &Arc<Ledger>| {
        let status = ledger.status();
        holds(status) || since == Some(status.seq)
    };
    let place = if wait > 0 && same(&sources.ledger.borrow()) {
        Some(sources.waiting.try_acquire().map_err(|_full| too_many())?)
    } else {
        None
    };
    let changed = updates.wait_for(|ledger| !same(ledger));
    if tokio::time::timeout(Duration::from_secs(wait), changed).await.is_err() {
        tracing::trace!("nothing changed while the poller waited");
    }
    drop(place);
    let ledger = Arc::clone(&sources.ledger.borrow());
    let (held, delta) = (holds(ledger.status()), delta(&ledger)?);
    Ok((ledger, held, delta))
}

fn too_many() -> Failure {
    let detail = format!(
        "{} polls wait already: come again after the seconds in Retry-After, or without `wait`",
        limits::WAITING_POLLS
    );
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Failure(problem(status, "too-many-waiting", "too many polls wait", detail))
}

fn gone(from: u64) -> Failure {
    let detail = format!(
        "what changed since {from} is not known (`since` is too old, or of another boot or another \
         installation): poll without `since`, and go on from the `seq` of that answer"
    );
    Failure(problem(StatusCode::GONE, "since-unknown", "the changes are not known", detail))
}

/// Weak comparison: RFC 9110, section 8.8.3.2.
fn weak(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// The boot that one of our tags names.
fn boot_of(tag: &str) -> Option<&str> {
    let inner = weak(tag).strip_prefix('"')?.strip_suffix('"')?;
    inner.rsplit_once('-').map(|(boot, _seq)| boot)
}

fn lease_of(sources: &Sources, status: &Status) -> Lease {
    compose_lease(&sources.instance_id, &sources.boot_id, status, sources.started, clock::now())
}
