//! A fleet of a thousand agents, each polled by one poller: what a poll takes, how old what is known
//! gets, and how long a herd takes after an outage.
//!
//! An interval of ten seconds is compressed to one: ages in intervals are what counts, and CPU per poll.

mod agents;
mod poller;

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use stationd::os::random;
use tokio::time::Instant;

use super::super::process::to_f64;
use super::super::report::{OURS, Row, Samples};
use super::super::{Plan, say};
use agents::Agents;
use poller::{Ask, Poller};

const AGENTS: usize = 1000;
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the steady state is watched.
const STEADY: Duration = Duration::from_secs(20);
/// Changes of status in the whole fleet: one every so often.
const CHANGE: Duration = Duration::from_millis(10);

pub(in crate::bench) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let folder = tempfile::Builder::new().prefix("f").tempdir_in("/tmp")?;
    let agents = Agents::start(folder.path(), AGENTS)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(plan, &agents))
}

async fn measure(plan: &Plan, agents: &Agents) -> Result<Vec<Row>> {
    let mut samples = Samples::default();
    let new = || agents.all.iter().map(|agent| Poller::new(agent.socket.clone())).collect();
    let mut pollers: Vec<Poller> = new();
    for round in 1..=plan.rounds {
        say(&format!("kinds of polls, round {round} of {}", plan.rounds));
        let names = ["full_wire_bytes", "full_cpu_us"];
        kind(agents, &mut pollers, (Ask::Whole, 200), names, &mut samples).await?;
        let names = ["not_modified_wire_bytes", "not_modified_cpu_us"];
        kind(agents, &mut pollers, (Ask::Changes, 304), names, &mut samples).await?;
        for agent in &agents.all {
            agent.change();
        }
        let names = ["delta_wire_bytes", "delta_cpu_us"];
        kind(agents, &mut pollers, (Ask::Changes, 200), names, &mut samples).await?;
    }
    say("steady: each agent polled once an interval");
    let cpu = agents.cpu_us()?;
    let ages = steady(agents, &mut pollers, Ask::Changes).await?;
    let share = (agents.cpu_us()? - cpu) / STEADY.as_secs_f64() / 1e6 * 100.0;
    samples.add("agents_cpu_pct", "%", OURS, share);
    samples.add("staleness_p99_intervals", "1", OURS, p99(ages)? / INTERVAL.as_secs_f64());
    say("steady: each poll waits for a change");
    let ages = steady(agents, &mut pollers, Ask::Wait).await?;
    samples.add("staleness_wait_p99_ms", "ms", OURS, p99(ages)? * 1e3);
    say("the herd after an outage: every poller at once, with connections of its own");
    for poller in &mut pollers {
        poller.leave();
    }
    let begun = Instant::now();
    try_join_all(pollers.iter_mut().map(|poller| poller.poll(Ask::Whole))).await?;
    samples.add("herd_fleet_ms", "ms", OURS, begun.elapsed().as_secs_f64() * 1e3);
    drop(pollers);
    say("the same on one agent");
    let begun = Instant::now();
    let first = agents.all.first().context("an agent")?;
    let herd = (0..AGENTS).map(|_| served(Poller::new(first.socket.clone())));
    let tries = try_join_all(herd).await?;
    samples.add("herd_one_agent_s", "s", OURS, begun.elapsed().as_secs_f64());
    let tries: u32 = tries.into_iter().sum();
    samples.add("herd_one_agent_tries", "1", OURS, f64::from(tries) / 1e3);
    Ok(samples.rows())
}

/// One poll of each agent, all at once: bytes and CPU of one.
async fn kind(
    agents: &Agents,
    pollers: &mut [Poller],
    (ask, status): (Ask, u16),
    [bytes, cpu]: [&'static str; 2],
    samples: &mut Samples,
) -> Result<()> {
    let before = agents.cpu_us()?;
    let got = try_join_all(pollers.iter_mut().map(|poller| poller.poll(ask))).await?;
    let used = agents.cpu_us()? - before;
    ensure!(got.iter().all(|one| one.status == status), "{:?}", got.first());
    let count = to_f64(u64::try_from(got.len())?);
    let all = got.iter().map(|one| one.bytes).sum::<usize>();
    samples.add(bytes, "B", OURS, to_f64(u64::try_from(all)?) / count);
    samples.add(cpu, "us", OURS, used / count);
    Ok(())
}

/// Polls the fleet while it changes; how old each change was when its poller saw it, in seconds.
async fn steady(agents: &Agents, pollers: &mut [Poller], ask: Ask) -> Result<Vec<f64>> {
    let pending: Vec<Pending> = agents.all.iter().map(|_| Pending::default()).collect();
    let end = Instant::now() + STEADY;
    let changes = async {
        let mut ticks = tokio::time::interval(CHANGE);
        while Instant::now() < end {
            ticks.tick().await;
            #[expect(clippy::cast_possible_truncation, reason = "an index")]
            #[expect(clippy::cast_sign_loss, reason = "a fraction is not negative")]
            let at = (random::fraction() * 999.9) as usize;
            if let (Some(agent), Some(pending)) = (agents.all.get(at), pending.get(at)) {
                pending.push(agent.change());
            }
        }
    };
    let polls = pollers.iter_mut().zip(&pending).map(|(poller, pending)| async move {
        let mut ages = Vec::new();
        if ask != Ask::Wait {
            tokio::time::sleep(INTERVAL.mul_f64(random::fraction())).await;
        }
        while Instant::now() < end {
            let next = tokio::time::timeout_at(end + INTERVAL, poller.poll(ask));
            let Ok(got) = next.await else {
                poller.leave();
                break;
            };
            got?;
            ages.extend(pending.seen(poller.seq()));
            if ask != Ask::Wait {
                tokio::time::sleep(INTERVAL.mul_f64(0.9 + random::fraction() / 5.0)).await;
            }
        }
        Ok::<_, anyhow::Error>(ages)
    });
    let (ages, ()) = futures_util::future::join(join_all(polls), changes).await;
    let ages: Result<Vec<Vec<f64>>> = ages.into_iter().collect();
    Ok(ages?.into_iter().flatten().collect())
}

/// Changes of one agent that its poller has not seen yet, with their times.
#[derive(Debug, Default)]
struct Pending(RefCell<Vec<(u64, Instant)>>);

impl Pending {
    fn push(&self, seq: u64) {
        self.0.borrow_mut().push((seq, Instant::now()));
    }

    /// How old those are that a status of this number shows, in seconds.
    fn seen(&self, seq: u64) -> Vec<f64> {
        let mut list = self.0.borrow_mut();
        let seen = list.iter().filter(|(of, _)| *of <= seq);
        let ages = seen.map(|(_, at)| at.elapsed().as_secs_f64()).collect();
        list.retain(|(of, _)| *of > seq);
        ages
    }
}

fn p99(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * 99 / 100).copied().context("some changes were seen")
}

/// Polls until it is served, and comes again when it is told to; how often it tried.
async fn served(mut poller: Poller) -> Result<u32> {
    for tried in 1.. {
        let got = poller.poll(Ask::Whole).await?;
        if got.status == 200 {
            return Ok(tried);
        }
        ensure!(got.status == 503, "{got:?}");
        let after = got.after.context("Retry-After")?;
        tokio::time::sleep(Duration::from_secs(after)).await;
    }
    anyhow::bail!("never served")
}
