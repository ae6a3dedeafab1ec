//! `stationctl setup`: installs the workstation's tools into the tools folder.
//!
//! `facts` looks at what there is, `plan` decides which steps are missing (pure), `run` takes them.
//! The user's own Python is never written to: each tool has an environment of its own, and a link
//! leads to the one in use. No running stationd is needed.

mod facts;
mod plan;
mod profile;
mod progress;
mod remedy;
mod run;
mod runner;

use std::path::{Path, PathBuf};
use std::pin::pin;

use futures_util::future::{Either, select};
use serde_json::{Value, json};

pub use self::plan::Refused;
pub use self::profile::Profile;
pub use self::run::StepError;

use self::facts::Facts;
use self::plan::Step;
use self::profile::{Pins, Tools, Wanted};
use self::progress::{Progress, took};
use self::run::Run;
use self::runner::Runner;
use super::{ClientError, Printer};
use crate::base::chain::Chain;
use crate::config::{Paths, PathsError, Surroundings};
use crate::os::file::{self, FileError};
use crate::os::{clock, signals};

/// A requirements file.
const PINS_BYTES: u64 = 1024 * 1024;

/// The words after `setup`.
#[derive(Debug, clap::Args)]
pub struct Setup {
    /// What to set up
    #[arg(value_name = "PROFILE", value_enum)]
    pub profile: Profile,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Install it anew, even if it looks whole
    #[arg(long)]
    pub repair: bool,
    /// A requirements file in place of the built-in versions (jupyter, ml)
    #[arg(long, value_name = "FILE")]
    pub pins: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Paths(#[from] PathsError),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("--pins")]
    Pins(#[source] FileError),
    #[error("--pins {0} is no text in UTF-8")]
    PinsText(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "another `stationctl setup` is at work on {tools} (process {holder}): wait until it ends"
    )]
    Busy { tools: PathBuf, holder: String },
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    #[error("stopped by {0}; what was in use is as it was, and the next run goes on from here")]
    Stopped(&'static str),
    /// The lines of output would stand twice in a chain of causes, so this names all of it.
    #[error("{step}: {}. {}; the whole output is in {log}{}", Chain(&**.why), advice(.why), tail(.why))]
    Step { step: String, log: String, why: Box<StepError> },
}

impl SetupError {
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Pins(_)
            | Self::PinsText(_)
            | Self::Refused(Refused::PinsUnused(_) | Refused::PinsEmpty(_)) => 2,
            Self::Refused(Refused::NeedsRoot(_)) => 4,
            _ => 1,
        }
    }
}

/// The newest lines of what the step printed.
fn tail(error: &StepError) -> String {
    match error {
        StepError::Failed { lines, .. } if !lines.is_empty() => {
            format!(", and ends with\n\n    {}", lines.join("\n    "))
        }
        _ => String::new(),
    }
}

fn advice(error: &StepError) -> String {
    let remedy = match error {
        StepError::Failed { lines, .. } => remedy::remedy(lines),
        _ => None,
    };
    let as_before = || "What was in use is as it was".to_owned();
    remedy.map_or_else(as_before, |remedy| format!("What to do: {remedy}"))
}

/// Sets up one profile.
pub async fn run(
    home: Option<PathBuf>,
    asked: &Setup,
    printer: &Printer,
) -> Result<(), ClientError> {
    match set_up(home, asked, printer.json).await {
        Ok(Done { answer, text }) => printer.answer(&answer, &text),
        Err(error) => {
            let (profile, why) = (asked.profile.name(), Chain(&error).to_string());
            printer.answer(&json!({ "profile": profile, "done": false, "error": why }), "")?;
            Err(error.into())
        }
    }
}

/// What is said in the end, as JSON and as text.
struct Done {
    answer: Value,
    text: String,
}

