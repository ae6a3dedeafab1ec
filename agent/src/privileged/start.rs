//! Starts an app: folders with the right owner, the launch file, then its keeper.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, lchown};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::keeper::files::{FILE_BYTES_MAX, Folder, Hello, Launch, State, VERSION};
use super::{AppRoot, Refusal, RootConfig, find, keeper, recipe, sweep};
use crate::base::chain::Chain;
use crate::base::limits;
use crate::os::command::{self, Program};
use crate::os::{file, socket};

/// Ends left-overs, prepares, starts the keeper and waits until it says that the app runs.
pub(super) async fn start(
    root: &RootConfig,
    app: &AppRoot,
    generation: u64,
) -> Result<Box<State>, Refusal> {
    sweep::sweep(root, &app.name, None).await?;
    let program = find::program(root, app).await?;
    let given = recipe::Given { program, generation, path: find::login_path(root).await };
    let folder = Folder::of(&root.keepers, &app.name);
    prepare(root, app, &folder).await?;
    let launch = Launch {
        version: VERSION,
        app: app.name.clone(),
        generation,
        unit: root.unit(&app.name, generation),
        spec: root.fingerprint(&app.name).unwrap_or_default(),
        program: under_account(root, recipe::build(root, app, &given)),
        log: root.log(&app.name),
    };
    let text = serde_json::to_vec_pretty(&launch).map_err(|error| failed(&error))?;
    file::write_atomic(&folder.launch(), &text, 0o600).map_err(|error| failed(&error))?;
    keep(root, &folder).await
}

fn under_account(root: &RootConfig, recipe: recipe::Recipe) -> Program {
    let recipe::Recipe { program, arguments, environment, folder } = recipe;
    Program { program, arguments, environment, folder, account: root.user.account() }
}

fn failed(error: &dyn std::error::Error) -> Refusal {
    Refusal::StartFailed(Chain(error).to_string())
}

/// Everything that must be there before the program starts.
async fn prepare(root: &RootConfig, app: &AppRoot, folder: &Folder) -> Result<(), Refusal> {
    let own_socket = root.socket(&app.name);
    for path in [&own_socket, &folder.socket()] {
        socket::check_path(path).map_err(|error| failed(&error))?;
    }
    for path in [&root.keepers, &root.logs, &folder.0] {
        file::ensure_dir(path, 0o700).map_err(|error| failed(&error))?;
    }
    // Others may pass through to the folder of their own app, and list nothing.
    file::ensure_dir(&root.sockets, 0o711).map_err(|error| failed(&error))?;
    let socket_folder = root.sockets.join(app.name.as_str());
    own_folder(root, &socket_folder)?;
    if app.make_workspace {
        own_folder(root, &app.workspace)?;
    }
    for path in [folder.kept(), folder.exit(), own_socket] {
        remove(&path)?;
    }
    user_folder(root, app).await
}

fn remove(path: &Path) -> Result<(), Refusal> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Refusal::StartFailed(format!("cannot remove the old {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// A folder that is the user's alone. Its parent is ours, so nobody can have put a link there.
fn own_folder(root: &RootConfig, path: &Path) -> Result<(), Refusal> {
    let made = match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => match root.user.account() {
            Some(account) => lchown(path, Some(account.uid), Some(account.gid)),
            None => Ok(()),
        },
    };
    made.map_err(|error| {
        Refusal::StartFailed(format!("cannot prepare the folder {}: {error}", path.display()))
    })
}

/// Makes the user's folder as the user, so that no link in a shared place misleads us, in a process
/// of its own, so that a dead mount cannot hang us, and never the workspace itself: where that is
/// missing, a mount is missing.
async fn user_folder(root: &RootConfig, app: &AppRoot) -> Result<(), Refusal> {
    let folder = app.folder.display();
    let below = app.folder.strip_prefix(&app.workspace).map_err(|_outside| {
        Refusal::StartFailed(format!(
            "the user's folder {folder} is not in the workspace {}: correct instance.user_folder",
            app.workspace.display()
        ))
    })?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let program = Program {
        program: PathBuf::from("/bin/sh"),
        arguments: vec![
            "-c".to_owned(),
            "cd -- \"$1\" && { [ -z \"$2\" ] || mkdir -p -- \"$2\"; }".to_owned(),
            "sh".to_owned(),
            text(&app.workspace),
            text(below),
        ],
        environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        folder: PathBuf::from("/"),
        account: root.user.account(),
    };
    let made = command::run_as(&program, limits::USER_STEP).await;
    let problem = match made {
        Ok(output) if output.success => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => Chain(&error).to_string(),
    };
    Err(Refusal::StartFailed(format!(
        "{} cannot use the folder {folder}: {problem}; check the workspace and its rights",
        root.user.name
    )))
}

/// Starts the keeper and reads its first line.
async fn keep(root: &RootConfig, folder: &Folder) -> Result<Box<State>, Refusal> {
    let program = Program {
        program: root.keeper.clone(),
        arguments: vec![
            "keep".to_owned(),
            "--dir".to_owned(),
            folder.0.to_string_lossy().into_owned(),
        ],
        environment: BTreeMap::new(),
        folder: folder.0.clone(),
        account: None,
    };
    let errors = keeper::error_file(folder).map_err(|error| failed(&error))?;
    let mut child = command::start_keeper(&program, errors).map_err(|error| failed(&error))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout.take(FILE_BYTES_MAX));
        let read = tokio::time::timeout(limits::KEEPER_START, reader.read_line(&mut line)).await;
        if !matches!(read, Ok(Ok(_))) {
            line.clear();
        }
    }
    match serde_json::from_str(&line) {
        Ok(Hello::Running(state)) => Ok(state),
        Ok(Hello::Failed(message)) => Err(Refusal::StartFailed(message)),
        Err(_) => {
            // It said nothing that we understand; whatever it started must not stay.
            if let Err(error) = child.start_kill() {
                tracing::debug!(%error, "the keeper is gone already");
            }
            let text = fs::read_to_string(folder.errors()).unwrap_or_default();
            Err(Refusal::StartFailed(format!(
                "the keeper did not start: {}",
                text.lines().last().unwrap_or("it said nothing")
            )))
        }
    }
}
