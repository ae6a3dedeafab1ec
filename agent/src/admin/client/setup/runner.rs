//! How the programs of a setup are found and asked, and what they get of the caller's environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::facts;
use super::profile::Tools;
use crate::os::command::{self, Program};

/// A question to a program, such as its version.
const QUESTION: Duration = Duration::from_secs(30);

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

    pub(super) fn program(&self, program: &Path, arguments: &[&str]) -> Program {
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
}
