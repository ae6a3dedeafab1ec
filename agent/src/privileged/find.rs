//! Where an app's program is: the places are tried in a fixed order and remembered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{AppRoot, Refusal, RootConfig};
use crate::base::limits;
use crate::os::command::{self, Program};

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
pub(super) async fn program(root: &RootConfig, app: &AppRoot) -> Result<PathBuf, Refusal> {
    let mut tried = Vec::new();
    let name = app.kind.program();
    let wanted = app.command.first().map_or(name, String::as_str);
    if wanted.contains('/') {
        let path = at_home(root, wanted);
        if command::executable(&path) {
            return Ok(path);
        }
        tried.push(format!("{} (configured)", path.display()));
        return missing(wanted, tried);
    }
    // The login shell is only asked where stationd's own tools have no such program.
    let tools = root.tools.join("bin");
    if let Some(found) = command::find(wanted, [tools.clone()]) {
        return Ok(found);
    }
    tried.push(format!("{} (tools)", tools.display()));
    let path = login_path(root).await;
    let login = std::env::split_paths(&path).map(|folder| (folder, "login PATH"));
    let local = [(root.user.home.join(".local/bin"), "user")];
    let conda = CONDA.map(|folder| (root.user.home.join(folder).join("bin"), "conda"));
    for (folder, what) in login.chain(local).chain(conda) {
        if let Some(found) = command::find(wanted, [folder.clone()]) {
            return Ok(found);
        }
        let place = format!("{} ({what})", folder.display());
        if !tried.contains(&place) {
            tried.push(place);
        }
    }
    missing(wanted, tried)
}

fn missing(program: &str, tried: Vec<String>) -> Result<PathBuf, Refusal> {
    Err(Refusal::ProgramMissing { program: program.to_owned(), tried })
}

fn at_home(root: &RootConfig, path: &str) -> PathBuf {
    path.strip_prefix("~/").map_or_else(|| PathBuf::from(path), |rest| root.user.home.join(rest))
}

/// The PATH that the user gets when they log in, as their own shell says.
pub(super) async fn login_path(root: &RootConfig) -> String {
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
    let said = match command::run_as(&program, limits::USER_STEP).await {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => {
            tracing::warn!(shell = %user.shell.display(), %error, "the login PATH is unknown");
            String::new()
        }
    };
    said.split(MARK).nth(1).filter(|path| !path.is_empty()).unwrap_or(DEFAULT_PATH).to_owned()
}
