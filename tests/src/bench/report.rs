//! The one form of all measurements: a table for people, `target/bench/NAME.json` for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;

/// One line of the result. `ratio` is `ours / peer_value`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) metric: String,
    pub(super) unit: &'static str,
    pub(super) ours: Option<f64>,
    pub(super) peer: Option<String>,
    pub(super) peer_value: Option<f64>,
    pub(super) ratio: Option<f64>,
}

/// Values of every round, by metric and by who was measured.
#[derive(Debug, Default)]
pub(super) struct Samples {
    values: BTreeMap<(&'static str, String), Vec<f64>>,
    metrics: Vec<(&'static str, &'static str)>,
}

/// The name under which our own values are kept.
pub(super) const OURS: &str = "stationd";

impl Samples {
    /// Units are given once, here; the order of first use is the order of the table.
    pub(super) fn add(&mut self, metric: &'static str, unit: &'static str, who: &str, value: f64) {
        if !self.metrics.iter().any(|(known, _)| *known == metric) {
            self.metrics.push((metric, unit));
        }
        let key = (metric, who.to_owned());
        self.values.entry(key).or_default().push(value);
    }

    pub(super) fn median(&self, metric: &'static str, who: &str) -> Option<f64> {
        median(self.values.get(&(metric, who.to_owned()))?)
    }

    /// One row for each metric and peer; one without a peer where there is none.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (metric, unit) in &self.metrics {
            let ours = self.median(metric, OURS);
            let peers: Vec<_> = self
                .values
                .keys()
                .filter(|(of, who)| of == metric && who != OURS)
                .map(|(_, who)| who.clone())
                .collect();
            let row = |peer: Option<String>| {
                let peer_value = peer.as_ref().and_then(|peer| self.median(metric, peer));
                Row {
                    metric: (*metric).to_owned(),
                    unit,
                    ours,
                    peer,
                    peer_value,
                    ratio: ratio(ours, peer_value),
                }
            };
            if peers.is_empty() {
                rows.push(row(None));
            }
            rows.extend(peers.into_iter().map(|peer| row(Some(peer))));
        }
        rows
    }
}

fn ratio(ours: Option<f64>, peer: Option<f64>) -> Option<f64> {
    let ratio = ours? / peer?;
    ratio.is_finite().then_some(ratio)
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(middle.checked_sub(1)?)?;
    Some(f64::midpoint(lower, upper))
}

/// Writes `target/bench/NAME.json` and gives the table.
pub(super) fn finish(name: &str, rows: &[Row]) -> anyhow::Result<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = root.join("target/bench");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{name}.json"));
    let json = serde_json::to_vec_pretty(rows)?;
    stationd::os::file::write_atomic(&file, &json, 0o644)
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(table(rows) + &format!("\nwritten: target/bench/{name}.json\n"))
}

fn table(rows: &[Row]) -> String {
    let number = |value: Option<f64>| {
        value.map_or_else(
            || "-".to_owned(),
            |value| {
                if value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.2}") }
            },
        )
    };
    let mut text = format!(
        "{:<24} {:>7} {:>10}  {:<24} {:>10} {:>7}\n",
        "metric", "unit", "ours", "peer", "its value", "ratio"
    );
    for row in rows {
        let _infallible = writeln!(
            text,
            "{:<24} {:>7} {:>10}  {:<24} {:>10} {:>7}",
            row.metric,
            row.unit,
            number(row.ours),
            row.peer.as_deref().unwrap_or("-"),
            number(row.peer_value),
            number(row.ratio),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_even_and_odd_counts() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_row_for_each_peer_and_a_ratio_of_medians() {
        let mut samples = Samples::default();
        for value in [1.0, 2.0, 30.0] {
            samples.add("rps", "1/s", OURS, value);
        }
        samples.add("rps", "1/s", "nginx", 4.0);
        samples.add("rps", "1/s", "direct", 8.0);
        samples.add("size", "MiB", OURS, 5.0);
        let rows = samples.rows();
        let short: Vec<_> =
            rows.iter().map(|row| (row.metric.as_str(), row.peer.as_deref(), row.ratio)).collect();
        assert_eq!(
            short,
            [
                ("rps", Some("direct"), Some(0.25)),
                ("rps", Some("nginx"), Some(0.5)),
                ("size", None, None),
            ]
        );
        assert!(table(&rows).contains("nginx"));
    }
}
