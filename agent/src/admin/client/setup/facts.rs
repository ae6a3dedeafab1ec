//! What there is before a setup: the environments made earlier, the Pythons, the packages.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use station_proto::time::Time;

use super::profile::{Profile, Tool, Tools, Version};
use super::runner::Runner;
use crate::os::{file, process};

/// The stamp's name inside of an environment.
pub(super) const STAMP: &str = "stationd-setup.json";
/// The folder of the ml kernel inside of `JupyterLab`'s environment.
pub(super) const KERNEL: &str = "share/jupyter/kernels/ml";
const STAMP_BYTES: u64 = 1024 * 1024;
/// Tried in this order; one that does not fit is passed over.
const PYTHONS: [&str; 5] = ["python3", "python3.11", "python3.12", "python3.13", "python3.14"];
/// Prints where the Python behind shims and environments is, its version, and whether it can make
/// environments.
const ASK: &str = "import sys, importlib.util as u\n\
    print(getattr(sys, '_base_executable', sys.executable) or sys.executable)\n\
    print('%d.%d' % sys.version_info[:2])\n\
    print(u.find_spec('ensurepip') is not None)\n";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) tools: Tools,
    pub(super) root: bool,
    /// Whether there is an `apt-get`.
    pub(super) apt: bool,
    pub(super) pythons: Vec<Python>,
    /// Of the packages of the profile, those that are installed.
    pub(super) installed: BTreeSet<String>,
    /// Things of somebody else where setup's own would go.
    pub(super) in_the_way: Vec<PathBuf>,
    pub(super) jupyterlab: Held,
    pub(super) ml: Held,
    /// Whether `tools/bin` has every program of `JupyterLab`.
    pub(super) links_right: bool,
    /// The Python of the ml kernel in the `JupyterLab` in use.
    pub(super) kernel: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Python {
    pub(super) path: PathBuf,
    pub(super) version: Version,
    pub(super) ensurepip: bool,
    /// Whether it lies in the caller's home folder.
    pub(super) at_home: bool,
}

/// The environments of one tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// The name that its link leads to.
    pub(super) link: Option<String>,
    pub(super) venvs: Vec<Made>,
}

impl Held {
    pub(super) fn current(&self) -> Option<&Made> {
        self.venvs.iter().find(|made| Some(&made.name) == self.link.as_ref())
    }
}

/// One folder in `tools/venvs`, whole or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) name: String,
    /// Absent: it was never finished.
    pub(super) stamp: Option<Stamp>,
    /// What its Python says; absent if it does not run.
    pub(super) python: Option<Version>,
    /// Whether what the tool is for is in it.
    pub(super) complete: bool,
    /// Whether a process runs out of it.
    pub(super) in_use: bool,
}

impl Made {
    pub(super) fn works(&self) -> bool {
        // After an upgrade of the distribution the same link may lead to a newer Python, which
        // does not see the packages of the old one.
        let same =
            |stamp: &Stamp| self.python.is_some() && Version::parse(&stamp.python) == self.python;
        self.complete && self.stamp.as_ref().is_some_and(same)
    }

    pub(super) fn pins(&self) -> Option<&str> {
        self.stamp.as_ref().map(|stamp| &*stamp.pins_sha256)
    }
}

/// Written into an environment when it is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) profile: String,
    pub(super) pins_sha256: String,
    pub(super) python: String,
    /// Each package with its version.
    pub(super) packages: std::collections::BTreeMap<String, String>,
    pub(super) time: Time,
}

impl Facts {
    pub(super) fn held(&self, tool: Tool) -> &Held {
        match tool {
            Tool::Jupyterlab => &self.jupyterlab,
            Tool::Ml => &self.ml,
        }
    }

    /// Looks at everything and changes nothing.
    pub(super) async fn gather(runner: &Runner, profile: Profile) -> Self {
        let tools = runner.tools.clone();
        let mut facts = Self {
            root: nix::unistd::geteuid().is_root(),
            apt: runner.find("apt-get").is_some(),
            pythons: Vec::new(),
            installed: installed(runner, profile).await,
            in_the_way: in_the_way(&tools),
            jupyterlab: held(runner, Tool::Jupyterlab).await,
            ml: held(runner, Tool::Ml).await,
            links_right: false,
            kernel: None,
            tools,
        };
        if !profile.tools().is_empty() {
            facts.pythons = pythons(runner).await;
        }
        if let Some(made) = facts.jupyterlab.current() {
            let lab = facts.tools.venvs().join(&made.name);
            facts.links_right = links(&facts.tools, &lab) == (Vec::new(), Vec::new());
            facts.kernel = kernel(&lab);
        }
        facts
    }
}

