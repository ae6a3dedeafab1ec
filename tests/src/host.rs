//! The files of a machine that is well, and ways to make it ill: stationd reads them in the place of
//! `/proc`, `/sys` and what the kernel's calls say. So a test does not depend on the machine that it
//! runs on, and faults are files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use stationd::os::file::write_atomic;

/// A machine of files.
#[derive(Debug, Clone)]
pub struct Files {
    folder: PathBuf,
}

const CALM: &str = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n\
                    full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";

impl Files {
    /// One that is well, in `folder`.
    pub fn well(folder: &Path) -> Result<Self> {
        let files = Self::at(folder);
        for what in ["cpu", "memory", "io"] {
            files.write(&format!("proc/pressure/{what}"), CALM)?;
        }
        files.memory(8_000_000)?;
        files.write("proc/loadavg", "0.10 0.20 0.30 1/100 4242\n")?;
        files.write("proc/vmstat", "oom_kill 0\n")?;
        files.write("adjtimex", "1500\n")?;
        // Nobody waits for long, and no timer is late because this machine is busy.
        files.write("pace", "1000 2000 2000 0\n")?;
        files.space(None)?;
        Ok(files)
    }

    /// Those that there are already in `folder`.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes or replaces a file.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().context("a file in a folder")?)?;
        Ok(write_atomic(&path, text.as_bytes(), 0o644)?)
    }

    pub fn remove(&self, path: &str) -> Result<()> {
        Ok(fs::remove_file(self.folder.join(path))?)
    }

    /// So many KiB of 16 GiB are available.
    pub fn memory(&self, available_kib: u64) -> Result<()> {
        let text = format!("MemTotal: 16000000 kB\nMemAvailable: {available_kib} kB\n");
        self.write("proc/meminfo", &text)
    }

    /// What `statvfs` says of a path: bytes and inodes, all and available, or `hang`. Everything else is
    /// on one disk that is half full.
    pub fn space(&self, of: Option<(&str, &str)>) -> Result<()> {
        let line = of.map(|(path, figures)| format!("{path} {figures}\n")).unwrap_or_default();
        self.write("statvfs", &format!("{line}* 200000000000 100000000000 1000000 900000\n"))
    }

    /// The line `full` of a kind of pressure, over ten seconds and over a minute, in percent.
    pub fn pressure(&self, kind: &str, percent: f64) -> Result<()> {
        let share = format!("avg10={percent:.2} avg60={percent:.2} avg300=0.00 total=0");
        self.write(&format!("proc/pressure/{kind}"), &format!("some {share}\nfull {share}\n"))
    }

    /// The kernel's log of that machine, to be written to.
    pub fn kernel_log(&self) -> Result<fs::File> {
        let path = self.folder.join("dev/kmsg");
        if !path.exists() {
            fs::create_dir_all(path.parent().context("a file in a folder")?)?;
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU)?;
        }
        // For both ways, so that opening waits for nobody.
        Ok(fs::File::options().read(true).write(true).open(path)?)
    }
}
