//! Which files and folders apply. Pure: everything it depends on is a parameter.
//!
//! Root without `--home` gets the system's folders; everyone else gets one folder that holds
//! everything, so that several installations live side by side on one machine.

use std::path::{Path, PathBuf};

/// What decides over the paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// `--home DIR` or `STATIOND_HOME`.
    pub home: Option<PathBuf>,
    pub uid: u32,
    /// `XDG_STATE_HOME`; a relative value is ignored, as its specification wants.
    pub xdg_state_home: Option<PathBuf>,
    /// `HOME`
    pub user_home: Option<PathBuf>,
    /// A relative `home` is meant from here.
    pub current_dir: PathBuf,
}

/// Where everything lies. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    pub config_file: PathBuf,
    /// Its `*.toml` are read after `config_file`, in the order of their names.
    pub conf_dir: PathBuf,
    pub run_dir: PathBuf,
    pub admin_socket: PathBuf,
    pub state_dir: PathBuf,
    pub database: PathBuf,
    pub logs_dir: PathBuf,
    pub keys_dir: PathBuf,
    /// What an aborted daemon leaves for the next one.
    pub abort_trace: PathBuf,
    pub tools_dir: PathBuf,
    /// The workspace of a configuration that names none.
    pub workspace_dir: PathBuf,
    /// Shares are seen here, each in a folder with its name.
    pub mounts_dir: PathBuf,
    /// Local copies of their files. Root's alone: what has not reached the share lies here too.
    pub copies_dir: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathsError {
    #[error("--home (STATIOND_HOME) is empty: name a folder or leave it out")]
    EmptyHome,
    #[error("HOME and XDG_STATE_HOME are not set: name a folder with --home DIR or STATIOND_HOME")]
    NoHome,
}

impl Paths {
    /// The paths of this installation.
    pub fn of(surroundings: &Surroundings) -> Result<Self, PathsError> {
        if let Some(home) = &surroundings.home {
            if home.as_os_str().is_empty() {
                return Err(PathsError::EmptyHome);
            }
            return Ok(Self::under(&surroundings.current_dir.join(home)));
        }
        if surroundings.uid == 0 {
            return Ok(Self::system());
        }
        let absolute = |path: &&PathBuf| path.is_absolute();
        let state = surroundings
            .xdg_state_home
            .as_ref()
            .filter(absolute)
            .cloned()
            .or_else(|| {
                let home = surroundings.user_home.as_ref().filter(absolute)?;
                Some(home.join(".local/state"))
            })
            .ok_or(PathsError::NoHome)?;
        Ok(Self::under(&state.join("stationd")))
    }

    /// Those of the package's units, and of root without `--home`.
    pub fn system() -> Self {
        Self::build(&Folders {
            config: Path::new("/etc/stationd"),
            run: Path::new("/run/stationd"),
            state: Path::new("/var/lib/stationd"),
            tools: Path::new("/opt/stationd/tools"),
            workspace: Path::new("/var/lib/stationd/workspace"),
            mounts: Path::new("/mnt/stationd"),
            copies: Path::new("/var/lib/stationd-shares"),
        })
    }

    /// Those of an installation with `--home`.
    pub fn under(home: &Path) -> Self {
        // `./x` and `x/.` are the same folder; socket paths are short, so no byte is wasted.
        let home: &Path = &home.components().collect::<PathBuf>();
        Self::build(&Folders {
            config: home,
            run: &home.join("run"),
            state: &home.join("state"),
            tools: &home.join("tools"),
            workspace: &home.join("workspace"),
            mounts: &home.join("mnt"),
            copies: &home.join("shares"),
        })
    }

    fn build(folders: &Folders<'_>) -> Self {
        Self {
            config_file: folders.config.join("stationd.toml"),
            conf_dir: folders.config.join("conf.d"),
            run_dir: folders.run.to_owned(),
            admin_socket: folders.run.join("admin.sock"),
            state_dir: folders.state.to_owned(),
            database: folders.state.join("stationd.db"),
            logs_dir: folders.state.join("logs"),
            keys_dir: folders.state.join("keys"),
            abort_trace: folders.state.join("abort.trace"),
            tools_dir: folders.tools.to_owned(),
            workspace_dir: folders.workspace.to_owned(),
            mounts_dir: folders.mounts.to_owned(),
            copies_dir: folders.copies.to_owned(),
        }
    }
}

