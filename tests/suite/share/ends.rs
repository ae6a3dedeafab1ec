//! The end of stationd, of everything, and of the share itself.

use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use station_tests::process;
use station_tests::share::{self, layers};
use station_tests::station::App;
use stationd::os::process::signal;

const NAME: &str = "workspace";

#[tokio::test]
async fn the_end_of_stationd_is_not_felt_by_whoever_has_a_file_open() -> Result<()> {
    let Some((azurite, mut station)) = super::station(App::None, "").await? else { return Ok(()) };
    let mut file = std::fs::File::create(station.share(NAME).join("log.txt"))?;
    file.write_all(b"before\n")?;
    let driver = station.driver(NAME)?;
    station.kill().await?;
    file.write_all(b"without\n")?;
    station.launch().await?;
    file.write_all(b"after\n")?;
    drop(file);
    station.delivered(NAME).await?;
    ensure!(station.driver(NAME)? == driver && station.mount(NAME).await?.mount.generation == 1);
    let text = azurite.read("log.txt").await?;
    ensure!(text.as_deref() == Some("before\nwithout\nafter\n"), "{text:?}");
    Ok(())
}

#[tokio::test]
async fn what_was_pending_when_everything_was_killed_reaches_the_share() -> Result<()> {
    let Some((azurite, mut station)) = super::station(App::None, "").await? else { return Ok(()) };
    let place = station.share(NAME);
    std::fs::create_dir(place.join("new"))?;
    for number in 0..20 {
        let mut file = std::fs::File::create(place.join(format!("new/{number}.txt")))?;
        file.write_all(number.to_string().as_bytes())?;
    }
    station.kill().await?;
    signal(station.warden()?, Signal::SIGKILL)?;
    station.kill_driver(NAME)?;
    ensure!(layers(&place)? == 1, "the dead mount is there when stationd starts");
    station.launch().await?;
    station.mounted(NAME, 2).await?;
    ensure!(layers(&place)? == 1);
    station.delivered(NAME).await?;
    for number in 0..20 {
        let text = azurite.read(&format!("new/{number}.txt")).await?;
        ensure!(text == Some(number.to_string()), "{number}: {text:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_drain_brings_everything_to_the_share_and_leaves_a_folder_that_takes_nothing()
-> Result<()> {
    let Some((azurite, station)) = super::station(App::None, "").await? else { return Ok(()) };
    let place = station.share(NAME);
    for number in 0..50 {
        let mut file = std::fs::File::create(place.join(format!("{number}.txt")))?;
        file.write_all(b"mine")?;
    }
    let drained = station.ctl(&["mount", "drain", NAME]).await?;
    ensure!(drained.status.success(), "{}", drained.all());
    for number in [0, 49] {
        let text = azurite.read(&format!("{number}.txt")).await?;
        ensure!(text.as_deref() == Some("mine"), "{number}: {text:?}");
    }
    let refused = std::fs::File::create(place.join("lost.txt"));
    ensure!(refused.is_err(), "a file was written under the mount point");
    let unmounted = |heartbeat: &station_proto::heartbeat::Heartbeat| {
        let about = |one: &station_proto::condition::Condition| {
            one.kind == "MountUnavailable" && one.reason == "Drained"
        };
        heartbeat.status.conditions.iter().any(about)
    };
    station.wait_for("MountUnavailable", share::COMES, unmounted).await?;
    let back = station.ctl(&["mount", "remount", NAME]).await?;
    ensure!(back.status.success(), "{}", back.all());
    ensure!(std::fs::read_to_string(place.join("7.txt"))? == "mine");
    Ok(())
}

#[tokio::test]
async fn a_drain_that_cannot_end_says_why_and_goes_on() -> Result<()> {
    let Some((azurite, station)) = super::station(App::None, "").await? else { return Ok(()) };
    let open = std::fs::File::create(station.share(NAME).join("open.txt"))?;
    let blocked = station.ctl(&["mount", "drain", NAME, "--limit", "3"]).await?;
    ensure!(blocked.status.code() == Some(1), "{}", blocked.all());
    drop(open);
    azurite.pause()?;
    azurite.resume()?;
    let done = station.ctl(&["mount", "drain", NAME, "--limit", "60"]).await?;
    ensure!(done.status.success(), "{}", done.all());
    ensure!(azurite.read("open.txt").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn down_drains_the_share_and_leaves_no_process() -> Result<()> {
    let Some((azurite, mut station)) = super::station(App::None, "").await? else { return Ok(()) };
    let mut file = std::fs::File::create(station.share(NAME).join("last.txt"))?;
    file.write_all(b"saved")?;
    drop(file);
    let down = station.ctl(&["down"]).await?;
    ensure!(down.status.success(), "{}", down.all());
    station.ended().await.context(down.all())?;
    ensure!(azurite.read("last.txt").await?.as_deref() == Some("saved"));
    ensure!(layers(&station.share(NAME))? == 0);
    let left = process::of_home(&station.home());
    ensure!(
        left.is_empty(),
        "{:?}",
        left.iter().map(|pid| process::command_line(*pid)).collect::<Vec<_>>()
    );
    Ok(())
}
