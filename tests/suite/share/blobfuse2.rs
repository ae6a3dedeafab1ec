//! A share by blobfuse2: the stand-in, which fails when it is told to, and the real one where it is installed.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::IntoRawFd as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use station_tests::share::blobfuse2::{self, Storage, Which};
use station_tests::share::{self, Writers, layers};
use station_tests::station::{App, Station};
use stationd::os::process::signal;

const NAME: &str = "workspace";
/// The driver tries an upload again and again for so long at most.
const RETRIES: Duration = Duration::from_secs(90);

/// A station with its share mounted by the one or the other; `None` where that is not possible.
async fn station(which: Which) -> Result<Option<(Storage, Station)>> {
    let Some(storage) = Storage::start(which).await? else { return Ok(None) };
    let mut station = Station::prepare(App::None, &storage.config(NAME))?;
    station.environment.extend(storage.environment());
    station.launch().await?;
    station.mounted(NAME, 1).await?;
    Ok(Some((storage, station)))
}

/// Writes a file and closes it: whether that was acknowledged.
fn save(path: &Path, content: &str) -> Result<bool> {
    let mut file = File::create(path)?;
    file.write_all(content.as_bytes())?;
    Ok(nix::unistd::close(file.into_raw_fd()).is_ok())
}

async fn kills(which: Which, times: u64) -> Result<()> {
    let Some((storage, station)) = station(which).await? else { return Ok(()) };
    let writers = Writers::start(&station.share(NAME), 3);
    for generation in 2..times + 2 {
        let before = writers.count();
        let more = || (writers.count() > before + 15).then_some(());
        station_tests::process::eventually("more is written", share::COMES, more).await?;
        signal(blobfuse2::driver(&station, NAME)?, Signal::SIGKILL)?;
        station.mounted(NAME, generation).await?;
    }
    let acknowledged = writers.end();
    station.delivered(NAME).await?;
    let copy = tempfile::tempdir()?;
    storage.fetch(copy.path()).await?;
    let lost = share::lost(&acknowledged, copy.path());
    ensure!(lost.is_empty(), "of {} lost: {lost:?}", acknowledged.len());
    ensure!(layers(&station.share(NAME))? == 1);
    Ok(())
}

#[tokio::test]
async fn ten_kills_under_three_writers_lose_nothing_acknowledged() -> Result<()> {
    for _ in 0..2 {
        // One that dies more often is given pauses, which this test need not wait for.
        kills(Which::StandIn, 5).await?;
    }
    Ok(())
}

#[tokio::test]
async fn ten_kills_of_the_real_blobfuse2_lose_nothing_acknowledged() -> Result<()> {
    for _ in 0..2 {
        kills(Which::Real, 5).await?;
    }
    Ok(())
}

async fn hangs(which: Which) -> Result<()> {
    let Some((_storage, station)) = station(which).await? else { return Ok(()) };
    let begun = tokio::time::Instant::now();
    signal(blobfuse2::driver(&station, NAME)?, Signal::SIGSTOP)?;
    let detail = station.mounted(NAME, 2).await?;
    ensure!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    ensure!(detail.mount.last_loss.is_some_and(|why| why.contains("hung")));
    Ok(())
}

#[tokio::test]
async fn a_blobfuse2_that_hangs_is_broken_off_within_ten_seconds() -> Result<()> {
    hangs(Which::StandIn).await
}

#[tokio::test]
async fn a_real_blobfuse2_that_hangs_is_broken_off_within_ten_seconds() -> Result<()> {
    hangs(Which::Real).await
}

/// An upload fails, the driver goes on: the file is pending, and arrives when the storage takes it.
async fn fails(which: Which) -> Result<()> {
    let Some((mut storage, station)) = station(which).await? else { return Ok(()) };
    let place = station.share(NAME);
    let mut file = File::create(place.join("late.txt"))?;
    storage.refuse().await?;
    // Only now: a program that another test starts closes our descriptor in its copy of us, and that uploads too.
    file.write_all(b"late")?;
    let closing = std::thread::spawn(move || nix::unistd::close(file.into_raw_fd()));
    let ended = || closing.is_finished().then_some(());
    station_tests::process::eventually("the file is closed", RETRIES, ended).await?;
    ensure!(closing.join().is_ok_and(|closed| closed.is_err()), "nobody had taken it");
    let pending = |detail: &station_proto::mount::MountDetail| {
        detail.sample.pending.as_ref().is_some_and(|all| (all.files, all.errored) == (1, 1))
    };
    let detail = station.mount_is(NAME, "one file behind", share::COMES, pending).await?;
    ensure!(detail.pending_files.iter().any(|one| one.path == "late.txt"), "{detail:?}");
    let blocked = station.ctl(&["mount", "drain", NAME, "--limit", "2"]).await?;
    ensure!(blocked.status.code() == Some(1), "a drain waits for it: {}", blocked.all());
    storage.take().await?;
    let drained = station.ctl(&["mount", "drain", NAME, "--limit", "60"]).await?;
    ensure!(drained.status.success(), "{}", drained.all());
    ensure!(storage.read("late.txt").await?.as_deref() == Some("late"));
    Ok(())
}

