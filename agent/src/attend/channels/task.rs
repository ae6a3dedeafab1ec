//! The life of one session: waits for its ends and for whoever comes next.

use std::future::pending;
use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep_until};

use super::head::{self, Answered, Key};
use super::kept::Kept;
use super::line::{Client, Line};
use super::{Newcomer, Order, Place};
use crate::attend::{FRONT, complain, relay};
use crate::base::limits;

/// Serves one session until nobody can come for what is kept.
pub(super) async fn session(
    place: &Place,
    key: &Key,
    first: Newcomer,
    orders: &mut mpsc::Receiver<Order>,
) {
    let (mut kept, mut next) = (Kept::default(), Some(first));
    loop {
        if let Some(newcomer) = next.take()
            && let Some(mut line) = open(place, newcomer, &mut kept).await
        {
            next = keep(place, key, &mut line, &mut kept, orders).await;
            tell(kept.ended());
        }
        if next.is_some() {
            continue;
        }
        if !kept.is_empty() {
            place.absent(key);
            match orders.recv().await {
                Some(Order::Come(newcomer)) => next = Some(*newcomer),
                Some(Order::Forget) | None => {
                    tell(true);
                    kept = Kept::default();
                }
            }
            place.present(key);
        }
        if next.is_none() {
            next = place.over(key, orders);
        }
        if next.is_none() {
            return;
        }
    }
}

/// Asks Jupyter for a websocket. Whatever else it answers is passed on, and nothing is kept.
async fn open(place: &Place, newcomer: Newcomer, kept: &mut Kept) -> Option<Line> {
    let mut app = UnixStream::connect(place.folder.join(FRONT)).await.ok()?;
    app.write_all(&newcomer.head).await.ok()?;
    let mut answer = BytesMut::new();
    let end = loop {
        let read = tokio::select! {
            // cancel-safe: read_buf reads nothing if it is cancelled
            read = app.read_buf(&mut answer) => read.ok()?,
            // cancel-safe: readable only waits
            ready = newcomer.stream.readable() => {
                ready.ok()?;
                // A client says nothing before the answer: it has left, or tries to smuggle.
                match newcomer.stream.try_read(&mut [0]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    _ => return None,
                }
            }
        };
        match head::end(&answer) {
            Some(end) => break end,
            None if read == 0 || answer.len() > limits::CONNECTION_BUFFER => return None,
            None => {}
        }
    };
    let answered = Answered::parse(answer.get(..end)?);
    let Newcomer { mut stream, acks, asked, slot, .. } = newcomer;
    if !answered.keeps {
        carry(place, (stream, slot), app, (Vec::new(), answer.to_vec()));
        return None;
    }
    stream.write_all(answer.get(..end)?).await.ok()?;
    tell(kept.rewind());
    kept.said(answer.get(end..)?);
    Some(Line::new(app, Client::new(stream, acks, slot), asked, answered))
}

/// Carries bytes of which nothing is kept, after those that have been read already: for the app, and
/// for the client.
pub(super) fn carry(
    place: &Place,
    (mut client, slot): (UnixStream, OwnedSemaphorePermit),
    mut app: UnixStream,
    (up, down): (Vec<u8>, Vec<u8>),
) {
    place.tasks.work(async move {
        if app.write_all(&up).await.is_ok() && client.write_all(&down).await.is_ok() {
            // However it ends, both ends are closed.
            drop(relay::join(client, app).await);
        }
        drop(slot);
    });
}

/// What has happened.
enum Turn {
    App,
    Client,
    Acks,
    Order(Option<Order>),
    Late,
}

/// Relays a websocket over any number of stationd's lives. Gives back who has come and needs another.
async fn keep(
    place: &Place,
    key: &Key,
    line: &mut Line,
    kept: &mut Kept,
    orders: &mut mpsc::Receiver<Order>,
) -> Option<Newcomer> {
    loop {
        let client = line.client.as_ref();
        let (app_interest, client_interest) = (line.app_interest(kept), line.client_interest(kept));
        let turn = tokio::select! {
            // cancel-safe: ready only waits
            () = ready(line.app.as_ref(), app_interest) => Turn::App,
            // cancel-safe: ready only waits
            () = ready(client.map(|client| &client.stream), client_interest) => Turn::Client,
            // cancel-safe: readable only waits
            () = readable(client.and_then(|client| client.acks.as_ref())) => Turn::Acks,
            // cancel-safe: mpsc::Receiver::recv loses nothing
            order = orders.recv() => Turn::Order(order),
            // cancel-safe: a deadline
            () = late(line.deadline) => Turn::Late,
        };
        let attached = line.client.is_some();
        match turn {
            Turn::App => line.app_is_ready(kept),
            Turn::Client if !line.client_is_ready(kept) => line.detach(kept),
            Turn::Client => {}
            Turn::Acks => line.take_acks(kept),
            Turn::Late => line.close(),
            Turn::Order(Some(Order::Come(newcomer))) => {
                line.detach(kept);
                line.next = Some(*newcomer);
            }
            // Somebody has come since.
            Turn::Order(_) if attached => {}
            Turn::Order(_) => {
                tell(!kept.is_empty());
                *kept = Kept::default();
                line.app = None;
            }
        }
        if attached && line.client.is_none() {
            place.absent(key);
        }
        let went_on = settle(line, kept).await;
        if went_on {
            place.present(key);
        } else if line.app.is_none() && line.client.is_none() {
            place.present(key);
            if line.is_over() {
                *kept = Kept::default();
            }
            return line.next.take();
        }
    }
}

/// What follows from what there is. True if a newcomer has taken the client's place.
async fn settle(line: &mut Line, kept: &mut Kept) -> bool {
    if let Some(client) = &mut line.client {
        if line.app.is_none() && kept.unsent().is_empty() && !client.told {
            client.told = true;
            // One that is gone needs no word.
            drop(client.stream.shutdown().await);
        }
        return false;
    }
    if let Some(newcomer) = line.next.take() {
        if line.goes_on_with(&newcomer, kept) {
            let went_on = line.attach(newcomer);
            if went_on {
                tell(kept.rewind());
            }
            return went_on;
        }
        line.next = Some(newcomer);
    }
    let leaves = line.next.is_some() || line.is_over() || kept.len() > limits::ABSENT_BYTES;
    if leaves && !line.is_closing() {
        line.close();
    }
    false
}

/// Errors show when it is read.
async fn ready(stream: Option<&UnixStream>, interest: Option<Interest>) {
    match (stream, interest) {
        (Some(stream), Some(interest)) => drop(stream.ready(interest).await),
        _ => pending().await,
    }
}

async fn readable(acks: Option<&pipe::Receiver>) {
    match acks {
        Some(acks) => drop(acks.readable().await),
        None => pending().await,
    }
}

async fn late(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// Into the app's log.
fn tell(lost: bool) {
    if lost {
        complain(
            &"output of a kernel is lost: nobody was connected, and it was too much to be kept",
        );
    }
}
