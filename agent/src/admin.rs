//! The `/v1` API, and `stationctl`, its command-line client.
//!
//! One router serves every way in; what differs is who may do what (`rules`):
//!
//! ```text
//!   admin.sock (peer credentials) ─► socket ─┐
//!                                            ├─► rules ─► router ─► one file per resource
//!   public listener (session)     ─► front ──┘
//! ```
//!
//! The API knows the rest of the daemon only through [`Sources`]: published facts, and traits
//! that wiring implements.

pub mod answers;
pub mod apps;
pub mod client;
pub mod events;
pub mod links;
pub mod rules;
pub mod socket;
pub mod status;
pub mod tokens;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use station_proto::api::{DownReport, LoginLink};
use station_proto::app::{AppActivity, AppLogs};
use station_proto::gpu::{GpuCall, GpuSample, Gpus};
use station_proto::heartbeat::Status;
use station_proto::history::History;
use station_proto::mount::{DrainOutcome, MountDetail, MountSample};
use station_proto::node::{Node, Samples};
use station_proto::problem::Problem;
use station_proto::token::{NewToken, Token, TokenRequest};
use tokio::sync::{Semaphore, watch};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::limits;
use crate::base::moment::Moment;
use crate::base::tasks::Tasks;
use crate::heartbeat::Ledger;
use crate::metrics::{Scraped, Wanted};
use crate::store::Store;

/// An answer that takes its time.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Box<Problem>>> + Send>>;

/// What can be done with an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppAction {
    Start,
    Stop,
    Restart,
}

/// The rest of the daemon, as far as the API gives orders to it.
pub trait Control: Send + Sync {
    fn app(&self, name: &str, action: AppAction) -> Answer<()>;
    fn activity(&self, name: &str) -> Result<AppActivity, Box<Problem>>;
    fn logs(&self, name: &str, lines: usize) -> Answer<AppLogs>;
    fn login_link(&self, next: &str) -> Answer<LoginLink>;
    fn create_token(&self, wanted: TokenRequest) -> Answer<NewToken>;
    fn tokens(&self) -> Vec<Token>;
    fn revoke_token(&self, id: &str) -> Answer<()>;
    fn gpus(&self) -> Gpus;
    fn gpu_samples(&self) -> Vec<GpuSample>;
    fn mount_samples(&self) -> Vec<MountSample>;
    /// Everything that is known of one share.
    fn mount(&self, name: &str) -> Result<MountDetail, Box<Problem>>;
    fn remount(&self, name: &str) -> Answer<()>;
    fn drain(&self, name: &str, limit: Duration) -> Answer<DrainOutcome>;
    /// How long the driver's calls took; empty while it cannot be asked.
    fn gpu_calls(&self) -> Answer<Vec<GpuCall>>;
    /// Stops every app, then the daemon.
    fn down(&self) -> Answer<DownReport>;
    /// The Prometheus text of this moment.
    fn metrics(&self, wanted: Wanted) -> Scraped;
    /// The last so many steps of a few figures.
    fn history(&self, steps: usize) -> History;
}

/// Everything that the API answers from.
#[derive(Clone)]
pub struct Sources {
    pub instance_id: String,
    pub boot_id: String,
    pub started: Moment,
    pub status: watch::Receiver<Arc<Status>>,
    /// The same status, with what changed when.
    pub ledger: watch::Receiver<Arc<Ledger>>,
    pub samples: watch::Receiver<Option<Arc<Samples>>>,
    pub node: watch::Receiver<Option<Arc<Node>>>,
    /// Places for polls that wait: `limits::WAITING_POLLS`.
    pub waiting: Arc<Semaphore>,
    pub store: Store,
    pub tasks: Tasks,
    pub control: Arc<dyn Control>,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("instance_id", &self.instance_id).finish_non_exhaustive()
    }
}

#[derive(OpenApi)]
#[openapi(info(
    title = "stationd",
    description = "The API of a managed workstation. Errors are RFC 9457 problem documents."
))]
struct Document;

/// The router, and the description that is generated from the same list.
fn described() -> OpenApiRouter<Sources> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(status::poll::heartbeat))
        .routes(routes!(status::poll::lease))
        .routes(routes!(status::poll::status))
        .routes(routes!(status::samples))
        .routes(routes!(status::node))
        .routes(routes!(status::mounts::list))
        .routes(routes!(status::mounts::show))
        .routes(routes!(status::mounts::remount))
        .routes(routes!(status::mounts::drain))
        .routes(routes!(status::metrics))
        .routes(routes!(status::history::show))
        .routes(routes!(status::gpus::show))
        .routes(routes!(status::gpus::calls))
        .routes(routes!(apps::list))
        .routes(routes!(apps::show))
        .routes(routes!(apps::activity))
        .routes(routes!(apps::logs))
        .routes(routes!(apps::start))
        .routes(routes!(apps::stop))
        .routes(routes!(apps::restart))
        .routes(routes!(events::events))
        .routes(routes!(links::create))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(links::down))
}

/// The router with its sources. Whoever serves it asks [`rules`] first.
pub fn router(sources: Sources) -> axum::Router {
    let (router, _document) = described().split_for_parts();
    router
        .fallback(answers::no_such_route)
        .method_not_allowed_fallback(answers::wrong_method)
        .layer(axum::extract::DefaultBodyLimit::max(limits::API_BODY))
        .layer(axum::middleware::from_fn(answers::gzip::compress))
        .with_state(sources)
}

/// The OpenAPI document of this release.
pub fn openapi() -> utoipa::openapi::OpenApi {
    answers::described::complete(described().into_openapi())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_rule_and_every_rule_a_route() {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut described: Vec<String> = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                described.push(format!("{} {path}", method.to_uppercase()));
            }
        }
        let mut ruled: Vec<String> =
            rules::RULES.iter().map(|rule| format!("{} {}", rule.method, rule.path)).collect();
        described.sort();
        ruled.sort();
        assert_eq!(described, ruled);
    }
}
