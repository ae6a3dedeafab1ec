//! Runs one measurement; `scripts/bench` builds what it needs and starts it.
//!
//! usage: bench NAME [--rounds N] [--seconds N] [--peers-only]

use anyhow::{Context, bail};
use station_tests::bench::{self, Plan};

fn main() -> anyhow::Result<()> {
    let mut plan = Plan { rounds: 5, seconds: 3, peers_only: false };
    let mut name = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> anyhow::Result<u64> {
            let value = arguments.next().unwrap_or_default();
            value.parse().with_context(|| format!("{argument} needs a number, not {value:?}"))
        };
        match argument.as_str() {
            "--rounds" => plan.rounds = number()?.max(1).try_into()?,
            "--seconds" => plan.seconds = number()?.max(1),
            "--peers-only" => plan.peers_only = true,
            other if other.starts_with('-') => bail!("unknown option {other}"),
            other => name = Some(other.to_owned()),
        }
    }
    let name = name.context("name a measurement: proxy, footprint, boot, node, fleet, mount")?;
    show(&bench::run(&name, &plan)?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result")]
fn show(table: &str) {
    println!("{table}");
}
