//! Owns every app's state: one event at a time is decided on, then its effects are run as work
//! whose results come back as events.

mod answers;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use station_proto::app::AppActivity;
use tokio::sync::{mpsc, oneshot, watch};

use super::launcher::{Found, Launcher, Unit};
use super::look::attendant;
use super::look::probe::Answer;
use super::look::uses::Uses;
use super::slot::{Looked, Slot};
use super::state::{self, Effect, Event, StopBy};
use super::store::{self as rows, Row};
use super::{Ask, Command, Ground, Seen, Spec, cause};
use crate::attend::report::Report;
use crate::base::chain::Chain;
use crate::base::ids::AppName;
use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::os::{clock, random};
use crate::privileged::keeper::files;
use crate::privileged::{Privileged, Refusal};
use crate::store::{NewEvent, Store};

/// What the task is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) tasks: Tasks,
    pub(super) store: Store,
    pub(super) privileged: Privileged,
    pub(super) launcher: Launcher,
    pub(super) ground: watch::Receiver<Ground>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) publish: watch::Sender<Arc<Vec<Seen>>>,
    pub(super) activities: watch::Sender<Arc<BTreeMap<AppName, AppActivity>>>,
    pub(super) uses: Uses,
}

/// What work tells the task.
#[derive(Debug)]
struct Told {
    app: AppName,
    /// The run that it is about; `None`: whatever runs.
    generation: Option<u64>,
    what: What,
}

#[derive(Debug)]
enum What {
    Event(Event),
    /// A unit runs: decide on the event, then watch it.
    Runs(Event, Box<Unit>),
    /// It runs, and the configuration may not have it.
    Stray,
    Answered(Answer, Option<Box<Report>>),
    Dropped(u64),
}

#[derive(Debug)]
struct Task {
    parts: Parts,
    launcher: Launcher,
    remembered: BTreeMap<AppName, Row>,
    apps: BTreeMap<AppName, Slot>,
    /// Other views of an app's server: name and whose.
    views: Vec<(AppName, AppName)>,
    /// Everything is being stopped, and stays so until stationd ends.
    down: bool,
    told: mpsc::Sender<Told>,
}

pub(super) async fn run(parts: Parts, specs: Option<Vec<Spec>>) {
    let (told, mut told_rx) = mpsc::channel(limits::COMMANDS);
    let launcher = parts.launcher.clone();
    let remembered = match rows::load(&parts.store).await {
        Ok(remembered) => remembered,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "what was remembered of the apps is not read");
            BTreeMap::new()
        }
    };
    let cancel = parts.tasks.token().clone();
    let mut pulse = parts.tasks.pulse("apps");
    let (apps, views) = (BTreeMap::new(), Vec::new());
    let mut task = Task { parts, launcher, remembered, apps, views, down: false, told };
    // An unknown configuration says of no app that it has to go.
    if let Some(specs) = specs {
        task.configure(&specs);
        task.leftovers();
    }
    loop {
        task.tidy();
        task.publish();
        let due = task.due();
        tokio::select! {
            // cancel-safe: a token can be awaited again. Apps are left running.
            () = cancel.cancelled() => return,
            // cancel-safe: mpsc::Receiver::recv loses nothing
            Some(told) = told_rx.recv() => task.hear(told),
            // cancel-safe: as above
            command = task.parts.commands.recv() => match command {
                Some(command) => task.command(command),
                None => return,
            },
            // cancel-safe: a change that was not taken is seen the next time
            Ok(()) = task.parts.ground.changed() => {}
            // cancel-safe: the deadline is computed anew each time
            () = tokio::time::sleep(due) => task.tick(),
            // cancel-safe: Pulse::sign is
            () = pulse.sign() => {}
        }
    }
}

