//! NVIDIA GPUs. Every series has the labels `gpu` (its number in `nvidia-smi`) and `uuid`; name and
//! place on the bus stand in `stationd_gpu_info` alone, to be joined.

mod figures;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use station_proto::gpu::{DriverState, Gpu, GpuHealth, Gpus, NvLink};

use super::family::{Figure, Labels, counter, family, gauge, info};
use super::host::whole;
use super::status::seconds;

const DRIVER: &[Figure<Gpus>] = &[
    gauge("gpu_samples_timestamp", Some("seconds"), "When the GPUs were read", |one| {
        one.at.map(|at| seconds(at.as_ms()))
    }),
    gauge("gpus_on_pci", None, "NVIDIA GPUs on the PCI bus", |one| {
        Some(f64::from(one.driver.on_pci))
    }),
    gauge("gpus_listed", None, "GPUs that the driver lists", |one| {
        one.driver.listed.map(f64::from)
    }),
    gauge("gpu_driver_stuck_processes", None, "Processes that wait for the driver", |one| {
        u64::try_from(one.driver.stuck_pids.len()).ok().map(whole)
    }),
];

const STATES: [(DriverState, &str); 8] = [
    (DriverState::Absent, "absent"),
    (DriverState::NotLoaded, "not_loaded"),
    (DriverState::NoLibrary, "no_library"),
    (DriverState::Mismatch, "mismatch"),
    (DriverState::Failed, "failed"),
    (DriverState::Unresponsive, "unresponsive"),
    (DriverState::Ready, "ready"),
    (DriverState::Unknown, "unknown"),
];

const HEALTH: [(GpuHealth, &str); 4] = [
    (GpuHealth::Healthy, "healthy"),
    (GpuHealth::Degraded, "degraded"),
    (GpuHealth::Failed, "failed"),
    (GpuHealth::Unknown, "unknown"),
];

/// The labels of a GPU as texts.
struct Named<'a> {
    index: String,
    gpu: &'a Gpu,
}

impl Named<'_> {
    fn labels(&self) -> Labels<'_> {
        let uuid = self.gpu.summary.uuid.as_deref().unwrap_or_default();
        vec![("gpu", self.index.as_str()), ("uuid", uuid)]
    }

    fn with<'a>(&'a self, name: &'static str, value: &'a str) -> Labels<'a> {
        let mut labels = self.labels();
        labels.push((name, value));
        labels
    }
}

pub(super) fn encode(gpus: &Gpus, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    driver(gpus, encoder)?;
    let all: Vec<Named<'_>> = gpus.gpus.iter().map(named).collect();
    info(("gpu", "What the GPU is"), all.iter().map(described), encoder)?;
    let health = all.iter().flat_map(|one| {
        HEALTH.iter().map(|(health, name)| {
            (one.with("health", name), f64::from(one.gpu.summary.health == *health))
        })
    });
    let what = ("gpu_health", None, "The verdict on the GPU: 1 for the one that holds");
    family(what, MetricType::Gauge, health, encoder)?;
    for figure in figures::GPU {
        figure.encode(all.iter().map(|one| (one.labels(), one.gpu)), encoder)?;
    }
    reasons(&all, encoder)?;
    xids(&all, encoder)?;
    links(&all, encoder)
}

/// A GPU that was never read has no number: its place on the bus names it.
fn named(gpu: &Gpu) -> Named<'_> {
    let index =
        gpu.summary.index.map_or_else(|| gpu.summary.pci.clone(), |index| index.to_string());
    Named { index, gpu }
}

fn described<'a>(one: &'a Named<'_>) -> Labels<'a> {
    let mut labels = one.with("pci", &one.gpu.summary.pci);
    labels.push(("name", one.gpu.summary.name.as_deref().unwrap_or_default()));
    labels
}

fn driver(gpus: &Gpus, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let state = |state: DriverState| f64::from(gpus.driver.state == state);
    let states = STATES.iter().map(|(one, name)| (vec![("state", *name)], state(*one)));
    let what = ("gpu_driver", None, "Whether NVIDIA's driver can be used: 1 for its state");
    family(what, MetricType::Gauge, states, encoder)?;
    if gpus.driver.kernel_version.is_some() || gpus.driver.library_version.is_some() {
        let of = |version: &'_ Option<String>| version.clone().unwrap_or_default();
        let labels = vec![
            ("kernel", of(&gpus.driver.kernel_version)),
            ("library", of(&gpus.driver.library_version)),
            ("cuda", of(&gpus.driver.cuda_version)),
        ];
        let what = ("gpu_driver_version", "Versions of NVIDIA's driver");
        info(what, std::iter::once(labels), encoder)?;
    }
    for figure in DRIVER {
        figure.encode(std::iter::once((Vec::new(), gpus)), encoder)?;
    }
    Ok(())
}

/// Why clocks are lower than they could be.
fn reasons(all: &[Named<'_>], encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let series = all.iter().flat_map(|one| {
        let reasons = one.gpu.clocks.reasons.iter().flatten();
        reasons.map(|reason| (one.with("reason", reason), 1.0))
    });
    let what =
        ("gpu_clocks_event", None, "A reason for the present clocks, by NVML's name: 1 each");
    family(what, MetricType::Gauge, series, encoder)
}

fn xids(all: &[Named<'_>], encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let codes: Vec<(&Named<'_>, String, f64)> = all
        .iter()
        .flat_map(|one| one.gpu.xids.iter().map(move |xid| (one, xid)))
        .map(|(one, xid)| (one, xid.code.to_string(), whole(xid.count)))
        .collect();
    let series = codes.iter().map(|(one, code, count)| (one.with("xid", code), *count));
    let what = ("gpu_xid", None, "Error messages of the driver since the machine started");
    family(what, MetricType::Counter, series, encoder)
}

const LINKS: &[Figure<NvLink>] = &[
    gauge("gpu_nvlink_active", None, "Whether the link is up", |link| link.active.map(f64::from)),
    counter("gpu_nvlink_replays", None, "Transfers over the link that were repeated", |link| {
        link.replays.map(whole)
    }),
    counter("gpu_nvlink_recoveries", None, "Recoveries of the link", |link| {
        link.recoveries.map(whole)
    }),
    counter("gpu_nvlink_crc_errors", None, "Checksum errors on the link", |link| {
        link.crc_errors.map(whole)
    }),
];

fn links(all: &[Named<'_>], encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let links: Vec<(&Named<'_>, String, &NvLink)> = all
        .iter()
        .flat_map(|one| one.gpu.links.nvlinks.iter().map(move |link| (one, link)))
        .map(|(one, link)| (one, link.link.to_string(), link))
        .collect();
    for figure in LINKS {
        let series = links.iter().map(|(one, number, link)| (one.with("link", number), *link));
        figure.encode(series, encoder)?;
    }
    Ok(())
}
