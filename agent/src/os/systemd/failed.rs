//! Which units of systemd have failed, over D-Bus (org.freedesktop.systemd1(5)): anybody may ask.

use std::time::Duration;

use zbus::OwnedObjectPath;
use zbus::connection::Builder;

use crate::os::machine;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum FailedError {
    #[error("D-Bus cannot be asked")]
    Bus(#[from] zbus::Error),
    #[error("systemd did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}

const BUS: &str = "/run/dbus/system_bus_socket";
const SERVICE: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// More are counted by nobody.
const MOST: usize = 64;

/// The names of the failed units, sorted; `None` without systemd or without D-Bus.
pub async fn failed(limit: Duration) -> Result<Option<Vec<String>>, FailedError> {
    if !machine::path("/run/systemd/system").is_dir() || !machine::path(BUS).exists() {
        return Ok(None);
    }
    let asked = tokio::time::timeout(limit, ask());
    asked.await.map_err(|_elapsed| FailedError::TimedOut(limit))?.map(Some)
}

async fn ask() -> Result<Vec<String>, FailedError> {
    let address = format!("unix:path={}", machine::path(BUS).display());
    let bus = Builder::address(address.as_str()).build().await?;
    let answer = bus
        .call_method(Some(SERVICE), PATH, Some(MANAGER), "ListUnitsFiltered", &(&["failed"][..]))
        .await?;
    let units: Vec<Unit> = answer.body().deserialize()?;
    let mut names: Vec<String> = units.into_iter().map(|unit| unit.0).collect();
    names.sort();
    names.truncate(MOST);
    Ok(names)
}

/// A unit as the manager lists it: its name, its description, three states, whom it follows, its path,
/// and its job.
type Unit =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);
