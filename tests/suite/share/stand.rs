//! What apps stand on: the share, or the local folder while the share is away.

use std::fs;

use anyhow::{Result, ensure};
use http::Method;
use station_proto::app::AppPhase;
use station_tests::share;
use station_tests::station::{App, Station};
use stationd::os::file::write_atomic;

const NAME: &str = "workspace";
/// What an app says that runs with something else than the configuration has.
const PENDING: &str = "restart";

#[tokio::test]
async fn a_notebook_that_is_saved_in_jupyterlab_reaches_the_share() -> Result<()> {
    let Some((azurite, station)) = super::station(App::JupyterLab, "").await? else {
        return Ok(());
    };
    station.app_in(AppPhase::Ready).await?;
    let client = station.login().await?;
    let file = ["Users", "root", "hello.txt"].join("/");
    let path = format!("/apps/jupyterlab/api/contents/{file}");
    client.get("/apps/jupyterlab/lab").await?.expect(200)?;
    let xsrf = client.cookie("_xsrf").unwrap_or_default();
    let headers = [("content-type", "application/json"), ("x-xsrftoken", xsrf.as_str())];
    let body = r#"{"type":"file","format":"text","content":"from the browser"}"#;
    client.call(Method::PUT, &path, &headers, body.into()).await?.expect(201)?;
    station.delivered(NAME).await?;
    let text = azurite.read(&file).await?;
    ensure!(text.as_deref() == Some("from the browser"), "{text:?}");
    Ok(())
}

#[tokio::test]
async fn apps_wait_for_the_share_then_start_on_the_local_folder_and_stay_there() -> Result<()> {
    let Some(azurite) = super::azurite().await? else { return Ok(()) };
    let later = tempfile::tempdir()?;
    let key = later.path().join("key");
    let config = azurite.config(NAME, "rclone");
    let named = format!("credential = \"{}\"", azurite.key_file().display());
    ensure!(config.contains(&named));
    let config =
        config.replace(&named, &format!("credential = \"{}\"\nwait_seconds = 2", key.display()));
    let station = Station::start(App::StandIn, &config).await?;
    station
        .wait_for("an app that waits", share::COMES, |heartbeat| {
            heartbeat.status.apps.iter().any(|app| app.message.contains("waits for the share"))
        })
        .await?;
    station.app_in(AppPhase::Ready).await?;
    ensure!(station.home().join("workspace/Users/root").is_dir(), "it works on the local folder");
    station
        .wait_for("MountUnavailable", share::COMES, |heartbeat| {
            heartbeat.status.conditions.iter().any(|one| one.kind == "MountUnavailable")
        })
        .await?;
    // The share comes: what runs stays where it is.
    write_atomic(&key, &fs::read(azurite.key_file())?, 0o600)?;
    station.ctl(&["mount", "remount", NAME]).await?;
    station.mounted(NAME, 1).await?;
    let app = station.app_in(AppPhase::Ready).await?;
    ensure!(app.generation == 1 && app.message.contains(PENDING), "{app:?}");
    let restarted = station.ctl(&["app", "restart", "jupyterlab"]).await?;
    ensure!(restarted.status.success(), "{}", restarted.all());
    let app = station.app_in(AppPhase::Ready).await?;
    ensure!(app.generation == 2 && !app.message.contains(PENDING), "{app:?}");
    ensure!(station.share(NAME).join("Users/root").is_dir());
    Ok(())
}

#[tokio::test]
async fn a_second_share_can_be_read_and_not_written() -> Result<()> {
    let Some(azurite) = super::azurite().await? else { return Ok(()) };
    azurite.write("models/a.bin", "weights").await?;
    let config = format!("{}read_only = true\n", azurite.config("datastore", "rclone"));
    let station = Station::start(App::None, &config).await?;
    station.mounted("datastore", 1).await?;
    let place = station.share("datastore");
    ensure!(fs::read_to_string(place.join("models/a.bin"))? == "weights");
    ensure!(fs::File::create(place.join("mine")).is_err());
    Ok(())
}