async fn pythons(runner: &Runner) -> Vec<Python> {
    let mut found: Vec<Python> = Vec::new();
    for program in PYTHONS.iter().flat_map(|name| runner.find_all(name)) {
        let Some(said) = runner.says(&program, &["-I", "-c", ASK]).await else { continue };
        let mut lines = said.lines();
        let (Some(path), Some(version)) = (lines.next(), lines.next().and_then(Version::parse))
        else {
            continue;
        };
        let ensurepip = lines.next() == Some("True");
        let at_home = runner.home().is_some_and(|home| Path::new(path).starts_with(home));
        let python = Python { path: path.into(), version, ensurepip, at_home };
        if !found.contains(&python) {
            found.push(python);
        }
    }
    found
}

async fn installed(runner: &Runner, profile: Profile) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let Some(dpkg) = runner.find("dpkg-query") else { return all };
    for package in profile.packages() {
        let asked = ["--show", "--showformat=${db:Status-Status}", package];
        if runner.says(&dpkg, &asked).await.is_some_and(|said| said.trim() == "installed") {
            all.insert((*package).to_owned());
        }
    }
    all
}

async fn held(runner: &Runner, tool: Tool) -> Held {
    let link = fs::read_link(runner.tools.link(tool)).ok();
    let link = link.and_then(|to| Some(to.strip_prefix("venvs").ok()?.to_str()?.to_owned()));
    let mut held = Held { link, venvs: Vec::new() };
    let start = format!("{}-", tool.name());
    for name in names(&runner.tools.venvs()) {
        if !name.starts_with(&start) {
            continue;
        }
        let at = runner.tools.venvs().join(&name);
        let stamp = file::read_limited(&at.join(STAMP), STAMP_BYTES).ok();
        let stamp = stamp.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let python = match &stamp {
            None => None,
            Some(_) => python_of(runner, &at).await,
        };
        let complete = at.join(tool.needs()).exists();
        held.venvs.push(Made { in_use: in_use(&at), name, stamp, python, complete });
    }
    held
}

/// The version of an environment's Python, if it runs.
pub(super) async fn python_of(runner: &Runner, venv: &Path) -> Option<Version> {
    const VERSION: &str = "import sys; print('%d.%d' % sys.version_info[:2])";
    let said = runner.says(&venv.join("bin/python"), &["-I", "-c", VERSION]).await?;
    Version::parse(&said)
}

/// Whether a process was started out of the environment, or works on it.
pub(super) fn in_use(venv: &Path) -> bool {
    let text = venv.to_string_lossy();
    let names = |argument: &String| {
        argument.match_indices(&*text).any(|(at, found)| {
            argument
                .get(at + found.len()..)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let own = i32::try_from(std::process::id()).ok();
    let others = process::all().into_iter().filter(|pid| Some(*pid) != own);
    others.map(process::command_line).any(|command| command.iter().any(names))
}

/// Folders and files where setup would put a link.
fn in_the_way(tools: &Tools) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for tool in [Tool::Jupyterlab, Tool::Ml] {
        let path = tools.link(tool);
        let own = |to: PathBuf| to.starts_with("venvs");
        if path.symlink_metadata().is_ok() && !fs::read_link(&path).is_ok_and(own) {
            found.push(path);
        }
    }
    for name in names(&tools.bin()).into_iter().filter(|name| name.starts_with("jupyter")) {
        let path = tools.bin().join(&name);
        if !fs::read_link(&path).is_ok_and(|to| to == link_of(&name)) {
            found.push(path);
        }
    }
    found
}

/// Where the link of a program in `tools/bin` leads.
pub(super) fn link_of(program: &str) -> PathBuf {
    Path::new("../jupyterlab/bin").join(program)
}

/// The programs whose links are missing in `tools/bin`, and those whose links lead to nothing.
pub(super) fn links(tools: &Tools, venv: &Path) -> (Vec<String>, Vec<String>) {
    let programs = |folder: PathBuf| -> Vec<String> {
        names(&folder).into_iter().filter(|name| name.starts_with("jupyter")).collect()
    };
    let (wanted, have) = (programs(venv.join("bin")), programs(tools.bin()));
    let missing = wanted.iter().filter(|name| !have.contains(name)).cloned().collect();
    (missing, have.into_iter().filter(|name| !wanted.contains(name)).collect())
}

/// The names in a folder, in order; none if there is no such folder.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let name = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort();
    names
}

fn kernel(lab: &Path) -> Option<PathBuf> {
    let bytes = file::read_limited(&lab.join(KERNEL).join("kernel.json"), STAMP_BYTES).ok()?;
    let spec: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(spec.pointer("/argv/0")?.as_str()?.into())
}

/// Whether it is a program.
pub(super) fn executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
