//! Whether every loop of the daemon still goes round.
//!
//! ```text
//!   Pulses::ask ──(watch)──► Pulse::sign, an arm of the loop's select! ──► answered
//!        '── who owes an answer from the last round is late
//! ```
//!
//! A loop answers where it waits for its next event, so an answer means that it has come round. As
//! long as nobody asks, no loop is woken for this.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::watch;

/// All loops that must go round; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Pulses {
    round: Arc<watch::Sender<u64>>,
    loops: Arc<Mutex<Loops>>,
}

#[derive(Debug, Default)]
struct Loops {
    joined: u64,
    /// Name, and since when it owes an answer.
    known: BTreeMap<u64, (String, Option<Duration>)>,
}

/// A loop that has not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    pub name: String,
    /// When it was asked first.
    pub since: Duration,
}

impl Pulses {
    /// Adds a loop, until the value is dropped.
    pub fn join(&self, name: impl Into<String>) -> Pulse {
        let asked = self.round.subscribe();
        let mut loops = self.lock();
        loops.joined += 1;
        let id = loops.joined;
        loops.known.insert(id, (name.into(), None));
        Pulse { id, asked, pulses: self.clone() }
    }

    /// Asks every loop for a sign; those that owe one from before come back.
    pub fn ask(&self, now: Duration) -> Vec<Late> {
        let late = self.late();
        for (_, since) in self.lock().known.values_mut() {
            since.get_or_insert(now);
        }
        self.round.send_modify(|round| *round += 1);
        late
    }

    /// The loops that owe an answer, by name.
    pub fn late(&self) -> Vec<Late> {
        let loops = self.lock();
        let owes = |(name, since): &(String, Option<Duration>)| {
            since.map(|since| Late { name: name.clone(), since })
        };
        let mut late: Vec<Late> = loops.known.values().filter_map(owes).collect();
        late.sort_by(|a, b| a.name.cmp(&b.name));
        late
    }

    fn lock(&self) -> MutexGuard<'_, Loops> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One loop's place among those that are asked; leaves it when it is dropped.
#[derive(Debug)]
pub struct Pulse {
    id: u64,
    asked: watch::Receiver<u64>,
    pulses: Pulses,
}

impl Pulse {
    /// Waits for the next ask and answers it: an arm of a loop's `select!`. Cancel-safe.
    pub async fn sign(&mut self) {
        self.asked().await;
        self.answer();
    }

    /// Waits for the next ask, which [`Pulse::answer`] answers. Cancel-safe.
    pub async fn asked(&mut self) {
        // The sender lives as long as `self.pulses` does.
        self.asked.changed().await.unwrap_or_default();
    }

    pub fn answer(&self) {
        if let Some((_, since)) = self.pulses.lock().known.get_mut(&self.id) {
            *since = None;
        }
    }

    /// Where a loop waits for its next event: `event` comes through, asks meanwhile are answered.
    pub async fn wait<T>(&mut self, event: impl Future<Output = T>) -> T {
        let mut event = pin!(event);
        loop {
            let sign = pin!(self.sign());
            if let Either::Left((came, _)) = select(event.as_mut(), sign).await {
                return came;
            }
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.pulses.lock().known.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn late(pulses: &Pulses) -> Vec<(String, u64)> {
        pulses.late().into_iter().map(|one| (one.name, one.since.as_secs())).collect()
    }

    #[tokio::test]
    async fn who_does_not_answer_is_late_since_the_first_ask() {
        let pulses = Pulses::default();
        let (mut good, mut bad) = (pulses.join("good"), pulses.join("bad"));
        assert_eq!(pulses.ask(at(10)), []);
        good.sign().await;
        assert_eq!(late(&pulses), [("bad".to_owned(), 10)]);
        assert_eq!(pulses.ask(at(12)).len(), 1);
        good.sign().await;
        assert_eq!(late(&pulses), [("bad".to_owned(), 10)]);
        // One answer is enough, however often it was asked.
        bad.sign().await;
        assert_eq!(late(&pulses), []);
        assert_eq!(pulses.ask(at(14)), []);
        drop((good, bad));
        assert_eq!(late(&pulses), []);
    }

    #[tokio::test]
    async fn a_loop_answers_while_it_waits_and_not_while_it_works() {
        let pulses = Pulses::default();
        let mut pulse = pulses.join("loop");
        let (event, comes) = tokio::sync::oneshot::channel();
        let mut waits = Box::pin(pulse.wait(comes));
        pulses.ask(at(1));
        assert!(futures_util::poll!(waits.as_mut()).is_pending());
        assert_eq!(late(&pulses), []);
        event.send(7).unwrap();
        assert_eq!(waits.await, Ok(7));
        pulses.ask(at(2));
        assert_eq!(late(&pulses), [("loop".to_owned(), 2)]);
    }
}
