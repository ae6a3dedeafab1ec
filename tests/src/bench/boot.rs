//! A station under a real systemd while it is restarted, killed and upgraded: who is refused, how
//! long it takes until a notebook is connected again, and which output is lost.
//!
//! It needs root, and the release packages of two versions (`scripts/bench boot` builds them).

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
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
/// Between two ends, so that each begins from rest.
const REST: Duration = Duration::from_millis(300);
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
    let gaps = RefCell::new(Vec::new());
    let connecting = join_all((0..CLIENTS).map(|_| connect(&address, &counts, &done)));
    let notebook = notebook(&client, &gaps, &done);
    let ends = async {
        let result = ends(machine).await;
        done.set(true);
        result
    };
    let ((_, lost), ended) = join(join(connecting, notebook), ends).await;
    ended?;
    let (answered, refused) = (counts.answered.get(), counts.refused.get());
    let connections = answered + refused + counts.cut.get();
    samples.add("refused", "1", OURS, f64::from(refused));
    samples.add("cut", "1", OURS, f64::from(counts.cut.get()));
    samples.add("connections", "1", OURS, f64::from(connections));
    samples.add("lost_output_lines", "1", OURS, f64::from(lost?));
    let mut gaps = gaps.into_inner();
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

/// A cell that prints numbered lines until a file tells it to stop: counts those that never came.
async fn notebook(client: &Client, gaps: &RefCell<Vec<f64>>, done: &Cell<bool>) -> Result<u32> {
    const CELL: &str = "import time, pathlib\nn = 0\nwhile not pathlib.Path('stop').exists():\n    \
                        print('line', n, flush=True)\n    n += 1\n    time.sleep(0.02)\n\
                        print('in all', n)";
    let mut kernel = Kernel::start(client, BASE).await?;
    let mut outcome = Outcome::default();
    let id = kernel.send(CELL).await?;
    let mut stopped = false;
    while kernel.collect(&id, &mut outcome, |_| done.get() && !stopped).await? || !outcome.replied {
        if done.get() && !stopped {
            stopped = true;
            let made = Kernel::start(client, BASE).await?.run("open('stop', 'w').close()").await?;
            ensure!(made.error.is_none(), "{made:?}");
            continue;
        }
        let cut = stationd::os::clock::since_boot();
        kernel.reconnect(client).await?;
        let gap = stationd::os::clock::since_boot().saturating_sub(cut);
        gaps.borrow_mut().push(gap.as_secs_f64() * 1e3);
    }
    let all = outcome.output.lines().find_map(|line| line.strip_prefix("in all "));
    let all: u32 = all.context("the cell did not end")?.parse()?;
    let came = (0..all).filter(|n| outcome.output.contains(&format!("line {n}\n"))).count();
    Ok(all - u32::try_from(came)?)
}

/// Every end of the daemon, one after the other.
async fn ends(machine: &Machine) -> Result<()> {
    say(&format!("{RESTARTS} restarts"));
    for _ in 0..RESTARTS {
        machine.must("systemctl restart stationd.service").await?;
        tokio::time::sleep(REST).await;
    }
    say(&format!("{KILLS} times kill -9"));
    for _ in 0..KILLS {
        machine.must("kill -9 $(systemctl show -P MainPID stationd.service)").await?;
        heartbeat(machine).await?;
        tokio::time::sleep(REST).await;
    }
    say(&format!("{UPGRADES} upgrades"));
    for round in 0..UPGRADES {
        install(machine, if round % 2 == 0 { NEXT } else { VERSION }).await?;
        heartbeat(machine).await?;
        tokio::time::sleep(REST).await;
    }
    Ok(())
}

/// Names of the metrics, and what is judged: a unit, or what all units of a kind have in common.
const EXPOSURES: [(&str, &str); 4] = [
    ("exposure_main", "stationd.service"),
    ("exposure_privileged", "stationd-privileged.service"),
    ("exposure_probe", "stationd-probe.service"),
    ("exposure_mount", "stationd-mount-.service.d/stationd.conf"),
];

async fn exposure(machine: &Machine, unit: &str) -> Result<f64> {
    let file = Path::new("/usr/lib/systemd/system").join(unit);
    let judged = format!(
        "d=$(mktemp -d) && printf '[Service]\\nExecStart=/bin/true\\n' >$d/stationd-judged.service && \
         cat {0} >>$d/stationd-judged.service && \
         systemd-analyze security --no-pager --offline=true $d/stationd-judged.service | tail -n 1",
        file.display()
    );
    let line = machine.must(&judged).await?;
    let figure = line.split_once(": ").and_then(|(_, rest)| rest.split(' ').next());
    figure.context(line.clone())?.parse().with_context(|| line.clone())
}
