//! A stand-in for blobfuse2: its command line, its keys, and how it fails, as the real one (2.5) was seen to.
//!
//! It refuses a mount point or a cache that is not empty; it uploads a whole file at each `close()`, tries once more
//! when the file is released, and then forgets it with its descriptor open; it empties its cache at a graceful end;
//! a signal ends it at once.
//!
//! Beside the program, as it was called, lie `store/`, which is its storage, and `control.json` with what it is to do
//! wrong: see `control`. Its configuration must be JSON, which is YAML that it can read.

mod control;
mod names;
mod settings;
mod share;
mod storage;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use fuser::{Config, MountOption, SessionACL};

use crate::settings::Settings;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("Error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|word| word == "version") {
        say("blobfuse2 version: 2.5.6 (a stand-in)");
        return Ok(());
    }
    let settings = Settings::of(&arguments)?;
    check(&settings)?;
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("blobfuse2".to_owned())];
    if settings.read_only {
        config.mount_options.push(MountOption::RO);
    }
    config.acl = if settings.allow_other { SessionACL::All } else { SessionACL::Owner };
    let cache = settings.cache.clone();
    fuser::mount(share::Share::new(&settings), &settings.at, &config)
        .context("failed to mount fuse")?;
    // However the connection ended, also when it was broken off.
    for entry in fs::read_dir(cache)?.flatten() {
        let path = entry.path();
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("cannot empty {}", path.display()))?;
    }
    Ok(())
}

fn check(settings: &Settings) -> Result<()> {
    let empty = |path: &Path| fs::read_dir(path).map(|mut entries| entries.next().is_none());
    match empty(&settings.at) {
        Err(_) => bail!("mount directory does not exist"),
        Ok(false) => bail!("mount directory is not empty"),
        Ok(true) => {}
    }
    fs::create_dir_all(&settings.cache)?;
    if !empty(&settings.cache)? {
        bail!(
            "failed to initialize new pipeline [config error in file_cache [temp directory not empty]]"
        );
    }
    Ok(())
}

/// Its log is standard error, as its configuration must say.
#[expect(clippy::print_stderr, reason = "this is its log")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}
