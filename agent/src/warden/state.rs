//! Pure: what a warden does next.
//!
//! ```text
//!   Preparing ─► Starting ─► Putting ─► Up ─► Unmounting ─► Down
//!      ▲  ▲         │           │       │                    │
//!      │  └─Resting◄┴─Breaking◄─┴───────┘ (dead, hung, gone) │
//!      └─────────────────────────(told to mount)─────────────┘
//! ```
//!
//! Invariants: a driver is started only when the one before has ended and what it left is saved; it is
//! put in its place only after it has answered; nothing is unmounted while something is pending, but when the
//! warden itself must end, and then what is pending stays in the cache for the next one.

mod bring;
mod drain;
#[cfg(test)]
mod tests;
mod told;

use std::time::Duration;

use crate::base::backoff;
use crate::base::moment::Moment;
use crate::os::machine::mount::Put;

use self::bring::Bring;
use super::files::Order;
use super::gauge::Figures;
use super::ground::unmount::Unmounted;

/// Between two looks at the mount.
const LOOK: Duration = Duration::from_secs(1);
/// A driver that has not answered for so long, and does nothing meanwhile, hangs.
const SILENT: Duration = Duration::from_secs(5);
/// How long a driver may take until it has mounted.
const START: Duration = Duration::from_secs(60);
/// A driver that was in its place for so long did its work: the next one is started without a pause, however
/// often that happens. One that ends at once, or does not come up, is given pauses.
const GOOD: Duration = Duration::from_millis(250);
/// Between two failed starts, the first time and at most.
const AGAIN: Duration = Duration::from_millis(250);
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// Failed starts in a row after which it is said that it cannot be mounted.
const FAILING: u32 = 3;

/// Where a look goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// Where the driver mounts first.
    Stage,
    Place,
}

/// What a look saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Good,
    /// The error number of `statx(2)`.
    Failed(i32),
}

/// What the table of mounts shows; minor numbers of FUSE connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) staged: Option<u32>,
    /// The lowest first; `None` is something that no driver of ours brought.
    pub(super) place: Vec<Option<u32>>,
}

/// Whether the storage behind the driver answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    Good,
    Silent(String),
    Denied(String),
}

/// How much a driver has done, and how many requests wait for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) waiting: Option<u64>,
    /// Grows with time on a CPU and bytes read and written.
    pub(super) done: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// What an earlier driver left is saved: how many files it had lost sight of.
    Prepared(Result<u64, String>),
    Started(Result<i32, String>),
    /// The driver has ended: how, and with which last words.
    Exited(String),
    Table(Places),
    Answered(Spot, Answer, Duration),
    Tick(Work),
    Put(Result<Put, String>),
    Reach(Reach),
    Figures(Box<Figures>),
    Order(Order),
    Unmounted(Unmounted),
    /// Whether nothing is left that an earlier driver left.
    Brought(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Clear the ground and save what an earlier driver left.
    Prepare,
    Start,
    Look(Spot),
    /// Move the new mount to its place, where `old` ones may be.
    Put {
        old: bool,
    },
    /// Break the connection with this number.
    Abort(u32),
    Kill,
    Unmount,
    /// Take a dead layer away that is still at the place.
    Peel,
    /// Look at what is pending now.
    Measure,
    /// Bring what an earlier driver left to the share.
    Bring,
    Leave,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Preparing,
    Starting {
        since: Duration,
    },
    Putting,
    Up,
    /// The driver is being ended.
    Breaking,
    /// Until the next try.
    Resting {
        until: Duration,
    },
    Unmounting,
    Down,
}

/// On the way to an end that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drain {
    pub(super) since: Duration,
    pub(super) until: Duration,
    /// The warden ends with it.
    pub(super) leave: bool,
    /// When it was tried the last time, because somebody used the mount then.
    pub(super) busy: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Looking {
    at: Spot,
    since: Duration,
}

/// Everything that decisions rest on.
#[derive(Debug)]
pub(super) struct State {
    pub(super) stage: Stage,
    /// Whether a program of ours brings the share; the kernel does for SMB and NFS.
    has_driver: bool,
    pub(super) bring: Bring,
    pub(super) generation: u64,
    /// The driver's process.
    pub(super) pid: Option<i32>,
    /// The number of our connection, once it is in its place.
    minor: Option<u32>,
    pub(super) places: Places,
    looking: Option<Looking>,
    looked: Duration,
    work: (Work, Duration),
    pub(super) answer: Option<Duration>,
    pub(super) reach: Option<Reach>,
    pub(super) figures: Option<Box<Figures>>,
    pub(super) drain: Option<Drain>,
    /// Failed starts in a row, and since when it has been up.
    pub(super) attempts: u32,
    up_since: Option<Duration>,
    /// Since when it has been lost.
    pub(super) lost_at: Option<Duration>,
    pub(super) last_loss: Option<String>,
    pub(super) heals: u64,
    pub(super) last_heal: Option<Duration>,
    pub(super) rescued: u64,
    /// Why the last start did not do.
    pub(super) problem: Option<String>,
}

