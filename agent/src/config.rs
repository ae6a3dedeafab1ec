//! The configuration: `stationd.toml` and `conf.d/*.toml`, read, checked and watched.
//!
//! ```text
//! files -> tree (merged, every value knows its line) -> reader + parts + listen -> Config
//!                                                    -> schema: unknown keys       or Failed
//! ```
//! All mistakes are reported at once, each with file, line, field and remedy. No file at all is
//! a valid configuration. `listen` survives mistakes elsewhere, so that the heartbeat can say what
//! is wrong. Only [`load`] and `watch` touch the disk.

mod listen;
pub mod model;
mod parts;
pub mod paths;
mod reader;
pub mod reload;
pub mod schema;
pub mod watch;

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use station_proto::api::Mistake;

use crate::os::file::{self, FileError};

pub use self::model::{
    App, AppKind, Config, Control, Driver, Listen, Mount, Prefix, Share, Start, Tls,
};
pub use self::parts::Facts;
pub use self::paths::{Paths, PathsError, Surroundings};
pub use self::reader::tree::Source;

use self::reader::{Mistakes, Reader};

/// One configuration file.
const FILE_BYTES: u64 = 1024 * 1024;
/// Files in `conf.d`.
const FILES_MAX: usize = 100;

/// What the environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `STATIOND_LISTEN=ADDR:PORT`, in place of `listen.address`. Port 0 lets the kernel choose.
    pub listen: Option<String>,
}

impl Environment {
    pub fn of_process() -> Self {
        Self { listen: std::env::var("STATIOND_LISTEN").ok().filter(|text| !text.is_empty()) }
    }
}

impl Surroundings {
    /// Those of this process; `home` is `--home` or `STATIOND_HOME`.
    pub fn of_process(home: Option<PathBuf>) -> Self {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        Self {
            home,
            uid: nix::unistd::geteuid().as_raw(),
            xdg_state_home: variable("XDG_STATE_HOME"),
            user_home: variable("HOME"),
            current_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        }
    }
}

/// A valid configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub config: Config,
    /// Hexadecimal SHA-256 over the names and contents of the files.
    pub digest: String,
    /// The files that were read, in their order.
    pub files: Vec<String>,
}

/// A configuration with mistakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// In the order of the files and lines; never empty.
    pub mistakes: Vec<Mistake>,
    /// `[listen]`, if that part has no mistake.
    pub listen: Option<Listen>,
    /// What stands in: defaults in the place of mistakes, and no app.
    pub fallback: Config,
}

/// Reads and checks the configuration of this installation.
pub fn load(paths: &Paths, environment: &Environment) -> Result<Loaded, Box<Failed>> {
    let mut sources = Sources::default();
    sources.take(&paths.config_file, true);
    sources.take_folder(&paths.conf_dir);
    sources.check(paths, environment)
}

/// What holds without any file.
pub fn defaults(paths: &Paths) -> Config {
    let environment = Environment::default();
    let machine = Machine { system: true };
    match check(&[], &paths.workspace_dir, &environment, &machine) {
        Ok(config) => config,
        Err(failed) => failed.fallback,
    }
}

/// Checks one file alone, which must be there: `stationctl check FILE`.
pub fn load_file(
    file: &Path,
    paths: &Paths,
    environment: &Environment,
) -> Result<Loaded, Box<Failed>> {
    let mut sources = Sources::default();
    sources.take(file, false);
    sources.check(paths, environment)
}

/// Checks what the files say. Pure: `facts` answers for the machine.
pub fn check(
    sources: &[Source],
    workspace_dir: &Path,
    environment: &Environment,
    facts: &dyn Facts,
) -> Result<Config, Box<Failed>> {
    let mistakes = Mistakes::default();
    let tree = reader::tree::read(sources);
    schema::refuse_unknown(&tree.root, &mistakes);
    let root = Reader::root(&tree.root, &mistakes);
    let listen = listen::read(&root, environment.listen.as_deref(), &mistakes, facts);
    let config = Config {
        control: listen::control::read(&root, &listen.tls, facts),
        listen,
        instance: parts::instance(&root, facts),
        identity: parts::identity(&root),
        apps: parts::apps::apps(&root),
        mounts: parts::mounts::mounts(&root, workspace_dir),
        gpu: parts::gpu(&root),
        log: parts::log(&root),
    };
    let mut found = mistakes.into_vec();
    let of_listen = |field: &str| {
        field == "listen" || field.starts_with("listen.") || field == "STATIOND_LISTEN"
    };
    let listen_spoiled = found.iter().any(|mistake| of_listen(&mistake.field))
        || tree.damaged.iter().any(|part| part.is_empty() || part == "listen");
    found.extend(tree.mistakes);
    if found.is_empty() {
        return Ok(config);
    }
    let order = |mistake: &Mistake| {
        let file = sources.iter().position(|source| source.name == mistake.file);
        (file.unwrap_or(usize::MAX), mistake.line)
    };
    found.sort_by_key(order);
    found.dedup();
    let listen = (!listen_spoiled).then(|| config.listen.clone());
    let fallback = Config { apps: Vec::new(), ..config };
    Err(Box::new(Failed { mistakes: found, listen, fallback }))
}

