//! `GET /v1/history`: a few figures of the last hours.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use station_proto::history::History;
use station_proto::problem::Problem;
use utoipa::IntoParams;

use crate::admin::Sources;
use crate::admin::answers::Asked;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Back {
    /// How far back, in minutes: 60 unless said otherwise. Six hours are kept.
    #[serde(default = "hour")]
    minutes: u16,
}

fn hour() -> u16 {
    60
}

/// Means of half a minute each, since stationd was started.
#[utoipa::path(get, path = "/v1/history", params(Back), responses(
    (status = 200, body = History), (status = 400, body = Problem)))]
pub async fn show(State(sources): State<Sources>, Asked(back): Asked<Back>) -> Json<History> {
    Json(sources.control.history(usize::from(back.minutes) * 2))
}
