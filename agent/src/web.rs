//! The pages that stationd itself shows: the front page, help, and every refusal that a person
//! may meet.
//!
//! Pure: each function makes a complete answer (status, headers, bytes) from plain input, so a
//! page can be tested without a server. Who may see a page is the gate's business; this feature
//! adds the headers that keep a page from being framed, cached, guessed or scripted by others.
//! Errors have two forms, see [`Format`]. The script and the style sheet are compiled in.
//!
//! The front page is complete without its script. The script only keeps it fresh: it waits on
//! `/v1/heartbeat`, and when the status has changed it loads the page again and replaces the
//! sections that differ, so that there is one renderer.

mod app_pages;
mod asset;
mod help;
mod home;
mod html;
mod login_pages;
mod page;
mod refusal;
mod words;

pub use app_pages::{AppDown, Fault, app_down, app_starting};
pub use asset::asset;
pub use help::help;
pub use home::{Home, home};
pub use login_pages::{LinkRefusal, LoginNeeded, link_refused, logged_out, login_needed};
pub use page::{Format, Page};
pub use refusal::{Refusal, not_found, refused, wrong_host};

#[cfg(test)]
mod tests {
    use http::{StatusCode, header};
    use proptest::prelude::*;
    use station_proto::app::{App, AppPhase, KernelEnd};
    use station_proto::cause::{Cause, CauseKind};
    use station_proto::condition::{Condition, Truth};
    use station_proto::gpu::{Gpu, GpuProcess, Gpus};
    use station_proto::heartbeat::{Phase, Status};
    use station_proto::history::{History, Series};
    use station_proto::mount::Mount;
    use station_proto::node::{Cpu, Disk, Memory, Pressure, Samples};
    use station_proto::time::Time;

    use super::*;

    fn at(ms: i64) -> Time {
        Time::from_ms(ms).unwrap()
    }

    /// An app whose every text is `text`.
    fn app(text: &str, phase: AppPhase) -> App {
        App {
            name: text.to_owned(),
            kind: text.to_owned(),
            phase,
            since: at(1_000_000),
            path: text.to_owned(),
            wanted: true,
            generation: 3,
            pid: Some(41),
            kernels: Some(2),
            failures: 2,
            next_start: Some(at(1_008_000)),
            message: text.to_owned(),
            last_end: Some(Cause {
                kind: CauseKind::Exit,
                at: at(999_000),
                message: text.to_owned(),
                exit_code: Some(1),
                signal: None,
                last_lines: vec![text.to_owned(); 2],
                action: text.to_owned(),
            }),
            kernel_ends: vec![KernelEnd {
                kernel: text.to_owned(),
                path: Some(text.to_owned()),
                cause: Cause {
                    kind: CauseKind::OutOfMemory,
                    at: at(999_000),
                    message: text.to_owned(),
                    exit_code: None,
                    signal: Some(9),
                    last_lines: Vec::new(),
                    action: text.to_owned(),
                },
            }],
            shares: Some(text.to_owned()),
        }
    }

    fn status(text: &str) -> Status {
        let condition = |status| Condition {
            kind: text.to_owned(),
            subject: text.to_owned(),
            status,
            reason: text.to_owned(),
            message: text.to_owned(),
            action: text.to_owned(),
            since: at(5),
        };
        Status {
            seq: 7,
            phase: Phase::Degraded,
            ready: false,
            since: at(5),
            version: text.to_owned(),
            name: text.to_owned(),
            public_url: text.to_owned(),
            conditions: vec![condition(Truth::True), condition(Truth::Unknown)],
            apps: vec![app(text, AppPhase::Ready), app(text, AppPhase::Failed)],
            mounts: vec![Mount {
                ready: true,
                message: text.to_owned(),
                ..Mount::unknown(text, text, text.to_owned())
            }],
            gpus: Vec::new(),
        }
    }

    fn samples() -> Samples {
        Samples {
            at: at(5),
            cpu: Some(Cpu { cores: 4, used_percent: 31.0 }),
            load: Some([0.5, 0.4, 0.3]),
            memory: Some(Memory {
                total_mib: 16_000,
                available_mib: 9000,
                swap_total_mib: 0,
                swap_free_mib: 0,
            }),
            pressure: Some(Pressure {
                cpu_some_percent: 1.0,
                memory_some_percent: 0.0,
                memory_full_percent: 0.0,
                io_some_percent: 2.0,
                io_full_percent: 0.0,
            }),
            os_disk: Some(Disk {
                path: "/".to_owned(),
                total_mib: 64_000,
                available_mib: 30_000,
                inodes_total: 1,
                inodes_free: 1,
            }),
            disks: Vec::new(),
            agent: None,
            mounts: Vec::new(),
            gpus: Vec::new(),
        }
    }

    /// A GPU whose every text is `text`.
    fn gpus(text: &str) -> Gpus {
        let mut gpu = Gpu::default();
        (gpu.summary.pci, gpu.summary.name) = (text.to_owned(), Some(text.to_owned()));
        (gpu.memory.total_mib, gpu.memory.used_mib) = (Some(80_000), Some(20_000));
        (gpu.load.gpu_percent, gpu.heat.gpu_c) = (Some(97), Some(61));
        let any = || Some(text.to_owned());
        let process = GpuProcess { pid: 7, name: any(), user: any(), ..GpuProcess::default() };
        gpu.processes = Some(vec![GpuProcess { notebook: any(), ..process }]);
        Gpus { gpus: vec![gpu], ..Gpus::default() }
    }

