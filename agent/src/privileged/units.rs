//! Apps as transient units of systemd: started, looked at and ended over D-Bus.
//!
//! ```text
//!   StartApp ─► end what is left ─► find, folders ─► StartTransientUnit ─► keeper.json
//!   the unit ends ─► its last step: `stationd note-exit` ─► exit.json
//!   LookAtUnit ─► PID 1's view + both files ─► running | ending | ended | lost | nothing
//! ```
//!
//! Invariants: a unit's name is made from the name of an app, so that no other unit can be meant;
//! the end is written down by a step of the unit itself, so that it is known whoever lives then;
//! `NoNewPrivileges` and mount namespaces are never set, because an app is the user's own shell.
//!
//! Not here: when to start or stop (`apps`), and what is started (`recipe`).

mod bus;
mod journal;
mod judge;
pub mod note;
mod properties;

use std::time::Duration;

use super::app::{find, folders, recipe};
use super::keeper::files::{Asked, Folder, Kept, State, StopBy, VERSION};
use super::{AppRoot, Looked, Refusal, Reply, RootConfig, Verb, access, failed, keeper};
use crate::base::ids::AppName;
use crate::base::limits;
use crate::os::process::ProcessId;
use crate::os::{clock, file, process};

use self::bus::Bus;

/// How the unit of an app is called.
pub(super) fn unit_name(app: &AppName) -> String {
    format!("stationd-app-{app}.service")
}

fn app_of(unit: &str) -> Option<AppName> {
    AppName::parse(unit.strip_prefix("stationd-app-")?.strip_suffix(".service")?).ok()
}

/// How the unit of a share's warden is called.
fn mount_unit(mount: &AppName) -> String {
    format!("stationd-mount-{mount}.service")
}

/// Starts the warden's unit, unless it runs.
pub(super) async fn start_warden(
    root: &RootConfig,
    mount: &AppName,
    folder: &str,
) -> Result<(), Refusal> {
    let (bus, unit) = (Bus::connect().await?, mount_unit(mount));
    if bus.unit(&unit).await?.is_some_and(|seen| seen.state.exists()) {
        return Ok(());
    }
    let program = root.keeper.display().to_string();
    bus.start(&unit, &properties::of_warden(&program, folder, mount.as_str())).await.map(drop)
}

/// Ends the warden's unit, with its driver.
pub(super) async fn kill_warden(mount: &AppName) -> Result<(), Refusal> {
    let (bus, unit) = (Bus::connect().await?, mount_unit(mount));
    bus.kill(&unit).await?;
    bus.stop(&unit).await
}

/// Held by PID 1 while stationd works; closed when the station rests.
const SOCKETS: [&str; 5] = [
    "stationd.socket",
    "stationd-admin.socket",
    "stationd-control.socket",
    "stationd-probe.socket",
    "stationd-probe.service",
];
/// The last one: whoever asked still gets the answer.
const OWN_SOCKET: &str = "stationd-privileged.socket";

/// The verbs that concern units alone.
pub(super) async fn execute(verb: Verb, root: &RootConfig) -> Result<Reply, Refusal> {
    match verb {
        Verb::KillUnit { app, .. } => {
            end(root, &app, Duration::ZERO).await?;
            Ok(Reply::Killed { processes: 0 })
        }
        Verb::LookAtUnit { app } => Ok(Reply::Looked(look(root, &app).await?)),
        Verb::StopUnit { app, by } => {
            note_stop(root, &app, by)?;
            Bus::connect().await?.stop(&unit_name(&app)).await?;
            Ok(Reply::Done)
        }
        Verb::ListUnits {} => {
            let units = Bus::connect().await?.running("stationd-app-*.service").await?;
            Ok(Reply::Units(units.iter().filter_map(|unit| app_of(unit)).collect()))
        }
        Verb::ReadLog { app, lines, last_run } => {
            let kept = keeper::read::<Kept>(&Folder::of(&root.keepers, &app).kept());
            let run = kept.and_then(|kept| kept.invocation).filter(|_| last_run);
            Ok(Reply::Log(journal::tail(&unit_name(&app), run.as_deref(), lines).await?))
        }
        Verb::SetRootAccess {} => {
            access::set(root).await?;
            Ok(Reply::Done)
        }
        Verb::CloseSockets {} => {
            let bus = Bus::connect().await?;
            for unit in SOCKETS.iter().chain([&OWN_SOCKET]) {
                bus.stop(unit).await?;
            }
            Ok(Reply::Done)
        }
        Verb::Configure {}
        | Verb::FindApp { .. }
        | Verb::StartApp { .. }
        | Verb::StartMount { .. }
        | Verb::KillMount { .. } => {
            Err(Refusal::NotUnderstood("a verb that is no unit's".to_owned()))
        }
    }
}

