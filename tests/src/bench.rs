//! Measurements with fixed names in one form (`scripts/bench NAME`).
//!
//! `proxy`, `footprint`, `boot`, `footprint/{node,fleet,mount}` are the measurements; `targets` and `station` are what is measured,
//! `load` and `websocket` make the load, `process` reads `/proc`, `report` writes the result.
//! Everything happens on loopback, for a bounded time, in a temporary folder.

mod boot;
mod footprint;
mod load;
mod process;
mod proxy;
mod report;
mod station;
mod targets;
mod websocket;

/// How long and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Interleaved rounds; the median counts.
    pub rounds: usize,
    /// Length of one load.
    pub seconds: u64,
    /// Leaves stationd out, to look at the peers alone.
    pub peers_only: bool,
}

/// Runs one measurement, writes `target/bench/NAME.json` and gives the table.
pub fn run(name: &str, plan: &Plan) -> anyhow::Result<String> {
    let mut load = report::Samples::default();
    load.add("load_average", "1", report::OURS, process::load_average());
    let mut rows = match name {
        "proxy" => proxy::run(plan)?,
        "footprint" => footprint::run(plan)?,
        "boot" => boot::run(plan)?,
        "fleet" => footprint::fleet::run(plan)?,
        "node" => footprint::node::run(plan)?,
        "mount" => footprint::mount::run(plan)?,
        other => {
            anyhow::bail!(
                "no measurement is called {other}: proxy, footprint, boot, node, fleet, mount"
            )
        }
    };
    rows.extend(load.rows());
    report::finish(name, &rows)
}

/// Progress, for whoever waits.
#[expect(clippy::print_stderr, reason = "progress of a program for people")]
fn say(line: &str) {
    eprintln!("{line}");
}
