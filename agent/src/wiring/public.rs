//! The public listener: address, certificate, routes.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::edges::front_to_identity::{Logins, Sessions};
use super::edges::front_to_web::Site;
use super::edges::{
    apps_to_proxy, config_to_front, front_to_admin, front_to_identity, front_to_proxy,
    front_to_web, proxy_to_parts,
};
use super::start::{Common, Settled, Shown};
use super::{Outside, StartError};
use crate::apps::Apps;
use crate::base::tasks::Tasks;
use crate::front::gate::Names;
use crate::front::routes::Routes;
use crate::front::tls::Tls;
use crate::front::{self, Config};
use crate::identity::{Instance, SessionCookie};
use crate::os::{clock, process};
use crate::proxy::metrics::Metrics;
use crate::proxy::{self, Table};

/// The public address, if there is one.
pub(super) struct Bound {
    listener: Option<(TcpListener, SocketAddr)>,
    tls: Option<Tls>,
    /// Where users reach it; empty without a listener.
    pub url: String,
}

impl Bound {
    /// Listens, and loads or makes the certificate.
    pub(super) async fn bind(
        outside: &Outside,
        settled: &Settled,
        instance: &Instance,
    ) -> Result<Self, StartError> {
        let listen = &settled.config.listen;
        if !settled.listens {
            return Ok(Self { listener: None, tls: None, url: String::new() });
        }
        let keys = &outside.paths.keys_dir;
        if instance.cloned {
            forget_certificate(keys);
        }
        let source = config_to_front::certificate(listen, keys, &host_name());
        let tls = source.map(Tls::load).transpose().map_err(StartError::Tls)?;
        if let Some(tls) = &tls {
            tracing::info!(fingerprint = tls.fingerprint(), "certificate (SHA-256)");
        }
        let fail = |source| StartError::Listen { address: listen.address, source };
        let listener = TcpListener::bind(listen.address).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let url = config_to_front::public_url(listen, address, &host_name());
        Ok(Self { listener: Some((listener, address)), tls, url })
    }

    /// 0 without a listener.
    pub(super) fn port(&self) -> u16 {
        self.listener.as_ref().map_or(0, |(_, address)| address.port())
    }
}

/// A cloned machine must not show the original's certificate.
fn forget_certificate(keys: &Path) {
    for file in std::fs::read_dir(keys).into_iter().flatten().flatten() {
        if let Err(error) = std::fs::remove_file(file.path()) {
            tracing::warn!(%error, path = %file.path().display(), "a key of the cloned machine stays");
        }
    }
}

/// The machine's own name.
pub(super) fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// The registry with every metric of this release, and the ends that count.
pub(super) fn metrics() -> (Registry, Metrics) {
    let mut registry = Registry::with_prefix("stationd");
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The release that runs", build);
    let proxy = Metrics::register(registry.sub_registry_with_prefix("proxy"));
    (registry, proxy)
}

/// Starts the listener; the sender changes the names that it answers to.
pub(super) fn spawn(
    common: &Common<'_>,
    bound: Bound,
    v1: axum::Router,
    shown: Shown,
    metrics: Metrics,
) -> Option<watch::Sender<Arc<Names>>> {
    let Bound { listener, tls, url } = bound;
    let (listener, address) = listener?;
    let listen = &common.settled.config.listen;
    let site = Arc::new(Site {
        boot_id: process::boot_id(),
        status: shown.status,
        samples: shown.samples,
        port: address.port(),
        loopback: listen.loopback(),
    });
    let table = table(&common.tasks, &common.apps);
    let outside = proxy_to_parts::outside(&common.identity, &common.apps, &site);
    let proxy = proxy::spawn(&common.tasks, table, proxy::Config::default(), metrics, outside);
    // What counts is what the browser sees: another proxy may end TLS in front of us.
    let cookie = SessionCookie::new(&common.instance.id, url.starts_with("https://"));
    let (names, names_rx) = watch::channel(Arc::new(config_to_front::names(listen, &url)));
    let config = Config { tls, ..Config::new(names_rx, cookie.name()) };
    let logins = Logins { identity: common.identity.clone(), cookie, site: Arc::clone(&site) };
    let identity = common.identity.clone();
    let alive = Arc::new(move |id| identity.alive(id, clock::now()));
    let mut routes = front_to_admin::routes(Routes::new(), v1, alive);
    routes = front_to_proxy::routes(routes, proxy);
    routes = front_to_identity::routes(routes, logins);
    routes = front_to_web::routes(routes, &site);
    let credentials = Arc::new(Sessions(common.identity.clone()));
    let outside = front::Outside { credentials, pages: site };
    front::spawn(&common.tasks, listener, config, routes, outside);
    Some(names)
}

/// The proxy's table, kept up to date.
fn table(tasks: &Tasks, apps: &Apps) -> watch::Receiver<Arc<Table>> {
    let mut seen = apps.seen();
    let (publish, table) = watch::channel(Arc::default());
    let cancel = tasks.token().clone();
    tasks.part("proxy-table", async move {
        loop {
            let latest = apps_to_proxy::table(&seen.borrow_and_update());
            publish.send_if_modified(|known: &mut Arc<Table>| {
                let changed = **known != latest;
                *known = Arc::new(latest);
                changed
            });
            match cancel.run_until_cancelled(seen.changed()).await {
                Some(Ok(())) => {}
                _ => return,
            }
        }
    });
    table
}
