//! What the warden does outside: each piece on a thread or in a process of its own, whose end comes back as an
//! event, so that the loop never waits.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{Either, select};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::unix::pipe::Receiver;
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};

use crate::base::chain::Chain;
use crate::base::tasks::Tasks;
use crate::os::command::{self, Program};
use crate::os::file;
use crate::os::machine::mount::{self, Want, fuse};
use crate::os::process::Stat;
use crate::warden::driver::{self, Given};
use crate::warden::files::{Launch, Login, Rclone, Source};
use crate::warden::gauge::Gauge;
use crate::warden::ground::Ground;
use crate::warden::ground::unmount;
use crate::warden::look::storage::Address;
use crate::warden::rescue::{self, blobfuse2};
use crate::warden::state::{Event, Reach, State, Work};

/// The largest credential.
const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// Where drivers are looked for.
const PLACES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A driver that runs.
pub(super) struct Driver {
    child: Child,
    /// What it says; `None` when it has said all.
    lines: Option<Lines<BufReader<Receiver>>>,
    pid: i32,
    /// For the reason of its end.
    last: String,
}

/// What comes of a driver.
pub(super) enum Heard {
    Line(String),
    /// How it ended, with its last words; empty if it did its work and went.
    Ended(String),
}

impl Driver {
    fn start(program: &Program) -> Result<Self, String> {
        let told = |error: &dyn std::error::Error| Chain(error).to_string();
        let (read, write) = io::pipe().map_err(|error| told(&error))?;
        let read = Receiver::from_owned_fd(read.into()).map_err(|error| told(&error))?;
        let child = command::start_heard(program, write).map_err(|error| told(&error))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Ok(Self {
            child,
            lines: Some(BufReader::new(read).lines()),
            pid: pid.ok_or_else(|| "the driver ended at once".to_owned())?,
            last: String::new(),
        })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    pub(super) fn kill(&mut self) {
        if let Err(error) = self.child.start_kill() {
            tracing::debug!(%error, "the driver is gone already");
        }
    }

    /// Cancel-safe: what was read of a line stays in the reader, and the end can be asked for again.
    async fn heard(&mut self) -> Heard {
        if let Some(lines) = &mut self.lines {
            let (line, end) = (Box::pin(lines.next_line()), Box::pin(self.child.wait()));
            let said = match select(line, end).await {
                Either::Left((line, _)) => line.ok().flatten(),
                // A process of its own may hold the pipe open: its last words are not waited for.
                Either::Right(_) => None,
            };
            if let Some(line) = said {
                self.last.clone_from(&line);
                return Heard::Line(line);
            }
            self.lines = None;
        }
        let status = self.child.wait().await;
        if status.as_ref().is_ok_and(ExitStatus::success) {
            return Heard::Ended(String::new());
        }
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let last = self.last.trim();
        let colon = if last.is_empty() { "" } else { ": " };
        Heard::Ended(format!("the driver ended with {how}{colon}{last}"))
    }
}

/// What comes of the driver; nothing does where there is none.
pub(super) async fn heard(driver: &mut Option<Driver>) -> Heard {
    match driver {
        Some(driver) => driver.heard().await,
        None => std::future::pending().await,
    }
}

/// Does something that may take long on a thread of its own.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = oneshot::channel();
    let thread = std::thread::Builder::new().name("aside".to_owned());
    thread.spawn(move || drop(tell.send(work()))).ok()?;
    told.await.ok()
}

/// The back ends of the effects.
pub(super) struct Hands {
    ground: Ground,
    events: mpsc::Sender<Event>,
    tasks: Tasks,
    gauge: Arc<Mutex<Gauge>>,
    address: Option<Address>,
    cleared: bool,
}

