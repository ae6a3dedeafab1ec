//! `GET /v1/gpus`: GPUs, their driver, and who uses them.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use station_proto::gpu::{GpuCall, Gpus};

use crate::admin::Sources;
use crate::admin::answers::Failure;

/// Everything that is known of the NVIDIA GPUs and of their driver.
#[utoipa::path(get, path = "/v1/gpus", responses((status = 200, body = Gpus)))]
pub async fn show(State(sources): State<Sources>) -> Json<Gpus> {
    Json(sources.control.gpus())
}

/// How long each call of the driver took, by the call's name.
#[utoipa::path(get, path = "/v1/gpus/calls", responses(
    (status = 200, body = [GpuCall], description = "empty while the driver cannot be asked")))]
pub async fn calls(State(sources): State<Sources>) -> Response {
    match sources.control.gpu_calls().await {
        Ok(calls) => Json(calls).into_response(),
        Err(problem) => Failure(problem).into_response(),
    }
}
