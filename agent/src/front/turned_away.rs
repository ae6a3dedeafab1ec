//! A listener that cannot be served as it is: whoever connects hears so at once, and does not wait
//! in a queue that nobody empties.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::front::listener;

/// What whoever connects gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnAway {
    /// One sentence, in plain HTTP.
    Say,
    /// The end: TLS is expected there, or nothing may be said in plain text.
    Close,
}

const SENTENCE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
    Content-Type: text/plain\r\nCache-Control: no-store\r\nContent-Length: 76\r\n\r\n\
    stationd serves nothing at this address: `stationctl status` says why there\n";

/// Accepts until the daemon stops.
pub(super) async fn accept(listener: TcpListener, what: TurnAway, tasks: Tasks) {
    let (slots, cancel) = (Arc::new(Semaphore::new(limits::TURNED_AWAY)), tasks.token().clone());
    let mut pulse = tasks.pulse("front-closed");
    loop {
        let accepted = pulse.wait(cancel.run_until_cancelled(listener.accept())).await;
        match accepted {
            None => return,
            Some(Ok((stream, _peer))) => {
                let slot = Arc::clone(&slots).try_acquire_owned();
                if let (TurnAway::Say, Ok(slot)) = (what, slot) {
                    tasks.work(async move {
                        if timeout(limits::TURN_AWAY, say(stream)).await.is_err() {
                            debug!("who was turned away did not leave");
                        }
                        drop(slot);
                    });
                }
            }
            Some(Err(error)) if listener::concerns_one_connection(&error) => {}
            Some(Err(error)) => {
                warn!(%error, "cannot accept a connection; trying again shortly");
                sleep(listener::PAUSE).await;
            }
        }
    }
}

/// Answers once something was asked. A socket closed with unread bytes takes the answer back, so what
/// comes is read.
async fn say(mut stream: TcpStream) {
    let mut waste = [0; 4096];
    let done = async {
        if stream.read(&mut waste).await? > 0 {
            stream.write_all(SENTENCE).await?;
            stream.shutdown().await?;
            while stream.read(&mut waste).await? > 0 {}
        }
        Ok::<(), std::io::Error>(())
    };
    if let Err(error) = done.await {
        debug!(%error, "who was turned away has left");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_has_the_length_that_it_says() {
        let text = std::str::from_utf8(SENTENCE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }

    #[tokio::test]
    async fn whoever_connects_hears_why_or_is_closed_at_once() {
        for (what, status) in [(TurnAway::Say, "HTTP/1.1 503"), (TurnAway::Close, "")] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (tasks, _ended) = Tasks::new();
            tasks.part("closed", accept(listener, what, tasks.clone()));
            let mut stream = TcpStream::connect(address).await.unwrap();
            // A connection that is closed already takes no request.
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap_or_default();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap_or_default();
            assert!(answer.starts_with(status) && answer.is_empty() == status.is_empty());
            tasks.cancel();
            tasks.joined().await;
        }
    }
}
