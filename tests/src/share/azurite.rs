//! Azurite: Azure Blob Storage on this machine. What is in it is asked of it by a second rclone, which knows
//! nothing of any mount: the witness of what has reached the share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use stationd::os::file::write_atomic;
use stationd::os::process::signal;
use tempfile::TempDir;
use tokio::process::Child;

use crate::process;

/// The account that every emulator of Azure Storage has, with its published key; see "Use the Azurite emulator
/// for local Azure Storage development".
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const CONTAINER: &str = "work";
const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn program() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no repository")?;
    let program = own.join(".cache/node/node_modules/.bin/azurite-blob");
    ensure!(program.exists(), "Azurite is not installed: scripts/test tests");
    Ok(program)
}

/// A storage with one container; ends with this value.
#[derive(Debug)]
pub struct Azurite {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Azurite {
    pub async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("z").tempdir_in("/tmp")?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut azurite = Self { folder, port, child: None };
        azurite.start_again().await?;
        let config = azurite.remote();
        write_atomic(&azurite.at("rclone.conf"), config.as_bytes(), 0o600)?;
        write_atomic(&azurite.at("key"), KEY.as_bytes(), 0o600)?;
        azurite.rclone(&["mkdir", "w:work"]).await?;
        Ok(azurite)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The address of the account.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)
    }

    fn remote(&self) -> String {
        let endpoint = self.endpoint();
        format!("[w]\ntype = azureblob\nuse_emulator = true\nendpoint = {endpoint}\n")
    }

    /// The port of 127.0.0.1 that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `[[mount]]` for its container, reached at `endpoint`.
    pub fn config_at(&self, name: &str, driver: &str, endpoint: &str) -> String {
        let key = self.at("key");
        format!(
            "[[mount]]\nname = \"{name}\"\ndriver = \"{driver}\"\naccount = \"{ACCOUNT}\"\n\
             container = \"{CONTAINER}\"\nendpoint = \"{endpoint}\"\ncredential = \"{}\"\n",
            key.display()
        )
    }

    /// `[[mount]]` for its container.
    pub fn config(&self, name: &str, driver: &str) -> String {
        self.config_at(name, driver, &self.endpoint())
    }

    /// The file with the account's key.
    pub fn key_file(&self) -> PathBuf {
        self.at("key")
    }

    /// Runs the witness; its remote is `w:`.
    pub async fn rclone(&self, arguments: &[&str]) -> Result<process::Output> {
        let mut command = process::command(Path::new("/usr/bin/rclone"));
        command.arg("--config").arg(self.at("rclone.conf"));
        command.args(["--retries", "1", "--low-level-retries", "1"]).args(arguments);
        process::run(command, LIMIT).await
    }

    /// The content of a file of the share; `None` if there is none.
    pub async fn read(&self, path: &str) -> Result<Option<String>> {
        let output = self.rclone(&["cat", &format!("w:{CONTAINER}/{path}")]).await?;
        Ok(output.status.success().then_some(output.stdout))
    }

    /// Writes a file as another machine would.
    pub async fn write(&self, path: &str, content: &str) -> Result<()> {
        let local = self.at("out");
        write_atomic(&local, content.as_bytes(), 0o600)?;
        let to = format!("w:{CONTAINER}/{path}");
        let output = self.rclone(&["copyto", &local.display().to_string(), &to]).await?;
        ensure!(output.status.success(), "{}", output.all());
        Ok(())
    }

    /// Copies everything that is in the share to a local folder.
    pub async fn fetch(&self, to: &Path) -> Result<()> {
        let from = format!("w:{CONTAINER}");
        let output = self.rclone(&["copy", &from, &to.display().to_string()]).await?;
        ensure!(output.status.success(), "{}", output.all());
        Ok(())
    }

    fn pid(&self) -> Result<i32> {
        let pid = self.child.as_ref().and_then(Child::id).context("Azurite does not run")?;
        Ok(i32::try_from(pid)?)
    }

    /// It takes connections and does not answer any more.
    pub fn pause(&self) -> Result<()> {
        Ok(signal(self.pid()?, Signal::SIGSTOP)?)
    }

    pub fn resume(&self) -> Result<()> {
        Ok(signal(self.pid()?, Signal::SIGCONT)?)
    }

    /// Waits until it has written down that there is a container: it does so every few seconds only.
    pub async fn settled(&self) -> Result<()> {
        let database = self.at("data/__azurite_db_blob__.json");
        let word = format!("\"name\":\"{CONTAINER}\"");
        let written = || {
            std::fs::read_to_string(&database).is_ok_and(|text| text.contains(&word)).then_some(())
        };
        process::eventually("Azurite has saved its container", LIMIT, written).await
    }

    /// It is gone; what it had stays on its disk.
    pub async fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("Azurite does not run")?;
        Ok(child.kill().await?)
    }

    /// On the same port, with what it had.
    pub async fn start_again(&mut self) -> Result<()> {
        let mut command = process::command(&program()?);
        command.args(["--blobHost", "127.0.0.1", "--blobPort", &self.port.to_string()]);
        command.arg("--location").arg(self.at("data"));
        command.args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"]);
        process::log_to(&mut command, &self.at("log"))?;
        self.child = Some(command.kill_on_drop(true).spawn()?);
        let port = self.port;
        let open = || std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop);
        process::eventually("Azurite answers", LIMIT, open).await
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        // One that is stopped would not be ended before it goes on.
        drop(self.resume());
    }
}

/// A mount of rclone alone, whose `close(2)` uploads the file; ends with this value.
#[derive(Debug)]
pub struct Plain {
    folder: TempDir,
    _child: Child,
}

impl Plain {
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("m")
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        drop(stationd::os::machine::mount::detach(&self.path()));
    }
}

impl Azurite {
    /// Mounts the container, reached at `endpoint`, as plainly as rclone can.
    pub async fn mounted_plain(&self, endpoint: &str) -> Result<Plain> {
        let folder = tempfile::Builder::new().prefix("p").tempdir_in("/tmp")?;
        let at = folder.path().join("m");
        std::fs::create_dir(&at)?;
        let config = format!("[w]\ntype = azureblob\nuse_emulator = true\nendpoint = {endpoint}\n");
        let file = folder.path().join("rclone.conf");
        write_atomic(&file, config.as_bytes(), 0o600)?;
        let mut command = process::command(Path::new("/usr/bin/rclone"));
        command.arg("mount").arg(format!("w:{CONTAINER}")).arg(&at);
        command.arg("--config").arg(&file).args(["--vfs-cache-mode", "minimal"]);
        let child = command.kill_on_drop(true).spawn()?;
        let mounted = || (super::layers(&at).is_ok_and(|count| count > 0)).then_some(());
        process::eventually("rclone mounts", LIMIT, mounted).await?;
        Ok(Plain { folder, _child: child })
    }
}
