//! A real browser without a window: Chromium, driven by its remote debugging protocol.
//!
//! See <https://chromedevtools.github.io/devtools-protocol/>. One browser, one tab. Every wait is
//! for a state ("until the expression is true"), never for an event that may have passed.
#![expect(clippy::indexing_slicing, reason = "a JSON value that is not there reads as null")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use stationd::os::file::write_atomic;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::process;

/// Longest wait for Chromium itself.
const LIMIT: Duration = Duration::from_secs(60);
const FLAGS: [&str; 14] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--ignore-certificate-errors",
    "--window-size=1280,900",
    "--remote-debugging-port=0",
];

/// What to say where there is none.
pub const MISSING: &str = "Chromium is not installed: apt-get install chromium";

/// A browser with one tab.
#[derive(Debug)]
pub struct Browser {
    _child: Child,
    profile: TempDir,
    socket: WebSocketStream<TcpStream>,
    tab: String,
    calls: u64,
}

/// Whether there is one on this machine.
pub fn installed() -> bool {
    process::installed("chromium").is_some()
}

impl Browser {
    /// Starts Chromium with an empty profile.
    pub async fn start() -> Result<Self> {
        let program = process::installed("chromium").context(MISSING)?;
        let profile = tempfile::Builder::new().prefix("chromium").tempdir()?;
        let mut command = process::command(&program);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg("about:blank").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let stderr = child.stderr.take().context("no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let address = async {
            let mut said = String::new();
            while let Some(line) = lines.next_line().await? {
                if let Some(address) = line.strip_prefix("DevTools listening on ") {
                    return Ok(address.to_owned());
                }
                said.push_str(&line);
                said.push('\n');
            }
            bail!("chromium ended: {said}")
        };
        let address = tokio::time::timeout(LIMIT, address).await.context("no DevTools")??;
        // Chromium goes on writing there; unread, the pipe would fill and stop it.
        #[expect(clippy::disallowed_methods, reason = "it ends with Chromium")]
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let host = address.split('/').nth(2).context("an address without a host")?;
        let tcp = TcpStream::connect(host).await?;
        let (socket, _) = tokio_tungstenite::client_async(&address, tcp).await?;
        let mut browser = Self { _child: child, profile, socket, tab: String::new(), calls: 0 };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach).await?;
        browser.tab = session["sessionId"].as_str().context("no tab")?.to_owned();
        for domain in ["Page.enable", "Runtime.enable", "Network.enable"] {
            browser.call(domain, json!({})).await?;
        }
        // Without a window nothing else gives the page the focus.
        browser.call("Emulation.setFocusEmulationEnabled", json!({"enabled": true})).await?;
        Ok(browser)
    }

    /// One command of the protocol.
    pub async fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if !self.tab.is_empty() {
            message["sessionId"] = json!(self.tab);
        }
        self.socket.send(Message::text(message.to_string())).await?;
        let answer = async {
            while let Some(message) = self.socket.next().await {
                let Message::Text(text) = message? else { continue };
                let mut message: Value = serde_json::from_str(&text)?;
                if message["method"] == "Page.javascriptDialogOpening" {
                    // A page that asks "leave?" would wait for ever.
                    self.calls += 1;
                    let accept = json!({
                        "id": self.calls, "method": "Page.handleJavaScriptDialog",
                        "params": {"accept": true}, "sessionId": self.tab,
                    });
                    self.socket.send(Message::text(accept.to_string())).await?;
                } else if message["id"] == id {
                    ensure!(message["error"].is_null(), "{method}: {}", message["error"]);
                    return Ok(message["result"].take());
                }
            }
            bail!("chromium ended")
        };
        tokio::time::timeout(LIMIT, answer).await.with_context(|| format!("{method}: no answer"))?
    }

    pub async fn open(&mut self, url: &str) -> Result<()> {
        let result = self.call("Page.navigate", json!({"url": url})).await?;
        ensure!(result["errorText"].is_null(), "{url}: {}", result["errorText"]);
        Ok(())
    }

    /// The value of an expression in the page; a promise is awaited.
    pub async fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true,
            "userGesture": true,
        });
        let mut result = self.call("Runtime.evaluate", parameters).await?;
        ensure!(
            result["exceptionDetails"].is_null(),
            "{expression}: {}",
            result["exceptionDetails"]
        );
        Ok(result["result"]["value"].take())
    }

    /// Waits until an expression is true; a page that is just being loaded counts as "not yet".
    pub async fn wait_until(&mut self, expression: &str, limit: Duration) -> Result<()> {
        let watch = async {
            loop {
                let value = self.evaluate(&format!("!!({expression})")).await;
                if matches!(value, Ok(Value::Bool(true))) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(limit, watch).await.is_ok() {
            return Ok(());
        }
        // The cut-off call's answer may still arrive; its id is never asked for again.
        let text = self.text().await.unwrap_or_default();
        bail!("{expression}: not within {limit:?}; the page shows: {text}")
    }

    /// What the page shows as text.
    pub async fn text(&mut self) -> Result<String> {
        let value = self.evaluate("location.href + '\\n' + document.body.innerText").await?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    /// Types text into what has the focus.
    pub async fn type_text(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({"text": text})).await?;
        Ok(())
    }

    /// Presses a key such as `Enter`, with Shift (8) or Ctrl (2) as `modifiers`.
    pub async fn press(&mut self, key: &str, code: u32, modifiers: u32) -> Result<()> {
        for kind in ["rawKeyDown", "keyUp"] {
            let name =
                if key.len() == 1 { format!("Key{}", key.to_uppercase()) } else { key.into() };
            let event = json!({
                "type": kind, "key": key, "code": name, "modifiers": modifiers,
                "windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code,
            });
            self.call("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// Writes a picture of the tab.
    pub async fn screenshot(&mut self, path: &Path) -> Result<()> {
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"})).await?;
        let text = picture["data"].as_str().context("no picture")?;
        Ok(write_atomic(path, &data_encoding::BASE64.decode(text.as_bytes())?, 0o644)?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        process::end_all(self.profile.path());
    }
}
