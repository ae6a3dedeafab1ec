//! `/v1/mounts`: the shares, what is pending on them, and the orders to take one up anew or to give it up.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use station_proto::mount::{DrainOutcome, Mount, MountDetail, MountSample};
use station_proto::problem::Problem;
use utoipa::IntoParams;

use crate::admin::Sources;
use crate::admin::answers::{Asked, Failure};

/// The longest wait for what is pending, in seconds.
const DRAIN_MOST: u64 = 3600;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// How many seconds to wait for what is pending; 3,600 at most.
    #[serde(default = "usual_limit")]
    #[param(required = false)]
    limit: u64,
}

fn usual_limit() -> u64 {
    600
}

/// Where shares are mounted, and the local workspace.
#[utoipa::path(get, path = "/v1/mounts", responses((status = 200, body = [Mount])))]
pub async fn list(State(sources): State<Sources>) -> Json<Vec<Mount>> {
    Json(sources.status.borrow().mounts.clone())
}

/// One of them, with its figures and what has not reached the share.
#[utoipa::path(get, path = "/v1/mounts/{name}", responses(
    (status = 200, body = MountDetail), (status = 404, body = Problem)))]
pub async fn show(
    State(sources): State<Sources>,
    Path(name): Path<String>,
) -> Result<Json<MountDetail>, Failure> {
    let known = sources.status.borrow().mounts.iter().find(|mount| mount.name == name).cloned();
    match (sources.control.mount(&name), known) {
        (Ok(detail), _) => Ok(Json(detail)),
        // A local folder has no figures of its own.
        (Err(_), Some(mount)) => {
            let sample = MountSample { name, ..MountSample::default() };
            Ok(Json(MountDetail { mount, sample, pending_files: Vec::new() }))
        }
        (Err(problem), None) => Err(Failure(problem)),
    }
}

/// Starts the driver of a share anew, with the configuration and the credential of now. What is pending is
/// kept; files that programs have open must be opened again. The answer comes when the share can be used.
#[utoipa::path(post, path = "/v1/mounts/{name}/remount", responses(
    (status = 204), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 503, body = Problem)))]
pub async fn remount(
    State(sources): State<Sources>,
    Path(name): Path<String>,
) -> Result<StatusCode, Failure> {
    sources.control.remount(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Brings everything that is pending to the share, then unmounts it. What is left after the limit goes on,
/// and is told.
#[utoipa::path(post, path = "/v1/mounts/{name}/drain", params(Limit), responses(
    (status = 200, body = DrainOutcome), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 503, body = Problem)))]
pub async fn drain(
    State(sources): State<Sources>,
    Path(name): Path<String>,
    Asked(limit): Asked<Limit>,
) -> Result<Json<DrainOutcome>, Failure> {
    let limit = Duration::from_secs(limit.limit.min(DRAIN_MOST));
    Ok(Json(sources.control.drain(&name, limit).await?))
}
