//! `/v1/apps`: what runs, and the user's start, stop and restart.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use station_proto::app::{App, AppActivity, AppLogs};
use station_proto::problem::Problem;
use utoipa::IntoParams;

use super::answers::{Asked, Failure, no_such_app};
use super::{AppAction, Sources};
use crate::base::limits;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// How many lines, counted from the newest; 10,000 at most.
    #[serde(default = "default_lines")]
    #[param(required = false)]
    lines: usize,
}

fn default_lines() -> usize {
    limits::LOG_TAIL_LINES
}

/// Every configured app.
#[utoipa::path(get, path = "/v1/apps", responses((status = 200, body = [App])))]
pub async fn list(State(sources): State<Sources>) -> Json<Vec<App>> {
    Json(sources.status.borrow().apps.clone())
}

/// One app.
#[utoipa::path(get, path = "/v1/apps/{name}", responses(
    (status = 200, body = App), (status = 404, body = Problem)))]
pub async fn show(
    State(sources): State<Sources>,
    Path(name): Path<String>,
) -> Result<Json<App>, Failure> {
    let status = sources.status.borrow();
    let app = status.apps.iter().find(|app| app.name == name);
    app.cloned().map(Json).ok_or_else(|| Failure(no_such_app(&name)))
}

/// The newest lines of an app's log.
#[utoipa::path(get, path = "/v1/apps/{name}/logs", params(Lines), responses(
    (status = 200, body = AppLogs), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 503, body = Problem)))]
pub async fn logs(
    State(sources): State<Sources>,
    Path(name): Path<String>,
    Asked(lines): Asked<Lines>,
) -> Result<Json<AppLogs>, Failure> {
    let lines = lines.lines.min(10_000);
    Ok(Json(sources.control.logs(&name, lines).await?))
}

/// What shows whether an app is at work, and when it will be stopped for being idle.
#[utoipa::path(get, path = "/v1/apps/{name}/activity", responses(
    (status = 200, body = AppActivity), (status = 404, body = Problem)))]
pub async fn activity(
    State(sources): State<Sources>,
    Path(name): Path<String>,
) -> Result<Json<AppActivity>, Failure> {
    Ok(Json(sources.control.activity(&name)?))
}

/// Starts an app; it is enough that it is being started.
#[utoipa::path(post, path = "/v1/apps/{name}/start", responses(
    (status = 202), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 503, body = Problem)))]
pub async fn start(
    State(sources): State<Sources>,
    Path(name): Path<String>,
) -> Result<StatusCode, Failure> {
    act(&sources, &name, AppAction::Start).await
}

/// Stops an app and everything it started, its kernels among them.
#[utoipa::path(post, path = "/v1/apps/{name}/stop", responses(
    (status = 202), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 503, body = Problem)))]
pub async fn stop(
    State(sources): State<Sources>,
    Path(name): Path<String>,
) -> Result<StatusCode, Failure> {
    act(&sources, &name, AppAction::Stop).await
}

/// Stops an app, then starts it.
#[utoipa::path(post, path = "/v1/apps/{name}/restart", responses(
    (status = 202), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 503, body = Problem)))]
pub async fn restart(
    State(sources): State<Sources>,
    Path(name): Path<String>,
) -> Result<StatusCode, Failure> {
    act(&sources, &name, AppAction::Restart).await
}

async fn act(sources: &Sources, name: &str, action: AppAction) -> Result<StatusCode, Failure> {
    sources.control.app(name, action).await?;
    Ok(StatusCode::ACCEPTED)
}
