//! Follows one share: connects to its warden, or has one started, and publishes what it says.

use std::sync::Arc;
use std::time::Duration;

use station_proto::mount::MountPhase;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::link::Link;
use super::{Command, Seen, Spec};
use crate::base::backoff;
use crate::base::chain::Chain;
use crate::base::tasks::pulse::Pulse;
use crate::privileged::{Privileged, Verb};
use crate::warden::files::{Order, State as Line};

/// Between two tries to reach a warden, the first time and at most.
const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(10);
/// So many tries in a row without an answer are told of.
const TOLD: u32 = 6;
/// How long a share that has left the configuration, or is to be taken up anew, may take to be drained.
const DRAIN_MS: u64 = 600_000;

pub(super) struct Task {
    spec: Spec,
    privileged: Privileged,
    publish: watch::Sender<Arc<Vec<Seen>>>,
    link: Option<Link>,
    tries: u32,
    /// Its warden was told to end, and no other is to be started.
    ends: bool,
}

/// Before anything is known.
pub(super) fn first(spec: &Spec) -> Seen {
    Seen {
        name: spec.name.clone(),
        driver: spec.driver,
        place: spec.place.clone(),
        line: None,
        silent: None,
        outdated: false,
    }
}

/// What a warden says next.
async fn next(link: &mut Option<Link>) -> Option<Line> {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}

impl Task {
    pub(super) fn new(
        spec: Spec,
        privileged: Privileged,
        publish: watch::Sender<Arc<Vec<Seen>>>,
    ) -> Self {
        let ends = spec.left;
        Self { spec, privileged, publish, link: None, tries: 0, ends }
    }

    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut pulse: Pulse,
        cancel: CancellationToken,
    ) {
        let mut pause = Duration::ZERO;
        loop {
            let wait = tokio::time::sleep(pause);
            tokio::select! {
                // cancel-safe: a token loses nothing
                () = cancel.cancelled() => return,
                // cancel-safe: it is asked again
                () = pulse.sign() => {}
                // cancel-safe: see there
                line = next(&mut self.link) => match line {
                    Some(line) => self.heard(line),
                    None => self.lost(),
                },
                // cancel-safe: a receiver loses nothing
                Some(command) = commands.recv() => self.obey(command).await,
                // cancel-safe: a new one begins
                () = wait, if self.link.is_none() => {
                    if !self.connect().await {
                        return;
                    }
                }
            }
            pause = if self.tries == 0 {
                Duration::ZERO
            } else {
                backoff::delay(AGAIN, AGAIN_MAX, self.tries - 1, 0.5)
            };
        }
    }

    /// `false` where nothing is left to do.
    async fn connect(&mut self) -> bool {
        self.tries = self.tries.saturating_add(1);
        let why = match Link::open(&self.spec.folder.socket()).await {
            Ok(mut link) => {
                self.tries = 0;
                if self.spec.left {
                    drop(link.order(&Order::Stop { limit_ms: DRAIN_MS }).await);
                }
                self.link = Some(link);
                return true;
            }
            Err(_) if self.spec.left => return false,
            Err(_) if self.ends => return true,
            Err(error) => error.to_string(),
        };
        let verb = Verb::StartMount { mount: self.spec.name.clone() };
        let why = match self.privileged.call(verb).await {
            Ok(_) if self.tries < TOLD => return true,
            Ok(_) => why,
            Err(refusal) => Chain(&refusal).to_string(),
        };
        if self.tries >= TOLD || !why.is_empty() {
            self.show(|seen| seen.silent = Some(why.clone()));
        }
        true
    }

    fn lost(&mut self) {
        self.link = None;
        self.tries = 0;
        self.show(|seen| seen.line = None);
    }

    fn heard(&mut self, line: Line) {
        let outdated = line.spec != self.spec.spec;
        let line = Arc::new(line);
        self.show(|seen| {
            seen.silent = None;
            seen.outdated = outdated;
            seen.line = Some(Arc::clone(&line));
        });
    }

    async fn obey(&mut self, command: Command) {
        let order = match command {
            Command::Order(order) => {
                self.ends |= matches!(order, Order::Stop { .. });
                order
            }
            Command::Remount => {
                self.ends = false;
                let seen =
                    self.publish.borrow().iter().find(|one| one.name == self.spec.name).cloned();
                let down = |seen: &Seen| {
                    seen.line.as_ref().is_some_and(|line| line.phase == MountPhase::Unmounted)
                };
                match seen {
                    // A new warden takes up the new configuration, when the old one has gone.
                    Some(seen) if seen.outdated => Order::Stop { limit_ms: DRAIN_MS },
                    Some(seen) if down(&seen) => Order::Mount,
                    _ => Order::Restart,
                }
            }
        };
        let sent = match &mut self.link {
            Some(link) => link.order(&order).await.is_ok(),
            None => false,
        };
        if !sent {
            tracing::warn!(share = %self.spec.name, ?order, "no warden takes the order");
        }
    }

    fn show(&self, change: impl FnOnce(&mut Seen)) {
        self.publish.send_if_modified(|all| {
            let Some(at) = all.iter().position(|seen| seen.name == self.spec.name) else {
                return false;
            };
            let mut new = Vec::clone(all);
            let Some(one) = new.get_mut(at) else { return false };
            change(one);
            let news = **all != new;
            if news {
                *all = Arc::new(new);
            }
            news
        });
    }
}
