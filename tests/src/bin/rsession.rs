//! The session of the stand-in for RStudio Server, which starts it: see
//! `station_tests::rserver::session`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use station_tests::rserver::session::{self, Started};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let started = Started {
        stream: after("--stream").context("--stream is missing")?.into(),
        working_dir: after("--session-default-working-dir").unwrap_or_else(|| "~".to_owned()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(session::serve(started))?;
    // Work that goes on in a thread ends with the process.
    Ok(ExitCode::from(u8::try_from(status)?))
}
