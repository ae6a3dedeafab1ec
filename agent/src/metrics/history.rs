//! Pure: a few figures of the last hours, in a memory that does not grow.
//!
//! A day of every figure is what Prometheus is for; this is for the page, and for whoever asks "what
//! was that just now?" on a machine that nothing scrapes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use station_proto::gpu::Gpus;
use station_proto::history::{History as Shown, Series};
use station_proto::node::Samples;
use station_proto::time::Time;

use crate::base::moment::Moment;

/// One value is the mean of so long.
pub const STEP: Duration = Duration::from_secs(30);
/// So many values are kept: six hours.
const KEEP: usize = 720;
/// More series are not kept: 64 GPUs have so many.
const SERIES: usize = 194;

/// Which figure, and of which GPU.
pub type Name = (&'static str, Option<String>);

/// What is remembered.
#[derive(Debug, Default)]
pub struct History {
    /// The step that is being filled: steps since boot.
    slot: Option<u64>,
    /// Values that each track has.
    length: usize,
    tracks: BTreeMap<Name, Track>,
}

#[derive(Debug, Default)]
struct Track {
    values: VecDeque<Option<f32>>,
    sum: f64,
    count: u32,
}

impl History {
    /// Takes figures that were read at `now`.
    pub fn add(&mut self, now: Moment, figures: impl IntoIterator<Item = (Name, f64)>) {
        self.advance(now);
        for (name, value) in figures {
            if !self.tracks.contains_key(&name) && self.tracks.len() >= SERIES {
                continue;
            }
            let blank = || Track {
                values: std::iter::repeat_n(None, self.length).collect(),
                ..Track::default()
            };
            let track = self.tracks.entry(name).or_insert_with(blank);
            track.sum += value;
            track.count += 1;
        }
    }

    /// The last `steps` values of each series.
    pub fn shown(&self, now: Moment, steps: usize) -> Shown {
        let into = self.slot.map_or(Duration::ZERO, |slot| {
            now.mono.saturating_sub(STEP.saturating_mul(u32::try_from(slot).unwrap_or(u32::MAX)))
        });
        let into = jiff::SignedDuration::try_from(into).unwrap_or_default();
        let until = Time(now.wall.checked_sub(into).unwrap_or(now.wall));
        let skip = self.length.saturating_sub(steps);
        let series = self.tracks.iter().map(|((name, gpu), track)| Series {
            name: (*name).to_owned(),
            gpu: gpu.clone(),
            values: track.values.iter().skip(skip).copied().collect(),
        });
        let seconds = u32::try_from(STEP.as_secs()).unwrap_or(u32::MAX);
        Shown { step_s: seconds, until, series: series.collect() }
    }

    /// Ends every step before the one of `now`. Steps in which nobody came have no value.
    fn advance(&mut self, now: Moment) {
        let slot = now.mono.as_secs() / STEP.as_secs();
        let passed = self.slot.map_or(0, |old| slot.saturating_sub(old));
        self.slot = Some(slot.max(self.slot.unwrap_or(0)));
        for _ in 0..passed.min(KEEP as u64 + 1) {
            self.length = (self.length + 1).min(KEEP);
            for track in self.tracks.values_mut() {
                track.close();
            }
        }
        self.tracks.retain(|_name, track| {
            track.count > 0 || track.values.iter().any(Option::is_some) || track.values.is_empty()
        });
    }
}

impl Track {
    #[expect(clippy::cast_possible_truncation, reason = "a figure with one decimal")]
    fn close(&mut self) {
        if self.values.len() == KEEP {
            self.values.pop_front();
        }
        let mean = (self.count > 0).then(|| self.sum / f64::from(self.count));
        self.values.push_back(mean.map(|mean| ((mean * 10.0).round() / 10.0) as f32));
        (self.sum, self.count) = (0.0, 0);
    }
}

/// What is remembered of a machine.
pub fn figures(samples: &Samples, gpus: &Gpus) -> Vec<(Name, f64)> {
    let mut all = Vec::new();
    if let Some(cpu) = &samples.cpu {
        all.push((("cpu_used_percent", None), cpu.used_percent));
    }
    if let Some(memory) = &samples.memory {
        let used = memory.total_mib.saturating_sub(memory.available_mib);
        all.push((("memory_used_percent", None), share(used, memory.total_mib)));
    }
    for gpu in &gpus.gpus {
        let pci = Some(gpu.summary.pci.clone());
        if let Some(percent) = gpu.load.gpu_percent {
            all.push((("gpu_used_percent", pci.clone()), f64::from(percent)));
        }
        if let (Some(used), Some(total)) = (gpu.memory.used_mib, gpu.memory.total_mib) {
            all.push((("gpu_memory_used_percent", pci.clone()), share(used, total)));
        }
        if let Some(degrees) = gpu.heat.gpu_c {
            all.push((("gpu_temperature_c", pci), f64::from(degrees)));
        }
    }
    all
}

fn share(used: u64, total: u64) -> f64 {
    100.0 * super::host::whole(used) / super::host::whole(total.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::at_ms(3_000_000 + seconds * 1000)
    }

    fn cpu(value: f64) -> [(Name, f64); 1] {
        [(("cpu_used_percent", None), value)]
    }

    fn values(history: &History, now: Moment, name: &str) -> Vec<Option<f32>> {
        let shown = history.shown(now, usize::MAX);
        let found = shown.series.into_iter().find(|one| one.name == name);
        found.map(|one| one.values).unwrap_or_default()
    }

    #[test]
    fn a_value_is_the_mean_of_its_step_and_silence_has_none() {
        let mut history = History::default();
        history.add(at(0), cpu(10.0));
        history.add(at(10), cpu(20.0));
        assert_eq!(values(&history, at(10), "cpu_used_percent"), [], "the step is not over");
        history.add(at(30), cpu(50.0));
        history.add(at(125), cpu(70.06));
        let expected = [Some(15.0), Some(50.0), None, None];
        assert_eq!(values(&history, at(125), "cpu_used_percent"), expected);
        let until = history.shown(at(125), 2).until;
        assert_eq!(until, Time(at(120).wall), "the end of the last whole step");
        assert_eq!(history.shown(at(125), 2).series[0].values, [None, None]);
    }

    #[test]
    fn series_that_come_late_or_go_are_as_long_as_the_others() {
        let mut history = History::default();
        let gpu = || (("gpu_used_percent", Some("0000:01:00.0".to_owned())), 5.0);
        history.add(at(0), cpu(1.0));
        history.add(at(30), cpu(1.0).into_iter().chain([gpu()]));
        history.add(at(60), cpu(1.0));
        assert_eq!(values(&history, at(60), "gpu_used_percent"), [None, Some(5.0)]);
        for step in 3..(KEEP as u64 + 10) {
            history.add(at(step * 30), cpu(1.0));
        }
        let end = at((KEEP as u64 + 9) * 30);
        assert_eq!(values(&history, end, "gpu_used_percent"), [], "it is forgotten");
        assert_eq!(values(&history, end, "cpu_used_percent").len(), KEEP);
    }

    #[test]
    fn a_long_sleep_costs_no_more_than_what_is_kept() {
        let mut history = History::default();
        history.add(at(0), cpu(1.0));
        history.add(at(1_000_000_000), cpu(2.0));
        assert_eq!(values(&history, at(1_000_000_000), "cpu_used_percent"), [None; KEEP]);
        let many = (0..1000).map(|gpu| (("gpu_used_percent", Some(gpu.to_string())), 1.0));
        history.add(at(1_000_000_000), many);
        assert_eq!(history.tracks.len(), SERIES);
    }
}
