//! The stand-in for RStudio Server: see `station_tests::rserver`.

use std::process::{ExitCode, Stdio};

use anyhow::Result;
use station_tests::process::command;
use station_tests::rserver::flags::{self, Flags};
use station_tests::rserver::serve;
use station_tests::rserver::start::{self, Stopped};

/// Set for the process that goes on in the background.
const IN_BACKGROUND: &str = "FAKE_RSERVER_IN_BACKGROUND";
const VERSION: &str = "2026.05.0+1 (stand-in)";

fn main() -> ExitCode {
    match program() {
        Ok(code) => code,
        Err(Stopped::Silently) => ExitCode::FAILURE,
        Err(Stopped::Because(error)) => {
            say(&format!("rserver: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn program() -> Result<ExitCode, Stopped> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flags = Flags::parse(&arguments)?;
    if flags.has("help") {
        show(&flags::help());
        return Ok(ExitCode::SUCCESS);
    }
    if flags.has("version") {
        show(&format!("{VERSION}\n"));
        return Ok(ExitCode::SUCCESS);
    }
    if flags.has("test-config") || flags.has("check-config") {
        return Ok(ExitCode::SUCCESS);
    }
    let in_background = std::env::var_os(IN_BACKGROUND).is_some();
    if start::daemonizes(&flags) && !in_background {
        return background(&arguments).map_err(Stopped::Because);
    }
    if in_background {
        nix::unistd::setsid().map_err(anyhow::Error::from)?;
    }
    let settings = start::prepare(&flags)?;
    if flags.on("verify-installation", false) {
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)?;
    match runtime.block_on(serve::serve(settings)) {
        Err(error) => Err(Stopped::Because(error)),
    }
}

/// Starts the same again, away from the terminal and from whoever waits for this process.
fn background(arguments: &[String]) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let mut again = command(&std::env::current_exe()?);
    again.envs(std::env::vars_os()).env(IN_BACKGROUND, "1").args(arguments);
    again.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(again.spawn()?);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the answer to --help and --version")]
fn show(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stderr, reason = "where a program says why it does not start")]
fn say(line: &str) {
    eprintln!("{line}");
}
