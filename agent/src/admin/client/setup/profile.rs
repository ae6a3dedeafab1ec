//! Pure: what there is to set up, and which pins and packages belong to it.

use std::fmt::Write as _;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

const JUPYTERLAB: &str = include_str!("../../../../pins/jupyterlab.txt");
const ML: &str = include_str!("../../../../pins/ml.txt");
const OLDEST: Version = Version { major: 3, minor: 11 };
/// Some of the ml pins have no build for later ones.
const ML_NEWEST: Version = Version { major: 3, minor: 13 };

/// What can be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// `JupyterLab`
    Jupyter,
    /// Libraries for machine learning as a kernel of `JupyterLab`, which is installed first
    Ml,
    /// R and its kernel, from the distribution
    R,
    /// The container engine, from the distribution
    Docker,
}

impl Profile {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Jupyter => "jupyter",
            Self::Ml => "ml",
            Self::R => "r",
            Self::Docker => "docker",
        }
    }

    /// The packages of the distribution that it is made of.
    pub(super) const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Jupyter | Self::Ml => &[],
            Self::R => &["r-base-core", "r-cran-irkernel"],
            // Without the authorities no image can be fetched.
            Self::Docker => &["docker.io", "ca-certificates"],
        }
    }

    /// Whether what the distribution thinks goes well with these packages is installed too. The engine
    /// does without: needrestart, for one, restarts services on its own, and git and the like are
    /// the administrator's to choose.
    pub(super) const fn recommends(self) -> bool {
        !matches!(self, Self::Docker)
    }

    /// The environments that it is made of, in the order in which they are made.
    pub(super) const fn tools(self) -> &'static [Tool] {
        match self {
            Self::Jupyter => &[Tool::Jupyterlab],
            Self::Ml => &[Tool::Jupyterlab, Tool::Ml],
            Self::R | Self::Docker => &[],
        }
    }
}

/// A Python environment below the tools folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Jupyterlab,
    Ml,
}

impl Tool {
    /// Its link in the tools folder, and the start of its folders' names.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Jupyterlab => "jupyterlab",
            Self::Ml => "ml",
        }
    }

    /// The profile whose own environment it is.
    pub(super) const fn profile(self) -> Profile {
        match self {
            Self::Jupyterlab => Profile::Jupyter,
            Self::Ml => Profile::Ml,
        }
    }

    /// What must be in the environment, relative to it, or it is of no use.
    pub(super) const fn needs(self) -> &'static str {
        match self {
            Self::Jupyterlab => "bin/jupyter-lab",
            Self::Ml => "share/jupyter/kernels/python3/kernel.json",
        }
    }

    /// The package that brings it.
    pub(super) const fn brought_by(self) -> &'static str {
        match self {
            Self::Jupyterlab => "jupyterlab",
            Self::Ml => "ipykernel",
        }
    }

    pub(super) fn pins(self) -> Pins {
        let (text, newest) = match self {
            Self::Jupyterlab => (JUPYTERLAB, None),
            Self::Ml => (ML, Some(ML_NEWEST)),
        };
        Pins { needs: Some(Span { oldest: OLDEST, newest }), ..Pins::of(text) }
    }
}

/// The first two numbers of a Python's version: packages are installed for these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) major: u32,
    pub(super) minor: u32,
}

impl Version {
    /// `3.11` or `3.11.2`
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('.');
        let major = parts.next()?.parse().ok()?;
        Some(Self { major, minor: parts.next()?.parse().ok()? })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The Pythons that pins fit, both ends among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) oldest: Version,
    pub(super) newest: Option<Version>,
}

impl Span {
    pub(super) fn has(&self, version: Version) -> bool {
        version >= self.oldest && self.newest.is_none_or(|newest| version <= newest)
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.newest {
            Some(newest) => write!(f, "{} to {newest}", self.oldest),
            None => write!(f, "{} or newer", self.oldest),
        }
    }
}

/// A requirements file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pins {
    pub(super) text: String,
    pub(super) sha256: String,
    /// Absent: nobody has said.
    pub(super) needs: Option<Span>,
}

impl Pins {
    pub(super) fn of(text: &str) -> Self {
        let mut sha256 = String::new();
        for byte in Sha256::digest(text.as_bytes()) {
            write!(sha256, "{byte:02x}").unwrap_or_default();
        }
        Self { text: text.to_owned(), sha256, needs: None }
    }

    /// The part of the digest that names the environment's folder.
    pub(super) fn hash(&self) -> &str {
        self.sha256.get(..8).unwrap_or(&self.sha256)
    }

    /// How many requirements it has.
    pub(super) fn count(&self) -> usize {
        let lines = self.text.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '-'])).count()
    }
}

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) profile: Profile,
    pub(super) repair: bool,
    /// Those of `--pins FILE`, in place of the profile's own.
    pub(super) pins: Option<Pins>,
}

impl Wanted {
    /// What an environment of the profile is made from.
    pub(super) fn pins_of(&self, tool: Tool) -> Pins {
        let own = tool.profile() == self.profile;
        self.pins.clone().filter(|_| own).unwrap_or_else(|| tool.pins())
    }
}

/// The folders of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tools(pub(super) PathBuf);

impl Tools {
    pub(super) fn venvs(&self) -> PathBuf {
        self.0.join("venvs")
    }

    pub(super) fn bin(&self) -> PathBuf {
        self.0.join("bin")
    }

    pub(super) fn link(&self, tool: Tool) -> PathBuf {
        self.0.join(tool.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_counted_and_digested() {
        let pins = Pins::of("# head\na==1\n\n--no-binary x\n  b==2  # why\n");
        assert_eq!(pins.count(), 2);
        assert_eq!(Pins::of("").hash(), "e3b0c442");
        assert_ne!(pins.hash(), Pins::of("a==1\n").hash());
        for tool in [Tool::Jupyterlab, Tool::Ml] {
            let pins = tool.pins();
            assert!(pins.text.contains(&format!("\n{}==", tool.brought_by())), "{}", tool.name());
            let exact = |line: &str| line.contains("==") || line.starts_with('#');
            assert!(pins.text.lines().all(exact), "{}", tool.name());
        }
    }

    #[test]
    fn the_pins_of_the_command_line_are_those_of_the_named_profile() {
        let pins = Some(Pins::of("x==1"));
        let wanted = Wanted { profile: Profile::Ml, repair: false, pins };
        assert_eq!(wanted.pins_of(Tool::Ml).text, "x==1");
        assert_eq!(wanted.pins_of(Tool::Jupyterlab), Tool::Jupyterlab.pins());
    }

    #[test]
    fn versions() {
        let check = |text, expect: Option<(u32, u32)>| {
            let expect = expect.map(|(major, minor)| Version { major, minor });
            assert_eq!(Version::parse(text), expect, "{text}");
        };
        check("3.11.2\n", Some((3, 11)));
        check("3.9", Some((3, 9)));
        check("3", None);
        check("", None);
        assert!(Version::parse("3.9") < Version::parse("3.11"));
    }
}
