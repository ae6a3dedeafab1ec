//! `POST /v1/login-links`, and `POST /v1/down`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use station_proto::api::{DownReport, LoginLink, LoginLinkRequest};
use station_proto::problem::Problem;

use super::Sources;
use super::answers::{Failure, Sent};

/// Makes a link that opens one browser session, once, within ten minutes.
#[utoipa::path(post, path = "/v1/login-links", request_body = LoginLinkRequest, responses(
    (status = 201, body = LoginLink), (status = 400, body = Problem),
    (status = 409, body = Problem), (status = 503, body = Problem)))]
pub async fn create(
    State(sources): State<Sources>,
    Sent(request): Sent<LoginLinkRequest>,
) -> Result<(StatusCode, Json<LoginLink>), Failure> {
    let link = sources.control.login_link(&request.next).await?;
    Ok((StatusCode::CREATED, Json(link)))
}

/// Stops every app, then stationd itself.
#[utoipa::path(post, path = "/v1/down", responses(
    (status = 200, body = DownReport), (status = 503, body = Problem)))]
pub async fn down(State(sources): State<Sources>) -> Result<Json<DownReport>, Failure> {
    Ok(Json(sources.control.down().await?))
}