/// The files as far as they could be read.
#[derive(Debug, Default)]
struct Sources {
    read: Vec<Source>,
    unreadable: Vec<Mistake>,
}

impl Sources {
    fn take(&mut self, path: &Path, may_be_absent: bool) {
        let name = path.display().to_string();
        let (problem, remedy) = match file::read_limited(path, FILE_BYTES) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => {
                    self.read.push(Source { name, text });
                    return;
                }
                Err(error) => {
                    let valid = error.utf8_error().valid_up_to();
                    let before = error.as_bytes().get(..valid).unwrap_or_default();
                    let line = String::from_utf8_lossy(before).matches('\n').count() + 1;
                    self.refuse(&name, Some(line), "is not UTF-8 text", "save it as UTF-8");
                    return;
                }
            },
            Err(FileError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound && may_be_absent =>
            {
                return;
            }
            Err(FileError::Read { source, .. }) => (
                format!("cannot be read: {source}"),
                "make it a file that the user of stationd may read",
            ),
            Err(error) => (error.to_string(), "split it into files in conf.d"),
        };
        self.refuse(&name, None, &problem, remedy);
    }

    fn take_folder(&mut self, folder: &Path) {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                let problem = format!("cannot be read: {error}");
                let remedy = "make it a folder that the user of stationd may read";
                self.refuse(&folder.display().to_string(), None, &problem, remedy);
                return;
            }
        };
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
            .filter(|path| path.file_name().is_some_and(|name| !is_hidden(name)))
            .collect();
        files.sort();
        if files.len() > FILES_MAX {
            let problem = format!("holds more than {FILES_MAX} files");
            let remedy = format!("keep {FILES_MAX} *.toml at most");
            self.refuse(&folder.display().to_string(), None, &problem, &remedy);
        }
        for path in files.iter().take(FILES_MAX) {
            self.take(path, false);
        }
    }

    fn refuse(&mut self, file: &str, line: Option<usize>, problem: &str, remedy: &str) {
        self.unreadable.push(Mistake {
            file: file.to_owned(),
            line,
            field: String::new(),
            problem: problem.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    fn check(self, paths: &Paths, environment: &Environment) -> Result<Loaded, Box<Failed>> {
        let machine = Machine { system: *paths == Paths::system() };
        let checked = check(&self.read, &paths.workspace_dir, environment, &machine);
        match checked {
            Ok(config) if self.unreadable.is_empty() => Ok(Loaded {
                config,
                digest: digest(&self.read),
                files: self.read.into_iter().map(|source| source.name).collect(),
            }),
            checked => {
                // What an unreadable file says about [listen] is not known.
                let listen = None;
                let mut mistakes = self.unreadable;
                let failed = match checked {
                    Ok(config) => {
                        let fallback = Config { apps: Vec::new(), ..config };
                        Failed { mistakes, listen, fallback }
                    }
                    Err(failed) if mistakes.is_empty() => *failed,
                    Err(failed) => {
                        mistakes.extend(failed.mistakes);
                        Failed { mistakes, listen, fallback: failed.fallback }
                    }
                };
                Err(Box::new(failed))
            }
        }
    }
}

fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Lengths stand between the parts, so that no two sets of files have one digest.
fn digest(sources: &[Source]) -> String {
    let mut hash = Sha256::new();
    for source in sources {
        for part in [&source.name, &source.text] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part.as_bytes());
        }
    }
    data_encoding::HEXLOWER.encode(&hash.finalize())
}

/// The machine that stationd runs on.
#[derive(Debug, Clone, Copy)]
struct Machine {
    /// The system's own installation, in which a part with rights starts the apps.
    system: bool,
}

impl Facts for Machine {
    fn user_exists(&self, name: &str) -> bool {
        matches!(nix::unistd::User::from_name(name), Ok(Some(_)))
    }

    fn bound_to_user(&self) -> Option<String> {
        let uid = nix::unistd::geteuid();
        let name = || nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
        (!uid.is_root() && !self.system).then(|| name().unwrap_or_else(|| uid.to_string()))
    }

    fn missing(&self, path: &Path) -> bool {
        matches!(std::fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

#[cfg(test)]
mod tests;
