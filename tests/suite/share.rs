//! The workspace share: real storage calls, a real driver, a real mount.

mod blobfuse2;
mod ends;
mod heal;
mod others;
mod stand;

use anyhow::Result;
use station_tests::share::{self, Azurite};
use station_tests::station::{App, Station};

/// A station with the share `workspace`, mounted; `None` where that is not possible.
async fn station(app: App, more: &str) -> Result<Option<(Azurite, Station)>> {
    let Some(azurite) = azurite().await? else { return Ok(None) };
    let config = format!("{}{more}", azurite.config("workspace", "rclone"));
    let station = Station::start(app, &config).await?;
    station.mounted("workspace", 1).await?;
    Ok(Some((azurite, station)))
}

async fn azurite() -> Result<Option<Azurite>> {
    if !share::possible() {
        station_tests::skip(share::MISSING)?;
        return Ok(None);
    }
    Azurite::start().await.map(Some)
}
