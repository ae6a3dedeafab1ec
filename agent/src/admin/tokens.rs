//! `/v1/tokens`: what opens one app for a script or an editor.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use station_proto::problem::Problem;
use station_proto::token::{NewToken, Token, TokenRequest};

use super::Sources;
use super::answers::{Failure, Sent};

/// Makes a token for one app. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/tokens", request_body = TokenRequest, responses(
    (status = 201, body = NewToken), (status = 400, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn create(
    State(sources): State<Sources>,
    Sent(request): Sent<TokenRequest>,
) -> Result<(StatusCode, Json<NewToken>), Failure> {
    let made = sources.control.create_token(request).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Every token that holds, oldest first, without the secrets.
#[utoipa::path(get, path = "/v1/tokens", responses((status = 200, body = [Token])))]
pub async fn list(State(sources): State<Sources>) -> Json<Vec<Token>> {
    Json(sources.control.tokens())
}

/// Ends a token at once; websockets that it opened are closed within a minute.
#[utoipa::path(delete, path = "/v1/tokens/{id}", responses(
    (status = 204), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn revoke(
    State(sources): State<Sources>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    sources.control.revoke_token(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