/// Ends left-overs, prepares, starts the unit and waits until its program runs.
pub(super) async fn start(
    root: &RootConfig,
    app: &AppRoot,
    generation: u64,
) -> Result<Box<State>, Refusal> {
    end(root, &app.name, limits::APP_STOP).await?;
    let program = find::program(root, app).await?;
    let given = recipe::Given { program, generation, path: find::login_path(root).await };
    let folder = Folder::of(&root.keepers, &app.name);
    folders::prepare(root, app, &folder).await?;
    let unit = root.unit(&app.name, generation);
    let recipe = recipe::build(root, app, &given);
    let properties = properties::of_app(&root.user, &recipe, app.name.as_str());
    let running = Bus::connect().await?.start(&unit_name(&app.name), &properties).await?;
    let kept = Kept {
        version: VERSION,
        keeper: ProcessId::of(1).ok_or_else(|| Refusal::Systemd("there is no PID 1".into()))?,
        app: identity(running.pid),
        generation,
        unit,
        spec: root.fingerprint(&app.name).unwrap_or_default(),
        started_at: clock::now().wall.as_millisecond(),
        invocation: Some(running.invocation),
    };
    let text = serde_json::to_vec_pretty(&kept).map_err(|error| failed(&error))?;
    if let Err(error) = file::write_atomic(&folder.kept(), &text, 0o600) {
        // Without this file nobody could adopt it: better no app than a lost one.
        end(root, &app.name, Duration::ZERO).await?;
        return Err(failed(&error));
    }
    Ok(Box::new(State { kept, stopping: false, dropped_bytes: 0, exit: None }))
}

/// A program that has ended already is known by its number alone.
fn identity(pid: i32) -> ProcessId {
    ProcessId::of(pid).unwrap_or_else(|| ProcessId {
        pid,
        start_ticks: 0,
        boot_id: process::boot_id(),
    })
}

async fn look(root: &RootConfig, app: &AppName) -> Result<Looked, Refusal> {
    let folder = Folder::of(&root.keepers, app);
    let seen = Bus::connect().await?.unit(&unit_name(app)).await?;
    let exit = keeper::read(&folder.exit());
    let looked =
        judge::look(keeper::read(&folder.kept()), exit, seen.as_ref(), &process::boot_id());
    if looked == Looked::Nothing && seen.is_some_and(|seen| seen.state.exists()) {
        // Started by somebody who ended before it was written down.
        end(root, app, Duration::ZERO).await?;
    }
    Ok(looked)
}

/// Who asked for the end; the note of the end will say so.
fn note_stop(root: &RootConfig, app: &AppName, by: StopBy) -> Result<(), Refusal> {
    let folder = Folder::of(&root.keepers, app);
    let Some(kept) = keeper::read::<Kept>(&folder.kept()) else { return Ok(()) };
    // Who asked first is who ended it; a second stop only makes it sooner.
    if keeper::read::<Asked>(&folder.asked()).is_some_and(|asked| asked.unit == kept.unit) {
        return Ok(());
    }
    let text =
        serde_json::to_vec(&Asked { unit: kept.unit, by }).map_err(|error| failed(&error))?;
    let written =
        folder.check_own().and_then(|()| file::write_atomic(&folder.asked(), &text, 0o600));
    // A full disk must not keep anybody from stopping an app.
    if let Err(error) = written {
        tracing::warn!(%app, %error, "who stopped it will not be known");
    }
    Ok(())
}

/// Ends the unit and waits until nothing of it is left; after the grace it is killed.
async fn end(root: &RootConfig, app: &AppName, grace: Duration) -> Result<(), Refusal> {
    let (bus, unit) = (Bus::connect().await?, unit_name(app));
    if !bus.unit(&unit).await?.is_some_and(|seen| seen.state.exists()) {
        return Ok(());
    }
    note_stop(root, app, StopBy::Other)?;
    if grace.is_zero() {
        bus.kill(&unit).await?;
    }
    bus.stop(&unit).await?;
    if bus.gone(&unit, grace.max(limits::KILL_WAIT)).await? {
        return Ok(());
    }
    bus.kill(&unit).await?;
    if bus.gone(&unit, limits::KILL_WAIT).await? {
        return Ok(());
    }
    Err(Refusal::LeftRunning { app: app.clone(), left: 1 })
}
