//! A station under a real systemd while it is restarted, killed and upgraded: who is refused, how
//! long it takes until a notebook is connected again, and which output is lost.
//!
//! It needs root, and the release packages of two versions (`scripts/bench boot` builds them).

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::{join, join_all};
use station_proto::app::AppPhase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::report::{OURS, Row, Samples};
use super::{Plan, say};
use crate::http::Client;
use crate::kernel::{Kernel, Outcome};
use crate::machine::Machine;
use crate::machine::setup::{MAIN, NEXT, VERSION, heartbeat, install, with_jupyterlab};

const BASE: &str = "/apps/jupyterlab";
/// Clients that connect without a pause.
const CLIENTS: usize = 4;
const RESTARTS: usize = 20;
const KILLS: usize = 20;
const UPGRADES: usize = 5;
/// Between the first line after an end and the next end: Jupyter hands over what it has kept, and
/// forgets it if it is cut off while it does.
const REST: Duration = Duration::from_millis(700);
/// A client that is not served within this time counts as cut off.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(plan: &Plan) -> Result<Vec<Row>> {
    // One thread: it enters the network of the machine.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(plan))
}

async fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let mut samples = Samples::default();
    say("a machine with the package and JupyterLab");
    let mut machine = with_jupyterlab().await?;
    for round in 1..=plan.rounds {
        say(&format!("boot {round} of {}", plan.rounds));
        machine.reboot().await?;
        machine.admin.app_in(AppPhase::Ready).await?;
        let times = Times::of(&machine).await?;
        samples.add("boot_to_heartbeat_s", "s", OURS, times.from_target);
        samples.add("ready_ms", "ms", OURS, times.to_ready * 1e3);
    }
    storm(&machine, &mut samples).await?;
    for (metric, unit) in EXPOSURES {
        samples.add(metric, "0-10", OURS, exposure(&machine, unit).await?);
    }
    Ok(samples.rows())
}

/// How long the last start took, in seconds.
struct Times {
    /// From the point where units like ours begin to start, to READY: from then on the heartbeat
    /// answers.
    from_target: f64,
    /// From the start of the process to READY.
    to_ready: f64,
}

impl Times {
    async fn of(machine: &Machine) -> Result<Self> {
        heartbeat(machine).await?;
        let at = async |unit: &str, name: &str| -> Result<f64> {
            let text = machine.property(unit, &format!("{name}Monotonic")).await?;
            Ok(text.parse::<f64>().context("a time stamp")? / 1e6)
        };
        let ready = at(MAIN, "ActiveEnterTimestamp").await?;
        Ok(Self {
            from_target: ready - at("basic.target", "ActiveEnterTimestamp").await?,
            to_ready: ready - at(MAIN, "ExecMainStartTimestamp").await?,
        })
    }
}

/// What became of connections.
#[derive(Default)]
struct Counts {
    answered: Cell<u32>,
    refused: Cell<u32>,
    cut: Cell<u32>,
}

/// Everything at once: clients that connect, a notebook that computes, and one end after another.
async fn storm(machine: &Machine, samples: &mut Samples) -> Result<()> {
    let address = machine.admin.heartbeat().await?.status.public_url;
    let address = address.trim_start_matches("http://").to_owned();
    let client = machine.admin.login().await?;
    let (counts, done) = (Counts::default(), Cell::new(false));
    let seen = Seen::default();
    let connecting = join_all((0..CLIENTS).map(|_| connect(&address, &counts, &done)));
    let mut cell = Printing::start(&client).await?;
    let notebook = cell.follow(&client, &seen, &done);
    let ends = async {
        let result = ends(machine, &seen).await;
        done.set(true);
        result
    };
    let ((_, missing), ended) = join(join(connecting, notebook), ends).await;
    let (missing, killed) = (missing?, ended?);
    say(&format!("lines that never came: {missing:?}; those of the kills: {killed:?}"));
    let in_kills = missing.iter().filter(|line| killed.contains(line)).count();
    let (answered, refused) = (counts.answered.get(), counts.refused.get());
    let connections = answered + refused + counts.cut.get();
    samples.add("refused", "1", OURS, f64::from(refused));
    samples.add("cut", "1", OURS, f64::from(counts.cut.get()));
    samples.add("connections", "1", OURS, f64::from(connections));
    let count = |lines: usize| u32::try_from(lines).map_or(f64::INFINITY, f64::from);
    samples.add("lost_output_lines", "1", OURS, count(missing.len()));
    samples.add("lost_by_kill_9", "1", OURS, count(in_kills));
    let mut gaps = seen.gaps.into_inner();
    ensure!(gaps.len() >= RESTARTS, "the notebook was cut off {} times only", gaps.len());
    gaps.sort_by(f64::total_cmp);
    let highest = gaps.len() - 1;
    let at = |share: usize| gaps.get((highest * share).div_ceil(100)).copied().unwrap_or_default();
    samples.add("reconnects", "1", OURS, f64::from(u32::try_from(gaps.len())?));
    samples.add("reconnect_p50_ms", "ms", OURS, at(50));
    samples.add("reconnect_p99_ms", "ms", OURS, at(99));
    Ok(())
}

/// One client: a connection and a small request, again and again.
async fn connect(address: &str, counts: &Counts, done: &Cell<bool>) {
    let add = |count: &Cell<u32>| count.set(count.get() + 1);
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    while !done.get() {
        let exchange = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok::<_, io::Error>(answer.starts_with(b"HTTP/1.1 200"))
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok(true)) => add(&counts.answered),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                add(&counts.refused);
            }
            _ => add(&counts.cut),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What the notebook has seen so far.
