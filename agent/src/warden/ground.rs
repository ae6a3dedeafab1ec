//! What must be true before a driver starts: the place is guarded and shared, nobody else has the cache, what
//! an earlier driver left is ended and saved.

pub(super) mod unmount;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::files::{FILE_BYTES_MAX, Folder, Launch, Source, VERSION};
use super::rescue;
use super::state::Places;
use crate::base::chain::Chain;
use crate::os::file;
use crate::os::machine::mount::table::{self, Entry};
use crate::os::machine::mount::{self, Guard, fuse};
use crate::os::process::{self, ProcessId};

/// How long a driver that was killed may take to disappear.
const GONE: Duration = Duration::from_secs(10);
const GONE_LOOK: Duration = Duration::from_millis(10);

/// `held.json`: what there was to hold when it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) version: u32,
    pub(super) generation: u64,
    #[serde(default)]
    pub(super) driver: Option<ProcessId>,
}

impl Held {
    pub(super) fn read(folder: &Folder) -> Option<Self> {
        let text = file::read_limited(&folder.held(), FILE_BYTES_MAX).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub(super) fn write(folder: &Folder, generation: u64, driver: Option<i32>) {
        let driver = driver.and_then(ProcessId::of);
        let held = Self { version: VERSION, generation, driver };
        let text = serde_json::to_vec(&held).unwrap_or_default();
        if let Err(error) = file::write_atomic(&folder.held(), &text, 0o600) {
            tracing::warn!(error = %Chain(&error), "the next warden will not know this driver");
        }
    }
}

/// The ground of one mount.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) folder: Folder,
    pub(super) launch: Launch,
    /// Whether we may move mounts; a user's driver mounts at the place itself.
    pub(super) root: bool,
}

impl Ground {
    /// Where the driver of this generation mounts.
    pub(super) fn at(&self, generation: u64) -> PathBuf {
        if self.root {
            self.folder.stage().join(format!("g{generation}"))
        } else {
            self.launch.place.clone()
        }
    }

    /// Where the driver's configuration goes: a place in memory, where there is one of our own.
    pub(super) fn config(&self) -> PathBuf {
        let folder = if self.root { self.folder.stage() } else { self.folder.0.clone() };
        // blobfuse2 tells the format by the name.
        let yaml = matches!(self.launch.source, Source::Blobfuse2(_));
        folder.join(if yaml { "driver.yaml" } else { "driver.conf" })
    }

    /// Once, before the first driver: ends what an earlier warden left. Blocking.
    pub(super) fn clear(&self) -> Result<(), String> {
        if let Some(driver) = Held::read(&self.folder).and_then(|held| held.driver)
            && driver.alive()
        {
            kill(&driver)?;
        }
        // A driver that hears of the end empties its cache.
        rescue::set_aside(&self.launch).map_err(|error| Chain(&error).to_string())?;
        let table = table::read().map_err(|error| format!("the mounts cannot be read: {error}"))?;
        let place = &self.launch.place;
        let stage = self.folder.stage();
        if self.root {
            fuse::control().map_err(|error| format!("fusectl cannot be mounted: {error}"))?;
            // A driver that nobody wrote down hears of it and ends.
            let ours = |entry: &&Entry| entry.at == *place || entry.at.starts_with(&stage);
            for entry in table.iter().filter(ours).filter(|entry| entry.is_fuse()) {
                fuse::abort(entry.device.1).map_err(|error| format!("cannot abort: {error}"))?;
            }
            for entry in
                table.iter().filter(|entry| entry.at.starts_with(&stage) && entry.at != stage)
            {
                mount::detach(&entry.at).map_err(|error| Chain(&error).to_string())?;
            }
        }
        Ok(())
    }

    /// Whether a dead mount is at the place that must go first: a user cannot put another one beneath it.
    pub(super) fn in_the_way(&self) -> bool {
        !self.root
            && table::read().is_ok_and(|all| all.iter().any(|one| one.at == self.launch.place))
    }

    /// Before each driver. Says how many files were saved. Blocking.
    pub(super) fn prepare(&self) -> Result<u64, String> {
        let told = |error: &dyn std::error::Error| Chain(error).to_string();
        let Launch { place, above, cache, .. } = &self.launch;
        let table = table::read().map_err(|error| told(&error))?;
        let top = table::stack(&table, place).last().copied().cloned();
        if let Some(foreign) = top.as_ref().filter(|top| !is_share(top)) {
            return Err(format!(
                "{} ({}) is mounted at {}: unmount it",
                foreign.source,
                foreign.kind,
                place.display()
            ));
        }
        file::ensure_dir(above, 0o755).map_err(|error| told(&error))?;
        if self.root {
            mount::share(above).map_err(|error| told(&error))?;
            mount::stage(&self.folder.stage()).map_err(|error| told(&error))?;
        }
        if top.is_none() {
            let guard = mount::guard(place);
            let guard = guard.map_err(|error| format!("{}: {error}", place.display()))?;
            if guard == Guard::Mode {
                tracing::debug!("the file system of the mount point knows no immutable folders");
            }
        }
        file::ensure_own_dir(cache, 0o700).map_err(|error| told(&error))?;
        rescue::rescue(&self.launch).map_err(|error| told(&error))
    }

    /// What the table shows of us now, with the ids of the mounts at our place.
    pub(super) fn places(&self, generation: u64) -> (Places, Vec<u64>) {
        let table = table::read().unwrap_or_default();
        let number = |entry: &Entry| is_share(entry).then_some(entry.device.1);
        let place = table::stack(&table, &self.launch.place);
        let ids = place.iter().map(|entry| entry.id).collect();
        let mut place: Vec<Option<u32>> = place.into_iter().map(number).collect();
        let staged = if self.root {
            let at = self.at(generation);
            table::stack(&table, &at).last().and_then(|entry| number(entry))
        } else {
            place.pop().flatten()
        };
        (Places { staged, place }, ids)
    }

    /// Nothing of ours is left but the cache and the guarded folder. Blocking.
    pub(super) fn leave(&self) {
        let stage = self.folder.stage();
        if self.root
            && let Err(error) = mount::detach(&stage)
        {
            tracing::debug!(error = %Chain(&error), "the stage stays");
        }
        for path in [self.folder.socket(), self.folder.held()] {
            drop(fs::remove_file(path));
        }
    }
}

/// What a driver of ours can bring.
fn is_share(entry: &Entry) -> bool {
    entry.is_fuse() || ["nfs", "nfs4", "cifs", "smb3"].contains(&entry.kind.as_str())
}

fn kill(driver: &ProcessId) -> Result<(), String> {
    process::signal(driver.pid, Signal::SIGKILL)
        .map_err(|error| format!("the driver from before cannot be ended: {error}"))?;
    let mut waited = Duration::ZERO;
    while driver.alive() {
        if waited >= GONE {
            return Err(format!("the driver from before (process {}) does not end", driver.pid));
        }
        std::thread::park_timeout(GONE_LOOK);
        waited += GONE_LOOK;
    }
    Ok(())
}