    fn history() -> History {
        let values = vec![Some(3.0), None, Some(50.0), Some(97.5)];
        let series = Series { name: "cpu_used_percent".to_owned(), gpu: None, values };
        History { step_s: 30, until: at(0), series: vec![series] }
    }

    /// Every page with every text set to `text`.
    fn all(text: &str) -> Vec<Page> {
        let (status, samples) = (status(text), samples());
        let lines = vec![text.to_owned(); 3];
        let login = LoginNeeded {
            app: Some(text),
            port: 8710,
            loopback: true,
            expired: false,
            next: Some(text),
        };
        let refusal =
            Refusal { status: StatusCode::FORBIDDEN, kind: "x", title: text, detail: text };
        let mut pages = vec![
            home(&Home {
                status: &status,
                samples: &samples,
                gpus: &gpus(text),
                history: &history(),
                etag: text,
                host: text,
            }),
            app_starting(&app(text, AppPhase::Starting), Format::Html),
            login_needed(&login, Format::Html),
            link_refused(LinkRefusal::Used, &login, Format::Html),
            logged_out(&login),
            refused(&refusal, Format::Html),
            not_found(text, Format::Html),
            wrong_host(text, Format::Html),
        ];
        let faults = [Fault::NotRunning, Fault::Broke(text.to_owned()), Fault::TimedOut];
        for fault in &faults {
            for phase in [AppPhase::Ready, AppPhase::Failed, AppPhase::Stopped] {
                let app = app(text, phase);
                let down = AppDown { app: &app, fault, lines: &lines, now: at(1_000_000) };
                pages.push(app_down(&down, Format::Html));
            }
        }
        pages
    }

    fn html(page: &Page) -> &str {
        std::str::from_utf8(&page.body).unwrap()
    }

    /// The tags and attribute names of a page, without text and attribute values.
    fn skeleton(html: &str) -> String {
        let (mut tags, mut in_tag, mut quoted) = (String::new(), false, false);
        for character in html.chars() {
            match character {
                '<' if !in_tag => in_tag = true,
                '>' if in_tag && !quoted => in_tag = false,
                '"' if in_tag => quoted = !quoted,
                _ => {}
            }
            if in_tag && !quoted {
                tags.push(character);
            }
        }
        tags
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_changes_the_markup(text in "[<>\"'&/a-z =`\\-\\[\\]\\x00-\\x1fé]{1,40}|.{1,40}") {
            for (page, plain) in all(&text).iter().zip(&all("x")) {
                prop_assert_eq!(skeleton(html(page)), skeleton(html(plain)));
            }
        }
    }

    #[test]
    fn the_skeleton_would_show_an_injected_element() {
        assert_ne!(skeleton("<p>x</p>"), skeleton("<p><script></p>"));
        assert_ne!(skeleton("<p a=\"x\">"), skeleton("<p a=\"x\" onclick=\"y\">"));
    }

    #[test]
    fn every_page_carries_the_security_headers_and_no_inline_code() {
        for page in all("x") {
            let has = |name: &str, part: &str| {
                let value = page.headers.get(name).map(|value| value.to_str().unwrap());
                assert!(value.is_some_and(|value| value.contains(part)), "{name}: {value:?}");
            };
            has("content-security-policy", "frame-ancestors 'self'");
            has("content-security-policy", "default-src 'none'");
            has("x-content-type-options", "nosniff");
            has("referrer-policy", "no-referrer");
            has("cache-control", "no-store");
            has("permissions-policy", "camera=()");
            let tags = skeleton(html(&page));
            assert!(!tags.contains("<style") && !tags.contains(" style="));
            assert_eq!(tags.matches("<script").count(), 1);
            assert!(!tags.contains(" on"), "{tags}");
        }
    }

    #[test]
    fn a_dead_app_is_named_with_its_end_its_log_and_the_way_out() {
        let mut app = app("jupyterlab", AppPhase::Backoff);
        "it ended; the next start waits".clone_into(&mut app.message);
        let end = app.last_end.as_mut().unwrap();
        "signal 9 (SIGKILL) after 3 s".clone_into(&mut end.message);
        end.action.clear();
        let lines = ["Traceback <x>".to_owned()];
        let down =
            AppDown { app: &app, fault: &Fault::NotRunning, lines: &lines, now: at(1_000_000) };
        let page = app_down(&down, Format::Html);
        let text = html(&page);
        for part in [
            "jupyterlab is down",
            "signal 9 (SIGKILL) after 3 s",
            "Traceback &lt;x&gt;",
            "in 8 s",
            "stationctl app restart jupyterlab",
            "data-verb=\"restart\"",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(page.headers[header::RETRY_AFTER], "8");
        let problem = app_down(&down, Format::Problem);
        assert!(html(&problem).contains("signal 9 (SIGKILL) after 3 s"));
    }

    #[test]
    fn the_login_page_names_the_command_and_the_tunnel() {
        let mut login = LoginNeeded {
            app: Some("jupyterlab"),
            port: 8710,
            loopback: true,
            expired: false,
            next: None,
        };
        let page = login_needed(&login, Format::Html);
        assert_eq!(page.status, StatusCode::UNAUTHORIZED);
        assert!(html(&page).contains("stationctl login --app jupyterlab"));
        assert!(html(&page).contains("ssh -L 8710:127.0.0.1:8710"));
        login.loopback = false;
        assert!(!html(&login_needed(&login, Format::Html)).contains("ssh -L"));
        let problem = login_needed(&login, Format::Problem);
        assert!(html(&problem).contains("stationctl login --app jupyterlab"));
    }
}
