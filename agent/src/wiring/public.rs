//! The public listener: address, certificate, routes.

mod bound;
mod certificates;
mod control;
mod verdict;

use std::sync::Arc;

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::edges::front_to_admin::Opener;
use super::edges::front_to_identity::{Logins, Sessions};
use super::edges::front_to_web::Site;
use super::edges::{
    apps_to_proxy, config_to_front, front_to_admin, front_to_identity, front_to_proxy,
    front_to_web, proxy_to_parts,
};
use super::start::{Common, Shown};
use crate::admin::Control;
use crate::apps::Apps;
use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::config;
use crate::front::gate::Names;
use crate::front::routes::Routes;
use crate::front::{self, Config};
use crate::heartbeat::Facts;
use crate::identity::{AppCookie, SessionCookie};
use crate::metrics::Metrics;
use crate::os::{clock, process};
use crate::proxy::metrics::Metrics as Counters;
use crate::proxy::{self, Table};

pub(super) use bound::Bound;

/// The machine's own name.
pub(super) fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// The registry with every metric of this release, and the ends that count.
pub(super) fn metrics() -> (Registry, Counters) {
    let mut registry = Metrics::registry();
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The release that runs", build);
    let proxy = Counters::register(registry.sub_registry_with_prefix("proxy"));
    (registry, proxy)
}

/// What changes while the listeners are served.
pub(super) struct Doors {
    /// The names that the public one answers to; `None` without it.
    pub names: Option<watch::Sender<Arc<Names>>>,
    /// The names of which a control plane's certificate must have one.
    pub allowed_san: watch::Sender<Arc<Vec<String>>>,
}

/// Starts the listeners.
pub(super) fn spawn(
    common: &Common<'_>,
    mut bound: Bound,
    (v1, api): (axum::Router, Arc<dyn Control>),
    (shown, metrics): (Shown, Counters),
    facts: &watch::Sender<Facts>,
) -> Doors {
    let served = bound.tls.iter().cloned().chain(bound.control.tls()).collect();
    certificates::follow(common, served, facts.clone());
    let (allowed_san, allowed) = watch::channel(allowed_san(&common.settled.config));
    let connections = limits::connections(
        process::file_limit().saturating_sub(bound.control.connections() as u64),
    );
    let control = std::mem::take(&mut bound.control);
    let outside = front::Outside {
        credentials: Arc::new(Sessions {
            identity: common.identity.clone(),
            app_cookie: AppCookie::new(&common.instance.id, true),
        }),
        pages: Arc::new(control::NoPages),
    };
    let routes = front_to_admin::routes(Routes::new(), v1.clone(), alive(common));
    control::spawn(&common.tasks, control, allowed, routes, outside);
    let names = public(common, bound, (v1, api), (shown, metrics), connections);
    Doors { names, allowed_san }
}

/// Who may come to the control listener.
pub(super) fn allowed_san(config: &config::Config) -> Arc<Vec<String>> {
    let control = config.control.as_ref();
    Arc::new(control.map(|control| control.allowed_san.clone()).unwrap_or_default())
}

/// Whether what opened a stream still holds.
fn alive(common: &Common<'_>) -> front_to_admin::Alive {
    let identity = common.identity.clone();
    Arc::new(move |opener| match opener {
        Opener::Session(id) => identity.alive(id, clock::now()),
        Opener::Token(id) => identity.token_alive(id, clock::now()),
    })
}

/// Starts the public one, if there is one.
fn public(
    common: &Common<'_>,
    bound: Bound,
    (v1, control): (axum::Router, Arc<dyn Control>),
    (shown, metrics): (Shown, Counters),
    connections: usize,
) -> Option<watch::Sender<Arc<Names>>> {
    let loopback = bound.loopback();
    let Bound { listener, tls, closed, url, .. } = bound;
    for (listener, what) in closed {
        front::turn_away(&common.tasks, listener, what);
    }
    let (listener, address) = listener?;
    let listen = &common.settled.config.listen;
    let site = Arc::new(Site {
        boot_id: process::boot_id(),
        status: shown.status,
        samples: shown.samples,
        control,
        port: address.port(),
        loopback,
    });
    let table = table(&common.tasks, &common.apps);
    let outside = proxy_to_parts::outside(&common.identity, &common.apps, &site);
    let proxy = proxy::spawn(&common.tasks, table, proxy::Config::default(), metrics, outside);
    // What counts is what the browser sees: another proxy may end TLS in front of us.
    let secure = url.starts_with("https://");
    let cookie = SessionCookie::new(&common.instance.id, secure);
    let app_cookie = AppCookie::new(&common.instance.id, secure);
    let (names, names_rx) = watch::channel(Arc::new(config_to_front::names(listen, &url)));
    let config =
        Config { tls, connections, ..Config::new(names_rx, cookie.name(), app_cookie.name()) };
    let logins = Logins { identity: common.identity.clone(), cookie, site: Arc::clone(&site) };
    let mut routes = front_to_admin::routes(Routes::new(), v1, alive(common));
    routes = front_to_proxy::routes(routes, proxy);
    routes = front_to_identity::routes(routes, logins);
    routes = front_to_web::routes(routes, &site);
    let credentials = Arc::new(Sessions { identity: common.identity.clone(), app_cookie });
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
