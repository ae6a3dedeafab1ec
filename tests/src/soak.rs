//! Histories that take minutes and end in figures: `scripts/soak NAME`.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use station_proto::app::AppPhase;
use stationd::os::file::write_atomic;
use stationd::os::process::{Stat, signal};
use stationd::os::{clock, random};

use crate::kernel::{Kernel, Outcome};
use crate::share::{self, Azurite, Writers};
use crate::standin::{self, Behaviour};
use crate::station::{App, Station};
use crate::{jupyter, process};

const BASE: &str = "/apps/jupyterlab";
/// Prints twenty numbers a second until it is told to stop, then how many there were.
const COUNTS: &str = "import os, time\nn = 0\nwhile not os.path.exists('stop'):\n    \
    print(n, flush=True)\n    n += 1\n    time.sleep(0.05)\nprint('end', n, flush=True)";
/// An adoption that takes longer is a failure.
const ADOPTED: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(10);
/// Between two looks at how often an app was started.
const ASK: Duration = Duration::from_millis(500);

/// Runs one history and gives what it found.
pub async fn run(name: &str, minutes: u64) -> Result<String> {
    let limit = Duration::from_secs(minutes * 60);
    match name {
        "kills" => kills(limit).await,
        "crash-loop" => crash_loop(limit).await,
        "mount" => mount(limit).await,
        other => bail!("no history is called {other}: kills, crash-loop, mount"),
    }
}

/// `kill -9` of a share's driver at any moment while three programs write, again and again; now and then of
/// everything.
async fn mount(limit: Duration) -> Result<String> {
    const NAME: &str = "workspace";
    ensure!(share::possible(), "{}", share::MISSING);
    let azurite = Azurite::start().await?;
    let station = Station::start(App::None, &azurite.config(NAME, "rclone")).await?;
    station.mounted(NAME, 1).await?;
    let writers = Writers::start(&station.share(NAME), 3);
    let (mut kills, mut generation) = (0_u32, 1);
    let end = clock::since_boot() + limit;
    while clock::since_boot() < end {
        tokio::time::sleep(Duration::from_secs_f64(0.05 + random::fraction())).await;
        let victim = if kills % 10 == 9 { station.warden()? } else { station.driver(NAME)? };
        signal(victim, Signal::SIGKILL)?;
        kills += 1;
        generation = station.mounted(NAME, generation + 1).await?.mount.generation;
    }
    let acknowledged = writers.end();
    let rescued = station.delivered(NAME).await?.sample.rescued_files;
    let copy = tempfile::tempdir()?;
    azurite.fetch(copy.path()).await?;
    let lost = share::lost(&acknowledged, copy.path());
    ensure!(lost.is_empty(), "of {} files {} are lost: {lost:?}", acknowledged.len(), lost.len());
    Ok(format!(
        "{kills} kills (each tenth of the warden), {} files acknowledged, 0 lost; {rescued} had lost \
         their description since the last warden started",
        acknowledged.len()
    ))
}