struct Folders<'a> {
    config: &'a Path,
    run: &'a Path,
    state: &'a Path,
    tools: &'a Path,
    workspace: &'a Path,
    mounts: &'a Path,
    copies: &'a Path,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(home: Option<&str>, uid: u32, xdg: Option<&str>, user: Option<&str>) -> Surroundings {
        Surroundings {
            home: home.map(PathBuf::from),
            uid,
            xdg_state_home: xdg.map(PathBuf::from),
            user_home: user.map(PathBuf::from),
            current_dir: PathBuf::from("/now"),
        }
    }

    #[test]
    fn root_without_a_home_gets_the_systems_folders() {
        let paths = Paths::of(&around(None, 0, Some("/x"), Some("/root"))).unwrap();
        assert_eq!(paths.config_file, Path::new("/etc/stationd/stationd.toml"));
        assert_eq!(paths.conf_dir, Path::new("/etc/stationd/conf.d"));
        assert_eq!(paths.admin_socket, Path::new("/run/stationd/admin.sock"));
        assert_eq!(paths.database, Path::new("/var/lib/stationd/stationd.db"));
        assert_eq!(paths.logs_dir, Path::new("/var/lib/stationd/logs"));
        assert_eq!(paths.keys_dir, Path::new("/var/lib/stationd/keys"));
        assert_eq!(paths.tools_dir, Path::new("/opt/stationd/tools"));
        assert_eq!(paths.workspace_dir, Path::new("/var/lib/stationd/workspace"));
    }

    #[test]
    fn a_home_holds_everything_for_root_too() {
        for uid in [0, 1000] {
            let paths = Paths::of(&around(Some("/h"), uid, Some("/x"), Some("/u"))).unwrap();
            assert_eq!(paths.config_file, Path::new("/h/stationd.toml"));
            assert_eq!(paths.conf_dir, Path::new("/h/conf.d"));
            assert_eq!(paths.run_dir, Path::new("/h/run"));
            assert_eq!(paths.admin_socket, Path::new("/h/run/admin.sock"));
            assert_eq!(paths.state_dir, Path::new("/h/state"));
            assert_eq!(paths.database, Path::new("/h/state/stationd.db"));
            assert_eq!(paths.logs_dir, Path::new("/h/state/logs"));
            assert_eq!(paths.keys_dir, Path::new("/h/state/keys"));
            assert_eq!(paths.tools_dir, Path::new("/h/tools"));
            assert_eq!(paths.workspace_dir, Path::new("/h/workspace"));
        }
    }

    #[test]
    fn who_decides_over_the_home() {
        let socket = |around: Surroundings| Paths::of(&around).map(|paths| paths.admin_socket);
        let ok = |path: &str| Ok(PathBuf::from(path));
        for (surroundings, expected) in [
            (around(Some("a"), 1, None, None), ok("/now/a/run/admin.sock")),
            (around(Some("./a/"), 1, None, None), ok("/now/a/run/admin.sock")),
            (around(Some(""), 0, None, None), Err(PathsError::EmptyHome)),
            (around(None, 1, Some("/x"), Some("/u")), ok("/x/stationd/run/admin.sock")),
            (around(None, 1, Some("x"), Some("/u")), ok("/u/.local/state/stationd/run/admin.sock")),
            (around(None, 1, Some(""), Some("/u")), ok("/u/.local/state/stationd/run/admin.sock")),
            (around(None, 1, None, None), Err(PathsError::NoHome)),
            (around(None, 1, None, Some("u")), Err(PathsError::NoHome)),
        ] {
            assert_eq!(socket(surroundings.clone()), expected, "{surroundings:?}");
        }
    }
}