async fn set_up(home: Option<PathBuf>, asked: &Setup, quiet: bool) -> Result<Done, SetupError> {
    let tools = Tools(Paths::of(&Surroundings::of_process(home))?.tools_dir);
    let wanted = wanted(asked)?;
    let runner = Runner::of_process(tools);
    let root = nix::unistd::geteuid().is_root();
    if root {
        // What root installs is for everybody to run, whatever root's own umask.
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    }
    let work = async {
        if asked.dry_run {
            let steps = plan::plan(&Facts::gather(&runner, wanted.profile).await, &wanted)?;
            return Ok(say_plan(&runner.tools, &wanted, &steps));
        }
        let folder = &runner.tools.0;
        file::ensure_dir(folder, 0o755)?;
        let own = std::process::id().to_string();
        let busy = |file::Holder(holder)| SetupError::Busy { tools: folder.clone(), holder };
        let _lock = file::lock(&folder.join("setup.lock"), &own)?.map_err(busy)?;
        let steps = plan::plan(&Facts::gather(&runner, wanted.profile).await, &wanted)?;
        take(&runner, &wanted, &steps, quiet).await
    };
    let mut stop = signals::Stop::listen().map_err(SetupError::Signals)?;
    // The program of the step is killed with all of its session when the work is dropped.
    match select(pin!(work), pin!(stop.came())).await {
        Either::Left((done, _)) => done,
        Either::Right((signal, _)) => Err(SetupError::Stopped(signal)),
    }
}

fn wanted(asked: &Setup) -> Result<Wanted, SetupError> {
    let pins = asked.pins.as_deref().map(read_pins).transpose()?;
    if pins.is_some() && asked.profile.tools().is_empty() {
        return Err(Refused::PinsUnused(asked.profile.name()).into());
    }
    Ok(Wanted { profile: asked.profile, repair: asked.repair, pins })
}

fn read_pins(path: &Path) -> Result<Pins, SetupError> {
    let bytes = file::read_limited(path, PINS_BYTES).map_err(SetupError::Pins)?;
    let text =
        String::from_utf8(bytes).map_err(|_not_utf8| SetupError::PinsText(path.to_owned()))?;
    let pins = Pins::of(&text);
    if pins.count() == 0 {
        return Err(Refused::PinsEmpty(path.to_owned()).into());
    }
    Ok(pins)
}

fn say_plan(tools: &Tools, wanted: &Wanted, steps: &[Step]) -> Done {
    let sentences: Vec<String> = steps.iter().map(Step::sentence).collect();
    let answer = json!({
        "profile": wanted.profile.name(), "tools": tools.0, "dry_run": true, "steps": sentences,
    });
    let lines =
        sentences.iter().enumerate().map(|(index, text)| format!("{}. {text}\n", index + 1));
    let text = if steps.is_empty() {
        nothing(wanted)
    } else {
        format!("In {} this would be done:\n{}", tools.0.display(), lines.collect::<String>())
    };
    Done { answer, text }
}

fn nothing(wanted: &Wanted) -> String {
    format!("{}: nothing to do, it is set up\n", wanted.profile.name())
}

async fn take(
    runner: &Runner,
    wanted: &Wanted,
    steps: &[Step],
    quiet: bool,
) -> Result<Done, SetupError> {
    let name = wanted.profile.name();
    let mut taken = Vec::new();
    let log = runner.tools.0.join(format!("setup-{name}.log"));
    if !steps.is_empty() {
        let mut progress = Progress::new(quiet, steps.len());
        let file = file::create_log(&log)?;
        let mut run = Run { runner, progress: &mut progress, log: file };
        for (index, step) in steps.iter().enumerate() {
            let (began, sentence) = (clock::since_boot(), step.sentence());
            run.progress.begin(index + 1, &sentence);
            let done = run.step(step).await;
            let time = clock::since_boot().saturating_sub(began);
            run.progress.end(if done.is_ok() { took(time) } else { "failed".to_owned() }.as_str());
            done.map_err(|error| SetupError::Step {
                step: sentence.clone(),
                log: log.display().to_string(),
                why: Box::new(error),
            })?;
            taken.push(json!({ "step": sentence, "seconds": time.as_secs_f64() }));
        }
    }
    let answer = json!({
        "profile": name, "tools": runner.tools.0, "done": true, "steps": taken,
        "log": (!taken.is_empty()).then_some(log),
    });
    let text = if taken.is_empty() { nothing(wanted) } else { format!("{name}: done\n") };
    Ok(Done { answer, text })
}
