//! What stationd costs between a browser and an app, beside nginx, configurable-http-proxy and no
//! proxy at all. All share the machine, so every round measures each of them in turn.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;

use super::process::{pss_kib, sleep, to_f64};
use super::report::{OURS, Row, Samples};
use super::station::Station;
use super::targets::{App, BASE, Peer, Target, configurable_http_proxy, nginx};
use super::{Plan, load, say, websocket};

/// Idle websockets for the memory of one.
const IDLE: usize = 500;
/// How long they are left alone before they have to answer again.
const QUIET: Duration = Duration::from_secs(20);
/// Medians of one connection: only what a proxy adds to them is reported.
const ONE_US: &str = "one_p50_us";
const ONE_TLS_US: &str = "one_p50_tls_us";
const MIB: f64 = 1024.0 * 1024.0;
const GB: f64 = 1e9;

pub(super) fn run(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::Builder::new().prefix("bench").tempdir()?;
    let app = App::start(folder.path())?;
    let peers = [nginx(folder.path(), &app)?, configurable_http_proxy(folder.path(), &app)?];
    let (clear, tls) = stations(plan)?;
    let mut samples = Samples::default();
    for round in 1..=plan.rounds {
        say(&format!("round {round} of {}", plan.rounds));
        let direct = Some(app.direct());
        let ours = clear.as_ref().map(Station::target);
        let targets = direct.into_iter().chain(peers.iter().map(Peer::clear));
        for target in turned(targets.chain(ours).collect(), round) {
            clear_round(&mut samples, &target, plan, &runtime)
                .with_context(|| format!("measuring {}", target.name))?;
        }
        let ours = tls.as_ref().map(Station::target);
        for target in turned(peers.iter().map(Peer::tls).chain(ours).collect(), round) {
            tls_round(&mut samples, &target, plan)
                .with_context(|| format!("measuring {} with TLS", target.name))?;
        }
    }
    added_latency(&mut samples, &[OURS, "nginx", "configurable-http-proxy"]);
    drop((peers, clear, tls));
    idle(&mut samples, &app, folder.path(), plan, &runtime)?;
    let mut rows = samples.rows();
    rows.retain(|row| row.metric != ONE_US && row.metric != ONE_TLS_US);
    Ok(rows)
}

/// Ours, without and with TLS; none when only the peers are wanted.
fn stations(plan: &Plan) -> anyhow::Result<(Option<Station>, Option<Station>)> {
    if plan.peers_only {
        return Ok((None, None));
    }
    Ok((Some(logged_in(false)?), Some(logged_in(true)?)))
}

fn logged_in(tls: bool) -> anyhow::Result<Station> {
    let mut station = Station::start(tls)?;
    station.log_in()?;
    Ok(station)
}

/// Each round begins with another target, so that none is always the first.
fn turned(mut targets: Vec<Target>, round: usize) -> Vec<Target> {
    let count = targets.len().max(1);
    targets.rotate_left(round % count);
    targets
}

fn clear_round(
    samples: &mut Samples,
    target: &Target,
    plan: &Plan,
    runtime: &Runtime,
) -> anyhow::Result<()> {
    let path = format!("{BASE}small");
    let many = load::get(target, &path, 32, plan.seconds)?;
    samples.add("small_get_rps", "1/s", target.name, many.requests_per_s);
    if target.name != "direct" {
        let cpu_us = many.cpu_s / many.requests * 1e6;
        samples.add("small_get_cpu_us", "us", target.name, cpu_us);
    }
    samples.add("get_p99_us", "us", target.name, many.p99_us);
    let one = load::get(target, &path, 1, plan.seconds)?;
    samples.add(ONE_US, "us", target.name, one.p50_us);
    let body = load::get(target, &format!("{BASE}large"), 2, plan.seconds)?;
    let speed = body.bytes_per_s / MIB;
    samples.add("body_64mib_mb_s", "MiB/s", target.name, speed);
    let time = Duration::from_secs(plan.seconds);
    let path = format!("{BASE}echo");
    let one = runtime.block_on(websocket::echo(target, &path, 1, time))?;
    samples.add("ws_echo_p50_us", "us", target.name, one.p50_us);
    let many = runtime.block_on(websocket::echo(target, &path, 16, time))?;
    samples.add("ws_echo_rt_s", "1/s", target.name, many.per_second);
    Ok(())
}

fn tls_round(samples: &mut Samples, target: &Target, plan: &Plan) -> anyhow::Result<()> {
    let path = format!("{BASE}small");
    let many = load::get(target, &path, 32, plan.seconds)?;
    samples.add("small_get_tls_rps", "1/s", target.name, many.requests_per_s);
    let cpu_us = many.cpu_s / many.requests * 1e6;
    samples.add("small_get_tls_cpu_us", "us", target.name, cpu_us);
    let one = load::get(target, &path, 1, plan.seconds)?;
    samples.add(ONE_TLS_US, "us", target.name, one.p50_us);
    let body = load::get(target, &format!("{BASE}large"), 2, plan.seconds)?;
    let moved = body.bytes_per_s * to_f64(plan.seconds);
    let cpu = body.cpu_s / (moved / GB);
    samples.add("body_tls_cpu_s_gb", "s/GB", target.name, cpu);
    Ok(())
}

/// The median of one connection, less that of no proxy at all (which speaks no TLS).
fn added_latency(samples: &mut Samples, names: &[&str]) {
    let pairs = [(ONE_US, "added_p50_us"), (ONE_TLS_US, "added_p50_tls_us")];
    let direct = samples.median(ONE_US, "direct");
    for (from, to) in pairs {
        for name in names {
            if let (Some(value), Some(direct)) = (samples.median(from, name), direct) {
                samples.add(to, "us", name, value - direct);
            }
        }
    }
}

/// Memory of an idle websocket, on processes that have seen no other load.
fn idle(
    samples: &mut Samples,
    app: &App,
    folder: &Path,
    plan: &Plan,
    runtime: &Runtime,
) -> anyhow::Result<()> {
    for tls in [false, true] {
        say(if tls { "idle websockets, TLS" } else { "idle websockets" });
        let peers = [nginx(folder, app)?, configurable_http_proxy(folder, app)?];
        let station = if plan.peers_only { None } else { Some(logged_in(tls)?) };
        let peers = peers.iter().map(|peer| if tls { peer.tls() } else { peer.clear() });
        for target in peers.chain(station.as_ref().map(Station::target)) {
            idle_on(samples, &target, runtime)
                .with_context(|| format!("idle websockets through {}", target.name))?;
        }
    }
    Ok(())
}

fn idle_on(samples: &mut Samples, target: &Target, runtime: &Runtime) -> anyhow::Result<()> {
    let before = pss_kib(&target.pids);
    let path = format!("{BASE}echo");
    let mut open = runtime.block_on(websocket::Idle::open(target, &path, IDLE))?;
    sleep(QUIET);
    let each = (pss_kib(&target.pids) - before) / to_f64(IDLE as u64);
    let dropped = to_f64(runtime.block_on(open.dropped()) as u64);
    if target.tls {
        samples.add("idle_ws_tls_rss_kib", "KiB", target.name, each);
    } else {
        samples.add("idle_ws_rss_kib", "KiB", target.name, each);
        samples.add("idle_ws_dropped", "count", target.name, dropped);
    }
    Ok(())
}
