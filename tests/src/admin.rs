//! What the admin socket of a station is asked, and a browser with a session from it.
//!
//! The same for a stationd that a test has started ([`crate::station`]) and for one that systemd
//! runs on a machine of its own ([`crate::machine`]).

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use station_proto::app::AppPhase;
use station_proto::heartbeat::Heartbeat;

use crate::http::Client;

/// How long an app may take to answer, on a loaded machine.
pub const APP_START: Duration = Duration::from_secs(90);
const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// The admin socket of one station, whether somebody answers there or not.
#[derive(Debug)]
pub struct Admin {
    socket: PathBuf,
}

impl Admin {
    pub fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A request on the admin socket.
    pub async fn admin(&self, method: Method, path: &str, body: &str) -> Result<Response<Bytes>> {
        self.admin_with(method, path, body, &[]).await
    }

    /// The same with header fields.
    pub async fn admin_with(
        &self,
        method: Method,
        path: &str,
        body: &str,
        headers: &[(header::HeaderName, &str)],
    ) -> Result<Response<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "stationd")
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned())))?;
        let limit = Duration::from_secs(60);
        Ok(stationd::os::socket::http::exchange(&self.socket, request, ANSWER_MAX, limit).await?)
    }

    pub async fn heartbeat(&self) -> Result<Heartbeat> {
        let answer = self.admin(Method::GET, "/v1/heartbeat", "").await?;
        ensure!(answer.status() == StatusCode::OK, "heartbeat: {answer:?}");
        Ok(serde_json::from_slice(answer.body())?)
    }

    /// Waits on the heartbeat until it shows what is wanted; stationd may restart meanwhile.
    pub async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Heartbeat) -> bool,
    ) -> Result<Heartbeat> {
        let watch = async {
            let mut tag = String::new();
            loop {
                let known = [(header::IF_NONE_MATCH, tag.as_str())];
                let answer = self.admin_with(Method::GET, "/v1/heartbeat?wait=5", "", &known).await;
                let Ok(answer) = answer else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                if answer.status() == StatusCode::NOT_MODIFIED {
                    continue;
                }
                let heartbeat: Heartbeat = serde_json::from_slice(answer.body())?;
                if wanted(&heartbeat) {
                    return Ok(heartbeat);
                }
                let next = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
                next.unwrap_or_default().clone_into(&mut tag);
            }
        };
        match tokio::time::timeout(limit, watch).await {
            Ok(found) => found,
            Err(_elapsed) => {
                let last = self.heartbeat().await.map(|last| last.status);
                bail!("{what}: not within {limit:?}; last: {last:#?}")
            }
        }
    }

    /// Waits until the app is in `phase`.
    pub async fn app_in(&self, phase: AppPhase) -> Result<station_proto::app::App> {
        let what = format!("app {phase:?}");
        let heartbeat = self
            .wait_for(&what, APP_START, |heartbeat| {
                heartbeat.status.apps.iter().any(|app| app.phase == phase)
            })
            .await?;
        heartbeat.status.apps.into_iter().find(|app| app.phase == phase).context(what)
    }

    /// A browser without a session.
    pub async fn client(&self) -> Result<Client> {
        Client::new(&self.heartbeat().await?.status.public_url)
    }

    /// A new login link, as the path that a browser opens.
    pub async fn login_path(&self, next: &str) -> Result<String> {
        let body = serde_json::json!({ "next": next }).to_string();
        let answer = self.admin(Method::POST, "/v1/login-links", &body).await?;
        ensure!(answer.status().is_success(), "login link: {answer:?}");
        let link: station_proto::api::LoginLink = serde_json::from_slice(answer.body())?;
        let at = link.url.find("/login/").context("the link has no /login/")?;
        Ok(link.url.get(at..).unwrap_or_default().to_owned())
    }

    /// A browser with a session.
    pub async fn login(&self) -> Result<Client> {
        let client = self.client().await?;
        self.log_in(&client).await?;
        Ok(client)
    }

    /// Gives a browser a session.
    pub async fn log_in(&self, client: &Client) -> Result<()> {
        let path = self.login_path("/").await?;
        client.page(&path).await?.expect(303)?;
        Ok(())
    }

    /// The events after `after`, through the admin socket.
    pub async fn events(&self, after: u64) -> Result<Vec<station_proto::event::Event>> {
        let path = format!("/v1/events?after={after}");
        let answer = self.admin(Method::GET, &path, "").await?;
        let text = std::str::from_utf8(answer.body())?;
        text.lines()
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_str(line).context(line.to_owned()))
            .collect()
    }
}
