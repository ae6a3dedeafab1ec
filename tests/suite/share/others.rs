//! Others on the same share: a container that was started before it was healed, and a second station.

use std::io::Write as _;
use std::os::fd::IntoRawFd as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use station_tests::engine::{self, Engine};
use station_tests::process;
use station_tests::share;
use station_tests::station::{App, Station};

const NAME: &str = "workspace";
/// From the `close(2)` of a file on one station until another one sees it: the write-back, the upload, and how
/// long the other one remembers a folder (see agent/docs/share.md).
const SEEN_BY_OTHERS: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_container_that_was_started_before_sees_the_healed_mount() -> Result<()> {
    let Some(engine) = Engine::start().await? else { return station_tests::skip(engine::MISSING) };
    let Some((_azurite, station)) = super::station(App::None, "").await? else {
        return engine.stop().await;
    };
    let place = station.share(NAME);
    let image = tempfile::tempdir()?;
    std::fs::create_dir(image.path().join("bin"))?;
    std::fs::copy("/bin/busybox", image.path().join("bin/busybox"))?;
    let tar = image.path().with_extension("tar");
    let mut pack = process::command("/bin/tar".as_ref());
    pack.arg("-C").arg(image.path()).arg("-cf").arg(&tar).arg("bin");
    ensure!(process::run(pack, Duration::from_secs(30)).await?.status.success());
    let docker = async |arguments: &[&str]| -> Result<String> {
        let output = engine.docker(arguments).await?;
        ensure!(output.status.success(), "docker {arguments:?}: {}", output.all());
        Ok(output.stdout)
    };
    docker(&["import", &tar.display().to_string(), "box"]).await?;
    // The folder above the mount, as jobs get it: what is mounted in it later is seen.
    let bind = format!("{}:/shares:rslave", station.home().join("mnt").display());
    let sleeps = ["run", "--detach", "--name", "holds", "--network", "none", "--volume", &bind];
    docker(&[&sleeps[..], &["box", "/bin/busybox", "sleep", "1000"]].concat()).await?;
    station.kill_driver(NAME)?;
    station.mounted(NAME, 2).await?;
    let inside = format!("echo inside > /shares/{NAME}/a; cat /shares/{NAME}/a");
    let said = docker(&["exec", "holds", "/bin/busybox", "sh", "-c", &inside]).await?;
    ensure!(said == "inside\n", "{said:?}");
    ensure!(std::fs::read_to_string(place.join("a"))? == "inside\n");
    docker(&["rm", "--force", "holds"]).await?;
    engine.stop().await
}

/// In place: a file that is renamed over it is another one.
fn put(path: &Path, text: &str) -> Result<()> {
    Ok(std::fs::File::create(path)?.write_all(text.as_bytes())?)
}

#[tokio::test]
async fn what_one_station_writes_another_sees() -> Result<()> {
    let Some((azurite, first)) = super::station(App::None, "").await? else { return Ok(()) };
    let second = Station::start(App::None, &azurite.config(NAME, "rclone")).await?;
    second.mounted(NAME, 1).await?;
    let (here, there) = (first.share(NAME).join("both"), second.share(NAME).join("both"));
    std::fs::create_dir(&here)?;
    put(&here.join("a.txt"), "one")?;
    let seen = || std::fs::read_to_string(there.join("a.txt")).ok().filter(|text| text == "one");
    process::eventually("the other station sees it", SEEN_BY_OTHERS * 2, seen).await?;
    put(&here.join("a.txt"), "two")?;
    let seen = || std::fs::read_to_string(there.join("a.txt")).ok().filter(|text| text == "two");
    process::eventually("the other station sees the change", SEEN_BY_OTHERS * 2, seen).await?;
    ensure!(share::layers(&first.share(NAME))? == 1);
    Ok(())
}

/// More than the disk has room for.
const FILES: usize = 12;
const BYTES: usize = 8 << 20;

/// Whether the file was acknowledged.
fn save(place: &Path, number: usize) -> bool {
    let file = std::fs::File::create(place.join(format!("{number}.bin")));
    let piece = vec![b'x'; BYTES];
    file.is_ok_and(|mut file| {
        let written = file.write_all(&piece).is_ok();
        written && nix::unistd::close(file.into_raw_fd()).is_ok()
    })
}

#[tokio::test]
async fn a_disk_that_is_full_is_told_and_loses_no_file() -> Result<()> {
    let Some(azurite) = super::azurite().await? else { return Ok(()) };
    // The copies on a disk of 64 MiB.
    let disk = tempfile::tempdir()?;
    stationd::os::machine::mount::stage_of(disk.path(), 64)?;
    let cache = format!("cache_dir = \"{}\"\n", disk.path().join("copies").display());
    let config = format!("{}{cache}", azurite.config(NAME, "rclone"));
    let station = Station::start(App::None, &config).await?;
    station.mounted(NAME, 1).await?;
    let full = |heartbeat: &station_proto::heartbeat::Heartbeat| {
        heartbeat.status.conditions.iter().any(|one| one.kind == "MountCacheFull")
    };
    station.wait_for("MountCacheFull", share::COMES, full).await?;
    let place = station.share(NAME);
    let (tell, told) = tokio::sync::oneshot::channel();
    // On a thread of its own: a disk that is full may hold it up.
    std::thread::spawn(move || {
        tell.send((0..FILES).filter(|number| save(&place, *number)).collect())
    });
    let written: Vec<usize> = tokio::time::timeout(share::COMES * 4, told).await??;
    ensure!(!written.is_empty(), "not one of {FILES} files was taken");
    station.delivered(NAME).await?;
    for number in written {
        let text = azurite.read(&format!("{number}.bin")).await?;
        ensure!(text.is_some_and(|text| text.len() == BYTES), "{number}");
    }
    drop(station);
    stationd::os::machine::mount::detach(disk.path())?;
    Ok(())
}
