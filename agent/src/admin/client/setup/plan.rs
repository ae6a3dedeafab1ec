//! Pure: which steps lead from what there is to what is wanted.
//!
//! An environment is made at its final place, for its scripts carry their own path. It is of use
//! from the moment its stamp is written, and used from the moment the link leads to it; whatever
//! breaks off before leaves the old one as it was. So each step may fail, and the next run begins
//! from what it finds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::facts::{Facts, Made};
use super::profile::{Pins, Profile, Tool, Version, Wanted};

/// What is done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Apt {
        packages: Vec<String>,
        /// With what the distribution recommends beside them.
        recommends: bool,
    },
    MakeVenv {
        python: PathBuf,
        at: PathBuf,
    },
    PipInstall {
        venv: PathBuf,
        pins: Pins,
    },
    /// Says that the environment is whole; only with it is it ever used.
    Stamp {
        tool: Tool,
        venv: PathBuf,
        pins: Pins,
    },
    /// Makes the ml environment a kernel of this `JupyterLab`.
    Kernelspec {
        jupyterlab: PathBuf,
        python: PathBuf,
    },
    Switch {
        link: PathBuf,
        to: PathBuf,
    },
    /// The programs of `JupyterLab` in `tools/bin`.
    Links {
        venv: PathBuf,
    },
    Sweep {
        venvs: Vec<PathBuf>,
    },
}

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "{} must be installed first, which needs root: run `sudo apt-get install --yes {}`, then \
         this again", .0.join(" and "), .0.join(" ")
    )]
    NeedsRoot(Vec<String>),
    #[error(
        "{} must be installed first, and this machine has no apt-get: install it with the \
         machine's own package manager, then run this again", .0.join(" and ")
    )]
    NoApt(Vec<String>),
    #[error(
        "the pins need Python {needs}, and PATH has {found}: install one that fits (such as \
         `apt-get install python{such} python{such}-venv`), or name pins that fit with --pins FILE"
    )]
    PythonUnfit { needs: String, such: String, found: String },
    #[error(
        "{python} cannot make environments (it has no module ensurepip): install that for it, or \
         put another Python first in PATH"
    )]
    NoEnsurepip { python: PathBuf },
    #[error("{0} was not made by setup and is in the way: move it elsewhere, then run this again")]
    InTheWay(PathBuf),
    #[error("--pins is for jupyter and ml: {0} comes from the distribution")]
    PinsUnused(&'static str),
    #[error("--pins {0}: it names no package")]
    PinsEmpty(PathBuf),
}

/// The steps; none if all is as wanted.
pub(super) fn plan(facts: &Facts, wanted: &Wanted) -> Result<Vec<Step>, Refused> {
    let mut plan = Plan { facts, wanted, packages: Vec::new(), steps: Vec::new() };
    for package in wanted.profile.packages() {
        if wanted.repair || !facts.installed.contains(*package) {
            plan.packages.push((*package).to_owned());
        }
    }
    if !plan.packages.is_empty() {
        plan.may_install()?;
    }
    if let Some(path) = facts.in_the_way.iter().find(|_| !wanted.profile.tools().is_empty()) {
        return Err(Refused::InTheWay(path.clone()));
    }
    let (mut lab, mut sweep) = (None, Vec::new());
    for tool in wanted.profile.tools() {
        let kept = plan.tool(*tool, lab.as_deref())?;
        sweep.extend(plan.leftovers(*tool, &kept));
        lab = lab.or(Some(kept));
    }
    let (mut steps, recommends) = (plan.steps, wanted.profile.recommends());
    if !plan.packages.is_empty() {
        steps.insert(0, Step::Apt { packages: plan.packages, recommends });
    }
    if !sweep.is_empty() {
        steps.push(Step::Sweep { venvs: sweep });
    }
    Ok(steps)
}

struct Plan<'a> {
    facts: &'a Facts,
    wanted: &'a Wanted,
    packages: Vec<String>,
    steps: Vec<Step>,
}

