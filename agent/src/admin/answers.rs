//! Error answers: RFC 9457 problem documents. Below it, how answers travel.

pub(super) mod described;
pub(super) mod gzip;
pub(super) mod pieces;

use std::fmt::Display;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use station_proto::problem::Problem;

use crate::base::limits;
use crate::os::random;

/// Makes a problem document. `kind` is its stable last word.
pub fn problem(
    status: StatusCode,
    kind: &str,
    title: &str,
    detail: impl Into<String>,
) -> Box<Problem> {
    Box::new(Problem {
        kind: format!("about:stationd/{kind}"),
        title: title.to_owned(),
        status: status.as_u16(),
        detail: detail.into(),
        message: String::new(),
    })
}

/// A problem as an HTTP answer.
#[derive(Debug)]
pub struct Failure(pub Box<Problem>);

impl From<Box<Problem>> for Failure {
    fn from(problem: Box<Problem>) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

/// The query string, whose refusal is a problem document too.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<T, S> FromRequestParts<S> for Asked<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let read = Query::from_request_parts(parts, state).await;
        read.map(|Query(asked)| Self(asked)).map_err(unreadable)
    }
}

/// A JSON object as the body, whose refusal is a problem document too.
#[derive(Debug)]
pub struct Sent<T>(pub T);

impl<T, S> FromRequest<S> for Sent<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let Json(sent): Json<Value> =
            Json::from_request(request, state).await.map_err(unreadable)?;
        let refuse = |detail: String| {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Failure(problem(status, "bad-request", "the request cannot be read", detail))
        };
        // A list would be taken too, as its fields in order.
        if !sent.is_object() {
            return Err(refuse(
                "the body is a JSON value of another kind: send an object".to_owned(),
            ));
        }
        serde_json::from_value(sent).map(Self).map_err(|error| refuse(error.to_string()))
    }
}

fn unreadable(rejection: impl Display + IntoResponse) -> Failure {
    let detail = rejection.to_string();
    let status = rejection.into_response().status();
    Failure(problem(status, "bad-request", "the request cannot be read", detail))
}

/// An answer of ours broke off before it was whole.
fn cut_off() -> Response {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let detail = "the answer broke off: please report it";
    Failure(problem(status, "cut-off", "there is no answer", detail)).into_response()
}

/// When who is sent away is to come again: a number of seconds of one's own, so that a herd does not
/// stay one.
pub(super) fn come_again() -> u32 {
    let most = f64::from(limits::COME_AGAIN - 1);
    #[expect(clippy::cast_possible_truncation, reason = "a small whole number")]
    #[expect(clippy::cast_sign_loss, reason = "a fraction is not negative")]
    let later = (random::fraction() * most).round() as u32;
    1 + later
}

/// 404 for a path outside the API.
pub(super) async fn no_such_route() -> Failure {
    let detail = "the API's routes are listed in its OpenAPI document";
    Failure(problem(StatusCode::NOT_FOUND, "no-such-route", "there is no such route", detail))
}

/// 405 for a known path.
pub(super) async fn wrong_method() -> Failure {
    let title = "the route has no such method";
    Failure(problem(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", title, ""))
}

/// 404 for an app that is not configured.
pub fn no_such_app(name: &str) -> Box<Problem> {
    let detail = format!("no app is called {name:?}; `stationctl app list` names them");
    problem(StatusCode::NOT_FOUND, "no-such-app", "there is no such app", detail)
}

/// 404 for a token that there is not, or not any more.
pub fn no_such_token(id: &str) -> Box<Problem> {
    let detail = format!("no token has the number {id:?}; `stationctl token list` shows them");
    problem(StatusCode::NOT_FOUND, "no-such-token", "there is no such token", detail)
}

/// 403 with who asked.
pub fn forbidden(detail: impl Into<String>) -> Box<Problem> {
    problem(StatusCode::FORBIDDEN, "forbidden", "you may not do that", detail)
}
