//! A kernel: started through the front door as a script would, asked for 1+1, and ended.

mod door;
mod messages;
mod trust;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;
use station_proto::problem::Problem;
use tokio_tungstenite::tungstenite::{self, Message};

use self::door::Door;
pub use self::door::DoorError;
use self::messages::Progress;
pub use self::trust::any_certificate;

/// A kernel that takes longer to start is of no use to anybody.
const START: Duration = Duration::from_secs(60);
/// For everything else.
const LIMIT: Duration = Duration::from_secs(20);

/// Where it broke.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("the public listener cannot be reached")]
    Door(#[from] DoorError),
    #[error("a kernel was asked for, and the answer was {status}: {said}")]
    Refused { status: StatusCode, said: String },
    #[error("the kernel's websocket does not open")]
    Websocket(#[source] Box<tungstenite::Error>),
    #[error("the websocket ended before the kernel had answered")]
    CutOff,
    #[error("the kernel did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the kernel said {said:?} to 1+1")]
    Wrong { said: String },
    #[error("the kernel's id is missing in {0}")]
    NoId(String),
}

/// An app and the token that opens it.
#[derive(Debug)]
pub struct Jupyter<'a> {
    /// `/apps/jupyterlab`
    pub base: &'a str,
    pub secret: &'a str,
    /// The port of the public listener, and the host of its URL if it is not on loopback.
    pub port: u16,
    pub host: Option<&'a str>,
}

/// Runs 1+1 in a new kernel.
pub async fn check(jupyter: &Jupyter<'_>) -> Result<(), KernelError> {
    let door = Door::find(jupyter.port, jupyter.host).await?;
    let path = format!("{}/api/kernels", jupyter.base);
    let started = ask(&door, jupyter, (Method::POST, &path), START).await?;
    let id = started.get("id").and_then(Value::as_str).map(str::to_owned);
    let id = id.ok_or_else(|| KernelError::NoId(started.to_string()))?;
    let done = tokio::time::timeout(START, add(&door, jupyter, &id)).await;
    let kernel = format!("{path}/{id}");
    let ended = ask(&door, jupyter, (Method::DELETE, &kernel), LIMIT).await;
    done.unwrap_or(Err(KernelError::Silent(START)))?;
    ended.map(drop)
}

async fn ask(
    door: &Door,
    jupyter: &Jupyter<'_>,
    (method, path): (Method, &str),
    limit: Duration,
) -> Result<Value, KernelError> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, door.host())
        .header(header::AUTHORIZATION, format!("token {}", jupyter.secret))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from_static(b"{}")))
        .map_err(DoorError::Request)?;
    let answer = door.exchange(request, limit).await?;
    let status = answer.status();
    if !status.is_success() {
        let problem: Option<Problem> = serde_json::from_slice(answer.body()).ok();
        let raw = || String::from_utf8_lossy(answer.body()).chars().take(200).collect();
        return Err(KernelError::Refused {
            status,
            said: problem.map_or_else(raw, |problem| problem.detail),
        });
    }
    Ok(serde_json::from_slice(answer.body()).unwrap_or_default())
}

/// The cell, over the kernel's websocket.
async fn add(door: &Door, jupyter: &Jupyter<'_>, id: &str) -> Result<(), KernelError> {
    let path = format!("{}/api/kernels/{id}/channels?session_id=canary", jupyter.base);
    let fields =
        [(header::AUTHORIZATION, format!("token {}", jupyter.secret)), (header::HOST, door.host())];
    let mut request = door.websocket(&path)?;
    for (name, value) in fields {
        let value = value.parse().map_err(|error| DoorError::Request(http::Error::from(error)))?;
        request.headers_mut().insert(name, value);
    }
    let stream = door.connect().await?;
    let opened = tokio_tungstenite::client_async(request, stream).await;
    let (mut socket, _answer) = opened.map_err(|error| KernelError::Websocket(Box::new(error)))?;
    let send = Message::text(messages::execute("1+1").to_string());
    socket.send(send).await.map_err(|_ended| KernelError::CutOff)?;
    let mut progress = Progress::default();
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let message = serde_json::from_str(&text).unwrap_or_default();
        if let Some(said) = progress.take(&message) {
            return if said == "2" { Ok(()) } else { Err(KernelError::Wrong { said }) };
        }
    }
    Err(KernelError::CutOff)
}
