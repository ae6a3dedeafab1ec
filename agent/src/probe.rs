//! The probe: looks at what may hang, such as the folder of a dead share, so that nobody else has to.
//!
//! ```text
//!   stationd ──"look at PATH"──► Probe (handle) ──► stationd probe ──► a process for each path
//!                                  └ without units: the handle starts that process itself
//!   stationd ──"ask the GPUs"──► the same way ──► stationd probe gpu, one at most (`gpu`)
//!   stationd ──"the machine"───► the same way ──► stationd probe host, and those that hang (`host`)
//! ```
//!
//! Invariants: whatever hangs in the kernel hangs in a process of its own, one at most for each
//! path; an answer comes within its limit, and "silent" is one. A process that answers stays for the next
//! look; one that does not is killed and replaced.
//!
//! Not here: what an answer means (the caller's).

mod disposable;
pub mod gpu;
mod gpu_child;
pub mod host;
mod kernel;
mod lasting;
mod look;
pub mod role;
pub mod share;

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::sync::Mutex;

use self::gpu_child::GpuChild;
use self::host::walk::{self, Walked};
use self::host::{HostLooker, Looked};
use self::look::Looker;
use crate::base::chain::Chain;
use crate::os::command::CommandError;
use crate::os::socket::calls::{self, CallError};

pub use self::kernel::{Heard, KernelLog, Topic};
pub use self::look::run;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    Folder,
    Missing,
    NotAFolder,
    /// The file system gave no answer in time.
    Silent,
    /// It may not be looked at.
    Denied,
    /// The look itself was not possible: nothing is known.
    Unknown,
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Question {
    Look {
        path: PathBuf,
    },
    /// The connection is handed to the process that asks the GPUs.
    Gpu(gpu::Ask),
    Host(host::Ask),
    /// Which folders are the largest.
    Walk(walk::Ask),
    /// What the kernel's log says on these topics comes on the connection.
    Kernel(Vec<Topic>),
}

/// The way to the probe; clones share it.
#[derive(Debug, Clone)]
pub struct Probe(BackEnd);

#[derive(Debug, Clone)]
enum BackEnd {
    /// This program is started from here.
    Own(Arc<Own>),
    Socket(PathBuf),
}

#[derive(Debug)]
struct Own {
    program: PathBuf,
    lookers: Mutex<HashMap<PathBuf, Arc<Mutex<Looker>>>>,
    gpu: Mutex<GpuChild>,
    host: Mutex<HostLooker>,
    walks: Mutex<Option<Child>>,
}

