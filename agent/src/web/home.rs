//! The front page: what the workstation is doing, and the buttons to change it.
//!
//! Every section has an id; the script replaces a section when its markup has changed.

mod gpus;
mod trend;

use http::StatusCode;
use station_proto::app::{App, AppPhase, KernelEnd};
use station_proto::cause::Cause;
use station_proto::condition::{Condition, Truth};
use station_proto::gpu::Gpus;
use station_proto::heartbeat::Status;
use station_proto::history::History;
use station_proto::mount::Mount;
use station_proto::node::Samples;

use self::trend::trend;
use crate::web::html::Html;
use crate::web::page::{Behaviour, Draft, Format, Page};
use crate::web::words;

/// What the front page shows.
#[derive(Debug, Clone, Copy)]
pub struct Home<'a> {
    pub status: &'a Status,
    pub samples: &'a Samples,
    pub gpus: &'a Gpus,
    /// The last hour.
    pub history: &'a History,
    /// The `ETag` of `status`: the script waits for the next one.
    pub etag: &'a str,
    /// The `Host` the browser asked for, for the advice on websockets.
    pub host: &'a str,
}

/// `GET /`
pub fn home(home: &Home<'_>) -> Page {
    let status = home.status;
    let mut draft = Draft::new(StatusCode::OK, "home", format!("{} · stationd", status.name));
    draft.behaviour = Behaviour::Home;
    draft.data = Html::literal(" data-etag=\"")
        .text(home.etag)
        .raw("\" data-seq=\"")
        .value(status.seq)
        .raw("\" data-host=\"")
        .text(home.host)
        .raw("\"");
    draft.main = header(status)
        .raw("<main>\n<div id=\"notice\" role=\"status\" aria-live=\"polite\"></div>\n")
        .push(&conditions(&status.conditions))
        .push(&apps(&status.apps))
        .push(&machine(home.samples, home.history))
        .push(&gpus::gpus(home.gpus, home.history))
        .push(&mounts(&status.mounts))
        .raw(
            "<section id=\"websocket\" hidden><h2>Connection</h2>\
             <p id=\"websocket-result\">Testing whether this network lets websockets through …</p>\
             </section>\n</main>\n",
        )
        .push(&footer(status));
    draft.render(Format::Html)
}

fn header(status: &Status) -> Html {
    Html::literal("<header>\n<h1>")
        .text(&status.name)
        .raw("</h1>\n<p id=\"state\">")
        .push(&words::pill(words::phase(status.phase)))
        .raw(" <span class=\"dim\">since ")
        .push(&words::time(status.since))
        .raw("</span></p>\n</header>\n")
}

fn footer(status: &Status) -> Html {
    Html::literal("<footer>stationd ")
        .text(&status.version)
        .raw(" · <a href=\"/help\">Help</a> · <a href=\"/v1/heartbeat\">Heartbeat</a>")
        .raw(" <button type=\"button\" class=\"link\" data-logout hidden>Log out</button></footer>\n")
}

fn conditions(conditions: &[Condition]) -> Html {
    let shown: Vec<&Condition> =
        conditions.iter().filter(|condition| condition.status != Truth::False).collect();
    if shown.is_empty() {
        return Html::literal("<section id=\"conditions\"></section>\n");
    }
    Html::literal("<section id=\"conditions\">\n<h2>Needs attention</h2>\n<ul class=\"plain\">\n")
        .each(shown, condition)
        .raw("</ul>\n</section>\n")
}

fn condition(condition: &Condition) -> Html {
    let mut html = Html::literal("<li class=\"")
        .raw(if condition.status == Truth::True { "alert bad" } else { "alert" })
        .raw("\"><h3>")
        .text(&condition.kind);
    if !condition.subject.is_empty() {
        html = html.raw(": ").text(&condition.subject);
    }
    if condition.status == Truth::Unknown {
        html = html.raw(" <span class=\"dim\">(not known)</span>");
    }
    html = html.raw("</h3><p>").text(&condition.message).raw("</p>");
    if !condition.action.is_empty() {
        html = html.push(&words::action(&condition.action));
    }
    html.raw("<p class=\"dim\">")
        .text(&condition.reason)
        .raw(", since ")
        .push(&words::time(condition.since))
        .raw("</p></li>\n")
}