#[tokio::test]
async fn a_failed_upload_is_pending_and_arrives_later() -> Result<()> {
    fails(Which::StandIn).await
}

#[tokio::test]
async fn a_failed_upload_of_the_real_blobfuse2_is_pending_and_arrives_later() -> Result<()> {
    fails(Which::Real).await
}

/// A file that could not be uploaded outlives the driver, and one that was never closed comes beside the old one.
#[tokio::test]
async fn what_a_dead_blobfuse2_had_not_uploaded_is_not_lost() -> Result<()> {
    let Some((mut storage, station)) = station(Which::StandIn).await? else { return Ok(()) };
    let place = station.share(NAME);
    ensure!(save(&place.join("notes.txt"), "old")?);
    storage.refuse().await?;
    ensure!(!save(&place.join("new.txt"), "never acknowledged")?);
    let pending = |detail: &station_proto::mount::MountDetail| {
        detail.sample.pending.as_ref().is_some_and(|all| all.errored == 1)
    };
    station.mount_is(NAME, "one file behind", share::COMES, pending).await?;
    let mut open = File::options().write(true).open(place.join("notes.txt"))?;
    open.write_all(b"half of the ne")?;
    signal(blobfuse2::driver(&station, NAME)?, Signal::SIGKILL)?;
    station.mounted(NAME, 2).await?;
    storage.take().await?;
    station.delivered(NAME).await?;
    ensure!(storage.read("new.txt").await?.as_deref() == Some("never acknowledged"));
    ensure!(storage.read("notes.txt").await?.as_deref() == Some("old"), "it was acknowledged");
    let names: Vec<_> = fs::read_dir(&place)?.flatten().map(|one| one.file_name()).collect();
    let beside = names.iter().map(|name| name.to_string_lossy());
    let beside: Vec<_> = beside.filter(|name| name.starts_with("notes (recovered ")).collect();
    let [beside] = beside.as_slice() else { anyhow::bail!("{names:?}") };
    ensure!(storage.read(beside).await?.as_deref() == Some("half of the ne"));
    Ok(())
}

/// The same things of both: what the warden relies on.
async fn behaves(which: Which) -> Result<()> {
    let Some((_storage, station)) = station(which).await? else { return Ok(()) };
    let place = station.share(NAME);
    let cache = blobfuse2::cache(&station, NAME)?;
    ensure!(save(&place.join("a.txt"), "content")? && cache.join("a.txt").is_file());
    // A signal ends it at once, and nothing is emptied.
    signal(blobfuse2::driver(&station, NAME)?, Signal::SIGTERM)?;
    let detail = station.mounted(NAME, 2).await?;
    ensure!(detail.mount.last_loss.is_some_and(|why| why.contains("signal: 15")));
    station.delivered(NAME).await?;
    ensure!(fs::read_to_string(place.join("a.txt"))? == "content");
    // It was just fetched: its time is the share's, and no later than the copy.
    let copy = fs::metadata(cache.join("a.txt"))?;
    ensure!(copy.modified()? <= copy.created()?, "{copy:?}");
    // It empties its cache when it is unmounted.
    let drained = station.ctl(&["mount", "drain", NAME]).await?;
    ensure!(drained.status.success(), "{}", drained.all());
    let left = fs::read_dir(&cache).map_or(0, Iterator::count);
    ensure!(left == 0, "{left} files are left in {}", cache.display());
    Ok(())
}

#[tokio::test]
async fn the_stand_in_behaves_as_the_warden_expects_of_blobfuse2() -> Result<()> {
    behaves(Which::StandIn).await
}

#[tokio::test]
async fn the_real_blobfuse2_behaves_as_the_warden_expects() -> Result<()> {
    behaves(Which::Real).await
}
