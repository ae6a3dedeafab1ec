//! Takes up a changed configuration: what may change live does, the rest says that it waits.

use std::sync::Arc;
use std::time::Duration;

use station_proto::api::Mistake;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::edges::{config_to_apps, config_to_front, config_to_privileged};
use super::public::{self, Doors};
use super::start::Common;
use super::{Outside, check, facts, log, told};
use crate::apps::Apps;
use crate::base::tasks::pulse::Pulse;
use crate::config::{self, Config, reload};
use crate::heartbeat::Facts;
use crate::identity::{Identity, Instance};
use crate::privileged::RootConfig;
use crate::store::{NewEvent, Store};

/// What takes new values while it runs.
pub(super) struct Live {
    pub levels: log::Levels,
    pub doors: Doors,
    pub public_url: watch::Sender<String>,
    pub facts: watch::Sender<Facts>,
    /// A broken configuration was mended: everything starts again.
    pub again: CancellationToken,
}

/// Watches the files from now on.
pub(super) fn spawn(common: Common<'_>, live: Live) {
    let Common { outside, settled, tasks, store, identity, instance, root, apps, .. } = common;
    let paths = &outside.paths;
    let changed = match config::watch::spawn(&tasks, &paths.config_file, &paths.conf_dir) {
        Ok(changed) => changed,
        Err(error) => {
            return tracing::warn!(error = told(&error), "changed files need a restart");
        }
    };
    let broken = settled.invalid.is_some();
    let mistaken = broken && config::load(paths, &outside.environment).is_err();
    let outside = outside.clone();
    let wanted = settled.config.clone();
    let current = settled.config;
    let reload = Reload {
        outside,
        current,
        wanted,
        broken,
        mistaken,
        instance,
        root,
        apps,
        identity,
        store,
        live,
    };
    let (cancel, pulse) = (tasks.token().clone(), tasks.pulse("reload"));
    tasks.part("reload", async move {
        cancel.run_until_cancelled(reload.run(changed, pulse)).await;
    });
}

/// How often a configuration with mistakes is looked at again.
const MENDED: Duration = Duration::from_secs(10);

struct Reload {
    outside: Outside,
    /// What is in force.
    current: Config,
    /// What the files said last.
    wanted: Config,
    /// There is no configuration in force yet.
    broken: bool,
    /// It has mistakes: they can be mended without a change of the files, as when a user is made.
    mistaken: bool,
    instance: Instance,
    root: watch::Sender<Arc<RootConfig>>,
    apps: Apps,
    identity: Identity,
    store: Store,
    live: Live,
}

impl Reload {
    async fn run(mut self, mut changed: mpsc::Receiver<()>, mut pulse: Pulse) {
        loop {
            let next = changed.recv();
            let came = if self.mistaken {
                pulse.wait(tokio::time::timeout(MENDED, next)).await.unwrap_or(Some(()))
            } else {
                pulse.wait(next).await
            };
            if came.is_none() {
                return;
            }
            match config::load(&self.outside.paths, &self.outside.environment) {
                Ok(_) if self.broken => {
                    self.live.again.cancel();
                    // A part that ends by itself is an error; this one waits to be ended.
                    return pulse.wait(std::future::pending()).await;
                }
                Ok(loaded) => self.take(loaded.config).await,
                Err(failed) => self.reject(&sentences(&failed.mistakes)),
            }
        }
    }

    fn reject(&self, mistakes: &str) {
        if self.broken {
            self.live.facts.send_if_modified(|facts| {
                let changed = facts.config_invalid.as_deref() != Some(mistakes);
                facts.config_invalid = Some(mistakes.to_owned());
                changed
            });
            return;
        }
        tracing::warn!(mistakes, "the changed configuration was rejected; the old one holds");
        self.store.note(NewEvent::new("config.rejected", "", mistakes));
        self.live.facts.send_modify(|facts| facts.config_rejected = Some(mistakes.to_owned()));
    }

    async fn take(&mut self, new: Config) {
        let needs_restart = reload::diff(&self.current, &new).needs_restart;
        let news = new != self.wanted;
        self.wanted = new;
        let config = reload::effective(&self.current, &self.wanted);
        let changes = reload::diff(&self.current, &config).live;
        self.live.facts.send_modify(|facts| {
            facts.config_rejected = None;
            facts.restart_required.clone_from(&needs_restart);
            facts.name = facts::name(&config);
        });
        if !news {
            return;
        }
        if let Err(error) = self.apply(&config).await {
            return self.reject(&error);
        }
        self.current = config;
        tracing::info!(?changes, ?needs_restart, "the configuration was changed");
        let data = serde_json::json!({ "needs_restart": needs_restart });
        let event = NewEvent::new("config.changed", "", "the configuration was changed");
        self.store.note(event.with(data));
    }

    async fn apply(&self, config: &Config) -> Result<(), String> {
        let own = (!self.outside.units).then_some(&self.instance.id);
        let root = config_to_privileged::root_config(config, &self.outside, own);
        let root = root.map_err(|error| told(&error))?;
        self.live.levels.set(config.log);
        self.identity.set_session(config.identity.session);
        self.name(config);
        self.live.doors.allowed_san.send_replace(public::allowed_san(config));
        self.root.send_replace(Arc::new(root));
        let specs = config_to_apps::specs(config);
        self.apps.configure(specs).await.map_err(|error| told(&error))
    }

    /// The names that the public listener answers to.
    fn name(&self, config: &Config) {
        let Some(names) = &self.live.doors.names else { return };
        let url = match &config.listen.public_url {
            Some(url) => url.clone(),
            // Without a configured one it stays the one made from the address that is bound.
            None => self.live.public_url.borrow().clone(),
        };
        names.send_replace(Arc::new(config_to_front::names(&config.listen, &url)));
        self.live.facts.send_modify(|facts| facts.public_url.clone_from(&url));
        self.live.public_url.send_replace(url);
    }
}

/// Mistakes for people, one after the other.
pub(super) fn sentences(mistakes: &[Mistake]) -> String {
    let all: Vec<String> = mistakes.iter().map(check::sentence).collect();
    all.join("; ")
}
