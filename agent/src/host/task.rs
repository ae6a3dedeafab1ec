//! Listens to the clock, the kernel and the looks, and runs what the state decides.

use std::sync::Arc;

use station_proto::node::{Agent, Node, Samples};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::sampler::Sampler;
use super::state::{Effect, Event, State};
use super::{Config, Finding, Pace, judge, view};
use crate::base::tasks::Tasks;
use crate::os::clock;
use crate::probe::{Heard, Probe, host};

/// Looks and walks that ended and were not taken note of yet: one of each at most.
const ENDED: usize = 2;

/// Where the answers go.
pub(super) struct Published {
    pub samples: watch::Sender<Option<Arc<Samples>>>,
    pub findings: watch::Sender<Arc<Vec<Finding>>>,
    pub node: watch::Sender<Option<Arc<Node>>>,
}

/// What comes from other tasks.
pub(super) struct Sources {
    pub kernel: mpsc::Receiver<Heard>,
    pub driver_cuda: watch::Receiver<Option<String>>,
    pub pace: watch::Receiver<Option<Agent>>,
}

pub(super) struct Task {
    tasks: Tasks,
    pace: Pace,
    probe: Probe,
    sampler: Sampler,
    state: State,
    published: Published,
    ended: mpsc::Sender<Event>,
    endings: Option<mpsc::Receiver<Event>>,
    /// The last cheap figures, to be shown with what a look adds.
    cheap: Option<Samples>,
}

pub(super) async fn run(mut task: Task, mut from: Sources, cancel: CancellationToken) {
    let Some(mut endings) = task.endings.take() else { return };
    let mut tick = interval(task.pace.sample);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // cancel-safe: a token loses nothing
            () = cancel.cancelled() => return,
            // cancel-safe: a tick that was not taken comes again
            _ = tick.tick() => task.sample(),
            // cancel-safe: a receiver loses nothing
            Some(event) = endings.recv() => task.step(event),
            // cancel-safe: a receiver loses nothing
            Some(heard) = from.kernel.recv() => task.step(Event::Kernel(heard)),
            // cancel-safe: the change stays marked until it is borrowed
            Ok(()) = from.driver_cuda.changed() => {
                let version = from.driver_cuda.borrow_and_update().clone();
                task.step(Event::DriverCuda(version));
            }
            // cancel-safe: the change stays marked until it is borrowed
            Ok(()) = from.pace.changed() => {
                let pace = from.pace.borrow_and_update().clone();
                task.step(Event::Pace(pace));
            }
        }
    }
}

impl Task {
    pub(super) fn new(tasks: &Tasks, config: Config, probe: Probe, published: Published) -> Self {
        let (ended, endings) = mpsc::channel(ENDED);
        Self {
            tasks: tasks.clone(),
            pace: config.pace,
            probe,
            sampler: Sampler::new(),
            state: State::new(config.disks, config.state, config.tools).at(config.pace),
            published,
            ended,
            endings: Some(endings),
            cheap: None,
        }
    }

    fn sample(&mut self) {
        let (cheap, fast) = self.sampler.sample(clock::now());
        self.cheap = Some(cheap);
        self.step(Event::Fast(fast));
    }

    fn step(&mut self, event: Event) {
        let shows = matches!(event, Event::Fast(_) | Event::Looked(_));
        for effect in self.state.step(clock::now(), event) {
            self.start(effect);
        }
        if shows && let Some(cheap) = &self.cheap {
            let samples = view::samples(&self.state, cheap.clone());
            self.published.samples.send_replace(Some(Arc::new(samples)));
        }
        let findings = judge::findings(&self.state, clock::now());
        self.published.findings.send_if_modified(|before| {
            let changed = **before != findings;
            if changed {
                *before = Arc::new(findings);
            }
            changed
        });
        let node = view::node(&self.state);
        self.published.node.send_if_modified(|before| {
            let changed = before.as_deref() != node.as_ref();
            if changed {
                *before = node.map(Arc::new);
            }
            changed
        });
    }

    /// It takes seconds, or longer; its end comes back as an event.
    fn start(&self, effect: Effect) {
        let (probe, ended) = (self.probe.clone(), self.ended.clone());
        let cancel = self.tasks.token().clone();
        let work = async move {
            match effect {
                Effect::Look(ask) => {
                    Event::Looked(probe.host(&ask, host::LIMIT).await.map(Box::new))
                }
                Effect::Walk(ask) => {
                    let walked = probe.walk(&ask).await;
                    Event::Walked(ask.path, walked)
                }
            }
        };
        self.tasks.work(async move {
            if let Some(event) = cancel.run_until_cancelled(work).await {
                // Nobody listens any more once the daemon ends.
                drop(ended.send(event).await);
            }
        });
    }
}
