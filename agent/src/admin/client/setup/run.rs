//! Runs the steps: each either ends whole, or leaves what was in use as it was.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use station_proto::time::Time;

use super::facts::{self, KERNEL, STAMP, Stamp};
use super::plan::Step;
use super::profile::{Pins, Tool};
use super::progress::Progress;
use super::runner::Runner;
use crate::os::clock;
use crate::os::command::{self, CommandError};
use crate::os::file::{self, FileError};

/// A step that downloads: gigabytes over a slow line take hours.
const DOWNLOAD: Duration = Duration::from_secs(6 * 3600);
/// Seconds that apt-get waits for another one.
const APT_LOCK: u32 = 600;
/// Lines of output that a failure shows.
const TAIL: usize = 15;

#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error("cannot {action} {path}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("{what} failed")]
    Failed { what: &'static str, lines: Vec<String> },
    #[error("the pins install no {0}, which this profile is about: add it to them")]
    Incomplete(&'static str),
    #[error("{0} is not in PATH")]
    NoProgram(&'static str),
}

/// The steps of one run, with where their output goes.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) runner: &'a Runner,
    pub(super) progress: &'a mut Progress,
    pub(super) log: File,
}

impl Run<'_> {
    pub(super) async fn step(&mut self, step: &Step) -> Result<(), StepError> {
        match step {
            Step::Apt { packages, recommends } => self.apt(packages, *recommends).await,
            Step::MakeVenv { python, at } => self.make(python, at).await,
            Step::PipInstall { venv, pins } => self.install(venv, pins).await,
            Step::Stamp { tool, venv, pins } => self.stamp(*tool, venv, pins).await,
            Step::Kernelspec { jupyterlab, python } => kernelspec(jupyterlab, python),
            Step::Switch { link, to } => lead(link, to),
            Step::Links { venv } => self.links(venv),
            Step::Sweep { venvs } => sweep(venvs),
        }
    }

    async fn apt(&mut self, packages: &[String], recommends: bool) -> Result<(), StepError> {
        let apt = self.runner.find("apt-get").ok_or(StepError::NoProgram("apt-get"))?;
        // What a run that was broken off has left half installed.
        if let Some(dpkg) = self.runner.find("dpkg") {
            let found = self.runner.says(&dpkg, &["--audit"]).await.unwrap_or_default();
            if !found.trim().is_empty() {
                self.follow("dpkg --configure", &dpkg, &["--configure", "-a"]).await?;
            }
        }
        // A new machine installs its updates by itself at first, and holds the lock meanwhile.
        let wait = format!("DPkg::Lock::Timeout={APT_LOCK}");
        self.follow("apt-get update", &apt, &["-o", &wait, "update"]).await?;
        let mut arguments = vec!["-o", &wait, "install", "--yes", "--reinstall"];
        if !recommends {
            arguments.push("--no-install-recommends");
        }
        arguments.push("--");
        arguments.extend(packages.iter().map(String::as_str));
        self.follow("apt-get install", &apt, &arguments).await
    }

    async fn make(&mut self, python: &Path, at: &Path) -> Result<(), StepError> {
        file::ensure_dir(&self.runner.tools.venvs(), 0o755)?;
        let arguments = ["-I", "-m", "venv", &*at.to_string_lossy()];
        self.follow("making the environment", python, &arguments).await
    }

    async fn install(&mut self, venv: &Path, pins: &Pins) -> Result<(), StepError> {
        let list = venv.join("pins.txt");
        file::write_atomic(&list, pins.text.as_bytes(), 0o644)?;
        let list = list.to_string_lossy();
        // The user's pip.conf may ask for their own folder.
        let how = ["--no-user", "--no-input", "--disable-pip-version-check", "--progress-bar=off"];
        let arguments = [&["-I", "-m", "pip", "install"], &how[..], &["--requirement", &list]];
        self.follow("pip install", &venv.join("bin/python"), &arguments.concat()).await
    }

    async fn stamp(&mut self, tool: Tool, venv: &Path, pins: &Pins) -> Result<(), StepError> {
        if !venv.join(tool.needs()).exists() {
            return Err(StepError::Incomplete(tool.brought_by()));
        }
        let python = venv.join("bin/python");
        let failed = |what| StepError::Failed { what, lines: Vec::new() };
        let version = facts::python_of(self.runner, venv).await;
        let version = version.ok_or_else(|| failed("asking the new Python for its version"))?;
        let list = ["-I", "-m", "pip", "--disable-pip-version-check", "list", "--format=json"];
        let said = self.runner.says(&python, &list).await.and_then(|said| packages(&said));
        let stamp = Stamp {
            profile: tool.profile().name().to_owned(),
            pins_sha256: pins.sha256.clone(),
            python: version.to_string(),
            packages: said.ok_or_else(|| failed("pip list"))?,
            time: Time(clock::now().wall),
        };
        let bytes = serde_json::to_vec_pretty(&stamp).map_err(|error| StepError::Io {
            action: "write",
            path: venv.join(STAMP),
            source: error.into(),
        })?;
        Ok(file::write_atomic(&venv.join(STAMP), &bytes, 0o644)?)
    }

    fn links(&self, venv: &Path) -> Result<(), StepError> {
        let bin = self.runner.tools.bin();
        file::ensure_dir(&bin, 0o755)?;
        let (missing, dangling) = facts::links(&self.runner.tools, venv);
        for name in missing {
            lead(&bin.join(&name), &facts::link_of(&name))?;
        }
        for name in dangling {
            let path = bin.join(name);
            fs::remove_file(&path).map_err(|source| StepError::Io {
                action: "remove",
                path,
                source,
            })?;
        }
        Ok(())
    }

    /// Runs a program; its lines go to the log and to the terminal.
    async fn follow(
        &mut self,
        what: &'static str,
        program: &Path,
        arguments: &[&str],
    ) -> Result<(), StepError> {
        let program = self.runner.program(program, arguments);
        let mut lines = Vec::new();
        let log = &mut self.log;
        let words = format!("$ {} {}", program.program.display(), arguments.join(" "));
        // A full disk shows in what the program itself says.
        writeln!(log, "{words}").unwrap_or_default();
        let progress = &mut *self.progress;
        let success = command::follow(&program, DOWNLOAD, |line| {
            writeln!(log, "{line}").unwrap_or_default();
            progress.line(line);
            lines.push(line.to_owned());
            if lines.len() > TAIL {
                lines.remove(0);
            }
        });
        if success.await? { Ok(()) } else { Err(StepError::Failed { what, lines }) }
    }
}

