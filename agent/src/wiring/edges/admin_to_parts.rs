//! The orders that the API gives to the other parts.

use std::time::Duration;

use http::StatusCode;
use secrecy::ExposeSecret;
use station_proto::api::{DownReport, LoginLink};
use station_proto::app::{AppActivity, AppLogs};
use station_proto::gpu::{GpuCall, GpuSample, Gpus};
use station_proto::history::History;
use station_proto::mount::{DrainOutcome, MountDetail, MountSample};
use station_proto::problem::Problem;
use station_proto::time::Time;
use station_proto::token::{NewToken, Token, TokenRequest};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::parts_to_metrics::Recorder;
use super::{admin_to_identity, gpu_to_heartbeat};
use crate::admin::answers::{no_such_app, problem};
use crate::admin::{Answer, AppAction, Control};
use crate::apps::{Apps, AppsError, Seen};
use crate::base::chain::Chain;
use crate::base::tasks::Tasks;
use crate::gpu;
use crate::heartbeat::Facts;
use crate::identity::{Identity, NextPath};
use crate::metrics::{Scraped, Wanted};
use crate::mount::{self, Mounts, MountsError};
use crate::os::clock;
use crate::privileged::{Holder, Privileged, Verb};

/// How long `stationctl down` waits for the apps.
const DOWN: Duration = Duration::from_secs(60);
/// How long it waits for what has not reached a share.
const DRAIN: Duration = Duration::from_secs(60);

/// The parts that take orders.
pub(in crate::wiring) struct Parts {
    pub apps: Apps,
    pub privileged: Privileged,
    pub identity: Identity,
    /// The user whose sessions are opened.
    pub user: String,
    pub public_url: watch::Receiver<String>,
    /// 0 if there is no public listener.
    pub port: u16,
    pub loopback: bool,
    pub recorder: Recorder,
    pub gpu: gpu::Handle,
    pub mounts: Mounts,
    pub tasks: Tasks,
    pub facts: watch::Sender<Facts>,
    /// Ends the daemon.
    pub ended: CancellationToken,
}

impl Control for Parts {
    fn app(&self, name: &str, action: AppAction) -> Answer<()> {
        let (apps, name) = (self.apps.clone(), name.to_owned());
        Box::pin(async move {
            let done = match action {
                AppAction::Start => apps.start(&name).await,
                AppAction::Stop => apps.stop(&name).await,
                AppAction::Restart => apps.restart(&name).await,
            };
            done.map_err(|error| refused(&error))
        })
    }

    fn activity(&self, name: &str) -> Result<AppActivity, Box<Problem>> {
        self.apps.activity(name).map_err(|error| refused(&error))
    }

    fn logs(&self, name: &str, lines: usize) -> Answer<AppLogs> {
        let seen = self.apps.seen();
        let of = |app: &&Seen| app.name.as_str() == name;
        let dropped_bytes = seen.borrow().iter().find(of).map_or(0, |app| app.dropped_bytes);
        let (apps, name) = (self.apps.clone(), name.to_owned());
        Box::pin(async move {
            let lines = apps.logs(&name, lines).await.map_err(|error| refused(&error))?;
            Ok(AppLogs { name, lines, dropped_bytes })
        })
    }

    fn gpus(&self) -> Gpus {
        let mut gpus = self.gpu.seen.borrow().gpus.clone();
        let apps = self.apps.seen();
        for process in gpus.gpus.iter_mut().flat_map(|gpu| gpu.processes.iter_mut().flatten()) {
            for app in apps.borrow().iter() {
                if let Some(found) = app.notebooks.iter().find(|one| one.pid == process.pid) {
                    process.notebook = Some(found.path.clone());
                    process.app = Some(app.name.to_string());
                }
            }
        }
        gpus
    }

    fn gpu_samples(&self) -> Vec<GpuSample> {
        self.gpu.seen.borrow().gpus.gpus.iter().filter_map(gpu_to_heartbeat::sample).collect()
    }

