//! A bounded broadcast: everybody hears what is published from now on.
//!
//! A subscriber that falls behind is told how many items it missed and reads them from the store;
//! a publisher never waits.

use tokio::sync::broadcast;

/// The sending side; clones publish to the same subscribers.
#[derive(Debug, Clone)]
pub struct Bus<T>(broadcast::Sender<T>);

/// What a subscriber receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard<T> {
    Item(T),
    /// This many items were dropped for this subscriber alone.
    Missed(u64),
}

/// The receiving side.
#[derive(Debug)]
pub struct Subscription<T>(broadcast::Receiver<T>);

impl<T: Clone> Bus<T> {
    pub fn new(capacity: usize) -> Self {
        Self(broadcast::Sender::new(capacity))
    }

    /// Hands `item` to everyone who listens; nobody listening is not an error.
    pub fn publish(&self, item: T) {
        drop(self.0.send(item));
    }

    pub fn subscribe(&self) -> Subscription<T> {
        Subscription(self.0.subscribe())
    }
}

impl<T: Clone> Subscription<T> {
    /// The next item; `None` when the bus is gone. Cancel-safe, as `broadcast::Receiver::recv` is.
    pub async fn next(&mut self) -> Option<Heard<T>> {
        match self.0.recv().await {
            Ok(item) => Some(Heard::Item(item)),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Heard::Missed(count)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
