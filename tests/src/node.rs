//! Where the suites find Node and the npm packages of `tests/node`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{self, Output};

/// What to say where there is none.
pub const MISSING: &str = "Node with the packages of tests/node is not installed: scripts/test \
     installs them into .cache/node, or set STATIOND_TEST_NODE to a folder with node_modules";

/// How long a script may take, the start of a kernel included.
const LIMIT: Duration = Duration::from_secs(120);

/// `STATIOND_TEST_NODE`, or the folder that `scripts/test` makes at the repository's root; `None` if
/// there are no packages or there is no `node`.
pub fn modules() -> Option<PathBuf> {
    let cache = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/node");
    let folder = std::env::var_os("STATIOND_TEST_NODE").map_or_else(cache, PathBuf::from);
    let there = folder.join("node_modules/@jupyterlab/services").is_dir();
    (there && process::installed("node").is_some()).then_some(folder)
}

/// Runs a script with `input` as its standard input.
pub async fn run(script: &Path, input: &str) -> Result<Output> {
    let mut file = tempfile::tempfile()?;
    std::io::Write::write_all(&mut file, input.as_bytes())?;
    std::io::Seek::rewind(&mut file)?;
    let mut command = process::command(&process::installed("node").context(MISSING)?);
    command.arg(script).stdin(Stdio::from(file));
    process::run(command, LIMIT).await
}
