//! Where an app's program is: the places are tried in a fixed order and remembered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::chain::Chain;
use crate::base::limits;
use crate::os::command::{self, Program};
use crate::privileged::{AppRoot, Refusal, RootConfig};

/// Conda installations, below the home folder or absolute.
const CONDA: [&str; 7] = [
    "miniconda3",
    "miniforge3",
    "mambaforge",
    "anaconda3",
    "/opt/conda",
    "/opt/miniconda3",
    "/anaconda",
];
/// Used when the login shell does not say.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The first one there is: the configured command, tools, login PATH, ~/.local/bin, conda.
pub(in crate::privileged) async fn program(
    root: &RootConfig,
    app: &AppRoot,
) -> Result<PathBuf, Refusal> {
    let mut tried = Vec::new();
    let name = app.kind.program();
    let wanted = app.command.first().map_or(name, String::as_str);
    if wanted.contains('/') {
        let path = at_home(root, wanted);
        if let Some(found) = first_executable(root, vec![path.clone()]).await? {
            return Ok(found);
        }
        tried.push(format!("{} (configured)", path.display()));
        return missing(root, wanted, tried);
    }
    // The login shell is only asked where stationd's own tools have no such program.
    let tools = root.tools.join("bin");
    if let Some(found) = first_executable(root, vec![tools.join(wanted)]).await? {
        return Ok(found);
    }
    tried.push(format!("{} (tools)", tools.display()));
    let path = login_path(root).await;
    let login = std::env::split_paths(&path).map(|folder| (folder, "login PATH"));
    let local = [(root.user.home.join(".local/bin"), "user")];
    let conda = CONDA.map(|folder| (root.user.home.join(folder).join("bin"), "conda"));
    let mut candidates = Vec::new();
    for (folder, what) in login.chain(local).chain(conda) {
        candidates.push(folder.join(wanted));
        let place = format!("{} ({what})", folder.display());
        if !tried.contains(&place) {
            tried.push(place);
        }
    }
    match first_executable(root, candidates).await? {
        Some(found) => Ok(found),
        None => missing(root, wanted, tried),
    }
}

/// The first of the files that the user may execute. The user is asked, in a process of their own:
/// root may execute what they may not reach, and a dead mount would hang us.
async fn first_executable(
    root: &RootConfig,
    files: Vec<PathBuf>,
) -> Result<Option<PathBuf>, Refusal> {
    const SCRIPT: &str = "i=0; for f; do [ -f \"$f\" ] && [ -x \"$f\" ] && { echo $i; exit; }; \
        i=$((i+1)); done; echo none";
    let arguments = files.iter().map(|file| file.to_string_lossy().into_owned());
    let program = root.user.script(SCRIPT, arguments);
    let said = match command::run_as(&program, limits::USER_STEP, |_| false).await {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(error) => {
            let places: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            return Err(Refusal::StartFailed(format!(
                "{} cannot look for the program in {}: {}",
                root.user.name,
                places.join(", "),
                Chain(&error)
            )));
        }
    };
    let found: Option<usize> = said.parse().ok();
    Ok(found.and_then(|index| files.into_iter().nth(index)))
}

fn missing(root: &RootConfig, program: &str, tried: Vec<String>) -> Result<PathBuf, Refusal> {
    let (program, user) = (program.to_owned(), root.user.name.clone());
    Err(Refusal::ProgramMissing { program, user, tried })
}

fn at_home(root: &RootConfig, path: &str) -> PathBuf {
    path.strip_prefix("~/").map_or_else(|| PathBuf::from(path), |rest| root.user.home.join(rest))
}

/// The PATH that the user gets when they log in, as their own shell says.
pub(in crate::privileged) async fn login_path(root: &RootConfig) -> String {
    // Set apart from whatever a login script prints of its own accord.
    const MARK: &str = "@stationd@";
    let user = &root.user;
    let program = Program {
        program: user.shell.clone(),
        arguments: vec!["-lc".to_owned(), format!("printf '{MARK}%s{MARK}' \"$PATH\"")],
        environment: BTreeMap::from([
            ("HOME".to_owned(), user.home.to_string_lossy().into_owned()),
            ("USER".to_owned(), user.name.clone()),
            ("LOGNAME".to_owned(), user.name.clone()),
            ("PATH".to_owned(), DEFAULT_PATH.to_owned()),
        ]),
        folder: Path::new("/").to_owned(),
        account: user.account(),
    };
    // What comes after the closing mark is not waited for: a login script may start daemons.
    let enough = |text: &[u8]| String::from_utf8_lossy(text).matches(MARK).count() > 1;
    let said = match command::run_as(&program, limits::USER_STEP, enough).await {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => {
            let (shell, error) = (user.shell.display(), Chain(&error));
            tracing::warn!(%shell, %error, "the login PATH is unknown");
            String::new()
        }
    };
    said.split(MARK).nth(1).filter(|path| !path.is_empty()).unwrap_or(DEFAULT_PATH).to_owned()
}