impl Task {
    /// Takes the list: what is new is looked for first, what is gone is stopped.
    fn configure(&mut self, specs: &[Spec]) {
        let shares = |spec: &Spec| Some((spec.name.clone(), spec.shares.clone()?));
        self.views = specs.iter().filter_map(shares).collect();
        let specs: Vec<&Spec> = specs.iter().filter(|spec| spec.shares.is_none()).collect();
        let gone: Vec<AppName> = self
            .apps
            .keys()
            .filter(|name| specs.iter().all(|spec| spec.name != **name))
            .cloned()
            .collect();
        for name in gone {
            if let Some(slot) = self.apps.get_mut(&name) {
                slot.removed = true;
            }
            self.step(&name, Event::Left);
        }
        for spec in specs {
            if let Some(slot) = self.apps.get_mut(&spec.name) {
                (slot.removed, slot.idle_stop) = (false, spec.idle_stop);
                self.step(&spec.name, Event::Configured(spec.start));
            } else {
                self.add(spec);
            }
        }
    }

    /// Looks for apps that run and that the configuration may not have any more.
    fn leftovers(&self) {
        let (launcher, told) = (self.launcher.clone(), self.told.clone());
        self.parts.tasks.work(until_cancelled(&self.parts.tasks, async move {
            for app in launcher.running().await {
                drop(told.send(Told { app, generation: None, what: What::Stray }).await);
            }
        }));
    }

    fn stray(&mut self, name: &AppName) {
        if self.apps.contains_key(name) {
            return;
        }
        tracing::warn!(app = %name, "runs and is not in the configuration: it is stopped");
        self.add(&Spec::of_left_over(name));
        if let Some(slot) = self.apps.get_mut(name) {
            slot.removed = true;
        }
        self.step(name, Event::Left);
    }

    /// Stops everything, with what runs and an unusable configuration left alone.
    fn go_down(&mut self, running: &[AppName]) {
        self.down = true;
        for name in running.iter().filter(|name| !self.apps.contains_key(name)).collect::<Vec<_>>()
        {
            self.add(&Spec::of_left_over(name));
        }
        let names: Vec<AppName> = self.apps.keys().cloned().collect();
        for name in names {
            self.step(&name, Event::Down);
        }
    }

