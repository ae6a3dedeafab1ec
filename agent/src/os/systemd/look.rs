//! What systemd says to anybody who asks over D-Bus: which units have failed
//! (org.freedesktop.systemd1(5)), and whether the clock is kept (org.freedesktop.timedate1(5)).

use std::time::Duration;

use zbus::connection::Builder;
use zbus::{Connection, Message, OwnedObjectPath, OwnedVariant};

use crate::os::machine;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error("D-Bus cannot be asked")]
    Bus(#[from] zbus::Error),
    #[error("systemd did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}

const BUS: &str = "/run/dbus/system_bus_socket";
/// More are counted by nobody.
const MOST: usize = 64;

/// The names of the failed units, sorted; `None` without systemd or without D-Bus.
pub async fn failed(limit: Duration) -> Result<Option<Vec<String>>, LookError> {
    if !is_there() {
        return Ok(None);
    }
    let asked = tokio::time::timeout(limit, failed_units());
    asked.await.map_err(|_elapsed| LookError::TimedOut(limit))?.map(Some)
}

/// Whether a time server keeps the clock; `None` without systemd or without D-Bus. Where it does not
/// run, systemd starts the service that knows, which ends by itself.
pub async fn clock_is_kept(limit: Duration) -> Result<Option<bool>, LookError> {
    if !is_there() {
        return Ok(None);
    }
    let asked = tokio::time::timeout(limit, synchronized());
    asked.await.map_err(|_elapsed| LookError::TimedOut(limit))?.map(Some)
}

fn is_there() -> bool {
    machine::path("/run/systemd/system").is_dir() && machine::path(BUS).exists()
}

async fn connect() -> Result<Connection, LookError> {
    let address = format!("unix:path={}", machine::path(BUS).display());
    Ok(Builder::address(address.as_str()).build().await?)
}

async fn failed_units() -> Result<Vec<String>, LookError> {
    let answer: Message = connect()
        .await?
        .call_method(
            Some("org.freedesktop.systemd1"),
            "/org/freedesktop/systemd1",
            Some("org.freedesktop.systemd1.Manager"),
            "ListUnitsFiltered",
            &(&["failed"][..]),
        )
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

async fn synchronized() -> Result<bool, LookError> {
    const CLOCK: &str = "org.freedesktop.timedate1";
    let answer: Message = connect()
        .await?
        .call_method(
            Some(CLOCK),
            "/org/freedesktop/timedate1",
            Some("org.freedesktop.DBus.Properties"),
            "Get",
            &(CLOCK, "NTPSynchronized"),
        )
        .await?;
    let value: OwnedVariant = answer.body().deserialize()?;
    Ok(bool::try_from(value)?)
}
