//! Certificates, keys and authorities are read again when their files change: whoever renews them need
//! not know of stationd.
//!
//! The files are looked at every few seconds instead of being watched, since renewers replace links to
//! folders as often as files. What cannot be used is told, and the former stays in force.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::base::tasks::pulse::Pulse;
use crate::front::tls::Tls;
use crate::heartbeat::Facts;
use crate::store::{NewEvent, Store};
use crate::wiring::start::Common;
use crate::wiring::told;

const EVERY: Duration = Duration::from_secs(2);

/// Starts to look at the files of `served`.
pub(super) fn follow(common: &Common<'_>, served: Vec<Tls>, facts: watch::Sender<Facts>) {
    let served: Vec<Looked> = served
        .into_iter()
        .filter(|tls| !tls.files().is_empty())
        .map(|tls| Looked { seen: seen(&tls.files()), tls, wrong: None })
        .collect();
    if served.is_empty() {
        return;
    }
    let (store, cancel) = (common.store.clone(), common.tasks.token().clone());
    let pulse = common.tasks.pulse("certificates");
    common.tasks.part("certificates", run(served, store, facts, (pulse, cancel)));
}

/// One listener's files: what they were at the last look, and what is wrong with them.
struct Looked {
    tls: Tls,
    seen: Vec<Option<State>>,
    wrong: Option<String>,
}

/// Differs for another file, and for one that was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    inode: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

fn seen(files: &[PathBuf]) -> Vec<Option<State>> {
    let state = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok()?;
        Some(State {
            inode: (file.dev(), file.ino()),
            size: file.size(),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    };
    files.iter().map(state).collect()
}

async fn run(
    mut served: Vec<Looked>,
    store: Store,
    facts: watch::Sender<Facts>,
    (mut pulse, cancel): (Pulse, CancellationToken),
) {
    loop {
        let pause = cancel.run_until_cancelled(tokio::time::sleep(EVERY));
        if pulse.wait(pause).await.is_none() {
            return;
        }
        for one in &mut served {
            one.look(&store);
        }
        let wrong = served.iter().find_map(|one| one.wrong.clone());
        facts.send_if_modified(|facts| {
            let changed = facts.certificate_rejected != wrong;
            facts.certificate_rejected = wrong;
            changed
        });
    }
}

impl Looked {
    fn look(&mut self, store: &Store) {
        let now = seen(&self.tls.files());
        if now == self.seen {
            return;
        }
        self.seen = now;
        match self.tls.reload() {
            Ok(()) => {
                let fingerprint = self.tls.fingerprint();
                tracing::info!(fingerprint, "the certificate or the authorities were read again");
                let event =
                    NewEvent::new("certificate.changed", "", "certificates were read again");
                store.note(event.with(serde_json::json!({ "fingerprint": fingerprint })));
                self.wrong = None;
            }
            Err(error) => {
                let error = told(&error);
                tracing::warn!(error, "a changed certificate is not used; the former holds");
                store.note(NewEvent::new("certificate.rejected", "", error.clone()));
                self.wrong = Some(error);
            }
        }
    }
}
