//! Who this installation is: an id that is random at the first start and bound to the machine.
//!
//! A disk image that is copied to another machine carries the id along; two machines with one id
//! would share cookies and container names. The machine id tells them apart: the copy takes a new
//! id and forgets the sessions, links and tokens of the original. A copy of the folder on the *same*
//! machine cannot be told from the original.

use std::io;
use std::path::Path;

use rusqlite::{OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::IdentityError;
use crate::base::chain::Chain;
use crate::base::ids::InstanceId;
use crate::base::moment::Moment;
use crate::os::file::{self, FileError};
use crate::os::random;
use crate::store::{NewEvent, Store, Tx};

/// See machine-id(5); the second is where D-Bus keeps it on machines without systemd.
const MACHINE_ID_FILES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// This installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub id: InstanceId,
    /// At this start it was found to be a copy from another machine and took a new id.
    pub cloned: bool,
}

/// What is stored. The machine id itself is confidential, so its hash is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    id: InstanceId,
    /// Empty while the machine has none.
    machine: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// The first start.
    First,
    Keep,
    /// The machine got an id after the first start, as containers may.
    Bind,
    Cloned,
}

fn decide(stored: Option<&Stored>, machine: &str) -> Decision {
    match stored {
        None => Decision::First,
        Some(stored) if machine.is_empty() || stored.machine == machine => Decision::Keep,
        Some(stored) if stored.machine.is_empty() => Decision::Bind,
        Some(_) => Decision::Cloned,
    }
}

/// The hash of this machine's id; empty if it has none, or none that can be read.
pub(super) fn machine() -> String {
    for path in MACHINE_ID_FILES {
        match file::read_limited(Path::new(path), 4096).map(|bytes| hash_of(&bytes)) {
            Ok(hash) if !hash.is_empty() => return hash,
            Ok(_none) => {}
            Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let error = Chain(&error);
                tracing::warn!(%error, "a copy of this disk would not be noticed");
            }
        }
    }
    String::new()
}

fn hash_of(bytes: &[u8]) -> String {
    let id = bytes.trim_ascii();
    if id.is_empty() || id == b"uninitialized" {
        return String::new();
    }
    let hash = Sha256::new().chain_update(b"stationd ").chain_update(id).finalize();
    data_encoding::HEXLOWER.encode(&hash)
}

/// Reads or makes the identity on the machine whose hash is `machine`.
pub(super) async fn settle(
    store: &Store,
    machine: String,
    now: Moment,
) -> Result<Instance, IdentityError> {
    let fresh = InstanceId::from_bytes(random::bytes()?);
    let change = move |tx: &mut Tx<'_>| {
        let stored = tx
            .query_row("SELECT id, machine FROM identity_instance", [], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
            .optional()?
            .and_then(|(id, machine)| Some(Stored { id: InstanceId::parse(&id)?, machine }));
        let decision = decide(stored.as_ref(), &machine);
        let renew = |tx: &Tx<'_>, id: &InstanceId| {
            tx.execute("DELETE FROM identity_instance", [])?;
            let created = now.wall.as_millisecond();
            let row = params![id.as_str(), machine, created];
            tx.execute("INSERT INTO identity_instance VALUES (?1, ?2, ?3)", row)
        };
        match (decision, stored) {
            (Decision::Keep, Some(stored)) => Ok(Instance { id: stored.id, cloned: false }),
            (Decision::Bind, Some(stored)) => {
                tx.execute("UPDATE identity_instance SET machine = ?1", [&machine])?;
                Ok(Instance { id: stored.id, cloned: false })
            }
            (Decision::Cloned, Some(stored)) => {
                tx.execute("DELETE FROM identity_session", [])?;
                tx.execute("DELETE FROM identity_link", [])?;
                tx.execute("DELETE FROM identity_token", [])?;
                renew(tx, &fresh)?;
                let message = "this is a copy of another machine's disk: it took a new id, and \
                               all sessions, login links and tokens have ended";
                let data = serde_json::json!({ "before": stored.id.as_str() });
                tx.event(NewEvent::new("instance.cloned", fresh.as_str(), message).with(data))?;
                Ok(Instance { id: fresh, cloned: true })
            }
            (_, _) => {
                renew(tx, &fresh)?;
                let message = "this installation got its id";
                tx.event(NewEvent::new("instance.created", fresh.as_str(), message))?;
                Ok(Instance { id: fresh, cloned: false })
            }
        }
    };
    Ok(store.write(change).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions() {
        let stored =
            |machine: &str| Stored { id: InstanceId::from_bytes([1; 16]), machine: machine.into() };
        for (stored, machine, expected) in [
            (None, "", Decision::First),
            (None, "a", Decision::First),
            (Some(stored("a")), "a", Decision::Keep),
            (Some(stored("a")), "", Decision::Keep),
            (Some(stored("")), "", Decision::Keep),
            (Some(stored("")), "a", Decision::Bind),
            (Some(stored("a")), "b", Decision::Cloned),
        ] {
            assert_eq!(decide(stored.as_ref(), machine), expected, "{stored:?} {machine}");
        }
    }

    #[test]
    fn a_machine_without_an_id_has_no_hash() {
        assert_eq!(hash_of(b""), "");
        assert_eq!(hash_of(b"uninitialized\n"), "");
        assert_eq!(hash_of(b"0123\n"), hash_of(b"0123"));
        assert_ne!(hash_of(b"0123"), hash_of(b"0124"));
    }
}
