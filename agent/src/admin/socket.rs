//! The admin socket: the same API for whoever the kernel vouches for.

use std::convert::Infallible;
use std::path::Path;

use axum::response::IntoResponse;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tower_service::Service;

use super::answers::{Failure, forbidden, no_such_route};
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
    tasks.part("admin", async move {
        loop {
            match cancel.run_until_cancelled(listener.accept()).await {
                None => return,
                Some(Ok((stream, _address))) => {
                    let connection = connection(stream, router.clone(), owners);
                    spawner.work(connection_until(connection, cancel.clone()));
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "the admin socket accepts nothing for a moment");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    });
}

async fn connection_until(
    connection: impl Future<Output = ()>,
    cancel: tokio_util::sync::CancellationToken,
) {
    // After the stop, an answer that is under way gets the drain time.
    let drained = async {
        cancel.cancelled().await;
        tokio::time::sleep(limits::DRAIN).await;
    };
    futures_util::future::select(Box::pin(connection), Box::pin(drained)).await;
}

async fn connection(stream: UnixStream, router: axum::Router, owners: Owners) {
    let peer = match socket::peer(&stream) {
        Ok(peer) => peer,
        Err(error) => return tracing::warn!(%error, "an admin connection has no credentials"),
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        async move {
            let refusal = match rules::find(request.method(), request.uri().path()) {
                None => Some(no_such_route().await),
                Some(rule) => {
                    let way = Way::Socket { uid: peer.uid };
                    (!rules::allows(rule.need, way, owners))
                        .then(|| refused(peer.uid, rule, owners))
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
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_TIMEOUT)
        .max_buf_size(limits::CONNECTION_BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an admin connection ended");
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
