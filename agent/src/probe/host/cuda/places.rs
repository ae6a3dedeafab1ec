//! The folders in which CUDA may lie.

use std::fs;
use std::path::{Path, PathBuf};

use crate::os::machine;

/// Entries of a folder that are looked at; a system's library folder has some thousands.
const ENTRIES: usize = 20_000;
/// Environments and toolkits that are looked at.
const MANY: usize = 64;

/// A path as people know it, and where it is read: elsewhere in tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    shown: PathBuf,
    real: PathBuf,
}

impl Place {
    /// A path of this machine.
    pub(super) fn machine(path: &str) -> Self {
        Self { shown: PathBuf::from(path), real: machine::path(path) }
    }

    /// A path that is the same in tests.
    fn own(path: &Path) -> Self {
        Self { shown: path.to_owned(), real: path.to_owned() }
    }

    pub(super) fn join(&self, name: &str) -> Self {
        Self { shown: self.shown.join(name), real: self.real.join(name) }
    }

    pub(super) fn parent(&self) -> Self {
        let up = |path: &PathBuf| path.parent().unwrap_or(path).to_owned();
        Self { shown: up(&self.shown), real: up(&self.real) }
    }

    pub(super) fn real(&self) -> &Path {
        &self.real
    }

    pub(super) fn shown(&self) -> String {
        self.shown.display().to_string()
    }

    /// Where it leads; `None` if nowhere.
    pub(super) fn canonical(&self) -> Option<Self> {
        let real = self.real.canonicalize().ok()?;
        let root = machine::path("/").canonicalize().ok()?;
        let shown = real
            .strip_prefix(&root)
            .map_or_else(|_| real.clone(), |rest| Path::new("/").join(rest));
        Some(Self { shown, real })
    }

    /// The names in it, sorted; none if it is no folder.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.real).into_iter().flatten().flatten().take(ENTRIES);
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn children(&self, wanted: impl Fn(&str) -> bool) -> Vec<Self> {
        self.names()
            .iter()
            .filter(|name| wanted(name))
            .take(MANY)
            .map(|one| self.join(one))
            .collect()
    }
}

/// Each toolkit once, whatever links lead to it.
pub(super) fn toolkits() -> Vec<Place> {
    let local = Place::machine("/usr/local").children(|name| name.starts_with("cuda"));
    let all = local.into_iter().chain([Place::machine("/opt/cuda")]);
    let mut found: Vec<Place> = all.filter_map(|place| place.canonical()).collect();
    found.sort_by(|a, b| a.shown.cmp(&b.shown));
    found.dedup();
    found
}

const LIBRARIES: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/lib64",
];

/// Folders of libraries, each once, and whether it belongs to a toolkit.
pub(super) fn libraries(toolkits: &[Place]) -> Vec<(Place, bool)> {
    let of_toolkits = toolkits.iter().flat_map(|place| {
        ["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"]
            .map(|name| place.join(name))
    });
    let system = LIBRARIES.map(Place::machine);
    let all = of_toolkits.chain(system).chain(configured());
    let mut found: Vec<(Place, bool)> = Vec::new();
    for place in all.filter_map(|place| place.canonical()) {
        let inside = toolkits.iter().any(|toolkit| place.real.starts_with(&toolkit.real));
        if !found.iter().any(|(known, _)| *known == place) {
            found.push((place, inside));
        }
    }
    found
}

/// Folders that `ld.so.conf.d` adds: `ldconfig(8)`.
fn configured() -> Vec<Place> {
    let files = Place::machine("/etc/ld.so.conf.d")
        .children(|name| Path::new(name).extension().is_some_and(|end| end == "conf"));
    let texts = files.iter().filter_map(|file| machine::text_at(&file.real, 64 * 1024));
    let lines: Vec<String> = texts
        .flat_map(|text| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>())
        .collect();
    lines
        .iter()
        .filter(|line| line.starts_with('/'))
        .take(MANY)
        .map(|line| Place::machine(line))
        .collect()
}

const CONDA: [&str; 6] = [
    "/opt/conda",
    "/opt/miniconda",
    "/opt/miniconda3",
    "/opt/miniforge3",
    "/opt/mambaforge",
    "/opt/anaconda3",
];

fn conda() -> Vec<Place> {
    CONDA
        .map(Place::machine)
        .into_iter()
        .flat_map(|base| [vec![base.clone()], base.join("envs").children(|_| true)].concat())
        .collect()
}

/// What conda has written down of each environment's packages.
pub(super) fn conda_meta() -> Vec<Place> {
    conda().iter().map(|place| place.join("conda-meta")).collect()
}

/// Where Python packages lie: in conda's environments, and in those of stationd's tools.
pub(super) fn site_packages(tools: Option<&Path>) -> Vec<Place> {
    let venvs = tools.map(|tools| Place::own(&tools.join("venvs")).children(|_| true));
    conda()
        .into_iter()
        .chain(venvs.into_iter().flatten())
        .flat_map(|place| place.join("lib").children(|name| name.starts_with("python3")))
        .map(|place| place.join("site-packages"))
        .collect()
}

/// The folders whose change means that CUDA should be looked for again.
pub(in crate::probe::host) fn folders(tools: Option<&Path>) -> Vec<PathBuf> {
    let toolkits = toolkits();
    let mut found: Vec<PathBuf> =
        ["/usr/local", "/usr/local/cuda", "/opt", "/etc/ld.so.conf.d"].map(machine::path).to_vec();
    found.extend(tools.map(|tools| tools.join("venvs")));
    found.extend(libraries(&toolkits).into_iter().map(|(place, _)| place.real));
    let more = toolkits.into_iter().chain(conda_meta()).chain(site_packages(tools));
    found.extend(more.map(|place| place.real));
    found
}
