//! A family: all series of one name, as a table has them.

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// A name, and how its value is read from a `T`; absent values give no series.
pub(super) struct Figure<T> {
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    kind: MetricType,
    value: fn(&T) -> Option<f64>,
}

/// What goes up and down.
pub(super) const fn gauge<T>(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    value: fn(&T) -> Option<f64>,
) -> Figure<T> {
    Figure { name, unit, help, kind: MetricType::Gauge, value }
}

/// What only grows until it begins again at 0.
pub(super) const fn counter<T>(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    value: fn(&T) -> Option<f64>,
) -> Figure<T> {
    Figure { name, unit, help, kind: MetricType::Counter, value }
}

/// Labels and their values.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

impl<T> Figure<T> {
    /// One series for each of `all` that has a value.
    pub(super) fn encode<'a>(
        &self,
        all: impl Iterator<Item = (Labels<'a>, &'a T)>,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> std::fmt::Result
    where
        T: 'a,
    {
        let series = all.filter_map(|(labels, one)| Some((labels, (self.value)(one)?)));
        family((self.name, self.unit, self.help), self.kind, series, encoder)
    }
}

/// The same where the series are not read from a table.
pub(super) fn family<'a>(
    (name, unit, help): (&'static str, Option<&'static str>, &'static str),
    kind: MetricType,
    series: impl Iterator<Item = (Labels<'a>, f64)>,
    encoder: &mut DescriptorEncoder<'_>,
) -> std::fmt::Result {
    let mut series = series.peekable();
    if series.peek().is_none() {
        return Ok(());
    }
    let unit = unit.map(|unit| Unit::Other(unit.to_owned()));
    let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
    for (labels, value) in series {
        if labels.is_empty() {
            one(kind, value, &mut metric)?;
        } else {
            one(kind, value, &mut metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn one(kind: MetricType, value: f64, metric: &mut MetricEncoder<'_>) -> std::fmt::Result {
    if matches!(kind, MetricType::Counter) {
        metric.encode_counter::<NoLabelSet, f64, f64>(&value, None)
    } else {
        metric.encode_gauge(&value)
    }
}

/// A family whose labels alone say something; its value is 1.
pub(super) fn info(
    (name, help): (&'static str, &'static str),
    labels: impl Iterator<Item = impl EncodeLabelSet>,
    encoder: &mut DescriptorEncoder<'_>,
) -> std::fmt::Result {
    let mut labels = labels.peekable();
    if labels.peek().is_none() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Info)?;
    for labels in labels {
        metric.encode_info(&labels)?;
    }
    Ok(())
}
