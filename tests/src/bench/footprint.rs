//! What stationd takes while nothing happens: memory, wake-ups, time to READY, size on disk.

pub(super) mod fleet;
pub(super) mod mount;
pub(super) mod node;
mod poll;
mod scrape;

use std::time::Duration;

use super::process::{pss_kib, sleep, to_f64, wakeups};
use super::report::{OURS, Row, Samples};
use super::station::{Station, binary};
use super::{Plan, say};

const SETTLE: Duration = Duration::from_secs(60);
const WATCH: Duration = Duration::from_secs(30);
const MIB: f64 = 1024.0 * 1024.0;

pub(super) fn run(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let mut samples = Samples::default();
    for round in 1..=plan.rounds {
        say(&format!("start {round} of {}", plan.rounds));
        let station = Station::start(false)?;
        let ready_ms = station.ready.as_secs_f64() * 1e3;
        samples.add("ready_ms", "ms", OURS, ready_ms);
    }
    let mut station = Station::start(false)?;
    station.log_in()?;
    say("60 s to settle, 30 s to watch");
    sleep(SETTLE);
    let rss = pss_kib(&station.roles()?) / 1024.0;
    samples.add("rss_idle_mib", "MiB", OURS, rss);
    let before = wakeups(station.daemon());
    sleep(WATCH);
    let woken = wakeups(station.daemon()) - before;
    let each_second = woken / WATCH.as_secs_f64();
    samples.add("wakeups_per_s", "1/s", OURS, each_second);
    let size = to_f64(std::fs::metadata(binary("stationd")?)?.len());
    samples.add("binary_mib", "MiB", OURS, size / MIB);
    Ok(samples.rows())
}
