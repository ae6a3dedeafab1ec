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
use super::profile::{Pins, Tool, Tools};
use super::progress::Progress;
use crate::os::clock;
use crate::os::command::{self, CommandError, Program};
use crate::os::file::{self, FileError};

/// A question to a program, such as its version.
const QUESTION: Duration = Duration::from_secs(30);
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

/// Which variables of the caller reach the programs: how to reach an index and where to keep
/// things, and nothing that would lead Python or pip to another environment.
fn passes(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "HOME",
        "PATH",
        "USER",
        "LOGNAME",
        "LANG",
        "LC_ALL",
        "TMPDIR",
        "NETRC",
        "PYENV_ROOT",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
    ];
    const PIP: [&str; 13] = [
        "INDEX_URL",
        "EXTRA_INDEX_URL",
        "NO_INDEX",
        "FIND_LINKS",
        "TRUSTED_HOST",
        "CERT",
        "CLIENT_CERT",
        "PROXY",
        "TIMEOUT",
        "DEFAULT_TIMEOUT",
        "RETRIES",
        "CACHE_DIR",
        "NO_CACHE_DIR",
    ];
    NAMES.contains(&name)
        || name.strip_prefix("PIP_").is_some_and(|name| PIP.contains(&name))
        || name.to_ascii_lowercase().ends_with("_proxy")
}

/// What the steps need of this machine.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) tools: Tools,
    environment: BTreeMap<String, String>,
}

impl Runner {
    pub(super) fn of_process(tools: Tools) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let mut environment: BTreeMap<String, String> =
            std::env::vars_os().filter_map(text).filter(|(name, _)| passes(name)).collect();
        environment.insert("PYTHONUNBUFFERED".to_owned(), "1".to_owned());
        environment.insert("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned());
        Self { tools, environment }
    }

    /// The programs of that name in the PATH.
    pub(super) fn find_all(&self, name: &str) -> Vec<PathBuf> {
        let Some(path) = self.environment.get("PATH") else { return Vec::new() };
        let absolute = |folder: &PathBuf| folder.is_absolute();
        let files = std::env::split_paths(path).filter(absolute).map(|at| at.join(name));
        files.filter(|file| facts::executable(file)).collect()
    }

    /// The first one.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        self.find_all(name).into_iter().next()
    }

    pub(super) fn home(&self) -> Option<&Path> {
        let home = self.environment.get("HOME").map(Path::new)?;
        // A service may have the root folder for a home.
        Some(home).filter(|home| home.is_absolute() && home.parent().is_some())
    }

    fn program(&self, program: &Path, arguments: &[&str]) -> Program {
        Program {
            program: program.to_owned(),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            environment: self.environment.clone(),
            folder: "/".into(),
            account: None,
        }
    }

    /// What a program prints, if it succeeds.
    pub(super) async fn says(&self, program: &Path, arguments: &[&str]) -> Option<String> {
        let program = self.program(program, arguments);
        let output = command::run_as(&program, QUESTION, |_| false).await.ok()?;
        output.success.then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
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
            Step::Apt { packages } => self.apt(packages).await,
            Step::MakeVenv { python, at } => self.make(python, at).await,
            Step::PipInstall { venv, pins } => self.install(venv, pins).await,
            Step::Stamp { tool, venv, pins } => self.stamp(*tool, venv, pins).await,
            Step::Kernelspec { jupyterlab, python } => kernelspec(jupyterlab, python),
            Step::Switch { link, to } => lead(link, to),
            Step::Links { venv } => self.links(venv),
            Step::Sweep { venvs } => sweep(venvs),
        }
    }

    async fn apt(&mut self, packages: &[String]) -> Result<(), StepError> {
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
        let mut arguments = vec!["-o", &wait, "install", "--yes", "--reinstall", "--"];
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

/// What to do about it, as far as the output tells.
pub(super) fn remedy(lines: &[String]) -> Option<String> {
    let after = |mark: &str| {
        let found = lines.iter().find_map(|line| line.split_once(mark))?;
        let word = found.1.split([' ', ',', ';']).next()?;
        Some(word.to_owned()).filter(|word| !word.is_empty())
    };
    let has = |mark: &str| lines.iter().any(|line| line.contains(mark));
    if has("No space left on device") {
        return Some("make room on the disk of the tools folder, then run this again".to_owned());
    }
    let network = [
        "Failed to establish a new connection",
        "Temporary failure",
        "ConnectTimeout",
        "NewConnectionError",
        "Could not resolve",
        "Read timed out",
    ];
    if network.iter().any(|mark| has(mark)) {
        return Some(
            "the index was not reached: look at the network and at https_proxy, or name \
             an index that can be reached with PIP_INDEX_URL, then run this again"
                .to_owned(),
        );
    }
    let package = after("No matching distribution found for ")
        .or_else(|| after("that satisfies the requirement "));
    if let Some(package) = package {
        return Some(format!(
            "the index has no {package} for this Python: mend the pin, or name an index that has it \
             with PIP_INDEX_URL"
        ));
    }
    if has("Invalid requirement") {
        return Some("mend the line that pip names in the pins".to_owned());
    }
    if has("conflicting dependencies") || has("ResolutionImpossible") {
        return Some("the pins contradict each other: mend those that pip names".to_owned());
    }
    if has("Unable to locate package") {
        return Some("the distribution's lists do not have it: look at /etc/apt".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_an_index_passes_and_what_leads_elsewhere_does_not() {
        for name in [
            "HOME",
            "PATH",
            "PIP_INDEX_URL",
            "PIP_NO_INDEX",
            "PIP_FIND_LINKS",
            "https_proxy",
            "NO_PROXY",
        ] {
            assert!(passes(name), "{name}");
        }
        for name in [
            "PYTHONPATH",
            "PYTHONHOME",
            "PIP_USER",
            "PIP_TARGET",
            "PIP_PREFIX",
            "VIRTUAL_ENV",
            "CONDA_PREFIX",
            "PIP_",
            "LD_PRELOAD",
        ] {
            assert!(!passes(name), "{name}");
        }
    }

    #[test]
    fn the_remedy_names_the_package() {
        let of = |line: &str| remedy(&["x".to_owned(), line.to_owned()]).unwrap_or_default();
        assert!(of("ERROR: No matching distribution found for nono==1").contains("no nono==1 for"));
        assert!(of("E: Could not resolve 'deb.debian.org'").contains("proxy"));
        assert!(of("OSError: [Errno 28] No space left on device").contains("disk"));
        assert_eq!(of("anything else"), "");
    }
}
