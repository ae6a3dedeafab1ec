//! The warden's loop: hears the driver, the kernel, the clock and stationd, and runs what the state decides.

mod clients;
mod hands;

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use station_proto::mount::MountPhase;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use self::hands::{Driver, Hands, Heard};
use super::WardenError;
use super::driver;
use super::files::{FILE_BYTES_MAX, Folder, Launch, Order, Source, State as Line};
use super::ground::{Ground, Held};
use super::look::Looker;
use super::look::storage;
use super::state::{Effect, Event, Spot, State};
use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::base::text::redact;
use crate::os::machine::mount::{TableWatch, fuse};
use crate::os::{clock, file, process, signals, socket};

/// How often the state looks at the clock.
const TICK: Duration = Duration::from_millis(250);
/// How often the cache is looked through; one that takes long is looked through less often.
const MEASURE: Duration = Duration::from_secs(1);
/// How often the storage is asked.
const REACH: Duration = Duration::from_secs(10);
/// How long a refusal of the storage is remembered after the last line that told of one.
const DENIED: Duration = Duration::from_secs(60);
/// How long the last line may take to whoever listens.
const LAST_WORD: Duration = Duration::from_millis(200);
/// What a drain gets when the warden is told to end by a signal, which brings no number; less than `TimeoutStopSec` of
/// its unit.
const SIGNAL_DRAIN_MS: u64 = 240_000;

struct Warden {
    ground: Ground,
    state: State,
    hands: Hands,
    looker: Looker,
    driver: Option<Driver>,
    shown: watch::Sender<Arc<Line>>,
    phase: (MountPhase, Timestamp),
    /// The ids of all mounts that there were at our place.
    mounts: BTreeSet<u64>,
    denied: Option<(Duration, String)>,
    measured: Duration,
    measure_every: Duration,
    reached: Option<Duration>,
    leaving: bool,
}

/// Holds the mount that the folder's launch file describes, until it is told to stop.
pub(super) async fn hold(folder: PathBuf) -> Result<(), WardenError> {
    let mut stop = signals::Stop::listen().map_err(WardenError::Signals)?;
    let folder = Folder(folder);
    let launch = read(&folder)?;
    let own = process::ProcessId::own().map_or(0, |own| own.pid).to_string();
    let fail = WardenError::Lock;
    let Ok(_held) = file::lock(&folder.lock(), &own).map_err(fail)? else {
        return Err(WardenError::Held);
    };
    file::ensure_own_dir(&launch.cache, 0o700).map_err(fail)?;
    let cache_lock = launch.cache.join(".lock");
    let Ok(_cache) = file::lock(&cache_lock, &own).map_err(fail)? else {
        return Err(WardenError::CacheHeld { path: launch.cache });
    };
    let listener = socket::bind_unix(&folder.socket(), 0o666).await.map_err(WardenError::Listen)?;
    let table = TableWatch::open().map_err(WardenError::Watch)?;
    let (tasks, _ended) = Tasks::new();
    let (orders, mut ordered) = mpsc::channel(limits::COMMANDS);
    let (events, mut heard) = mpsc::channel(limits::COMMANDS);
    let (mut warden, first) = Warden::new(folder, launch, events);
    let client = warden.ground.launch.client;
    clients::serve(&tasks, listener, client, (warden.shown.subscribe(), orders));
    warden.run(first).await;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !warden.leaving {
        tokio::select! {
            // cancel-safe: Stop::came is
            _signal = stop.came() => warden.step(Event::Order(Order::Stop { limit_ms: SIGNAL_DRAIN_MS })).await,
            // cancel-safe: a receiver loses nothing
            Some(order) = ordered.recv() => warden.step(Event::Order(order)).await,
            // cancel-safe: a receiver loses nothing
            Some(event) = heard.recv() => warden.step(event).await,
            // cancel-safe: see there
            heard = hands::heard(&mut warden.driver) => warden.heard(heard).await,
            // cancel-safe: see there
            (spot, answer, took) = warden.looker.answer() => {
                warden.step(Event::Answered(spot, answer, took)).await;
            }
            // cancel-safe: see there
            Ok(()) = table.changed() => warden.table().await,
            // cancel-safe: a tick that was not taken comes again
            _ = tick.tick() => warden.tick().await,
        }
    }
    // stationd is told how it ended before the connection does.
    tokio::time::sleep(LAST_WORD).await;
    tasks.cancel();
    let ground = warden.ground.clone();
    hands::aside(move || ground.leave()).await;
    Ok(())
}

fn read(folder: &Folder) -> Result<Launch, WardenError> {
    let path = folder.launch();
    let text = file::read_limited(&path, FILE_BYTES_MAX).map_err(WardenError::ReadLaunch)?;
    serde_json::from_slice(&text).map_err(|source| WardenError::ParseLaunch { path, source })
}