    fn mount_samples(&self) -> Vec<MountSample> {
        self.mounts.seen().borrow().iter().map(mount::view::sample).collect()
    }

    fn mount(&self, name: &str) -> Result<MountDetail, Box<Problem>> {
        self.mounts.detail(name).map_err(|error| mount_refused(&error))
    }

    fn remount(&self, name: &str) -> Answer<()> {
        let (mounts, name) = (self.mounts.clone(), name.to_owned());
        Box::pin(async move { mounts.remount(&name).await.map_err(|error| mount_refused(&error)) })
    }

    fn drain(&self, name: &str, limit: Duration) -> Answer<DrainOutcome> {
        let (mounts, name) = (self.mounts.clone(), name.to_owned());
        Box::pin(
            async move { mounts.drain(&name, limit).await.map_err(|error| mount_refused(&error)) },
        )
    }

    fn gpu_calls(&self) -> Answer<Vec<GpuCall>> {
        let gpu = self.gpu.clone();
        Box::pin(async move { Ok(gpu.latencies().await) })
    }

    fn login_link(&self, next: &str) -> Answer<LoginLink> {
        let next = NextPath::parse(next);
        let (identity, user) = (self.identity.clone(), self.user.clone());
        let (url, port, loopback) = (self.public_url.borrow().clone(), self.port, self.loopback);
        Box::pin(async move {
            if port == 0 {
                return Err(no_listener());
            }
            let next = next.map_err(|error| {
                let detail = format!("`next` {error}");
                problem(StatusCode::BAD_REQUEST, "bad-next", "the path cannot be used", detail)
            })?;
            let link = identity.create_link(&user, next, clock::now()).await.map_err(|error| {
                let detail = Chain(&error).to_string();
                let status = StatusCode::SERVICE_UNAVAILABLE;
                problem(status, "no-link", "the link could not be made", detail)
            })?;
            let url = format!("{url}/login/{}", link.token.expose_secret());
            Ok(LoginLink { url, expires_at: Time(link.expires_at), port, loopback })
        })
    }

    fn create_token(&self, wanted: TokenRequest) -> Answer<NewToken> {
        let (identity, user) = (self.identity.clone(), self.user.clone());
        let (url, port, loopback) = (self.public_url.borrow().clone(), self.port, self.loopback);
        if wanted.app.is_empty() || !wanted.actions.is_empty() {
            // The control listener takes it too: it is of use without a public one.
            let url = if port == 0 { String::new() } else { format!("{url}/v1/") };
            return Box::pin(async move {
                let (token, secret) = admin_to_identity::mint(&identity, user, wanted).await?;
                Ok(NewToken { token, secret, url, port, loopback })
            });
        }
        let seen = self.apps.seen();
        let of = |app: &&Seen| app.name.as_str() == wanted.app;
        // A view lives at its server's address.
        let server = |app: &Seen| app.shares.as_ref().unwrap_or(&app.name).to_string();
        let Some(app) = seen.borrow().iter().find(of).map(server) else {
            return Box::pin(std::future::ready(Err(no_such_app(&wanted.app))));
        };
        let wanted = TokenRequest { app, ..wanted };
        Box::pin(async move {
            if port == 0 {
                return Err(no_listener());
            }
            let url = format!("{url}/apps/{}/", wanted.app);
            let (token, secret) = admin_to_identity::mint(&identity, user, wanted).await?;
            Ok(NewToken { token, secret, url, port, loopback })
        })
    }

    fn tokens(&self) -> Vec<Token> {
        admin_to_identity::list(&self.identity)
    }

    fn revoke_token(&self, id: &str) -> Answer<()> {
        let (identity, id) = (self.identity.clone(), id.to_owned());
        Box::pin(async move { admin_to_identity::revoke(&identity, &id).await })
    }

