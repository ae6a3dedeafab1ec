//! HTTP load by `wrk`, and what it reports.

use anyhow::{Context, bail};

use super::process;
use super::targets::Target;

/// What one run of `wrk` saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    pub(super) requests: f64,
    pub(super) requests_per_s: f64,
    pub(super) bytes_per_s: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// CPU time of the target over the run.
    pub(super) cpu_s: f64,
}

/// Asks for `path` over `connections` kept-alive connections.
pub(super) fn get(
    target: &Target,
    path: &str,
    connections: u32,
    seconds: u64,
) -> anyhow::Result<Load> {
    let url = format!("{}{path}", target.http_url());
    let mut command = process::command("wrk");
    command
        .args(["--threads=1", "--latency"])
        .arg(format!("--connections={connections}"))
        .arg(format!("--duration={seconds}s"));
    if let Some(cookie) = &target.cookie {
        command.arg("--header").arg(format!("Cookie: {cookie}"));
    }
    let before = process::cpu_seconds(&target.pids);
    let report = process::output(command.arg(&url))?;
    let cpu_s = process::cpu_seconds(&target.pids) - before;
    let mut load = parse(&report).with_context(|| format!("{url}\n{report}"))?;
    load.cpu_s = cpu_s;
    Ok(load)
}

/// Refused or broken requests make the figures worthless: they are an error.
fn parse(report: &str) -> anyhow::Result<Load> {
    for trouble in ["Non-2xx", "Socket errors"] {
        if let Some(line) = report.lines().find(|line| line.contains(trouble)) {
            bail!("not every request was answered: {}", line.trim());
        }
    }
    let word_after = |start: &str| {
        report
            .lines()
            .find_map(|line| line.trim().strip_prefix(start)?.split_whitespace().next())
            .with_context(|| format!("wrk did not print {start}"))
    };
    let total = report
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .context("wrk did not print the number of requests")?;
    Ok(Load {
        requests: total.0.parse()?,
        requests_per_s: word_after("Requests/sec:")?.parse()?,
        bytes_per_s: bytes(word_after("Transfer/sec:")?)?,
        p50_us: microseconds(word_after("50%")?)?,
        p99_us: microseconds(word_after("99%")?)?,
        cpu_s: 0.0,
    })
}

fn microseconds(text: &str) -> anyhow::Result<f64> {
    scaled(text, &[("us", 1.0), ("ms", 1e3), ("s", 1e6)])
}

fn bytes(text: &str) -> anyhow::Result<f64> {
    const KIB: f64 = 1024.0;
    let units = [("KB", KIB), ("MB", KIB * KIB), ("GB", KIB * KIB * KIB), ("B", 1.0)];
    scaled(text, &units)
}

fn scaled(text: &str, units: &[(&str, f64)]) -> anyhow::Result<f64> {
    for (unit, factor) in units {
        if let Some(number) = text.strip_suffix(unit)
            && let Ok(number) = number.parse::<f64>()
        {
            return Ok(number * factor);
        }
    }
    bail!("wrk printed {text}, which is no figure with a known unit")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
Running 2s test @ http://127.0.0.1:1/small
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   604.11us  312.09us   8.98ms   89.88%
    Req/Sec    53.21k     3.11k   57.92k    76.19%
  Latency Distribution
     50%  553.00us
     75%  682.00us
     90%    0.88ms
     99%    1.90ms
  111210 requests in 2.10s, 26.20MB read
Requests/sec:  52962.91
Transfer/sec:     12.48MB
";

    #[test]
    fn a_report_is_read() {
        let wanted = Load {
            requests: 111_210.0,
            requests_per_s: 52_962.91,
            bytes_per_s: 12.48 * 1024.0 * 1024.0,
            p50_us: 553.0,
            p99_us: 1900.0,
            cpu_s: 0.0,
        };
        assert_eq!(parse(REPORT).unwrap(), wanted);
    }

    #[test]
    fn refused_requests_are_an_error() {
        let report = REPORT.to_owned() + "  Non-2xx or 3xx responses: 12\n";
        assert!(parse(&report).is_err());
    }
}
