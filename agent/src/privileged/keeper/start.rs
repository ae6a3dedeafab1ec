//! Starts an app: its folders, the launch file, then its keeper.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::files::{FILE_BYTES_MAX, Folder, Hello, Launch, State, VERSION};
use super::sweep;
use crate::base::limits;
use crate::os::command::{self, Program};
use crate::os::file;
use crate::os::process::memory;
use crate::privileged::app::{find, folders, recipe};
use crate::privileged::{AppRoot, Refusal, RootConfig, failed};

/// Ends left-overs, prepares, starts the keeper and waits until it says that the app runs.
pub(in crate::privileged) async fn start(
    root: &RootConfig,
    app: &AppRoot,
    generation: u64,
) -> Result<Box<State>, Refusal> {
    sweep::sweep(root, &app.name, None).await?;
    let program = find::program(root, app).await?;
    let given = recipe::Given { program, generation, path: find::login_path(root).await };
    let folder = Folder::of(&root.keepers, &app.name);
    folders::prepare(root, app, &folder).await?;
    let recipe = recipe::build(root, app, &given);
    let group = recipe.memory_max.and_then(|bytes| limited(&root.instance, app, bytes));
    let launch = Launch {
        version: VERSION,
        app: app.name.clone(),
        generation,
        unit: root.unit(&app.name, generation),
        spec: root.fingerprint(&app.name).unwrap_or_default(),
        program: under_account(root, recipe),
        log: root.log(&app.name),
        group,
    };
    let text = serde_json::to_vec_pretty(&launch).map_err(|error| failed(&error))?;
    file::write_atomic(&folder.launch(), &text, 0o600).map_err(|error| failed(&error))?;
    keep(root, &folder).await
}

/// A control group with the limit. Without the right to make one there is no limit: the attendant
/// reports what holds, and the app's message says so.
fn limited(instance: &str, app: &AppRoot, bytes: u64) -> Option<PathBuf> {
    let made = memory::make_group(&format!("stationd-{instance}-{}", app.name), bytes);
    if let Err(error) = &made {
        tracing::warn!(app = %app.name, %error, "memory_max cannot be enforced");
    }
    made.ok()
}

fn under_account(root: &RootConfig, recipe: recipe::Recipe) -> Program {
    let recipe::Recipe { program, arguments, environment, folder, memory_max: _ } = recipe;
    Program { program, arguments, environment, folder, account: root.user.account() }
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
    let errors = super::error_file(folder).map_err(|error| failed(&error))?;
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