impl Warden {
    fn new(folder: Folder, launch: Launch, events: mpsc::Sender<Event>) -> (Self, Vec<Effect>) {
        let (mut state, first) = State::new(driver::stays(&launch.source));
        state.bring.needed = matches!(launch.source, Source::Blobfuse2(_));
        state.generation = Held::read(&folder).map_or(0, |held| held.generation);
        let root = nix::unistd::geteuid().is_root();
        let ground = Ground { folder, launch, root };
        let now = clock::now();
        let line = state.told(&ground.launch, now, now.wall);
        let phase = (line.phase, now.wall);
        let (shown, _) = watch::channel(Arc::new(line));
        let warden = Self {
            hands: Hands::new(&ground, events),
            looker: Looker::new(&ground.launch.program),
            ground,
            state,
            driver: None,
            shown,
            phase,
            mounts: BTreeSet::new(),
            denied: None,
            measured: Duration::ZERO,
            measure_every: MEASURE,
            reached: None,
            leaving: false,
        };
        (warden, first)
    }

    async fn step(&mut self, event: Event) {
        if let Event::Figures(figures) = &event {
            // At most a tenth of the time goes into it.
            let took = clock::since_boot().saturating_sub(figures.at);
            self.measure_every = MEASURE.max(took * 10);
        }
        let effects = self.state.step(clock::now(), event);
        self.run(effects).await;
    }

    /// Runs effects, and what comes of them at once.
    async fn run(&mut self, effects: Vec<Effect>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            let Some(event) = self.act(effect).await else { continue };
            effects.extend(self.state.step(clock::now(), event));
        }
        self.show();
    }

    async fn act(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Prepare => self.hands.prepare(),
            Effect::Start => {
                let started = self.hands.start(self.state.generation).await;
                let pid = started.as_ref().map(Driver::pid).map_err(Clone::clone);
                self.driver = started.ok();
                let driver = pid.as_ref().ok().copied();
                Held::write(&self.ground.folder, self.state.generation, driver);
                return Some(Event::Started(pid));
            }
            Effect::Look(spot) => {
                let path = match spot {
                    Spot::Stage => self.ground.at(self.state.generation),
                    Spot::Place => self.ground.launch.place.clone(),
                };
                self.looker.ask(spot, &path).await;
            }
            Effect::Put { old } => self.hands.put(self.state.generation, old),
            Effect::Abort(minor) => {
                if let Err(error) = fuse::abort(minor) {
                    tracing::warn!(%error, minor, "the connection cannot be aborted");
                }
            }
            Effect::Kill => {
                if let Some(driver) = &mut self.driver {
                    driver.kill();
                }
            }
            Effect::Unmount => self.hands.unmount(),
            Effect::Peel => self.hands.peel(),
            Effect::Measure => self.measure(),
            Effect::Bring => self.hands.bring(),
            Effect::Leave => self.leaving = true,
        }
        None
    }

    async fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Line(line) => {
                let line = redact::secrets(&line);
                super::complain(&line);
                self.hands.failed(&line);
                if storage::denial(&line) {
                    self.denied = Some((clock::since_boot(), line));
                }
            }
            Heard::Ended(how) => {
                self.driver = None;
                self.step(Event::Exited(how)).await;
            }
        }
    }

    async fn table(&mut self) {
        let (places, ids) = self.ground.places(self.state.generation);
        self.mounts.extend(ids);
        if places != self.state.places {
            self.step(Event::Table(places)).await;
        }
    }

    async fn tick(&mut self) {
        let now = clock::since_boot();
        let work = Hands::work(self.driver.as_ref(), &self.state);
        self.step(Event::Tick(work)).await;
        if now.saturating_sub(self.measured) >= self.measure_every {
            self.measure();
        }
        if self.reached.is_none_or(|reached| now.saturating_sub(reached) >= REACH) {
            self.reached = Some(now);
            let denied = self.denied.clone().filter(|(at, _)| now.saturating_sub(*at) < DENIED);
            self.hands.reach(denied.map(|(_, line)| line));
        }
    }

    fn measure(&mut self) {
        if self.hands.measure(self.state.pid, self.mounts.clone()) {
            self.measured = clock::since_boot();
        }
    }

    /// Tells whoever listens, if it is news.
    fn show(&mut self) {
        let now = clock::now();
        let mut line = self.state.told(&self.ground.launch, now, self.phase.1);
        if line.phase != self.phase.0 {
            self.phase = (line.phase, now.wall);
            line.since = now.wall.as_millisecond();
        }
        self.shown.send_if_modified(|shown| {
            let news = **shown != line;
            if news {
                *shown = Arc::new(line);
            }
            news
        });
    }
}