fn apps(apps: &[App]) -> Html {
    let html = Html::literal("<section id=\"apps\">\n<h2>Apps</h2>\n");
    if apps.is_empty() {
        return html.raw(
            "<p>No app is configured. <code>stationctl check</code> shows what the \
             configuration says; <a href=\"/help\">Help</a> has an example.</p>\n</section>\n",
        );
    }
    html.raw("<ul class=\"plain grid\">\n").each(apps, app).raw(
        "</ul>\n<noscript><p class=\"dim\">Without scripts this page does not refresh itself; \
              apps are controlled by <code>stationctl app start|stop|restart NAME</code>.</p>\
              </noscript>\n</section>\n",
    )
}

fn app(app: &App) -> Html {
    let mut html = Html::literal("<li class=\"tile\" data-warning=\"")
        .text(&warning(app))
        .raw("\"><h3>")
        .text(&app.name)
        .raw(" ")
        .push(&words::pill(words::app_phase(app.phase)))
        .raw("</h3>\n<p>")
        .text(&app.message)
        .raw("</p>\n<p class=\"dim\">since ")
        .push(&words::time(app.since));
    if let Some(kernels) = app.kernels {
        html =
            html.raw(" · ").value(kernels).raw(if kernels == 1 { " kernel" } else { " kernels" });
    }
    if let Some(server) = &app.shares {
        html = html.raw(" · another view of the server of ").text(server);
    }
    if app.failures > 0 {
        html = html.raw(" · ended unasked ").value(app.failures).raw("×");
    }
    if let Some(next) = app.next_start {
        html = html.raw(" · next start ").push(&words::time(next));
    }
    html = html.raw("</p>\n<p class=\"buttons\">");
    if matches!(app.phase, AppPhase::Ready | AppPhase::Degraded | AppPhase::Starting) {
        html = html
            .raw("<a class=\"button main\" href=\"")
            .path(&app.path)
            .raw("\">Open<span class=\"aside\"> ")
            .text(&app.name)
            .raw("</span></a> ");
    }
    for verb in verbs(app) {
        html = html.push(&button(&app.name, verb));
    }
    html = html.raw("</p>\n");
    if let Some(end) = &app.last_end {
        html = html.push(&last_end(&app.name, end));
    }
    // Those of a view are shown with its server.
    let ends = app.kernel_ends.iter().rev().filter(|_| app.shares.is_none());
    html.each(ends, kernel_end).raw("</li>\n")
}

/// What a stop or restart costs, for the question that is asked before it.
fn warning(app: &App) -> String {
    let kernels = match app.kernels {
        Some(0) => "No kernel runs in it.".to_owned(),
        Some(1) => "Its kernel ends, and its variables are lost.".to_owned(),
        Some(count) => format!("Its {count} kernels end, and their variables are lost."),
        None => "What runs in it ends.".to_owned(),
    };
    match &app.shares {
        Some(server) => format!("It shares the server of {server}, which ends too. {kernels}"),
        None => kernels,
    }
}

/// Why a kernel ended.
fn kernel_end(end: &KernelEnd) -> Html {
    let which = end.path.as_ref().map_or_else(|| format!("kernel {}", end.kernel), Clone::clone);
    let html = Html::literal("<details id=\"kernel-")
        .text(&end.kernel)
        .raw("-")
        .value(end.cause.at.as_ms())
        .raw("\"><summary>")
        .text(&which)
        .raw(": ")
        .text(&end.cause.message)
        .raw(" <span class=\"dim\">")
        .push(&words::time(end.cause.at))
        .raw("</span></summary>");
    let action = if end.cause.action.is_empty() { "nothing" } else { end.cause.action.as_str() };
    html.push(&words::action(action)).raw("</details>\n")
}

/// The verbs that make sense now.
fn verbs(app: &App) -> &'static [&'static str] {
    match (app.phase, app.wanted) {
        (AppPhase::Stopped | AppPhase::Unavailable, _) => &["start"],
        (AppPhase::Stopping, _) => &[],
        (AppPhase::Failed | AppPhase::Backoff, _) => &["start", "stop"],
        (AppPhase::Starting | AppPhase::Ready | AppPhase::Degraded, _) => &["restart", "stop"],
    }
}

/// A button that the script brings to life; without scripts it stays hidden.
pub(super) fn button(app: &str, verb: &'static str) -> Html {
    let caption = match verb {
        "start" => "Start",
        "stop" => "Stop",
        _ => "Restart",
    };
    Html::literal("<button type=\"button\" hidden data-app=\"")
        .text(app)
        .raw("\" data-verb=\"")
        .raw(verb)
        .raw("\">")
        .raw(caption)
        .raw("<span class=\"aside\"> ")
        .text(app)
        .raw("</span></button> ")
}

