//! The workspace share: how soon a dead and a hung driver are seen and replaced, what users see of it, what is
//! lost, and how fast small files are written to a storage that is 30 ms away.
//!
//! It needs root, rclone and Azurite (`scripts/bench mount` installs them).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use stationd::os::clock::since_boot;
use stationd::os::process::signal;
use stationd::warden::files::{Folder, State as Line};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::UnixStream;

use crate::bench::process::to_f64;
use crate::bench::report::{OURS, Row, Samples};
use crate::bench::{Plan, say};
use crate::share::{Azurite, Delay, Writers, hammer, layers, lost, possible};
use crate::station::{App, Station};

const NAME: &str = "workspace";
const KILLS: usize = 50;
const HANGS: usize = 3;
const WRITERS: usize = 3;
/// Between two kills.
const REST: Duration = Duration::from_millis(500);
const ROUND_TRIP: Duration = Duration::from_millis(30);
/// Small files of one round, and the bytes of each.
const FILES: usize = 1000;
const SMALL: usize = 2048;
/// How many are uploaded one after the other: each takes several round trips.
const FILES_SYNC: usize = 50;
/// How long questions are put to a station that is well.
const WELL: Duration = Duration::from_secs(10);

pub(in crate::bench) fn run(plan: &Plan) -> Result<Vec<Row>> {
    ensure!(possible(), "{}", crate::share::MISSING);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(measure(plan))
}

async fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let mut samples = Samples::default();
    kills(&mut samples).await?;
    hangs(&mut samples).await?;
    for round in 1..=plan.rounds {
        say(&format!("small files, round {round} of {}", plan.rounds));
        small_files(&mut samples).await?;
    }
    Ok(samples.rows())
}

/// What the warden says, as it says it.
struct Said(Lines<BufReader<UnixStream>>);

impl Said {
    async fn listen(station: &Station) -> Result<Self> {
        let folder = Folder(station.home().join("run/mounts").join(NAME));
        let stream = UnixStream::connect(folder.socket()).await?;
        Ok(Self(BufReader::new(stream).lines()))
    }

    async fn until(&mut self, is: impl Fn(&Line) -> bool) -> Result<Line> {
        loop {
            let line = self.0.next_line().await?.context("the warden ended")?;
            let line: Line = serde_json::from_str(&line)?;
            if is(&line) {
                return Ok(line);
            }
        }
    }
}

/// `kill -9` of the driver while three write and one looks.
async fn kills(samples: &mut Samples) -> Result<()> {
    let azurite = Azurite::start().await?;
    let station = Station::start(App::None, &azurite.config(NAME, "rclone")).await?;
    station.mounted(NAME, 1).await?;
    let place = station.share(NAME);
    std::fs::create_dir_all(place.join("w0"))?;
    let stop = Arc::new(AtomicBool::new(false));
    let looks = hammer(place.join("w0"), Arc::clone(&stop));
    let writers = Writers::start(&place, WRITERS);
    let mut said = Said::listen(&station).await?;
    let (mut seen, mut healed) = (Vec::new(), Vec::new());
    for kill in 1..=KILLS {
        if kill % 10 == 0 {
            say(&format!("{kill} of {KILLS} kills, {} files written", writers.count()));
        }
        tokio::time::sleep(REST).await;
        let up = said.until(|line| line.ready).await?;
        let begun = since_boot();
        signal(station.driver(NAME)?, Signal::SIGKILL)?;
        // A heal may be over before it is told that there was one.
        said.until(|line| !line.ready || line.generation > up.generation).await?;
        seen.push(after(begun) * 1e3);
        let back = station.mounted(NAME, up.generation + 1).await?;
        ensure!(back.mount.ready);
        healed.push(after(begun) * 1e3);
    }
    let acknowledged = writers.end();
    stop.store(true, Ordering::Relaxed);
    let looked = looks.join().unwrap_or_default();
    station.delivered(NAME).await?;
    let copy = tempfile::tempdir()?;
    azurite.fetch(copy.path()).await?;
    let lost = lost(&acknowledged, copy.path());
    let drained = station.ctl(&["mount", "drain", NAME]).await?;
    ensure!(drained.status.success() && layers(&place)? == 0, "{}", drained.all());
    let shadows = std::fs::read_dir(&place)?.count();
    say(&format!("{} files were acknowledged; lost: {lost:?}", acknowledged.len()));
    samples.add("lost_acknowledged_writes", "1", OURS, to_count(lost.len()));
    samples.add("kills", "1", OURS, to_count(KILLS));
    samples.add("detect_dead_p99_ms", "ms", OURS, share_of(&mut seen, 99));
    samples.add("heal_p50_ms", "ms", OURS, share_of(&mut healed, 50));
    samples.add("heal_p99_ms", "ms", OURS, share_of(&mut healed, 99));
    samples.add("client_enoent", "1", OURS, to_f64(looked.missing));
    samples.add("shadow_writes", "1", OURS, to_count(shadows));
    Ok(())
}

