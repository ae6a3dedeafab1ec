//! Runs one long history; `scripts/soak` builds what it needs and starts it.
//!
//! usage: soak NAME MINUTES

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().context("name a history: kills, crash-loop")?;
    let minutes = arguments.next().unwrap_or_default();
    let minutes = minutes.parse().with_context(|| format!("{minutes:?} are no minutes"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    show(&runtime.block_on(station_tests::soak::run(&name, minutes))?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result")]
fn show(text: &str) {
    println!("{text}");
}