impl State {
    pub(super) fn new(has_driver: bool) -> (Self, Vec<Effect>) {
        let state = Self {
            stage: Stage::Preparing,
            has_driver,
            bring: Bring::default(),
            generation: 0,
            pid: None,
            minor: None,
            places: Places::default(),
            looking: None,
            looked: Duration::ZERO,
            work: (Work::default(), Duration::ZERO),
            answer: None,
            reach: None,
            figures: None,
            drain: None,
            attempts: 0,
            up_since: None,
            lost_at: None,
            last_loss: None,
            heals: 0,
            last_heal: None,
            rescued: 0,
            problem: None,
        };
        (state, vec![Effect::Prepare])
    }

    /// Whether users can work on it.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up | Stage::Unmounting)
    }

    /// Something else lies over our mount.
    pub(super) fn covered(&self) -> bool {
        self.stage == Stage::Up && self.places.place.last() != Some(&self.minor)
    }

    /// The number of our connection, in its place or on its way there.
    pub(super) fn minor(&self) -> Option<u32> {
        self.minor.or(self.places.staged)
    }

    pub(super) fn waiting(&self) -> Option<u64> {
        self.work.0.waiting
    }

    pub(super) fn step(&mut self, now: Moment, event: Event) -> Vec<Effect> {
        let now = now.mono;
        match event {
            Event::Prepared(Ok(rescued)) if self.stage == Stage::Preparing => {
                self.rescued += rescued;
                self.generation += 1;
                self.stage = Stage::Starting { since: now };
                vec![Effect::Start]
            }
            Event::Prepared(Err(why)) if self.stage == Stage::Preparing => self.failed(now, why),
            Event::Started(Ok(pid)) => {
                self.pid = Some(pid);
                Vec::new()
            }
            Event::Started(Err(why)) => self.failed(now, why),
            Event::Exited(how) => self.exited(now, how),
            Event::Table(places) => self.table(now, places),
            Event::Answered(at, answer, took) => self.answered(now, (at, answer, took)),
            Event::Tick(work) => self.tick(now, work),
            Event::Put(done) if self.stage == Stage::Putting => self.put(now, done),
            Event::Reach(reach) => {
                self.reach = Some(reach);
                Vec::new()
            }
            Event::Figures(figures) => {
                self.figures = Some(figures);
                self.drained(now)
            }
            Event::Order(order) => self.order(now, &order),
            Event::Unmounted(how) if self.stage == Stage::Unmounting => self.unmounted(now, &how),
            Event::Brought(all) => self.brought(now, all),
            Event::Prepared(_) | Event::Put(_) | Event::Unmounted(_) => Vec::new(),
        }
    }

    fn exited(&mut self, now: Duration, how: String) -> Vec<Effect> {
        self.pid = None;
        match self.stage {
            Stage::Unmounting | Stage::Down => self.down(),
            Stage::Starting { .. } if !self.has_driver && how.is_empty() => Vec::new(),
            Stage::Breaking => {
                let why = self.problem.take().unwrap_or(how);
                self.again(now, why)
            }
            Stage::Starting { .. } | Stage::Putting => self.failed(now, how),
            _ => self.lost(now, how),
        }
    }

    fn table(&mut self, now: Duration, places: Places) -> Vec<Effect> {
        self.places = places;
        match self.stage {
            Stage::Starting { .. } if self.places.staged.is_some() => self.look(now, Spot::Stage),
            Stage::Up if !self.places.place.contains(&self.minor) => {
                self.lost(now, "somebody unmounted it".to_owned())
            }
            _ => Vec::new(),
        }
    }

    fn look(&mut self, now: Duration, at: Spot) -> Vec<Effect> {
        if self.looking.is_some() {
            return Vec::new();
        }
        self.looking = Some(Looking { at, since: now });
        self.looked = now;
        vec![Effect::Look(at)]
    }

    fn answered(
        &mut self,
        now: Duration,
        (at, answer, took): (Spot, Answer, Duration),
    ) -> Vec<Effect> {
        self.looking = None;
        match (self.stage, at, answer) {
            (Stage::Starting { .. }, Spot::Stage, Answer::Good) => {
                self.stage = Stage::Putting;
                // The table may show it in its place before we are told that it is there.
                self.minor = self.places.staged.take();
                vec![Effect::Put { old: !self.places.place.is_empty() }]
            }
            (Stage::Starting { .. }, Spot::Stage, Answer::Failed(errno)) => {
                self.failed(now, format!("the new mount does not answer (error {errno})"))
            }
            (Stage::Up, Spot::Place, Answer::Good) => {
                self.answer = Some(took);
                Vec::new()
            }
            (Stage::Up, Spot::Place, Answer::Failed(errno)) if !self.covered() => {
                self.lost(now, format!("the mount does not answer any more (error {errno})"))
            }
            _ => Vec::new(),
        }
    }

    fn tick(&mut self, now: Duration, work: Work) -> Vec<Effect> {
        if work.done != self.work.0.done {
            self.work.1 = now;
        }
        self.work.0 = work;
        match self.stage {
            Stage::Resting { until } if now >= until => self.prepare(),
            Stage::Starting { since } if now.saturating_sub(since) >= START => {
                self.failed(now, format!("it did not mount within {} s", START.as_secs()))
            }
            Stage::Starting { .. } if self.places.staged.is_some() => self.look(now, Spot::Stage),
            Stage::Up if self.hangs(now) => {
                let silent = SILENT.as_secs();
                self.lost(now, format!("the driver hung: no answer and no work for {silent} s"))
            }
            Stage::Up => {
                let mut effects = self.drained(now);
                if effects.is_empty() && now.saturating_sub(self.looked) >= LOOK {
                    effects = self.look(now, Spot::Place);
                }
                effects.extend(self.brings(now));
                effects
            }
            _ => Vec::new(),
        }
    }

    /// The look gets no answer, requests wait, and the driver does nothing. A slow share is not one
    /// that hangs, nor is one whose storage is away: its root is answered all the same.
    fn hangs(&self, now: Duration) -> bool {
        let Some(looking) = self.looking.filter(|looking| looking.at == Spot::Place) else {
            return false;
        };
        let idle = now.saturating_sub(looking.since.max(self.work.1));
        idle >= SILENT && self.work.0.waiting != Some(0)
    }

    fn put(&mut self, now: Duration, done: Result<Put, String>) -> Vec<Effect> {
        if let Err(why) = done {
            return self.failed(now, why);
        }
        self.stage = Stage::Up;
        self.problem = None;
        if !self.places.place.contains(&self.minor) {
            // Until the table is read again.
            self.places.place.push(self.minor);
        }
        self.up_since = Some(now);
        self.looked = now;
        self.work.1 = now;
        if let Some(lost_at) = self.lost_at.take() {
            self.heals += 1;
            self.last_heal = Some(now.saturating_sub(lost_at));
        }
        vec![Effect::Measure]
    }

    /// It was up, and is not any more.
    fn lost(&mut self, now: Duration, why: String) -> Vec<Effect> {
        if self.up_since.is_some_and(|since| now.saturating_sub(since) >= GOOD) {
            self.attempts = 0;
        }
        self.lost_at.get_or_insert(now);
        self.last_loss = Some(why.clone());
        self.broken(now, why)
    }

    /// It did not come up.
    fn failed(&mut self, now: Duration, why: String) -> Vec<Effect> {
        self.attempts += 1;
        self.problem = Some(why.clone());
        self.broken(now, why)
    }

    /// Ends what is left of the driver, then goes on from the start.
    fn broken(&mut self, now: Duration, why: String) -> Vec<Effect> {
        let minor = self.minor();
        self.minor = None;
        self.looking = None;
        self.answer = None;
        self.up_since = None;
        if self.pid.is_none() {
            let again = self.again(now, why);
            return minor.map(Effect::Abort).into_iter().chain(again).collect();
        }
        self.problem = Some(why);
        self.stage = Stage::Breaking;
        Self::break_off(minor)
    }

    /// Killed first: a driver that hears of the abort ends in its own way, and blobfuse2 empties its cache
    /// then. The abort is for whoever waits for it.
    fn break_off(minor: Option<u32>) -> Vec<Effect> {
        [Effect::Kill].into_iter().chain(minor.map(Effect::Abort)).collect()
    }

    fn again(&mut self, now: Duration, why: String) -> Vec<Effect> {
        self.problem = Some(why);
        if self.attempts == 0 {
            // One that fails again and again after it was up must not be started without a pause.
            self.attempts = 1;
            return self.prepare();
        }
        let pause = backoff::delay(AGAIN, AGAIN_MAX, self.attempts.saturating_sub(1), 0.5);
        self.attempts = self.attempts.saturating_add(1);
        self.stage = Stage::Resting { until: now + pause };
        Vec::new()
    }

    fn prepare(&mut self) -> Vec<Effect> {
        self.stage = Stage::Preparing;
        self.places.staged = None;
        vec![Effect::Prepare]
    }
}
