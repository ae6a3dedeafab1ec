//! How long each call of the driver took since the child was started.

use std::collections::BTreeMap;
use std::time::Duration;

use station_proto::gpu::GpuCall;

/// Bucket N holds what took less than 2^N us; the last holds the rest.
const BUCKETS: usize = 26;

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BUCKETS],
    count: u64,
    max_us: u64,
}

/// All calls' histograms.
#[derive(Debug, Default)]
pub(super) struct Latencies(BTreeMap<&'static str, Histogram>);

impl Latencies {
    pub(super) fn note(&mut self, call: &'static str, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let histogram = self.0.entry(call).or_default();
        let bucket = usize::try_from(u64::BITS - us.leading_zeros()).unwrap_or(BUCKETS);
        if let Some(place) = histogram.buckets.get_mut(bucket.min(BUCKETS - 1)) {
            *place += 1;
        }
        histogram.count += 1;
        histogram.max_us = histogram.max_us.max(us);
    }

    pub(super) fn all(&self) -> Vec<GpuCall> {
        let told = |(call, histogram): (&&'static str, &Histogram)| GpuCall {
            call: (*call).to_owned(),
            count: histogram.count,
            p50_us: histogram.quantile(50),
            p99_us: histogram.quantile(99),
            max_us: histogram.max_us,
        };
        self.0.iter().map(told).collect()
    }
}

impl Histogram {
    fn quantile(&self, percent: u64) -> u64 {
        let wanted = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        for (power, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && power < BUCKETS - 1 {
                let bound =
                    1_u64.checked_shl(u32::try_from(power).unwrap_or(0)).unwrap_or(u64::MAX);
                return bound.min(self.max_us);
            }
        }
        self.max_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_factor_of_two() {
        let mut latencies = Latencies::default();
        for us in 1..=100 {
            latencies.note("a", Duration::from_micros(us));
        }
        latencies.note("b", Duration::from_secs(100));
        let all = latencies.all();
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].count, all[0].p50_us, all[0].p99_us, all[0].max_us),
            (100, 64, 100, 100)
        );
        assert_eq!((all[1].count, all[1].p50_us), (1, 100_000_000));
        assert_eq!(Histogram::default().quantile(50), 0);
    }
}
