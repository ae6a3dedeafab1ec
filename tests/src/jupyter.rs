//! Where the suites find the real JupyterLab, and its terminals without a screen.

use std::path::{Path, PathBuf};

use anyhow::Result;
use futures_util::SinkExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::http::Client;

/// `STATIOND_TEST_JUPYTERLAB`, or the one that `scripts/test` installs at the repository's root.
pub fn lab() -> Option<PathBuf> {
    let path = std::env::var_os("STATIOND_TEST_JUPYTERLAB").map_or_else(installed, PathBuf::from);
    path.is_file().then_some(path)
}

fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/jupyterlab/bin/jupyter-lab")
}

/// What to say where there is none.
pub const MISSING: &str = "JupyterLab is not installed: scripts/test installs it into \
     .cache/jupyterlab, or set STATIOND_TEST_JUPYTERLAB to a jupyter-lab";

/// Types into the terminal whose websocket is at `path`, as JupyterLab's page does.
pub async fn type_into(client: &Client, path: &str, keys: &str) -> Result<()> {
    let mut socket = client.open_websocket(path).await?;
    socket.send(Message::text(json!(["stdin", keys]).to_string())).await?;
    Ok(socket.close(None).await?)
}
