//! The admin socket: the same API for whoever the kernel vouches for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::response::IntoResponse;
use futures_util::future::{Either, select};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::answers::{Failure, come_again, forbidden, no_such_route};
use super::rules::{self, Owners, Way};
use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::os::socket::{self, SocketError};

/// Everyone may connect; the kernel says who it is, and the rules say what they may do. So a
/// stranger gets a sentence instead of a bare EACCES.
const MODE: u32 = 0o666;

/// Listens on `path`.
pub async fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    socket::bind_unix(path, MODE).await
}

/// Serves `router` on `listener` until the daemon stops.
pub fn serve(tasks: &Tasks, listener: UnixListener, router: axum::Router, owners: Owners) {
    let (spawner, cancel) = (tasks.clone(), tasks.token().clone());
    let (slots, mut pulse) = (Slots::default(), tasks.pulse("admin"));
    tasks.part("admin", async move {
        loop {
            match pulse.wait(cancel.run_until_cancelled(listener.accept())).await {
                None => return,
                Some(Ok((stream, _address))) => {
                    let Some((uid, slot)) = admit(&stream, &slots, owners) else { continue };
                    let router = router.clone();
                    let connection = connection(stream, router, (uid, owners), cancel.clone());
                    spawner.work(async {
                        connection.await;
                        drop(slot);
                    });
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "the admin socket accepts nothing for a moment");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    });
}

/// Open connections, by who holds them. Root, stationd's user and the local user have a share
/// each; whoever may do nothing has one with all others like him, so that nobody is locked out.
#[derive(Debug, Clone, Default)]
struct Slots(Arc<Mutex<HashMap<Option<u32>, usize>>>);

/// One open connection; given back on drop.
struct Slot(Slots, Option<u32>);

impl Slots {
    fn take(&self, uid: u32, owners: Owners) -> Option<Slot> {
        let known = [0, owners.daemon, owners.local_user].contains(&uid).then_some(uid);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(known).or_default();
        (*count < limits::ADMIN_CONNECTIONS).then(|| {
            *count += 1;
            Slot(self.clone(), known)
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.1) {
            *count -= 1;
        }
    }
}

const FULL_HEAD: &str = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
    Content-Type: application/problem+json\r\nRetry-After:";
const FULL: &str = "{\"type\":\"about:stationd/too-many-connections\",\"title\":\"too many connections\",\
    \"status\":503,\"detail\":\"close some of your connections to the admin socket\"}";

/// Who connects, if there is room; otherwise one sentence, and the end.
fn admit(stream: &UnixStream, slots: &Slots, owners: Owners) -> Option<(u32, Slot)> {
    let uid = socket::peer(stream)
        .inspect_err(|error| tracing::warn!(%error, "an admin connection has no credentials"))
        .ok()?
        .uid;
    let slot = slots.take(uid, owners);
    if slot.is_none() {
        tracing::debug!(uid, "too many admin connections of one user");
        // A new socket has room for this; a client that has left needs no answer.
        let answer = format!("{FULL_HEAD} {}\r\n\r\n{FULL}", come_again());
        drop(stream.try_write(answer.as_bytes()));
    }
    Some((uid, slot?))
}

async fn connection(
    stream: UnixStream,
    router: axum::Router,
    (uid, owners): (u32, Owners),
    cancel: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        async move {
            let refusal = match rules::find(request.method(), request.uri().path()) {
                None => Some(no_such_route().await),
                Some(rule) => {
                    let way = Way::Socket { uid };
                    (!rules::allows(rule.need, way, owners)).then(|| refused(uid, rule, owners))
                }
            };
            let answer = match refusal {
                Some(failure) => failure.into_response(),
                None => match router.call(request).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                },
            };
            Ok::<_, Infallible>(answer)
        }
    });
    // The time for a head runs while a connection waits for its next request too: an idle one ends.
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::HEAD_TIMEOUT)
            .max_buf_size(limits::CONNECTION_BUFFER)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    // After the stop, a request that is on its way has a moment to come, then the connection ends
    // with the answer that is under way, which gets the drain time.
    let stopped = pin!(async {
        cancel.cancelled().await;
        tokio::time::sleep(limits::FIRST_REQUEST).await;
    });
    let ended = match select(served.as_mut(), stopped).await {
        Either::Left((ended, _)) => Ok(ended),
        Either::Right(_) => {
            served.as_mut().graceful_shutdown();
            tokio::time::timeout(limits::DRAIN, served).await
        }
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection ended"),
        Err(_elapsed) => tracing::debug!("an admin answer was cut off at the end of the drain"),
    }
}

fn refused(uid: u32, rule: &rules::Rule, owners: Owners) -> Failure {
    let detail = format!(
        "{} {} is for root, for uid {} that stationd runs as{}; you are uid {uid}",
        rule.method,
        rule.path,
        owners.daemon,
        if rule.need == rules::Need::Administer {
            String::new()
        } else {
            format!(" and for uid {} (instance.local_user)", owners.local_user)
        },
    );
    Failure(forbidden(detail))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const ASK: &[u8] = b"GET /nothing HTTP/1.1\r\nHost: stationd\r\n\r\n";

    async fn ask(path: &Path) -> (UnixStream, String) {
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(ASK).await.unwrap_or_default();
        let mut text = [0; 4096];
        let length = stream.read(&mut text).await.unwrap();
        (stream, String::from_utf8_lossy(&text[..length]).into_owned())
    }

    #[tokio::test]
    async fn one_user_has_so_many_connections_and_an_idle_one_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (tasks, _ended) = Tasks::new();
        let uid = nix::unistd::geteuid().as_raw();
        let owners = Owners { daemon: uid, local_user: uid };
        serve(&tasks, bind(&path).await.unwrap(), axum::Router::new(), owners);
        let mut open = Vec::new();
        for _ in 0..limits::ADMIN_CONNECTIONS {
            let (stream, answer) = ask(&path).await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
            open.push(stream);
        }
        // Sends nothing, so that the answer is read before the end of the connection.
        let mut refused = UnixStream::connect(&path).await.unwrap();
        let mut answer = String::new();
        refused.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503") && head.contains("Retry-After: "), "{answer}");
        serde_json::from_str::<station_proto::problem::Problem>(body).unwrap();
        let mut idle = open.pop().unwrap();
        let limit = limits::HEAD_TIMEOUT * 3;
        let ended = tokio::time::timeout(limit, idle.read(&mut [0; 16])).await.unwrap();
        assert_eq!(ended.unwrap(), 0);
        drop(open);
        let again = async { while !ask(&path).await.1.starts_with("HTTP/1.1 404") {} };
        tokio::time::timeout(limit, again).await.unwrap();
        tasks.cancel();
    }

    #[test]
    fn strangers_share_one_share_and_lock_nobody_out() {
        let (slots, owners) = (Slots::default(), Owners { daemon: 990, local_user: 1000 });
        let strangers: Vec<Slot> = (2000..3000).filter_map(|uid| slots.take(uid, owners)).collect();
        assert_eq!(strangers.len(), limits::ADMIN_CONNECTIONS);
        for uid in [0, 990, 1000] {
            assert!(slots.take(uid, owners).is_some());
        }
        drop(strangers);
        assert!(slots.take(2000, owners).is_some());
    }
}