impl Plan<'_> {
    /// What leads to a whole environment that the link leads to; gives its folder. `lab` is the
    /// folder of `JupyterLab`, once that is known.
    fn tool(&mut self, tool: Tool, lab: Option<&Path>) -> Result<PathBuf, Refused> {
        let held = self.facts.held(tool);
        let pins = self.wanted.pins_of(tool);
        let own = tool.profile() == self.wanted.profile;
        let repair = own && self.wanted.repair;
        // What is only a condition of the profile may be of any pins, as long as it works.
        let fits = |made: &&Made| made.works() && (!own || made.pins() == Some(&*pins.sha256));
        let current = held.current();
        let found = current.filter(fits).or_else(|| held.venvs.iter().find(fits));
        let kept = found.filter(|_| !repair).map(|made| &*made.name);
        let name = kept.map_or_else(|| free(tool, &pins, &held.venvs), str::to_owned);
        let venv = self.facts.tools.venvs().join(&name);
        if kept.is_none() {
            let python = self.python(&pins)?;
            self.steps.push(Step::MakeVenv { python, at: venv.clone() });
            self.steps.push(Step::PipInstall { venv: venv.clone(), pins: pins.clone() });
            self.steps.push(Step::Stamp { tool, venv: venv.clone(), pins });
        }
        self.kernelspec(tool, &venv, lab);
        let switched = current.is_none_or(|made| made.name != name);
        if switched {
            let to = Path::new("venvs").join(&name);
            self.steps.push(Step::Switch { link: self.facts.tools.link(tool), to });
        }
        if tool == Tool::Jupyterlab && (switched || !self.facts.links_right) {
            self.steps.push(Step::Links { venv: venv.clone() });
        }
        Ok(venv)
    }

    /// A new `JupyterLab` gets the kernel before it is switched to, a new ml environment is named
    /// to the `JupyterLab` in use.
    fn kernelspec(&mut self, tool: Tool, venv: &Path, lab: Option<&Path>) {
        let (lab, ml) = match tool {
            Tool::Jupyterlab => {
                let ml = self.facts.ml.current().filter(|made| made.works());
                // With its profile, it follows when its own folder is known.
                let ml = ml.filter(|_| self.wanted.profile == Profile::Jupyter);
                (Some(venv), ml.map(|made| self.facts.tools.venvs().join(&made.name)))
            }
            Tool::Ml => (lab, Some(venv.to_owned())),
        };
        let (Some(lab), Some(ml)) = (lab, ml) else { return };
        let python = ml.join("bin/python");
        let in_use = self.facts.jupyterlab.current();
        let same = in_use.is_some_and(|made| self.facts.tools.venvs().join(&made.name) == lab);
        if !same || self.facts.kernel.as_ref() != Some(&python) {
            self.steps.push(Step::Kernelspec { jupyterlab: lab.to_owned(), python });
        }
    }

    /// The Python that the environment is made with: the first in PATH that fits. Root takes one
    /// out of its own home, where others cannot reach it, only if there is no other.
    fn python(&mut self, pins: &Pins) -> Result<PathBuf, Refused> {
        let fits = |version: Version| pins.needs.is_none_or(|needs| needs.has(version));
        let fitting = self.facts.pythons.iter().filter(|python| fits(python.version));
        let shared = fitting.clone().any(|python| !python.at_home);
        let own = self.facts.root && shared;
        let mut fitting = fitting.filter(|python| !(own && python.at_home));
        let Some(first) = fitting.next() else {
            let have = self.facts.pythons.iter().map(|python| python.version.to_string());
            let have: BTreeSet<String> = have.collect();
            if let (Some(needs), false) = (pins.needs, have.is_empty()) {
                return Err(Refused::PythonUnfit {
                    needs: needs.to_string(),
                    such: needs.newest.unwrap_or(needs.oldest).to_string(),
                    found: have.into_iter().collect::<Vec<_>>().join(" and "),
                });
            }
            self.package("python3")?;
            self.package("python3-venv")?;
            return Ok("/usr/bin/python3".into());
        };
        if first.ensurepip {
            return Ok(first.path.clone());
        }
        if let Some(other) = fitting.find(|python| python.ensurepip) {
            return Ok(other.path.clone());
        }
        if !["/usr/bin", "/bin"].iter().any(|folder| first.path.starts_with(folder)) {
            return Err(Refused::NoEnsurepip { python: first.path.clone() });
        }
        let (path, version) = (first.path.clone(), first.version);
        self.package(&format!("python{version}-venv"))?;
        Ok(path)
    }

    fn package(&mut self, name: &str) -> Result<(), Refused> {
        if !self.packages.iter().any(|known| known == name) {
            self.packages.push(name.to_owned());
        }
        // Both of Python's are named in one message.
        if name == "python3" { Ok(()) } else { self.may_install() }
    }

    fn may_install(&self) -> Result<(), Refused> {
        match (self.facts.apt, self.facts.root) {
            (false, _) => Err(Refused::NoApt(self.packages.clone())),
            (true, false) => Err(Refused::NeedsRoot(self.packages.clone())),
            (true, true) => Ok(()),
        }
    }

    /// What nothing leads to and nobody uses.
    fn leftovers(&self, tool: Tool, kept: &Path) -> Vec<PathBuf> {
        let unused = self.facts.held(tool).venvs.iter().filter(|made| !made.in_use);
        let paths = unused.map(|made| self.facts.tools.venvs().join(&made.name));
        paths.filter(|path| path != kept).collect()
    }
}

/// `NAME-HASH8`, or with the first number behind it that is free.
fn free(tool: Tool, pins: &Pins, venvs: &[Made]) -> String {
    let plain = format!("{}-{}", tool.name(), pins.hash());
    let numbered = (2..).map(|number: u32| format!("{plain}-{number}"));
    let mut names = std::iter::once(plain.clone()).chain(numbered);
    names.find(|name| !venvs.iter().any(|made| made.name == *name)).unwrap_or(plain)
}

impl Step {
    /// What it does, as "setup ..." goes on.
    pub(super) fn sentence(&self) -> String {
        let name = |path: &Path| {
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        match self {
            Self::Apt { packages, .. } => {
                format!("installs {} with apt-get", packages.join(" and "))
            }
            Self::MakeVenv { python, at } => {
                format!("makes the environment {} with {}", name(at), python.display())
            }
            Self::PipInstall { venv, pins } => {
                let count = pins.count();
                let noun = if count == 1 { "package" } else { "packages" };
                format!("installs {count} {noun} into {}", name(venv))
            }
            Self::Stamp { venv, .. } => {
                format!("checks {} and writes down its versions", name(venv))
            }
            Self::Kernelspec { jupyterlab, .. } => {
                format!("adds the kernel \"Python (ml)\" to {}", name(jupyterlab))
            }
            Self::Switch { link, to } => format!("switches tools/{} to {}", name(link), name(to)),
            Self::Links { .. } => "links the programs of JupyterLab into tools/bin".to_owned(),
            Self::Sweep { venvs } => {
                let names: Vec<String> = venvs.iter().map(|path| name(path)).collect();
                format!("removes {}, if nothing uses it", names.join(" and "))
            }
        }
    }
}

#[cfg(test)]
mod tests;
