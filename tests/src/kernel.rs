//! A notebook without a screen: Jupyter's message protocol over the proxied websocket.
//!
//! See <https://jupyter-client.readthedocs.io/en/stable/messaging.html>. Messages are JSON text
//! (the default where no subprotocol is asked for).
#![expect(clippy::indexing_slicing, reason = "a JSON value that is not there reads as null")]

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use http::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::http::{Client, WebSocket};

/// Longest silence of a kernel that should say something.
const SILENCE: Duration = Duration::from_secs(60);

/// What a cell gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Everything on standard output and standard error, in order.
    pub output: String,
    /// The value of the last expression.
    pub value: Option<String>,
    /// `NameError: …`
    pub error: Option<String>,
    /// Whether the kernel said that the cell is finished.
    pub replied: bool,
}

/// A kernel and the connection to it.
#[derive(Debug)]
pub struct Kernel {
    /// `/apps/jupyterlab`
    base: String,
    pub id: String,
    session: String,
    socket: WebSocket,
    sent: u32,
}

/// A request to Jupyter's API with its XSRF token, as JupyterLab makes it.
pub async fn api(
    client: &Client,
    method: Method,
    path: &str,
    body: &Value,
) -> Result<crate::http::Answer> {
    if client.cookie("_xsrf").is_none() {
        let base: String = path.split_inclusive('/').take(3).collect();
        client.page(&format!("{base}lab")).await?.expect(200)?;
    }
    let token = client.cookie("_xsrf").context("JupyterLab sets no _xsrf cookie")?;
    let headers = [("x-xsrftoken", token.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    client.call(method, path, &headers, body.into()).await
}

impl Kernel {
    /// Starts a kernel in the workspace of the app below `base` and connects to it.
    pub async fn start(client: &Client, base: &str) -> Result<Self> {
        Self::start_as(client, base, &json!({"path": ""})).await
    }

    /// The same as Jupyter's API is asked for it: with a `name`, or the `path` of a notebook.
    pub async fn start_as(client: &Client, base: &str, wanted: &Value) -> Result<Self> {
        let path = format!("{base}/api/kernels");
        let started = api(client, Method::POST, &path, wanted).await?.expect(201)?.json()?;
        let id = started["id"].as_str().context("no kernel id")?.to_owned();
        let session = format!("session-{id}");
        let socket = connect(client, base, &id, &session).await?;
        Ok(Self { base: base.to_owned(), id, session, socket, sent: 0 })
    }

    /// Connects again as the same session: Jupyter hands over what came meanwhile.
    pub async fn reconnect(&mut self, client: &Client) -> Result<()> {
        let retry = async {
            loop {
                match connect(client, &self.base, &self.id, &self.session).await {
                    Ok(socket) => return socket,
                    Err(_not_yet) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        let limit = Duration::from_secs(60);
        self.socket = tokio::time::timeout(limit, retry).await.context("no way back")?;
        Ok(())
    }

    /// Runs a cell to its end.
    pub async fn run(&mut self, code: &str) -> Result<Outcome> {
        let id = self.send(code).await?;
        let mut outcome = Outcome::default();
        let dropped = self.collect(&id, &mut outcome, |_| false).await?;
        ensure!(!dropped, "the websocket was cut off");
        Ok(outcome)
    }

    /// Sends a cell and returns the id of the request.
    pub async fn send(&mut self, code: &str) -> Result<String> {
        self.sent += 1;
        let id = format!("{}-{}", self.session, self.sent);
        let message = json!({
            "header": {
                "msg_id": id, "msg_type": "execute_request", "username": "user",
                "session": self.session, "date": "2026-01-01T00:00:00Z", "version": "5.3",
            },
            "parent_header": {}, "metadata": {}, "buffers": [], "channel": "shell",
            "content": {
                "code": code, "silent": false, "store_history": true, "user_expressions": {},
                "allow_stdin": false, "stop_on_error": true,
            },
        });
        self.socket.send(Message::text(message.to_string())).await?;
        Ok(id)
    }

    /// Reads what the cell gives until it is finished or `enough`; true if the websocket ended.
    pub async fn collect(
        &mut self,
        id: &str,
        outcome: &mut Outcome,
        enough: impl Fn(&Outcome) -> bool,
    ) -> Result<bool> {
        // Finished is: the reply and the kernel's "idle", in whichever order they come.
        let mut idle = false;
        while !(outcome.replied && idle || enough(outcome)) {
            let next = tokio::time::timeout(SILENCE, self.socket.next());
            let text = match next.await.context("the kernel says nothing")? {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(true),
                Some(Ok(_)) => continue,
            };
            let message: Value = serde_json::from_str(&text)?;
            if message["parent_header"]["msg_id"] != id {
                continue;
            }
            idle |= take(&message, outcome)?;
        }
        Ok(false)
    }
}

/// Takes one message into the outcome; true if it says that the kernel is idle again.
fn take(message: &Value, outcome: &mut Outcome) -> Result<bool> {
    let content = &message["content"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match message["msg_type"].as_str().context("a message without a type")? {
        "stream" => outcome.output.push_str(&text(&content["text"])),
        "execute_result" => outcome.value = Some(text(&content["data"]["text/plain"])),
        "error" => {
            outcome.error =
                Some(format!("{}: {}", text(&content["ename"]), text(&content["evalue"])));
        }
        "execute_reply" => outcome.replied = true,
        "status" => return Ok(content["execution_state"] == "idle"),
        _ => {}
    }
    Ok(false)
}

async fn connect(client: &Client, base: &str, id: &str, session: &str) -> Result<WebSocket> {
    let path = format!("{base}/api/kernels/{id}/channels?session_id={session}");
    let connected = tokio::time::timeout(SILENCE, client.open_websocket(&path)).await;
    match connected {
        Ok(socket) => socket,
        Err(_elapsed) => bail!("the upgrade of {path} was not answered"),
    }
}