    fn add(&mut self, spec: &Spec) {
        let name = &spec.name;
        let row = self.remembered.get(name).cloned().unwrap_or_default();
        let state = state::App::new(clock::now(), spec.start, row.remembered());
        let ended_generation = row.ended_generation;
        self.apps.insert(name.clone(), Slot::new(state, row, spec));
        if self.down {
            self.step(name, Event::Down);
        }
        let (launcher, app) = (self.launcher.clone(), name.clone());
        let root = self.parts.privileged.root();
        let folder = root.folder_of(name);
        self.work(name, None, async move {
            match launcher.recover(&app).await {
                Found::Running(unit) => What::Runs(
                    Event::Running { generation: unit.kept.generation, pid: unit.kept.app.pid },
                    Box::new(unit),
                ),
                Found::Ended { generation, end } if generation > ended_generation => {
                    let lines = launcher.last_words(&app).await;
                    let word = attendant::last_word(&folder, &root.unit(&app, generation));
                    let cause = cause::of_end(&end, lines, clock::now().wall, word.as_ref());
                    What::Event(Event::EndedBefore(cause))
                }
                Found::Ended { .. } | Found::Nothing => What::Event(Event::NothingBefore),
            }
        });
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::App(_, Ask::Start | Ask::Restart | Ask::Demand, done) if self.down => {
                // Whoever asked hears that the supervision is stopping.
                drop(done);
            }
            Command::App(name, ask, done) => {
                let event = match ask {
                    Ask::Start => Event::Start,
                    Ask::Stop => Event::Stop,
                    Ask::Restart => Event::Restart,
                    Ask::Demand => Event::Demand,
                };
                self.step(&name, event);
                self.answer(done);
            }
            Command::Down(running, done) => {
                self.go_down(&running);
                self.answer(done);
            }
            Command::Configure(specs) => self.configure(&specs),
        }
    }

    /// Whoever asked sees the new state with the answer.
    fn answer(&self, done: oneshot::Sender<()>) {
        self.publish();
        if done.send(()).is_err() {
            tracing::debug!("whoever asked has gone");
        }
    }

    fn hear(&mut self, told: Told) {
        let Told { app, generation, what } = told;
        if matches!(what, What::Stray) {
            return self.stray(&app);
        }
        let Some(slot) = self.apps.get_mut(&app) else { return };
        if generation.is_some_and(|generation| generation != slot.state.generation) {
            return;
        }
        match what {
            What::Event(event) => {
                if matches!(event, Event::Silent) {
                    slot.looked = Looked::default();
                }
                self.step(&app, event);
            }
            What::Runs(event, unit) => {
                slot.running = Some(unit.kept.spec.clone());
                (slot.looked, slot.dropped) = (Looked::default(), 0);
                self.step(&app, event);
                self.watch(*unit);
            }
            What::Answered(answer, report) => self.answered(&app, answer, report.map(|r| *r)),
            What::Dropped(bytes) => slot.dropped = bytes,
            What::Stray => {}
        }
    }

    /// What does not run does nothing; what has left the configuration and is gone is forgotten.
    fn tidy(&mut self) {
        for slot in self.apps.values_mut().filter(|slot| !slot.state.occupied()) {
            (slot.running, slot.looked) = (None, Looked::default());
        }
        self.apps.retain(|_, slot| !slot.removed || slot.state.occupied());
    }

    fn tick(&mut self) {
        let now = clock::now();
        let due: Vec<AppName> = self
            .apps
            .iter()
            .filter(|(_, slot)| slot.state.due().is_some_and(|due| due <= now.mono))
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            self.step(&name, Event::Tick);
        }
    }

    fn due(&self) -> Duration {
        let first = self.apps.values().filter_map(|slot| slot.state.due()).min();
        // Nothing due: any command or answer wakes the loop anyway.
        first.map_or(Duration::from_secs(3600), |due| due.saturating_sub(clock::since_boot()))
    }

    fn step(&mut self, name: &AppName, event: Event) {
        let Some(slot) = self.apps.get_mut(name) else { return };
        for effect in slot.state.step(clock::now(), random::fraction(), event) {
            self.effect(name, effect);
        }
    }

    fn effect(&mut self, name: &AppName, effect: Effect) {
        let (launcher, app) = (self.launcher.clone(), name.clone());
        match effect {
            Effect::Find => {
                let mut ground = self.parts.ground.clone();
                self.work(name, None, async move {
                    // What it is to work on must be there; without a word of it nothing waits.
                    let stands = |ground: &Ground| !matches!(ground, Ground::Waiting(_));
                    drop(ground.wait_for(stands).await.map(drop));
                    match launcher.find(&app).await {
                        Ok(()) => What::Event(Event::Found),
                        Err(refusal) => What::Event(Event::Missing(missing(&refusal))),
                    }
                });
            }
            Effect::Launch { generation } => self.launch(name, generation),
            Effect::Probe { generation } => self.probe(name, generation),
            Effect::Stop { by } => {
                let by = match by {
                    StopBy::User => files::StopBy::User,
                    StopBy::Down => files::StopBy::Down,
                    StopBy::Left => files::StopBy::Left,
                    StopBy::NotReady => files::StopBy::NotReady,
                    StopBy::Idle => files::StopBy::Idle,
                };
                self.parts.tasks.work(async move { launcher.stop(&app, by).await });
            }
            Effect::ForceEnd => {
                self.parts.tasks.work(async move { launcher.force(&app).await });
            }
            Effect::SaveWanted(wanted) => {
                self.save(name, |row, _| row.wanted = wanted);
            }
            Effect::SaveEnd(cause) => self.save(name, |row, generation| {
                (row.last_end, row.ended_generation) = (Some(cause), generation);
            }),
            Effect::Note { kind, message } => {
                tracing::info!(app = %name, kind, "{message}");
                self.parts.store.note(NewEvent::new(kind, name.as_str(), message));
            }
        }
    }

    /// The row as it is to be written now; later rows replace it whatever the order of writing.
    fn row(&mut self, name: &AppName, change: impl FnOnce(&mut Row, u64)) -> Option<Row> {
        let slot = self.apps.get_mut(name)?;
        slot.row.revision += 1;
        slot.row.generation = slot.state.generation;
        change(&mut slot.row, slot.state.generation);
        self.remembered.insert(name.clone(), slot.row.clone());
        Some(slot.row.clone())
    }

    /// Nothing waits for this: if it fails, the next row carries it, and so does `exit.json`.
    fn save(&mut self, name: &AppName, change: impl FnOnce(&mut Row, u64)) {
        let Some(row) = self.row(name, change) else { return };
        let (store, app) = (self.parts.store.clone(), name.clone());
        self.parts.tasks.work(async move {
            if let Err(error) = rows::save(&store, app.clone(), row).await {
                tracing::warn!(%app, error = %Chain(&error), "the app's state is not on disk");
            }
        });
    }

    /// The intent is on disk before anything is started.
    fn launch(&mut self, name: &AppName, generation: u64) {
        // The next attendant counts the ends of kernels from the beginning.
        let Some(row) = self.row(name, |row, _| row.kernels_told = 0) else { return };
        let (launcher, app) = (self.launcher.clone(), name.clone());
        let (store, ground) = (self.parts.store.clone(), self.parts.ground.clone());
        self.work(name, Some(generation), async move {
            let failed = |message: &str, lines| {
                let now = clock::now().wall;
                What::Event(Event::LaunchFailed(cause::not_started(message, lines, now)))
            };
            if let Err(error) = rows::save(&store, app.clone(), row).await {
                return failed(
                    &format!("the start cannot be noted: {}", Chain(&error)),
                    Vec::new(),
                );
            }
            let scratch = *ground.borrow() == Ground::Scratch;
            match launcher.launch(&app, generation, scratch).await {
                Ok(unit) => What::Runs(Event::Launched { pid: unit.kept.app.pid }, Box::new(unit)),
                Err(refusal) => failed(&refusal.to_string(), launcher.last_words(&app).await),
            }
        });
    }

    /// Follows a unit until its end.
    fn watch(&self, unit: Unit) {
        let (launcher, told) = (self.launcher.clone(), self.told.clone());
        let (app, generation) = (unit.app.clone(), Some(unit.kept.generation));
        let folder = self.parts.privileged.root().folder_of(&app);
        let hears = {
            let (told, app) = (told.clone(), app.clone());
            move |bytes| {
                let what = What::Dropped(bytes);
                // A count that finds no room is followed by a newer one.
                drop(told.try_send(Told { app: app.clone(), generation, what }));
            }
        };
        self.parts.tasks.work(until_cancelled(&self.parts.tasks, async move {
            let end = launcher.watch(&unit, hears).await;
            let lines = launcher.last_words(&app).await;
            let word = attendant::last_word(&folder, &unit.kept.unit);
            let cause = cause::of_end(&end, lines, clock::now().wall, word.as_ref());
            drop(told.send(Told { app, generation, what: What::Event(Event::Ended(cause)) }).await);
        }));
    }

    /// Runs an effect; what comes out is told to the task.
    fn work(
        &self,
        app: &AppName,
        generation: Option<u64>,
        future: impl Future<Output = What> + Send + 'static,
    ) {
        let (told, app) = (self.told.clone(), app.clone());
        self.parts.tasks.work(until_cancelled(&self.parts.tasks, async move {
            let what = future.await;
            drop(told.send(Told { app, generation, what }).await);
        }));
    }

    fn publish(&self) {
        let root = self.parts.privileged.root();
        let mut seen: Vec<Seen> =
            self.apps.iter().map(|(name, slot)| slot.seen(name, &root)).collect();
        if let Ground::Waiting(why) = &*self.parts.ground.borrow() {
            let waits = |seen: &&mut Seen| self.apps.get(&seen.name).is_some_and(Slot::waits);
            for one in seen.iter_mut().filter(waits) {
                one.message = format!("waits for the share: {why}");
            }
        }
        for (name, whose) in &self.views {
            if let Some(server) = seen.iter().find(|one| one.name == *whose) {
                seen.push(server.viewed_as(name, &root));
            }
        }
        seen.sort_by(|a, b| a.name.cmp(&b.name));
        self.parts.publish.send_if_modified(|old| {
            let changed = **old != seen;
            if changed {
                *old = Arc::new(seen);
            }
            changed
        });
    }
}

/// Work that ends with stationd: nothing may keep it from going, and the apps stay.
fn until_cancelled(
    tasks: &Tasks,
    work: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    let cancel = tasks.token().clone();
    async move {
        cancel.run_until_cancelled(work).await;
    }
}

fn missing(refusal: &Refusal) -> String {
    match refusal {
        Refusal::ProgramMissing { .. } => {
            format!("{refusal}. Run scripts/up, or set command in its [[app]]")
        }
        other => other.to_string(),
    }
}