/// Names and versions out of `pip list --format=json`.
fn packages(said: &str) -> Option<BTreeMap<String, String>> {
    let list: Vec<serde_json::Value> = serde_json::from_str(said).ok()?;
    let text = |one: &serde_json::Value, key| Some(one.get(key)?.as_str()?.to_owned());
    list.iter().map(|one| Some((text(one, "name")?, text(one, "version")?))).collect()
}

/// Makes the link lead there, in one step.
fn lead(link: &Path, to: &Path) -> Result<(), StepError> {
    let new = link.with_added_extension("new");
    let made = || -> io::Result<()> {
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(to, &new)?;
        fs::rename(&new, link)
    };
    made().map_err(|source| StepError::Io {
        action: "make the link",
        path: link.to_owned(),
        source,
    })
}

fn kernelspec(jupyterlab: &Path, python: &Path) -> Result<(), StepError> {
    let folder = jupyterlab.join(KERNEL);
    file::ensure_dir(&folder, 0o755)?;
    let argv = json!([
        python,
        "-Xfrozen_modules=off",
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}"
    ]);
    let spec = json!({
        "argv": argv,
        "display_name": "Python (ml)",
        "language": "python",
        "metadata": { "debugger": true },
    });
    let text = format!("{spec:#}\n");
    Ok(file::write_atomic(&folder.join("kernel.json"), text.as_bytes(), 0o644)?)
}

/// Removes them, but not what a process has begun to use meanwhile.
fn sweep(venvs: &[PathBuf]) -> Result<(), StepError> {
    for path in venvs.iter().filter(|path| !facts::in_use(path)) {
        // Without its stamp it is a leftover, however far this comes.
        let removed = match fs::remove_file(path.join(STAMP)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::remove_dir_all(path),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = path.clone();
                return Err(StepError::Io { action: "remove", path, source: error });
            }
            _ => {}
        }
    }
    Ok(())
}
