//! A machine with NVIDIA GPUs that are not there: its files, and a fake of NVIDIA's library.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use stationd::os::file::write_atomic;
use stationd::probe::gpu::{Round, Said};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::host::Files;
use crate::process;

/// The fake library, which `scripts/test` builds.
const LIBRARY: &str = "libfake_nvml.so";
const VERSION: &str = "580.159.04";
/// Longest wait for a line, on a loaded machine.
const LINE: Duration = Duration::from_secs(30);

/// Files of a machine with GPUs, and what the fake answers.
#[derive(Debug)]
pub struct Gpus {
    /// Where its files are for us, and for stationd.
    folder: PathBuf,
    inside: PathBuf,
    library: PathBuf,
    _temporary: Option<TempDir>,
}

impl Gpus {
    /// A machine with so many GPUs whose driver is loaded.
    pub fn new(count: usize) -> Result<Self> {
        let temporary = tempfile::Builder::new().prefix("g").tempdir_in("/tmp")?;
        let folder = temporary.path().to_owned();
        let (inside, library) = (folder.clone(), process::binary(LIBRARY)?);
        Self { folder, inside, library, _temporary: Some(temporary) }.filled(count)
    }

    /// The same below `inside` of a machine, where that is `folder` for us.
    pub fn on_machine(folder: PathBuf, inside: &str, count: usize) -> Result<Self> {
        let inside = PathBuf::from(inside);
        let library = inside.join("lib").join(LIBRARY);
        let gpus = Self { folder, inside, library, _temporary: None };
        gpus.write(&format!("lib/{LIBRARY}"), &fs::read(process::binary(LIBRARY)?)?)?;
        gpus.filled(count)
    }

    fn filled(self, count: usize) -> Result<Self> {
        Files::well(&self.folder)?;
        for number in 0..count {
            self.plug(number)?;
        }
        self.load(Some(VERSION))?;
        self.script(&json!({ "devices": vec![json!({}); count] }))?;
        Ok(self)
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a GPU is on the bus, as the fake has it.
    pub fn pci(number: usize) -> String {
        format!("0000:{:02x}:00.0", number + 1)
    }

    /// Its UUID, likewise.
    pub fn uuid(number: usize) -> String {
        format!("GPU-00000000-0000-0000-0000-{number:012}")
    }

    /// The processes that ask the driver, and stationd itself, by `word` in their command line.
    pub fn processes(&self, word: &str) -> Vec<i32> {
        process::of_home_with(&self.inside, word)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().context("a file in a folder")?)?;
        Ok(write_atomic(&path, bytes, 0o644)?)
    }

    /// Puts a GPU on the bus, and into the driver's list.
    pub fn plug(&self, number: usize) -> Result<()> {
        let pci = Self::pci(number);
        let device = |file: &str| format!("sys/bus/pci/devices/{pci}/{file}");
        self.write(&device("vendor"), b"0x10de\n")?;
        self.write(&device("class"), b"0x030200\n")?;
        self.write(&device("config"), &[0xde, 0x10, 0x30, 0x23])?;
        self.write(&format!("proc/driver/nvidia/gpus/{pci}/information"), b"")
    }

    /// The GPU's registers read as ones from now on.
    pub fn fall(&self, number: usize) -> Result<()> {
        self.write(&format!("sys/bus/pci/devices/{}/config", Self::pci(number)), &[0xff; 64])
    }

    /// Takes a GPU off the bus.
    pub fn unplug(&self, number: usize) -> Result<()> {
        let device = format!("sys/bus/pci/devices/{}", Self::pci(number));
        Ok(fs::remove_dir_all(self.folder.join(device))?)
    }

    /// Loads a driver of that version, or none.
    pub fn load(&self, version: Option<&str>) -> Result<()> {
        let Some(version) = version else {
            return Ok(fs::remove_dir_all(self.folder.join("sys/module/nvidia"))?);
        };
        self.write("sys/module/nvidia/version", version.as_bytes())?;
        self.write("sys/module/nvidia/initstate", b"live\n")
    }

    /// Says what the fake answers from now on; see `tests/fake-nvml`.
    pub fn script(&self, script: &Value) -> Result<()> {
        self.write("nvml.json", script.to_string().as_bytes())
    }

    /// The kernel's log of that machine, to be written to.
    pub fn kernel_log(&self) -> Result<fs::File> {
        Files::at(&self.folder).kernel_log()
    }

    /// Is looked at as often as a real machine, for measurements.
    pub fn usual_pace(&self) -> Result<()> {
        Files::at(&self.folder).remove("pace")
    }

    /// What stationd needs to see this machine.
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        vec![
            ("STATIOND_MACHINE".to_owned(), text(&self.inside)),
            ("STATIOND_NVML".to_owned(), text(&self.library)),
            ("STATIOND_FAKE_NVML".to_owned(), text(&self.inside.join("nvml.json"))),
        ]
    }

    /// Starts the process that asks this machine's driver.
    pub fn ask(&self) -> Result<Asking> {
        ask(&self.environment())
    }
}

/// Starts the process that asks the driver, as stationd does; without `environment` it asks this
/// machine's own.
pub fn ask(environment: &[(String, String)]) -> Result<Asking> {
    let mut command = process::command(&process::binary("stationd")?);
    let ask = json!({ "every": { "secs": 3600, "nanos": 0 } }).to_string();
    command.args(["probe", "gpu", &ask]).envs(environment.iter().cloned()).kill_on_drop(true);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn()?;
    let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    let commands = child.stdin.take().context("its input")?;
    Ok(Asking { child, lines, commands })
}

/// The process that asks the driver.
#[derive(Debug)]
pub struct Asking {
    pub child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    commands: ChildStdin,
}

impl Asking {
    /// The next thing it says.
    pub async fn said(&mut self) -> Result<Said> {
        let line = tokio::time::timeout(LINE, self.lines.next_line()).await;
        let line = line.context("it says nothing")??.context("it has ended")?;
        Ok(serde_json::from_str(&line)?)
    }

    /// The next round.
    pub async fn round(&mut self) -> Result<Round> {
        loop {
            match self.said().await? {
                Said::Round(round) => return Ok(round),
                Said::Failed { call, code, .. } => bail!("{call} failed with {code}"),
                _ => {}
            }
        }
    }

    /// Nobody listens to it any more.
    pub fn into_child(self) -> Child {
        self.child
    }

    /// Asks for something: `round` or `latency`.
    pub async fn tell(&mut self, command: &str) -> Result<()> {
        Ok(self.commands.write_all(format!("{command}\n").as_bytes()).await?)
    }
}