#[derive(Default)]
struct Seen {
    /// How long each way back took, in ms.
    gaps: RefCell<Vec<f64>>,
    /// A line came since the last cut.
    prints: Cell<bool>,
    /// The last one that came.
    line: Cell<u32>,
}

impl Seen {
    /// Returns when the notebook has been cut off more than `cuts` times and prints again.
    async fn back_after(&self, cuts: usize) -> Result<()> {
        let back = async {
            while self.gaps.borrow().len() <= cuts || !self.prints.get() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(REST).await;
        };
        tokio::time::timeout(PATIENCE, back).await.context("the notebook does not come back")
    }
}

/// A cell that prints numbered lines until a file tells it to stop.
struct Printing {
    kernel: Kernel,
    id: String,
    outcome: Outcome,
}

const CELL: &str = "import time, pathlib\nn = 0\nwhile not pathlib.Path('stop').exists():\n    \
                    print('line', n, flush=True)\n    n += 1\n    time.sleep(0.02)\n\
                    print('in all', n)";

impl Printing {
    /// Returns when it prints: what is sent while a connection is cut off is lost, which is no
    /// matter of output.
    async fn start(client: &Client) -> Result<Self> {
        let mut kernel = Kernel::start(client, BASE).await?;
        let mut outcome = Outcome::default();
        let id = kernel.send(CELL).await?;
        let prints = |outcome: &Outcome| outcome.output.contains("line 3\n");
        ensure!(!kernel.collect(&id, &mut outcome, prints).await?, "cut off too early");
        Ok(Self { kernel, id, outcome })
    }

    /// Reads on through every cut, and stops the cell at the end: gives the lines that never came.
    async fn follow(
        &mut self,
        client: &Client,
        seen: &Seen,
        done: &Cell<bool>,
    ) -> Result<Vec<u32>> {
        let Self { kernel, id, outcome } = self;
        let (mut stopped, mut before) = (false, 0);
        loop {
            let enough = |outcome: &Outcome| {
                seen.prints.set(outcome.output.len() > before);
                let last = outcome.output.rsplit("line ").next();
                seen.line.set(last.and_then(|text| text.trim().parse().ok()).unwrap_or_default());
                done.get() && !stopped
            };
            let cut = kernel.collect(id, outcome, enough).await?;
            if cut {
                seen.prints.set(false);
                before = outcome.output.len();
                let since = stationd::os::clock::since_boot();
                kernel.reconnect(client).await?;
                let gap = stationd::os::clock::since_boot().saturating_sub(since);
                seen.gaps.borrow_mut().push(gap.as_secs_f64() * 1e3);
            } else if stopped {
                break;
            } else {
                stopped = true;
                let mut other = Kernel::start(client, BASE).await?;
                let made = other.run("open('stop', 'w').close()").await?;
                ensure!(made.error.is_none(), "{made:?}");
            }
        }
        let all = outcome.output.lines().find_map(|line| line.strip_prefix("in all "));
        let all: u32 = all.context("the cell did not end")?.parse()?;
        Ok((0..all).filter(|n| !outcome.output.contains(&format!("line {n}\n"))).collect())
    }
}

/// Every end of the daemon, one after the other; gives the lines that were printed during the kills.
async fn ends(machine: &Machine, seen: &Seen) -> Result<Range<u32>> {
    let cuts = || seen.gaps.borrow().len();
    say(&format!("{RESTARTS} restarts"));
    for _ in 0..RESTARTS {
        let before = cuts();
        machine.must("systemctl restart stationd.service").await?;
        seen.back_after(before).await?;
    }
    say(&format!("{KILLS} times kill -9"));
    let first = seen.line.get();
    for _ in 0..KILLS {
        let before = cuts();
        machine.must("kill -9 $(systemctl show -P MainPID stationd.service)").await?;
        seen.back_after(before).await?;
    }
    let killed = first..seen.line.get();
    say(&format!("{UPGRADES} upgrades"));
    for round in 0..UPGRADES {
        let before = cuts();
        install(machine, if round % 2 == 0 { NEXT } else { VERSION }).await?;
        seen.back_after(before).await?;
    }
    machine.admin.app_in(AppPhase::Ready).await?;
    Ok(killed)
}

/// Names of the metrics, and the file that is judged: a unit, or what all units of a kind share.
const EXPOSURES: [(&str, &str); 4] = [
    ("exposure_main", "stationd.service"),
    ("exposure_privileged", "stationd-privileged.service"),
    ("exposure_probe", "stationd-probe.service"),
    ("exposure_mount", "stationd-mount-.service.d/stationd.conf"),
];

async fn exposure(machine: &Machine, file: &str) -> Result<f64> {
    let path = format!("/usr/lib/systemd/system/{file}");
    let unit = if file.ends_with(".service") {
        path
    } else {
        // A unit with a program, and nothing but what they share.
        let unit = "/run/stationd-mount-judged.service";
        let program = "printf '[Service]\\nExecStart=/bin/true\\n'";
        machine.must(&format!("{{ {program}; cat {path}; }} >{unit}")).await?;
        unit.to_owned()
    };
    let judge = format!("systemd-analyze security --no-pager --offline=true {unit} | tail -n 1");
    let line = machine.must(&judge).await?;
    let figure = line.split_once(": ").and_then(|(_, rest)| rest.split(' ').next());
    figure.context(line.clone())?.parse().with_context(|| line.clone())
}