/// Why the GPUs are not asked.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    #[error("process {pid}, which asked the driver before, hangs in it and cannot be ended")]
    Stuck { pid: i32 },
    #[error("the process that asks the driver cannot be started")]
    Start(#[source] CommandError),
    #[error("no connection for the process that asks the driver")]
    Pair(#[source] io::Error),
    #[error("the kernel's log cannot be read")]
    KernelLog(#[source] io::Error),
    #[error("the probe does not answer")]
    Silent(#[source] CallError),
}

/// How much longer the way to the probe may take than the look.
const WAY: Duration = Duration::from_secs(1);
/// How long a walk may take; it ends by itself before.
const WALK: Duration = Duration::from_secs(45);
/// Paths that are looked at; more are refused.
const PATHS: usize = 64;

impl Probe {
    /// Starts `PROGRAM probe` from here, one process for each kind of look.
    pub fn own(program: PathBuf) -> Self {
        let own = Own {
            program,
            lookers: Mutex::default(),
            gpu: Mutex::default(),
            host: Mutex::default(),
            walks: Mutex::default(),
        };
        Self(BackEnd::Own(Arc::new(own)))
    }

    /// Asks `stationd probe`, which listens on `socket`.
    pub fn over(socket: PathBuf) -> Self {
        Self(BackEnd::Socket(socket))
    }

    /// What stands at `path`; an answer comes within `limit`, or little more.
    pub async fn look(&self, path: &Path, limit: Duration) -> Look {
        match &self.0 {
            BackEnd::Own(own) => own.look(path, limit).await,
            BackEnd::Socket(socket) => {
                let question = Question::Look { path: path.to_owned() };
                match calls::call(socket, &question, limit + WAY).await {
                    Ok(look) => look,
                    Err(error) => {
                        tracing::debug!(error = %Chain(&error), "the probe does not answer");
                        Look::Unknown
                    }
                }
            }
        }
    }
}

impl Probe {
    /// What the machine is and how it does; `None` if it cannot be looked at. An answer comes within
    /// `limit`, or little more.
    pub async fn host(&self, ask: &host::Ask, limit: Duration) -> Option<Looked> {
        match &self.0 {
            BackEnd::Own(own) => own.host.lock().await.look(&own.program, ask, limit).await,
            BackEnd::Socket(socket) => {
                asked(calls::call(socket, &Question::Host(ask.clone()), limit + WAY).await)
            }
        }
    }

    /// Which folders of a file system are the largest; `None` if that was not found out. One walk at a
    /// time.
    pub async fn walk(&self, ask: &walk::Ask) -> Option<Walked> {
        match &self.0 {
            BackEnd::Own(own) => own.walk(ask).await,
            BackEnd::Socket(socket) => {
                asked(calls::call(socket, &Question::Walk(ask.clone()), WALK + WAY).await)
            }
        }
    }

    /// Starts to ask the GPUs: lines of [`gpu::Said`] come on the connection until it is closed.
    ///
    /// There is one such process at most: the one from before is ended first, and as long as it
    /// cannot be, nobody is started.
    pub async fn gpu(&self, ask: &gpu::Ask) -> Result<UnixStream, GpuError> {
        match &self.0 {
            BackEnd::Own(own) => {
                let (ours, theirs) = StdStream::pair().map_err(GpuError::Pair)?;
                ours.set_nonblocking(true).map_err(GpuError::Pair)?;
                own.gpu.lock().await.start(&own.program, ask, theirs).await?;
                UnixStream::from_std(ours).map_err(GpuError::Pair)
            }
            BackEnd::Socket(socket) => {
                let question = Question::Gpu(ask.clone());
                calls::open(socket, &question, WAY).await.map_err(GpuError::Silent)
            }
        }
    }

    /// What the kernel's log says on `topics`.
    pub async fn kernel_log(&self, topics: &[Topic]) -> Result<KernelLog, GpuError> {
        match &self.0 {
            BackEnd::Own(_) => KernelLog::own(topics).map_err(GpuError::KernelLog),
            BackEnd::Socket(socket) => {
                let question = Question::Kernel(topics.to_vec());
                let opened = calls::open(socket, &question, WAY).await;
                opened.map(KernelLog::over).map_err(GpuError::Silent)
            }
        }
    }

    /// Hands a connection on which the GPUs were asked for to the process that asks them; how it
    /// went is said on it.
    async fn hand_gpu(&self, ask: &gpu::Ask, stream: UnixStream) -> io::Result<()> {
        let BackEnd::Own(own) = &self.0 else { return Ok(()) };
        let stream = stream.into_std()?;
        let theirs = stream.try_clone()?;
        theirs.set_nonblocking(false)?;
        let started = own.gpu.lock().await.start(&own.program, ask, theirs).await;
        if let Err(error) = started {
            tracing::warn!(error = %Chain(&error), "the GPUs are not asked");
            if let GpuError::Stuck { pid } = error {
                let said = serde_json::to_vec(&gpu::Said::Stuck { pid }).unwrap_or_default();
                stream.set_nonblocking(true)?;
                return calls::say(UnixStream::from_std(stream)?, &said).await;
            }
        }
        Ok(())
    }
}

/// What `stationd probe` said; `None` is its answer too, to what may not be asked.
fn asked<T>(answer: Result<Option<T>, CallError>) -> Option<T> {
    answer.unwrap_or_else(|error| {
        tracing::debug!(error = %Chain(&error), "the probe does not answer");
        None
    })
}

impl Own {
    async fn walk(&self, ask: &walk::Ask) -> Option<Walked> {
        let mut hangs = self.walks.try_lock().ok()?;
        if let Some(child) = hangs.as_mut()
            && matches!(child.try_wait(), Ok(None))
        {
            return None;
        }
        let text = serde_json::to_string(ask).ok()?;
        let run = disposable::run(&self.program, ("walk", text), WALK).await;
        let (lines, child) = run
            .inspect_err(|error| tracing::warn!(error = %Chain(error), "no folder is looked for"))
            .ok()?;
        *hangs = child;
        serde_json::from_str(lines.first()?).ok()
    }

    async fn look(&self, path: &Path, limit: Duration) -> Look {
        let looker = {
            let mut lookers = self.lookers.lock().await;
            if lookers.len() >= PATHS && !lookers.contains_key(path) {
                return Look::Unknown;
            }
            Arc::clone(lookers.entry(path.to_owned()).or_default())
        };
        // Somebody else looks at it just now, with a limit: theirs is the answer that counts.
        let Ok(mut looker) = tokio::time::timeout(limit, looker.lock()).await else {
            return Look::Silent;
        };
        looker.look(&self.program, path, limit).await
    }
}