impl Hands {
    pub(super) fn new(ground: &Ground, events: mpsc::Sender<Event>) -> Self {
        let (tasks, _ended) = Tasks::new();
        Self {
            gauge: Arc::new(Mutex::new(Gauge::new(&ground.launch))),
            address: Address::of(&ground.launch.source),
            ground: ground.clone(),
            events,
            tasks,
            cleared: false,
        }
    }

    /// Runs `work` beside the loop; its event comes back.
    fn beside(&self, work: impl Future<Output = Event> + Send + 'static) {
        let events = self.events.clone();
        self.tasks.work(async move {
            drop(events.send(work.await).await);
        });
    }

    pub(super) fn prepare(&mut self) {
        let (ground, clear) = (self.ground.clone(), !self.cleared);
        self.cleared = true;
        self.beside(async move {
            if ground.in_the_way()
                && let Err(why) = unmount::detach_as_user(&ground.launch.place).await
            {
                return Event::Prepared(Err(why));
            }
            let work = move || {
                if clear {
                    ground.clear()?;
                }
                ground.prepare()
            };
            let done = aside(work).await;
            Event::Prepared(done.unwrap_or_else(|| Err("no thread can be started".to_owned())))
        });
    }

    /// Starts the driver: its folders, its configuration, its program.
    pub(super) async fn start(&self, generation: u64) -> Result<Driver, String> {
        let ground = self.ground.clone();
        let prepared = aside(move || program(&ground, generation)).await;
        let program = prepared.unwrap_or_else(|| Err("no thread can be started".to_owned()))?;
        Driver::start(&program)
    }

    pub(super) fn put(&self, generation: u64, old: bool) {
        let (at, place) = (self.ground.at(generation), self.ground.launch.place.clone());
        if !self.ground.root {
            // It is there already.
            let events = self.events.clone();
            self.tasks.work(async move {
                drop(events.send(Event::Put(Ok(mount::Put::First))).await);
            });
            return;
        }
        self.beside(async move {
            let put = aside(move || {
                let put = mount::put(&at, &place, old.then(want));
                // The driver's configuration and this folder are all that is left on the stage.
                drop(fs::remove_dir(&at));
                put.map_err(|error| Chain(&error).to_string())
            });
            Event::Put(put.await.unwrap_or_else(|| Err("no thread can be started".to_owned())))
        });
    }

    pub(super) fn unmount(&self) {
        let Ground { launch, root, .. } = self.ground.clone();
        self.beside(async move {
            Event::Unmounted(unmount::unmount(&launch.program, &launch.place, !root).await)
        });
    }

    /// Brings what is left to the share, in a process that may hang with it until the connection is aborted.
    pub(super) fn bring(&self) {
        let Ground { launch, folder, .. } = self.ground.clone();
        self.beside(async move { Event::Brought(rescue::bring(&launch.program, &folder).await) });
    }

    /// Keeps a file that the driver could not upload; a line of its log says which.
    pub(super) fn failed(&self, line: &str) {
        let Launch { source, cache, .. } = &self.ground.launch;
        let name = blobfuse2::judge::failed_upload(line)
            .filter(|_| matches!(source, Source::Blobfuse2(_)));
        if let Some(Err(error)) = name.map(|name| blobfuse2::note_failed(cache, Path::new(name))) {
            tracing::warn!(error = %Chain(&error), "a file that was not uploaded is not kept");
        }
    }

    /// Takes a dead layer away.
    pub(super) fn peel(&self) {
        let place = self.ground.launch.place.clone();
        let thread = std::thread::Builder::new().name("peel".to_owned());
        let started = thread.spawn(move || {
            if let Err(error) = mount::detach(&place) {
                tracing::warn!(error = %Chain(&error), "a dead mount stays");
            }
        });
        drop(started);
    }

