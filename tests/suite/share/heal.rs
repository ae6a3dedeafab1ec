//! A driver that dies or hangs, a mount that is taken away: the share comes back, and nothing is lost.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use station_tests::share::{self, Writers, hammer, layers};
use station_tests::station::{App, Station};
use stationd::os::clock::since_boot;
use stationd::os::file::write_atomic;
use stationd::os::process::signal;

const NAME: &str = "workspace";

/// Kills the driver while somebody asks for a file all the time: what they saw.
async fn killed_under(station: &Station) -> Result<share::Hammered> {
    let place = station.share(NAME);
    write_atomic(&place.join("there"), b"x", 0o600)?;
    let stop = Arc::new(AtomicBool::new(false));
    // A name that nobody remembers is asked of the driver each time.
    let asks = hammer(place.join("there"), Arc::clone(&stop));
    for generation in 2..5 {
        station.kill_driver(NAME)?;
        station.mounted(NAME, generation).await?;
    }
    stop.store(true, Ordering::Relaxed);
    Ok(asks.join().unwrap_or_default())
}

#[tokio::test]
async fn a_driver_that_dies_is_replaced_and_nobody_sees_a_missing_file() -> Result<()> {
    let Some((_azurite, station)) = super::station(App::None, "").await? else { return Ok(()) };
    let seen = killed_under(&station).await?;
    ensure!(seen.there > 0 && seen.missing == 0 && seen.other == 0, "{seen:?}");
    ensure!(layers(&station.share(NAME))? == 1, "a dead mount is left");
    let detail = station.mount(NAME).await?;
    ensure!(detail.mount.heals == 3, "{detail:?}");
    Ok(())
}

/// As on kernels before 6.5: the dead mounts stay below and go with the drain.
#[tokio::test]
async fn on_older_kernels_the_healed_mount_lies_on_the_dead_ones_until_the_drain() -> Result<()> {
    let Some(azurite) = super::azurite().await? else { return Ok(()) };
    let mut station = Station::prepare(App::None, &azurite.config(NAME, "rclone"))?;
    station.environment.push(("STATIOND_MOUNT_ON_TOP".to_owned(), "1".to_owned()));
    station.launch().await?;
    station.mounted(NAME, 1).await?;
    let seen = killed_under(&station).await?;
    ensure!(seen.there > 0 && seen.missing == 0 && seen.other == 0, "{seen:?}");
    ensure!(layers(&station.share(NAME))? == 4);
    station.delivered(NAME).await?;
    let drained = station.ctl(&["mount", "drain", NAME]).await?;
    ensure!(drained.status.success(), "{}", drained.all());
    ensure!(layers(&station.share(NAME))? == 0);
    Ok(())
}

#[tokio::test]
async fn what_was_acknowledged_survives_the_driver() -> Result<()> {
    let Some((azurite, station)) = super::station(App::None, "").await? else { return Ok(()) };
    let writers = Writers::start(&station.share(NAME), 3);
    for generation in 2..10 {
        let before = writers.count();
        let more = || (writers.count() > before + 30).then_some(());
        station_tests::process::eventually("more is written", share::COMES, more).await?;
        station.kill_driver(NAME)?;
        station.mounted(NAME, generation).await?;
    }
    let acknowledged = writers.end();
    station.delivered(NAME).await?;
    let copy = tempfile::tempdir()?;
    azurite.fetch(copy.path()).await?;
    let lost = share::lost(&acknowledged, copy.path());
    ensure!(lost.is_empty(), "of {} lost: {lost:?}", acknowledged.len());
    Ok(())
}

#[tokio::test]
async fn a_driver_that_hangs_is_broken_off_within_ten_seconds() -> Result<()> {
    let Some((_azurite, station)) = super::station(App::None, "").await? else { return Ok(()) };
    let begun = since_boot();
    signal(station.driver(NAME)?, Signal::SIGSTOP)?;
    let detail = station.mounted(NAME, 2).await?;
    let took = since_boot().saturating_sub(begun);
    ensure!(took < Duration::from_secs(12), "{took:?}");
    ensure!(detail.mount.last_loss.is_some_and(|why| why.contains("hung")));
    Ok(())
}

#[tokio::test]
async fn a_storage_that_is_away_is_told_and_nothing_is_restarted() -> Result<()> {
    let Some((azurite, station)) = super::station(App::None, "").await? else { return Ok(()) };
    azurite.pause()?;
    let place = station.share(NAME);
    // On a thread of its own: some of these calls may wait for the storage.
    let saved = std::thread::spawn(move || save(&place.join("while-away.txt"), "kept"));
    let away = |detail: &station_proto::mount::MountDetail| detail.sample.reachable == Some(false);
    station.mount_is(NAME, "away", Duration::from_secs(40), away).await?;
    station
        .wait_for("ShareUnreachable", share::COMES, |heartbeat| {
            heartbeat.status.conditions.iter().any(|one| one.kind == "ShareUnreachable")
        })
        .await?;
    let detail = station.mount(NAME).await?;
    ensure!(detail.mount.ready && detail.mount.generation == 1, "{detail:?}");
    azurite.resume()?;
    saved.join().map_err(|_panic| anyhow::anyhow!("the writer panicked"))??;
    station.delivered(NAME).await?;
    ensure!(azurite.read("while-away.txt").await?.as_deref() == Some("kept"));
    ensure!(station.mount(NAME).await?.mount.generation == 1);
    Ok(())
}

fn save(path: &Path, content: &str) -> Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path)?;
    Ok(file.write_all(content.as_bytes())?)
}

#[tokio::test]
async fn what_somebody_unmounts_comes_back_and_what_covers_it_is_told() -> Result<()> {
    let Some((_azurite, station)) = super::station(App::None, "").await? else { return Ok(()) };
    let place = station.share(NAME);
    stationd::os::machine::mount::detach(&place)?;
    station.mounted(NAME, 2).await?;
    ensure!(layers(&place)? == 1);
    let other = station.home().join("other");
    stationd::os::machine::mount::stage(&other)?;
    stationd::os::machine::mount::bind(&other, &place)?;
    let covered = |heartbeat: &station_proto::heartbeat::Heartbeat| {
        heartbeat.status.conditions.iter().any(|one| one.kind == "MountCovered")
    };
    station.wait_for("MountCovered", share::COMES, covered).await?;
    let doctor = station.ctl(&["doctor", "mount"]).await?;
    let (below, over) = (doctor.stdout.find("fuse.rclone of"), doctor.stdout.find("tmpfs of"));
    ensure!(below.is_some() && below < over, "{}", doctor.all());
    stationd::os::machine::mount::detach(&place)?;
    station.wait_for("uncovered", share::COMES, |heartbeat| !covered(heartbeat)).await?;
    ensure!(station.mount(NAME).await?.mount.generation == 2);
    Ok(())
}