/// Why it ended last, with the lines it left.
pub(super) fn last_end(app: &str, end: &Cause) -> Html {
    let mut html = Html::literal("<details id=\"end-")
        .text(app)
        .raw("\"><summary>Last end: ")
        .text(&end.message)
        .raw(" <span class=\"dim\">")
        .push(&words::time(end.at))
        .raw("</span></summary>");
    if !end.action.is_empty() {
        html = html.push(&words::action(&end.action));
    }
    if !end.last_lines.is_empty() {
        html = html.push(&log(&end.last_lines));
    }
    html.raw("</details>\n")
}

/// Log lines; long ones scroll.
pub(super) fn log(lines: &[String]) -> Html {
    Html::literal("<pre class=\"log\" tabindex=\"0\" aria-label=\"Log\">")
        .each(lines, |line| Html::new().text(line).raw("\n"))
        .raw("</pre>")
}

fn machine(samples: &Samples, history: &History) -> Html {
    let none = &Html::new();
    let mut html =
        Html::literal("<section id=\"machine\">\n<h2>Machine</h2>\n<dl class=\"figures\">\n");
    if let Some(cpu) = &samples.cpu {
        let text = format!("{:.0} % of {} cores", cpu.used_percent, cpu.cores);
        let line = trend(history, "cpu_used_percent", None);
        html = html.push(&figure("CPU", "cpu", &text, Some(cpu.used_percent), &line));
    }
    if let Some([one, five, fifteen]) = samples.load {
        let text = format!("{one:.2} · {five:.2} · {fifteen:.2}");
        html = html.push(&figure("Load over 1, 5, 15 min", "load", &text, None, none));
    }
    if let Some(memory) = &samples.memory {
        let (text, share) = used(memory.total_mib, memory.available_mib);
        let line = trend(history, "memory_used_percent", None);
        html = html.push(&figure("Memory", "memory", &text, Some(share), &line));
    }
    if let Some(disk) = &samples.os_disk {
        let (text, share) = used(disk.total_mib, disk.available_mib);
        html = html.push(&figure("Disk", "disk", &text, Some(share), none));
    }
    if let Some(pressure) = &samples.pressure {
        let text = format!(
            "CPU {:.0} % · memory {:.0} % · disk {:.0} %",
            pressure.cpu_some_percent, pressure.memory_some_percent, pressure.io_some_percent
        );
        html = html.push(&figure("Time spent waiting for", "pressure", &text, None, none));
    }
    html.raw("</dl>\n</section>\n")
}

#[expect(clippy::cast_precision_loss, reason = "a share in percent is shown")]
fn used(total_mib: u64, available_mib: u64) -> (String, f64) {
    let used = total_mib.saturating_sub(available_mib);
    let text = format!("{} of {}", words::mebibytes(used), words::mebibytes(total_mib));
    (text, 100.0 * used as f64 / total_mib.max(1) as f64)
}

/// A figure with a bar if it is a share, and its last hour; `name` is where the script finds it.
fn figure(
    caption: &'static str,
    name: &'static str,
    text: &str,
    share: Option<f64>,
    trend: &Html,
) -> Html {
    let html = Html::literal("<div data-figure=\"")
        .raw(name)
        .raw("\"><dt>")
        .raw(caption)
        .raw("</dt><dd><span>")
        .text(text)
        .raw("</span>");
    let html = match share {
        Some(share) => html
            .raw("<meter min=\"0\" max=\"100\" high=\"90\" optimum=\"0\" aria-label=\"")
            .raw(caption)
            .raw("\" value=\"")
            .text(&format!("{share:.1}"))
            .raw("\"></meter>"),
        None => html,
    };
    html.push(trend).raw("</dd></div>\n")
}

fn mounts(mounts: &[Mount]) -> Html {
    if mounts.is_empty() {
        return Html::literal("<section id=\"mounts\"></section>\n");
    }
    Html::literal(
        "<section id=\"mounts\">\n<h2>Mounts</h2>\n<div class=\"scroll\"><table>\n<thead><tr>\
         <th>Name</th><th>Kind</th><th>Where</th><th>State</th></tr></thead>\n<tbody>\n",
    )
    .each(mounts, |mount| {
        let state = if mount.ready {
            words::Label { word: "ready", class: "good" }
        } else {
            words::Label { word: "not ready", class: "bad" }
        };
        Html::literal("<tr><td>")
            .text(&mount.name)
            .raw("</td><td>")
            .text(&mount.driver)
            .raw("</td><td><code>")
            .text(&mount.path)
            .raw("</code></td><td>")
            .push(&words::pill(state))
            .raw(" ")
            .text(&mount.message)
            .raw("</td></tr>\n")
    })
    .raw("</tbody>\n</table></div>\n</section>\n")
}
