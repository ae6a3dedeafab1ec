//! Without systemd: one keeper per app, reached by its socket.

use std::fs;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::{End, Found, Unit, kill};
use crate::base::ids::AppName;
use crate::base::limits;
use crate::os::process;
use crate::privileged::keeper::files::{Exit, Folder, Kept, Order, State, StopBy};
use crate::privileged::{Privileged, keeper};

/// Before a keeper that lives and does not talk is tried again.
const CONNECT_AGAIN: Duration = Duration::from_millis(500);
/// Writing an order takes no time unless the keeper hangs.
const ORDER: Duration = Duration::from_secs(2);
/// A keeper that has told of the end only writes it down.
const KEEPER_LEAVES: Duration = Duration::from_secs(2);
const KEEPER_LOOK: Duration = Duration::from_millis(5);
/// A keeper that is ending removes its socket just before it is gone.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Talks to keepers.
#[derive(Debug)]
pub(super) struct Direct {
    privileged: Privileged,
}

impl Direct {
    pub(super) fn new(privileged: Privileged) -> Self {
        Self { privileged }
    }

    fn folder(&self, app: &AppName) -> Folder {
        Folder::of(&self.privileged.root().keepers, app)
    }

    pub(super) async fn recover(&self, app: &AppName) -> Found {
        let folder = self.folder(app);
        let Some(kept) = keeper::read::<Kept>(&folder.kept()) else {
            kill(&self.privileged, app, None).await;
            return Found::Nothing;
        };
        let generation = kept.generation;
        if let Some(exit) = exit_of(&folder, &kept) {
            return Found::Ended { generation, end: End::Exit(exit) };
        }
        if kept.keeper.alive() {
            return Found::Running(Unit { app: app.clone(), kept });
        }
        kill(&self.privileged, app, None).await;
        let same_boot = kept.keeper.boot_id == process::boot_id();
        let end = if same_boot { End::KeeperLost } else { End::OtherBoot };
        Found::Ended { generation, end }
    }

    pub(super) async fn watch(&self, unit: &Unit, dropped: impl Fn(u64) + Send) -> End {
        let folder = self.folder(&unit.app);
        loop {
            match listen(&folder, unit, &dropped).await {
                Ok(Some(exit)) => return End::Exit(exit),
                Ok(None) => {}
                Err(error) => tracing::debug!(app = %unit.app, %error, "no word from the keeper"),
            }
            if let Some(exit) = exit_of(&folder, &unit.kept) {
                return End::Exit(exit);
            }
            if !unit.kept.keeper.alive() {
                tokio::time::sleep(LAST_LOOK).await;
                if let Some(exit) = exit_of(&folder, &unit.kept) {
                    return End::Exit(exit);
                }
                kill(&self.privileged, &unit.app, Some(unit.kept.generation)).await;
                return End::KeeperLost;
            }
            tokio::time::sleep(CONNECT_AGAIN).await;
        }
    }

    pub(super) async fn stop(&self, app: &AppName, by: StopBy) {
        let grace_ms = u64::try_from(limits::APP_STOP.as_millis()).unwrap_or(u64::MAX);
        let folder = self.folder(app);
        if let Err(error) = send(&folder, &Order::Stop { grace_ms, by }).await {
            tracing::warn!(%app, %error, "the keeper does not take the order to stop");
        }
    }

    pub(super) fn running(&self) -> Vec<AppName> {
        let root = self.privileged.root();
        let Ok(entries) = fs::read_dir(&root.keepers) else { return Vec::new() };
        entries
            .filter_map(|entry| AppName::parse(entry.ok()?.file_name().to_str()?).ok())
            .filter(|app| {
                keeper::read::<Kept>(&Folder::of(&root.keepers, app).kept())
                    .is_some_and(|kept| kept.keeper.alive())
            })
            .collect()
    }
}

/// `exit.json`, if it tells of this very run.
fn exit_of(folder: &Folder, kept: &Kept) -> Option<Exit> {
    keeper::read::<Exit>(&folder.exit()).filter(|exit| exit.unit == kept.unit)
}

/// Follows the keeper until it tells of the end, or closes.
async fn listen(
    folder: &Folder,
    unit: &Unit,
    dropped: &(impl Fn(u64) + Send),
) -> io::Result<Option<Exit>> {
    let stream = UnixStream::connect(folder.socket()).await?;
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        let state: State = serde_json::from_str(&line)?;
        if state.kept.unit != unit.kept.unit {
            return Ok(None);
        }
        if state.dropped_bytes > 0 {
            dropped(state.dropped_bytes);
        }
        if let Some(exit) = state.exit {
            // It waits for this only while the disk is full.
            drop(write.write_all(&order_line(&Order::Taken)?).await);
            // "Nothing is left" includes the keeper.
            let gone = async {
                while unit.kept.keeper.alive() {
                    tokio::time::sleep(KEEPER_LOOK).await;
                }
            };
            drop(tokio::time::timeout(KEEPER_LEAVES, gone).await);
            return Ok(Some(exit));
        }
    }
    Ok(None)
}

async fn send(folder: &Folder, order: &Order) -> io::Result<()> {
    let line = order_line(order)?;
    let sent = async {
        let mut stream = UnixStream::connect(folder.socket()).await?;
        stream.write_all(&line).await?;
        stream.shutdown().await
    };
    tokio::time::timeout(ORDER, sent).await.map_err(|_elapsed| io::ErrorKind::TimedOut)?
}

fn order_line(order: &Order) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    Ok(line)
}
