//! Who listens to the warden and may order it: stationd, and the user that it runs as.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::os::socket;
use crate::warden::files::{Order, State as Line};

/// Connections at one time.
const CLIENTS: usize = 8;
/// Between two lines of figures to one client.
const FIGURES: std::time::Duration = std::time::Duration::from_millis(250);

type Ends = (watch::Receiver<Arc<Line>>, mpsc::Sender<Order>);

pub(super) fn serve(tasks: &Tasks, listener: UnixListener, client: u32, ends: Ends) {
    let (tasks, cancel) = (tasks.clone(), tasks.token().clone());
    let free = Arc::new(Semaphore::new(CLIENTS));
    let own = nix::unistd::geteuid().as_raw();
    tasks.clone().work(async move {
        while let Some(accepted) = cancel.run_until_cancelled(listener.accept()).await {
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                continue;
            };
            let knows =
                socket::peer(&stream).is_ok_and(|peer| [own, client, 0].contains(&peer.uid));
            let Some(place) = Arc::clone(&free).try_acquire_owned().ok().filter(|_| knows) else {
                continue;
            };
            let (ends, cancel) = (ends.clone(), cancel.clone());
            tasks.work(async move {
                cancel.run_until_cancelled(talk(stream, ends)).await;
                drop(place);
            });
        }
    });
}

/// Both directions, until one of them ends.
async fn talk(stream: UnixStream, (mut shown, orders): Ends) {
    let (read, mut write) = stream.into_split();
    let tells = async {
        loop {
            let line = Arc::clone(&shown.borrow_and_update());
            let Ok(mut text) = serde_json::to_vec(&*line) else { return };
            text.push(b'\n');
            if write.write_all(&text).await.is_err() {
                return;
            }
            // A phase that changes is told at once, figures that change all the time are not.
            let of = |line: &Line| (line.phase, line.ready, line.generation);
            let before = of(&line);
            let changed = shown.wait_for(|next| of(next) != before);
            if let Ok(Err(_closed)) = tokio::time::timeout(FIGURES, changed).await {
                return;
            }
            let same = **shown.borrow() == *line;
            if same && shown.changed().await.is_err() {
                return;
            }
        }
    };
    let hears = async {
        let mut lines = BufReader::new(read.take(limits::CALL_QUESTION)).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(order) = serde_json::from_str(&line)
                && orders.send(order).await.is_err()
            {
                return;
            }
        }
    };
    futures_util::future::select(Box::pin(tells), Box::pin(hears)).await;
}
