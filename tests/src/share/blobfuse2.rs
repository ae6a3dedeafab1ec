//! blobfuse2 under a station: the real one with Azurite, or the stand-in (`tests/fake-blobfuse2`) with a local folder
//! as its storage.
//!
//! The real one is not in any distribution, so no machine of continuous integration has it: there the stand-in
//! alone is tried. Whoever has it on the PATH tries both.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use stationd::os::file::write_atomic;
use tempfile::TempDir;

use super::Azurite;
use crate::process;
use crate::station::Station;

/// Where the real one is looked for.
const REAL: [&str; 2] = ["/usr/local/bin/blobfuse2", "/usr/bin/blobfuse2"];

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    StandIn,
    Real,
}

/// What is behind the share.
#[derive(Debug)]
pub enum Storage {
    /// A folder with the stand-in, its orders and its storage; and a listener that stands for the service.
    Folder(TempDir, TcpListener),
    Azurite(Azurite),
}

impl Storage {
    /// `None`, with a word, where it cannot be had.
    pub async fn start(which: Which) -> Result<Option<Self>> {
        if which == Which::Real {
            let there = REAL.iter().any(|path| Path::new(path).exists());
            if !there || !super::possible() {
                #[expect(clippy::print_stderr, reason = "whoever runs the tests must see it")]
                {
                    eprintln!("SKIPPED: no real blobfuse2 here; its stand-in is tried instead");
                }
                return Ok(None);
            }
            return Ok(Some(Self::Azurite(Azurite::start().await?)));
        }
        let fuse = Path::new("/dev/fuse").exists() && Path::new("/usr/bin/fusermount3").exists();
        if !nix::unistd::geteuid().is_root() || !fuse {
            crate::skip(super::MISSING)?;
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("b").tempdir_in("/tmp")?;
        let program = process::binary("fake-blobfuse2")?;
        symlink(program, folder.path().join("blobfuse2"))?;
        fs::create_dir(folder.path().join("store"))?;
        write_atomic(&folder.path().join("key"), b"a2V5", 0o600)?;
        // Connections wait in its queue, which is all that is looked at by HTTPS.
        Ok(Some(Self::Folder(folder, TcpListener::bind("127.0.0.1:0")?)))
    }

    /// `[[mount]]` for it.
    pub fn config(&self, name: &str) -> String {
        match self {
            Self::Azurite(azurite) => azurite.config(name, "blobfuse2"),
            Self::Folder(folder, listener) => format!(
                "[[mount]]\nname = \"{name}\"\ndriver = \"blobfuse2\"\naccount = \"local\"\ncontainer = \"work\"\n\
                 endpoint = \"https://127.0.0.1:{}\"\ncredential = \"{}\"\n",
                listener.local_addr().map_or(1, |address| address.port()),
                folder.path().join("key").display()
            ),
        }
    }

    /// What a station needs to find the stand-in.
    pub fn environment(&self) -> Vec<(String, String)> {
        let Self::Folder(folder, _) = self else { return Vec::new() };
        let program = folder.path().join("blobfuse2").display().to_string();
        vec![("STATIOND_MOUNT_BLOBFUSE2".to_owned(), program)]
    }

    /// Gives the stand-in its orders, see there.
    pub fn order(&self, orders: &str) -> Result<()> {
        let Self::Folder(folder, _) = self else { anyhow::bail!("the real one takes no orders") };
        Ok(write_atomic(&folder.path().join("control.json"), orders.as_bytes(), 0o600)?)
    }

    /// It takes no uploads any more.
    pub async fn refuse(&mut self) -> Result<()> {
        match self {
            Self::Azurite(azurite) => {
                azurite.settled().await?;
                azurite.stop().await
            }
            Self::Folder(..) => self.order(r#"{"refuse_uploads": true}"#),
        }
    }

    /// It takes them again.
    pub async fn take(&mut self) -> Result<()> {
        match self {
            Self::Azurite(azurite) => azurite.start_again().await,
            Self::Folder(..) => self.order("{}"),
        }
    }

    /// The content of a file of the share; `None` if there is none.
    pub async fn read(&self, path: &str) -> Result<Option<String>> {
        match self {
            Self::Azurite(azurite) => azurite.read(path).await,
            Self::Folder(folder, _) => {
                Ok(fs::read_to_string(folder.path().join("store").join(path)).ok())
            }
        }
    }

    /// Copies everything that is in the share to a local folder.
    pub async fn fetch(&self, to: &Path) -> Result<()> {
        match self {
            Self::Azurite(azurite) => azurite.fetch(to).await,
            Self::Folder(folder, _) => copy(&folder.path().join("store"), to),
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// The driver's process.
pub fn driver(station: &Station, name: &str) -> Result<i32> {
    station.process_of(&format!("mounts/{name}/stage/"), "blobfuse2 mount")
}

/// The folder where the driver keeps its copies, as its configuration names it.
pub fn cache(station: &Station, name: &str) -> Result<PathBuf> {
    let pid = driver(station, name)?;
    let line = process::command_line(pid);
    let config = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("--config-file="))
        .context("the driver has no configuration")?;
    let text = fs::read_to_string(config)?;
    let config: serde_json::Value = serde_json::from_str(&text)?;
    let path =
        config.pointer("/file_cache/path").and_then(serde_json::Value::as_str).unwrap_or_default();
    ensure!(!path.is_empty(), "{text}");
    Ok(path.into())
}