/// `kill -9` of stationd at any moment while a cell prints, again and again.
async fn kills(limit: Duration) -> Result<String> {
    jupyter::lab().context(jupyter::MISSING)?;
    let mut station = Station::with_app(App::JupyterLab).await?;
    let client = station.login().await?;
    let before = station.app_in(AppPhase::Ready).await?;
    let mut kernel = Kernel::start(&client, BASE).await?;
    kernel.run("kept = 'alive'").await?;
    let cell = kernel.send(COUNTS).await?;
    let (mut outcome, mut took) = (Outcome::default(), Vec::new());
    let end = clock::since_boot() + limit;
    while clock::since_boot() < end {
        let pause = Duration::from_secs_f64(random::fraction());
        let read = kernel.collect(&cell, &mut outcome, |_| false);
        if let Ok(dropped) = tokio::time::timeout(pause, read).await {
            ensure!(dropped?, "the cell ended by itself: {outcome:?}");
        }
        station.kill().await?;
        let started = clock::since_boot();
        station.launch().await?;
        let after = station.app_in(AppPhase::Ready).await?;
        took.push(clock::since_boot().saturating_sub(started));
        let same = (before.pid, before.generation) == (after.pid, after.generation);
        ensure!(same, "another instance: {before:?} and then {after:?}");
        for role in ["stationd keep", "stationd attend"] {
            let found = process::of_home_with(station.folder(), role);
            ensure!(found.len() == 1, "{role}: {found:?}");
        }
        // What the network still held, then what Jupyter kept for this session.
        ensure!(kernel.collect(&cell, &mut outcome, |_| false).await?, "the websocket lives");
        kernel.reconnect(&client).await?;
    }
    write_atomic(&station.home().join("workspace/stop"), b"", 0o644)?;
    ensure!(!kernel.collect(&cell, &mut outcome, |_| false).await?, "the websocket was cut off");
    let kept = kernel.run("kept").await?.value;
    ensure!(kept.as_deref() == Some("'alive'"), "the kernel is another: {kept:?}");
    let Lines { printed, lost, doubled } = lines(&outcome.output)?;
    took.sort_unstable();
    let at = |share: usize| took.get((took.len() - 1) * share / 100).copied().unwrap_or_default();
    let late = took.iter().filter(|took| **took > ADOPTED).count();
    Ok(format!(
        "{} kills, {printed} lines printed, {lost} lost, {doubled} doubled, 0 kernels lost, \
         0 second instances\n\
         adopted after p50 {:?}, p99 {:?}, most {:?}; {late} later than 1 s",
        took.len(),
        at(50),
        at(99),
        at(100)
    ))
}

/// How many lines there were, did not arrive, and arrived once too often.
#[derive(Debug, PartialEq, Eq)]
struct Lines {
    printed: usize,
    lost: usize,
    doubled: usize,
}

fn lines(output: &str) -> Result<Lines> {
    let last = output.lines().last().context("nothing was printed")?;
    let printed: usize = last.strip_prefix("end ").context(last.to_owned())?.parse()?;
    let numbers: Vec<usize> = output.lines().filter_map(|line| line.parse().ok()).collect();
    let seen: BTreeSet<usize> = numbers.iter().copied().collect();
    let once = seen.len();
    Ok(Lines { printed, lost: printed - once, doubled: numbers.len() - once })
}

/// An app that ends at once, for as long as that; what it costs stationd.
async fn crash_loop(limit: Duration) -> Result<String> {
    let mut station = Station::prepare(App::StandIn, "")?;
    standin::behave(station.folder(), Behaviour::CrashAtStart)?;
    station.launch().await?;
    let pid = station.pid()?;
    let cpu = || Stat::read(pid).map(|stat| stat.cpu_ticks).context("stationd has ended");
    let (began, cpu_before) = (clock::since_boot(), cpu()?);
    let (mut starts, mut most) = (Vec::new(), 0);
    while clock::since_boot() < began + limit {
        tokio::time::sleep(ASK).await;
        let now = clock::since_boot();
        let heartbeat = station.heartbeat().await?;
        let generation = heartbeat.status.apps.first().map_or(0, |app| app.generation);
        while u64::try_from(starts.len())? < generation {
            starts.push(now);
        }
        let minute = now.saturating_sub(Duration::from_secs(60));
        most = most.max(starts.iter().filter(|at| **at > minute).count());
    }
    let passed = clock::since_boot().saturating_sub(began);
    let ticks = u32::try_from(cpu()?.saturating_sub(cpu_before))?;
    let share = (TICK * ticks).as_secs_f64() / passed.as_secs_f64() * 100.0;
    // Our own questions are in it.
    Ok(format!(
        "{} starts, {most} at most in a minute; stationd used {share:.2} % of a core",
        starts.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_doubled_numbers_are_counted() {
        let of = |output| lines(output).unwrap();
        assert_eq!(of("0\n1\n2\nend 3\n"), Lines { printed: 3, lost: 0, doubled: 0 });
        assert_eq!(of("0\n2\nend 4\n"), Lines { printed: 4, lost: 2, doubled: 0 });
        assert_eq!(of("0\n1\n1\n2\n0\nend 3\n"), Lines { printed: 3, lost: 0, doubled: 2 });
        assert!(lines("0\n1\n").is_err());
    }
}