    /// `false` while the look before still goes on.
    pub(super) fn measure(&self, driver: Option<i32>, mounts: BTreeSet<u64>) -> bool {
        let gauge = Arc::clone(&self.gauge);
        if gauge.try_lock().is_err() {
            return false;
        }
        let launch = self.ground.launch.clone();
        let look = move || {
            let mut gauge = gauge.lock().unwrap_or_else(PoisonError::into_inner);
            gauge.look(&launch, driver, &mounts)
        };
        self.beside(async move { Event::Figures(Box::new(aside(look).await.unwrap_or_default())) });
        true
    }

    /// Asks the storage; a refusal that the driver told of counts for more.
    pub(super) fn reach(&self, denied: Option<String>) {
        let address = self.address.clone();
        self.beside(async move {
            Event::Reach(match (denied, address) {
                (Some(line), _) => Reach::Denied(line),
                (None, Some(address)) => address.reach().await,
                (None, None) => Reach::Good,
            })
        });
    }

    /// What the driver has done so far.
    pub(super) fn work(driver: Option<&Driver>, state: &State) -> Work {
        let waiting = state.minor().and_then(fuse::waiting);
        let Some(driver) = driver else { return Work { waiting, done: 0 } };
        let cpu = Stat::read(driver.pid).map_or(0, |stat| stat.cpu_ticks);
        Work { waiting, done: cpu.saturating_add(bytes(driver.pid)) }
    }
}

/// Whether the kernel is to put a healed mount beneath the dead one; tests say no, as older kernels do.
fn want() -> Want {
    if std::env::var_os("STATIOND_MOUNT_ON_TOP").is_some() { Want::OnTop } else { Want::Beneath }
}

/// What the process has read and written; see `proc_pid_io(5)`.
fn bytes(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let values =
        text.lines().take(2).filter_map(|line| line.split_once(": ")?.1.parse::<u64>().ok());
    values.sum()
}

/// Blocking.
fn program(ground: &Ground, generation: u64) -> Result<Program, String> {
    let given = Given {
        at: ground.at(generation),
        config: ground.config(),
        secret: secret(&ground.launch.source)?,
        root: ground.root,
    };
    let plan = driver::plan(&ground.launch, &given);
    for folder in plan.folders.iter().chain(ground.root.then_some(&given.at)) {
        file::ensure_dir(folder, 0o700).map_err(|error| Chain(&error).to_string())?;
    }
    if let Some(text) = &plan.config {
        let written = file::write_atomic(&given.config, text.as_bytes(), 0o600);
        written.map_err(|error| Chain(&error).to_string())?;
    }
    Ok(Program {
        program: find(plan.program)?,
        arguments: plan.arguments,
        environment: plan.environment,
        folder: PathBuf::from("/"),
        account: None,
    })
}

fn find(name: &str) -> Result<PathBuf, String> {
    // Tests put a stand-in there.
    if let Some(path) = std::env::var_os(format!("STATIOND_MOUNT_{}", name.to_uppercase())) {
        return Ok(path.into());
    }
    let places = PLACES.map(|folder| Path::new(folder).join(name));
    places.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        let package = if name == "mount" { "cifs-utils or nfs-common" } else { name };
        format!("{name} is not installed: install the package {package}, then wait a moment")
    })
}

fn secret(source: &Source) -> Result<Option<String>, String> {
    let file = match source {
        Source::Rclone(Rclone::Remote { config, .. }) => Some(config.as_path()),
        Source::Rclone(Rclone::Container(container)) | Source::Blobfuse2(container) => {
            match &container.login {
                // The driver reads it by itself, again and again.
                Login::WorkloadIdentity { .. } => None,
                login => login.file(),
            }
        }
        Source::Cifs(share) => Some(share.credentials.as_path()),
        Source::Nfs(_) => None,
    };
    let Some(file) = file else { return Ok(None) };
    let text = file::read_limited(file, SECRET_BYTES_MAX)
        .map_err(|error| format!("the credential: {}", Chain(&error)))?;
    String::from_utf8(text)
        .map(Some)
        .map_err(|_not_text| format!("the credential in {} is no text", file.display()))
}
