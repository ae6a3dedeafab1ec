//! GPUs on the front page: how they do, and who holds their memory.

use station_proto::gpu::{Gpu, GpuHealth, GpuProcess, Gpus};
use station_proto::history::History;

use super::trend::trend;
use super::{figure, used};
use crate::web::html::Html;
use crate::web::words::{self, Label};

/// The section; empty on a machine without a GPU.
pub(super) fn gpus(gpus: &Gpus, history: &History) -> Html {
    if gpus.gpus.is_empty() {
        return Html::literal("<section id=\"gpus\"></section>\n");
    }
    Html::literal("<section id=\"gpus\">\n<h2>GPUs</h2>\n<ul class=\"plain grid\">\n")
        .each(&gpus.gpus, |one| gpu(one, history))
        .raw("</ul>\n</section>\n")
}

fn gpu(gpu: &Gpu, history: &History) -> Html {
    let summary = &gpu.summary;
    let name = summary.name.as_deref().unwrap_or("NVIDIA GPU");
    let number = summary.index.map_or_else(|| summary.pci.clone(), |index| index.to_string());
    Html::literal("<li class=\"tile\"><h3>")
        .text(&format!("{number}: {name}"))
        .raw(" ")
        .push(&words::pill(health(summary.health)))
        .raw("</h3>\n<dl class=\"figures bare\">\n")
        .push(&figures(gpu, history))
        .raw("</dl>\n")
        .push(&holders(gpu.processes.as_deref().unwrap_or_default()))
        .raw("</li>\n")
}

fn health(health: GpuHealth) -> Label {
    match health {
        GpuHealth::Healthy => Label { word: "healthy", class: "good" },
        GpuHealth::Degraded => Label { word: "needs attention", class: "busy" },
        GpuHealth::Failed => Label { word: "cannot be used", class: "bad" },
        GpuHealth::Unknown => Label { word: "not known", class: "" },
    }
}

fn figures(gpu: &Gpu, history: &History) -> Html {
    let pci = Some(gpu.summary.pci.as_str());
    let mut html = Html::new();
    if let Some(percent) = gpu.load.gpu_percent {
        let line = trend(history, "gpu_used_percent", pci);
        let share = Some(f64::from(percent));
        html = html.push(&figure("In use", "", &format!("{percent} %"), share, &line));
    }
    if let (Some(total), Some(in_use)) = (gpu.memory.total_mib, gpu.memory.used_mib) {
        let (text, share) = used(total, total.saturating_sub(in_use));
        let line = trend(history, "gpu_memory_used_percent", pci);
        html = html.push(&figure("Memory", "", &text, Some(share), &line));
    }
    let degrees = gpu.heat.gpu_c.map(|degrees| format!("{degrees} °C"));
    let power = gpu.heat.power_mw.map(|power| format!("{} W", power / 1000));
    let text = [degrees, power].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    if !text.is_empty() {
        let line = trend(history, "gpu_temperature_c", pci);
        html = html.push(&figure("Temperature, power", "", &text, None, &line));
    }
    html
}

/// Who holds memory, the largest first.
fn holders(processes: &[GpuProcess]) -> Html {
    if processes.is_empty() {
        return Html::literal("<p class=\"dim\">No process holds its memory.</p>\n");
    }
    let mut all: Vec<&GpuProcess> = processes.iter().collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.memory_mib));
    Html::literal("<ul class=\"plain\">\n")
        .each(all, |one| {
            let memory = one.memory_mib.map_or_else(|| "?".to_owned(), words::mebibytes);
            let what = one.notebook.as_ref().or(one.app.as_ref()).or(one.unit.as_ref());
            let name = one.name.as_deref().unwrap_or("a process");
            let of = what.map(|what| format!(" of {what}")).unwrap_or_default();
            let user = one.user.as_ref().map(|user| format!(", {user}")).unwrap_or_default();
            Html::literal("<li>")
                .text(&format!("{memory}: {name}{of}"))
                .raw(" <span class=\"dim\">")
                .text(&format!("(process {}{user})", one.pid))
                .raw("</span></li>\n")
        })
        .raw("</ul>\n")
}
