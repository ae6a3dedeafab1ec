//! Makes the manual pages and completions of the package from the programs' own arguments.
//!
//! usage: manual DIR; DIR then has man/ and the folder of each shell. `scripts/package` starts it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::{Generator, Shell};
use clap_mangen::Man;
use stationd::os::file::write_atomic;

fn main() -> Result<()> {
    let target = PathBuf::from(std::env::args_os().nth(1).context("usage: manual DIR")?);
    let daemon = stationd::wiring::Args::command();
    let command = stationd::admin::client::args::Args::command();
    let pages = target.join("man");
    fs::create_dir_all(&pages)?;
    page(&pages, &daemon)?;
    // One page for each verb too: stationctl-app-logs.1.
    clap_mangen::generate_to(command.clone(), &pages)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let folder = target.join(shell.to_string());
        fs::create_dir_all(&folder)?;
        for of in [&daemon, &command] {
            completion(&folder, shell, of)?;
        }
    }
    Ok(())
}

/// What `--help` does not say.
const FILES: &str = ".SH FILES
.TP
/etc/stationd/stationd.toml, /etc/stationd/conf.d/*.toml
The configuration. Without any the defaults hold.
.TP
/usr/share/stationd/stationd.toml
Every key with its default.
.TP
/run/stationd/admin.sock
Where stationctl asks.
.TP
/var/lib/stationd
Database, keys, logs, and the workspace if no other place is set.
.SH SEE ALSO
.BR stationctl (1),
.BR systemctl (1),
.BR journalctl (1)
";

/// `stationd.8`
fn page(folder: &Path, command: &Command) -> Result<()> {
    let mut text = Vec::new();
    Man::new(command.clone()).section("8").render(&mut text)?;
    text.extend_from_slice(FILES.as_bytes());
    let file = folder.join(format!("{}.8", command.get_name()));
    write_atomic(&file, &text, 0o644).with_context(|| file.display().to_string())
}

/// Under the name that the shell looks for.
fn completion(folder: &Path, shell: Shell, command: &Command) -> Result<()> {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command.clone(), name.as_str(), &mut text);
    let file = match shell {
        Shell::Bash => folder.join(&name),
        _ => folder.join(shell.file_name(&name)),
    };
    write_atomic(&file, &text, 0o644).with_context(|| file.display().to_string())
}
