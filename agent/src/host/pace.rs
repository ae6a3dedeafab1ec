//! How late stationd's own timers fire: what its event loop suffers, every request suffers too.

use std::collections::VecDeque;
use std::time::Duration;

use station_proto::node::Agent;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::os::clock;

/// A minute of timers at the usual pace, and how many there must be before something is said.
const KEPT: usize = 120;
const FIRST: usize = 100;
/// How often the figures are published.
const TELL: usize = 10;

/// Measures for as long as the daemon runs.
pub(super) async fn run(
    timer: Duration,
    publish: watch::Sender<Option<Agent>>,
    cancel: CancellationToken,
) {
    let mut late = VecDeque::with_capacity(KEPT);
    let mut count = 0_usize;
    loop {
        let begun = clock::awake();
        if cancel.run_until_cancelled(tokio::time::sleep(timer)).await.is_none() {
            return;
        }
        let took = clock::awake().saturating_sub(begun);
        if late.len() == KEPT {
            late.pop_front();
        }
        late.push_back(took.saturating_sub(timer));
        count = count.wrapping_add(1);
        if count.is_multiple_of(TELL) && late.len() >= FIRST {
            publish.send_replace(figures(&late));
        }
    }
}

fn figures(late: &VecDeque<Duration>) -> Option<Agent> {
    let mut sorted: Vec<u64> =
        late.iter().map(|one| u64::try_from(one.as_millis()).unwrap_or(u64::MAX)).collect();
    sorted.sort_unstable();
    // The smallest value that 99 % do not exceed.
    let place = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
    Some(Agent { late_p99_ms: *sorted.get(place)?, late_max_ms: *sorted.last()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_timer_of_a_minute_is_the_most_and_two_are_the_hundredth() {
        let late = |slow: usize| {
            let ms = (0..KEPT).map(|n| if n < slow { 400 } else { 1 });
            figures(&ms.map(Duration::from_millis).collect()).unwrap()
        };
        assert_eq!(late(1), Agent { late_p99_ms: 1, late_max_ms: 400 });
        assert_eq!(late(2), Agent { late_p99_ms: 400, late_max_ms: 400 });
        assert_eq!(figures(&VecDeque::new()), None);
    }
}
