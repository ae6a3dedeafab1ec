//! Pure: GPUs as text for a person. The question most asked is: who holds my memory?

use std::fmt::Write as _;

use station_proto::gpu::{DriverState, Gpu, GpuCall, GpuProcess, Gpus};

use crate::admin::client::words::{gib, printable, word};

/// Driver, GPUs, and who uses them.
pub(in crate::admin::client) fn screen(gpus: &Gpus) -> String {
    let mut out = String::new();
    let driver = &gpus.driver;
    if driver.state == DriverState::Absent {
        return "no NVIDIA GPU in this machine\n".to_owned();
    }
    let version = |text: &Option<String>| text.as_deref().map_or("unknown", |text| text).to_owned();
    let cuda = version(&driver.cuda_version);
    let (state, kernel) = (word(driver.state).replace('_', " "), version(&driver.kernel_version));
    line(&mut out, format_args!("driver {kernel}: {state}, CUDA up to {cuda}"));
    for gpu in &gpus.gpus {
        one(&mut out, gpu);
    }
    out
}

fn one(out: &mut String, gpu: &Gpu) {
    let summary = &gpu.summary;
    let index = summary.index.map_or_else(|| "?".to_owned(), |index| index.to_string());
    let name = printable(summary.name.as_deref().unwrap_or("unknown model"));
    let uuid = summary.uuid.as_deref().unwrap_or("without a UUID");
    line(out, format_args!("\nGPU {index}  {name}, {}", word(summary.health)));
    line(out, format_args!("  {uuid} at {}", summary.pci));
    let figures = figures(gpu);
    if !figures.is_empty() {
        line(out, format_args!("  {}", figures.join("   ")));
    }
    if let Some(total) = gpu.memory.total_mib {
        let used = gpu.memory.used_mib.unwrap_or_default();
        line(out, format_args!("  memory {} of {} in use", gib(used), gib(total)));
    }
    for part in &gpu.mig {
        let (name, used) = (part.name.as_deref().unwrap_or("part"), part.memory_used_mib);
        let used = used.map(|mib| format!(", {} in use", gib(mib))).unwrap_or_default();
        line(out, format_args!("  MIG {}{used}", printable(name)));
    }
    match &gpu.processes {
        None => line(out, format_args!("  who uses it is not known")),
        Some(all) if all.is_empty() => line(out, format_args!("  nobody uses it")),
        Some(all) => all.iter().for_each(|one| process(out, one)),
    }
    for xid in &gpu.xids {
        let times = if xid.count > 1 { format!(" ({} times)", xid.count) } else { String::new() };
        line(out, format_args!("  Xid {}{times}, last at {}: {}", xid.code, xid.last, xid.meaning));
    }
}

fn figures(gpu: &Gpu) -> Vec<String> {
    let (load, heat, clocks) = (&gpu.load, &gpu.heat, &gpu.clocks);
    let power = heat.power_mw.map(|power| {
        let limit = heat.power_limit_mw.map(|limit| format!(" of {}", limit / 1000));
        format!("{}{} W", power / 1000, limit.unwrap_or_default())
    });
    let slowed = clocks.reasons.iter().flatten().filter(|reason| *reason != "gpu_idle");
    let slowed: Vec<String> = slowed.map(|reason| reason.replace('_', " ")).collect();
    [
        load.gpu_percent.map(|share| format!("busy {share} %")),
        heat.gpu_c.map(|degrees| format!("{degrees} °C")),
        power,
        clocks.sm_mhz.map(|mhz| format!("{mhz} MHz")),
        (!slowed.is_empty()).then(|| format!("limited by {}", slowed.join(", "))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn process(out: &mut String, process: &GpuProcess) {
    let memory = process.memory_mib.map_or_else(|| "unknown".to_owned(), gib);
    let name = printable(process.name.as_deref().unwrap_or("a process that has ended"));
    let user = process.user.as_deref().map(|user| format!(" of {user}")).unwrap_or_default();
    let place = [&process.notebook, &process.app, &process.unit].into_iter().flatten().next();
    let place = place.map(|place| format!(", in {}", printable(place))).unwrap_or_default();
    line(out, format_args!("  {memory:>9}  {name} ({}){user}{place}", process.pid));
}

/// How long each call of the driver took.
pub(in crate::admin::client) fn calls(calls: &[GpuCall]) -> String {
    let mut out = String::from("\nCALLS OF THE DRIVER, in us\n");
    if calls.is_empty() {
        out.push_str("  none: the driver cannot be asked\n");
    }
    for call in calls {
        let GpuCall { call, count, p50_us, p99_us, max_us } = call;
        line(
            &mut out,
            format_args!(
                "  {call:<46} {count:>6} calls   half below {p50_us:>7}   99 % below {p99_us:>7}   \
                 most {max_us:>8}"
            ),
        );
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    out.write_fmt(text).unwrap_or_default();
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use station_proto::gpu::{GpuDriver, GpuMemory, GpuSummary};

    use super::*;

    #[test]
    fn who_holds_the_memory_is_named() {
        let holder = GpuProcess {
            pid: 42,
            kind: "compute".to_owned(),
            memory_mib: Some(21_811),
            name: Some("python3".to_owned()),
            user: Some("ada".to_owned()),
            app: Some("jupyterlab".to_owned()),
            ..GpuProcess::default()
        };
        let gpu = Gpu {
            summary: GpuSummary { index: Some(0), ..GpuSummary::default() },
            memory: GpuMemory {
                total_mib: Some(81_559),
                used_mib: Some(22_000),
                ..GpuMemory::default()
            },
            processes: Some(vec![holder]),
            ..Gpu::default()
        };
        let driver = GpuDriver { state: DriverState::Ready, ..GpuDriver::default() };
        let shown = screen(&Gpus { driver, at: None, gpus: vec![gpu] });
        assert!(shown.contains("21.2 GiB  python3 (42) of ada, in jupyterlab"), "{shown}");
        let absent = GpuDriver { state: DriverState::Absent, ..GpuDriver::default() };
        let shown = screen(&Gpus { driver: absent, ..Gpus::default() });
        assert_eq!(shown, "no NVIDIA GPU in this machine\n");
    }
}
