//! The other roles of the package's units: `stationd privileged` and `stationd probe`.
//!
//! Each listens on a socket that PID 1 holds, and ends when nobody asks any more.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::UnixListener;

use super::edges::{config_to_host, config_to_privileged};
use super::{Outside, log, reload, told};
use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::base::tasks::pulse::Pulses;
use crate::config::{self, Config, Environment, Paths};
use crate::os::systemd::passed::{Passed, PassedError};
use crate::os::{signals, systemd};
use crate::privileged::role::{Load, Role};
use crate::privileged::units::note;
use crate::privileged::{self, UnitUser};
use crate::probe;

/// The account that stationd runs under where units start it.
const ACCOUNT: &str = "stationd";

/// The roles say little; `RUST_LOG` changes that.
const LOG: config::model::Log =
    config::model::Log { level: config::model::Level::Info, format: config::model::Format::Text };

/// Why a role ended.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    #[error(
        "this role is started by systemd, through its socket: systemctl start stationd.service"
    )]
    NoSocket,
    #[error("the socket of this role cannot be used")]
    Passed(#[source] PassedError),
    #[error("cannot find this program's own file")]
    Program(#[source] io::Error),
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error("there is no account {ACCOUNT}: install the package again")]
    NoAccount,
}

/// Does what needs root, as long as stationd asks.
pub fn privileged() -> Result<ExitCode, RoleError> {
    let outside = outside()?;
    let account = UnitUser::named(ACCOUNT).map_err(|_none| RoleError::NoAccount)?;
    let file = in_force(&outside.paths);
    let none = Config { apps: Vec::new(), ..config::defaults(&outside.paths) };
    let bare = config_to_privileged::root_config(&none, &outside, None);
    let bare = bare.map_err(|_none| RoleError::NoAccount)?;
    let load: Load = Arc::new(move || load(&outside));
    let role = Role { load, bare, file, uid: account.uid, idle: limits::PART_IDLE };
    run("privileged", |tasks, listener| async move {
        privileged::role::serve(&tasks, listener, role).await;
    })
}

fn outside() -> Result<Outside, RoleError> {
    let program = std::env::current_exe().map_err(RoleError::Program)?;
    Ok(Outside {
        paths: Paths::system(),
        environment: Environment::default(),
        program,
        units: true,
        passed: Arc::default(),
        pulses: Pulses::default(),
    })
}

/// Where the privileged part keeps the configuration in force.
fn in_force(paths: &Paths) -> PathBuf {
    paths.run_dir.join("privileged/root.json")
}

/// The configuration as the files say it now.
fn load(outside: &Outside) -> Result<privileged::RootConfig, String> {
    let root = |config: &Config| {
        config_to_privileged::root_config(config, outside, None).map_err(|error| told(&error))
    };
    match config::load(&outside.paths, &outside.environment) {
        Ok(loaded) => root(&loaded.config),
        Err(failed) => Err(reload::sentences(&failed.mistakes)),
    }
}

/// Writes down how an app of the units ended.
pub fn note_exit() -> ExitCode {
    note::run(&config_to_privileged::keepers(&Paths::system()))
}

/// Looks at what may hang, as long as stationd asks.
pub fn probe() -> Result<ExitCode, RoleError> {
    let outside = outside()?;
    let account = UnitUser::named(ACCOUNT).map_err(|_none| RoleError::NoAccount)?;
    let program = outside.program.clone();
    let file = in_force(&outside.paths);
    let may = move || {
        let root = privileged::role::in_force(&file).or_else(|| load(&outside).ok());
        probe::role::May {
            disks: config_to_host::own_disks(&outside.paths),
            tools: Some(outside.paths.tools_dir.clone()),
            workspace: root.map(|root| root.workspace),
        }
    };
    let role = probe::role::Role { program, uid: account.uid, may: Arc::new(may) };
    run("probe", |tasks, listener| async move {
        probe::role::serve(&tasks, listener, role).await;
    })
}

/// Serves the inherited listener until the role ends by itself or by a signal.
fn run<F>(
    name: &'static str,
    serve: impl FnOnce(Tasks, UnixListener) -> F,
) -> Result<ExitCode, RoleError>
where
    F: Future<Output = ()>,
{
    log::start(LOG);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RoleError::Runtime)?;
    runtime.block_on(async {
        let passed = Passed::take().and_then(|passed| passed.unix(name));
        let listener = passed.map_err(RoleError::Passed)?.ok_or(RoleError::NoSocket)?;
        let listener = UnixListener::from_std(listener).map_err(RoleError::Runtime)?;
        let mut stop = signals::Stop::listen().map_err(RoleError::Runtime)?;
        let (tasks, _ended) = Tasks::new();
        systemd::ready("");
        let serving = Box::pin(serve(tasks.clone(), listener));
        futures_util::future::select(serving, Box::pin(stop.came())).await;
        tasks.cancel();
        // What was asked is answered; PID 1 has the limit.
        tasks.joined().await;
        Ok(ExitCode::SUCCESS)
    })
}