/// SIGSTOP of the driver: until it is seen, and how long answers of stationd take meanwhile.
async fn hangs(samples: &mut Samples) -> Result<()> {
    let azurite = Azurite::start().await?;
    let station = Station::start(App::None, &azurite.config(NAME, "rclone")).await?;
    station.mounted(NAME, 1).await?;
    say("answers of a station that is well");
    let end = since_boot() + WELL;
    let mut well = Vec::new();
    while since_boot() < end {
        well.push(answer(&station).await?);
    }
    samples.add("loop_lateness_p99_ms", "ms", "healthy", share_of(&mut well, 99));
    let mut late = Vec::new();
    for hang in 1..=HANGS {
        say(&format!("hang {hang} of {HANGS}"));
        let mut said = Said::listen(&station).await?;
        said.until(|line| line.ready).await?;
        let begun = since_boot();
        signal(station.driver(NAME)?, Signal::SIGSTOP)?;
        let seen = Box::pin(said.until(|line| !line.ready));
        let asks = Box::pin(async {
            loop {
                late.push(answer(&station).await?);
            }
            #[expect(unreachable_code, reason = "it ends with the other one")]
            Ok::<(), anyhow::Error>(())
        });
        futures_util::future::select(seen, asks).await;
        samples.add("detect_hung_s", "s", OURS, after(begun));
        station.mounted(NAME, 2).await?;
    }
    samples.add("loop_lateness_p99_ms", "ms", OURS, share_of(&mut late, 99));
    Ok(())
}

/// How long one small answer takes, in ms; a pause comes before it.
async fn answer(station: &Station) -> Result<f64> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    let begun = since_boot();
    station.admin(http::Method::GET, "/v1/lease", "").await?;
    Ok(after(begun) * 1e3)
}

/// The same files to a local folder, to the share, and to a share whose `close()` uploads.
async fn small_files(samples: &mut Samples) -> Result<()> {
    let azurite = Azurite::start().await?;
    let delay = Delay::start(azurite.port(), ROUND_TRIP)?;
    let endpoint = format!("http://127.0.0.1:{}/devstoreaccount1", delay.port());
    let local = tempfile::Builder::new().prefix("l").tempdir_in("/tmp")?;
    let mut local_rate = write(local.path(), "a", FILES)?;
    let station = Station::start(App::None, &azurite.config_at(NAME, "rclone", &endpoint)).await?;
    station.mounted(NAME, 1).await?;
    let rate = write(&station.share(NAME), "a", FILES)?;
    local_rate = f64::midpoint(local_rate, write(local.path(), "b", FILES)?);
    let begun = since_boot();
    station.delivered(NAME).await?;
    samples.add("small_files_per_s", "1/s", OURS, rate);
    samples.add("small_files_per_s", "1/s", "local", local_rate);
    samples.add("small_files_durable_s", "s", OURS, after(begun));
    let upload = azurite.mounted_plain(&endpoint).await?;
    let rate = write(&upload.path(), "c", FILES_SYNC)?;
    samples.add("small_files_per_s", "1/s", "upload-on-close", rate);
    Ok(())
}

/// Files a second, each written and closed before the next.
fn write(folder: &Path, below: &str, count: usize) -> Result<f64> {
    let folder = folder.join(below);
    std::fs::create_dir_all(&folder)?;
    let content = vec![b'x'; SMALL];
    let begun = since_boot();
    for number in 0..count {
        use std::io::Write as _;
        std::fs::File::create(folder.join(format!("{number:04}")))?.write_all(&content)?;
    }
    Ok(to_count(count) / after(begun))
}

/// Seconds since then.
fn after(begun: Duration) -> f64 {
    since_boot().saturating_sub(begun).as_secs_f64()
}

fn to_count(count: usize) -> f64 {
    to_f64(u64::try_from(count).unwrap_or(u64::MAX))
}

/// The value that so many percent do not exceed.
fn share_of(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len().saturating_sub(1)) * percent / 100).copied().unwrap_or_default()
}
