//! Finds the admin socket and talks to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use station_proto::problem::Problem;

use super::ClientError;
use crate::os::socket::http::{self as client, HttpError};

/// No answer is larger, streams apart.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// `down` waits for apps to stop and for shares to be drained; everything else is quick.
const DEADLINE: Duration = Duration::from_secs(150);

/// A socket that stationd listens on.
#[derive(Debug)]
pub struct Connection {
    socket: PathBuf,
}

impl Connection {
    /// The first of `candidates` that somebody listens on.
    pub async fn open(candidates: &[PathBuf]) -> Result<Self, ClientError> {
        let mut tried = Vec::new();
        for socket in candidates {
            match tokio::net::UnixStream::connect(socket).await {
                Ok(_stream) => return Ok(Self { socket: socket.clone() }),
                Err(error) => tried.push((socket.clone(), error.to_string())),
            }
        }
        Err(ClientError::NotRunning { tried })
    }

    /// The socket that answers.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The raw body of a successful answer.
    pub async fn bytes(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Bytes, ClientError> {
        let request = request(method, path, body)?;
        let response = client::exchange(&self.socket, request, ANSWER_MAX, DEADLINE)
            .await
            .map_err(ClientError::Exchange)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let problem: Result<Problem, _> = serde_json::from_slice(response.body());
        Err(match problem {
            Ok(problem) => ClientError::Refused(Box::new(problem)),
            Err(_not_a_problem) => ClientError::Answer(format!("status {status}")),
        })
    }

    /// A successful answer, read as JSON.
    pub async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<T, ClientError> {
        let bytes = self.bytes(method, path, body).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Answer(error.to_string()))
    }

    /// An answer whose body goes on for as long as it likes.
    pub async fn stream(&self, path: &str) -> Result<Response<Incoming>, ClientError> {
        let request = request(Method::GET, path, None)?;
        client::open(&self.socket, request).await.map_err(ClientError::Exchange)
    }
}

fn request(
    method: Method,
    path: &str,
    body: Option<&serde_json::Value>,
) -> Result<Request<Full<Bytes>>, ClientError> {
    let bytes = body.map(serde_json::Value::to_string).unwrap_or_default();
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "stationd")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(bytes)))
        .map_err(|error| ClientError::Unknown(format!("{path} is no path: {error}")))
}

/// An error while a stream is read.
pub(super) fn broken(error: &hyper::Error) -> ClientError {
    ClientError::Answer(format!("the stream broke: {error}"))
}

impl From<HttpError> for ClientError {
    fn from(error: HttpError) -> Self {
        Self::Exchange(error)
    }
}