    /// The work goes on when nobody waits for it any more: what was begun is brought to its end.
    fn down(&self) -> Answer<DownReport> {
        self.facts.send_modify(|facts| facts.stopping = true);
        let (apps, ended) = (self.apps.clone(), self.ended.clone());
        let mounts = self.mounts.clone();
        let privileged = self.privileged.clone();
        let cancel = self.tasks.token().clone();
        let (report, report_rx) = oneshot::channel();
        self.tasks.work(async move {
            // A signal meanwhile ends stationd alone, as at any other time.
            let Some(done) = cancel.run_until_cancelled(apps.shutdown(DOWN)).await else { return };
            // After the apps, which write to them.
            let Some(pending) = cancel.run_until_cancelled(mounts.shutdown(DRAIN)).await else {
                return;
            };
            rest(&privileged).await;
            let stopped = done.stopped.iter().map(ToString::to_string).collect();
            let mut left = done.left;
            left.extend(pending.iter().map(|(name, pending)| {
                let files = pending.files;
                format!("{name}: {files} files have not reached the share and stay on this machine")
            }));
            // Nobody may wait any more; the stop does not hang on it.
            report.send(DownReport { stopped, left }).unwrap_or_default();
            ended.cancel();
        });
        Box::pin(async move {
            report_rx.await.map_err(|_dropped| {
                let detail = "stationd ended before every app had been stopped";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                problem(status, "not-down", "the stop was cut short", detail)
            })
        })
    }

    fn metrics(&self, wanted: Wanted) -> Scraped {
        self.recorder.scrape(wanted)
    }

    fn history(&self, steps: usize) -> History {
        self.recorder.history(steps)
    }
}

#[expect(clippy::unnecessary_box_returns, reason = "a problem travels in a box everywhere")]
fn no_listener() -> Box<Problem> {
    let detail = "the public listener is not running: mend [listen] in the configuration";
    problem(StatusCode::CONFLICT, "no-listener", "nobody could log in", detail)
}

/// Where PID 1 holds our sockets, the next connection would start everything again.
async fn rest(privileged: &Privileged) {
    if privileged.root().holder == Holder::Keepers {
        return;
    }
    if let Err(refusal) = privileged.call(Verb::CloseSockets {}).await {
        tracing::error!(%refusal, "the sockets stay open: a connection will start stationd again");
    }
}

#[expect(clippy::unnecessary_box_returns, reason = "a problem travels in a box everywhere")]
fn mount_refused(error: &MountsError) -> Box<Problem> {
    let detail = Chain(error).to_string();
    let (status, kind, title) = match error {
        MountsError::Unknown { .. } => {
            (StatusCode::NOT_FOUND, "no-such-mount", "there is no such share")
        }
        MountsError::Local { .. } => {
            (StatusCode::CONFLICT, "local-folder", "the workspace is a local folder")
        }
        MountsError::Silent { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "no-warden", "the share does not answer")
        }
        MountsError::NotBack { .. } => {
            (StatusCode::CONFLICT, "not-mounted", "the share did not come back")
        }
    };
    problem(status, kind, title, detail)
}

#[expect(clippy::unnecessary_box_returns, reason = "a problem travels in a box everywhere")]
fn refused(error: &AppsError) -> Box<Problem> {
    let detail = Chain(error).to_string();
    let conflict = |kind, title| problem(StatusCode::CONFLICT, kind, title, detail.clone());
    match error {
        AppsError::Unknown { name, .. } => no_such_app(name),
        AppsError::Unavailable { .. } => conflict("app-unavailable", "the app cannot be started"),
        AppsError::NotStarted { .. } => conflict("app-not-started", "the app did not start"),
        AppsError::NotStopped { .. } => conflict("app-not-stopped", "the app did not stop"),
        AppsError::Log(_) | AppsError::Journal(_) => conflict("no-log", "the log cannot be shown"),
        AppsError::Stopping => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            problem(status, "apps-busy", "the supervision takes no order now", detail)
        }
    }
}
