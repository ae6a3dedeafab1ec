//! Shares: what their drivers do, and what has not reached the storage.

use prometheus_client::encoding::DescriptorEncoder;
use station_proto::mount::{Mount, MountSample, Pending};

use crate::metrics::family::{Figure, counter, gauge};
use crate::metrics::host::whole;

const MOUNTS: &[Figure<Mount>] = &[
    gauge("mount_ready", None, "Whether apps can use the mount", |mount| {
        Some(f64::from(mount.ready))
    }),
    counter("mount_starts", None, "Starts of the driver", |mount| driven(mount, mount.generation)),
    counter("mount_heals", None, "How often the share was lost and came back", |mount| {
        driven(mount, mount.heals)
    }),
];

const SAMPLES: &[Figure<MountSample>] = &[
    gauge("mount_pending_files", None, "Files that have not reached the storage", |one| {
        pending(one, |all| all.files)
    }),
    gauge("mount_pending", Some("bytes"), "What has not reached the storage", |one| {
        pending(one, |all| all.bytes)
    }),
    gauge(
        "mount_pending_age",
        Some("seconds"),
        "How long the oldest file that has not reached the storage has been waiting",
        |one| one.pending.as_ref().map(|all| ms(all.oldest_ms.unwrap_or_default())),
    ),
    gauge("mount_pending_failed_files", None, "Of them, those whose upload has failed", |one| {
        pending(one, |all| all.errored)
    }),
    gauge("mount_open_files", None, "Files that programs have open for writing", |one| {
        one.open_files.map(whole)
    }),
    gauge("mount_reachable", None, "Whether the storage answers", |one| {
        one.reachable.map(f64::from)
    }),
    gauge(
        "mount_answer",
        Some("seconds"),
        "How long the last look at the root of the mount took",
        |one| one.answer_us.map(|us| ms(us) / 1000.0),
    ),
    gauge("mount_last_heal", Some("seconds"), "From the last loss until it was back", |one| {
        one.last_heal_ms.map(ms)
    }),
    gauge("mount_cache_free", Some("bytes"), "What is free where local copies lie", |one| {
        one.cache_free_mib.map(|mib| whole(mib) * 1_048_576.0)
    }),
    gauge(
        "mount_stranded_processes",
        None,
        "Processes that hold on to a mount that is gone",
        |one| u32::try_from(one.stranded.len()).ok().map(f64::from),
    ),
];

pub(super) fn encode(
    mounts: &[Mount],
    samples: &[MountSample],
    encoder: &mut DescriptorEncoder<'_>,
) -> std::fmt::Result {
    for figure in MOUNTS {
        let all = mounts.iter().map(|one| (vec![("mount", one.name.as_str())], one));
        figure.encode(all, encoder)?;
    }
    for figure in SAMPLES {
        let all = samples.iter().map(|one| (vec![("mount", one.name.as_str())], one));
        figure.encode(all, encoder)?;
    }
    Ok(())
}

/// A local folder has no driver.
fn driven(mount: &Mount, value: u64) -> Option<f64> {
    (mount.driver != "directory").then(|| whole(value))
}

fn pending(sample: &MountSample, value: fn(&Pending) -> u64) -> Option<f64> {
    sample.pending.as_ref().map(|all| whole(value(all)))
}

fn ms(ms: u64) -> f64 {
    whole(ms) / 1000.0
}
