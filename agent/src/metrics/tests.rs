//! The text as a whole.

use station_proto::gpu::{Gpu, XidSeen};
use station_proto::heartbeat::Phase;

use super::*;

fn shown() -> Shown {
    let at = Time::from_ms(1_000).unwrap();
    let status = Status {
        seq: 1,
        phase: Phase::Ready,
        ready: true,
        since: at,
        version: String::new(),
        name: String::new(),
        public_url: String::new(),
        conditions: Vec::new(),
        apps: Vec::new(),
        mounts: Vec::new(),
        gpus: Vec::new(),
    };
    let mut gpu = Gpu::default();
    gpu.summary.index = Some(0);
    gpu.summary.uuid = Some("GPU-\"1\"".to_owned());
    gpu.heat.power_mw = Some(70_500);
    gpu.memory.used_mib = Some(2);
    gpu.xids = vec![XidSeen {
        code: 31,
        count: 3,
        first: at,
        last: at,
        name: None,
        report_as: None,
        meaning: String::new(),
        action: String::new(),
        pid: None,
        process: None,
        detail: String::new(),
    }];
    let samples = Samples { load: Some([0.5, 0.25, 0.0]), ..Samples::nothing(at) };
    let gpus = Gpus { gpus: vec![gpu], ..Gpus::default() };
    Shown { status: Arc::new(status), samples: Some(Arc::new(samples)), gpus }
}

fn edition(seq: u64) -> Edition {
    (seq, None, None)
}

#[test]
fn values_have_base_units_and_what_is_absent_has_no_series() {
    let text = families(shown());
    for line in [
        "stationd_gpu_power_watts{gpu=\"0\",uuid=\"GPU-\\\"1\\\"\"} 70.5",
        "stationd_gpu_memory_used_bytes{gpu=\"0\",uuid=\"GPU-\\\"1\\\"\"} 2097152.0",
        "stationd_gpu_xid_total{gpu=\"0\",uuid=\"GPU-\\\"1\\\"\",xid=\"31\"} 3.0",
        "stationd_load1 0.5",
        "stationd_phase{phase=\"ready\"} 1.0",
        "stationd_phase{phase=\"degraded\"} 0.0",
        "stationd_ready 1.0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
    for absent in ["cpu_used", "gpu_temperature", "nvlink", "condition", "memory_size"] {
        assert!(!text.contains(absent), "{absent} is in\n{text}");
    }
}

fn plain(scraped: &Scraped) -> String {
    assert!(!scraped.gzip);
    String::from_utf8(scraped.pieces.concat()).unwrap()
}

const OPEN: Wanted = Wanted { open: true, gzip: false };
const CLASSIC: Wanted = Wanted { open: false, gzip: false };

#[test]
fn the_text_is_made_anew_only_for_another_edition() {
    let metrics = Metrics::new(Metrics::registry());
    let mut asked = 0;
    let mut text = |seq, wanted| {
        let scraped = metrics.scrape(edition(seq), wanted, || {
            asked += 1;
            shown()
        });
        plain(&scraped)
    };
    assert!(text(1, OPEN).ends_with("# EOF\n"));
    assert!(text(1, OPEN).contains("stationd_ready"), "the same families again");
    assert!(text(1, CLASSIC).contains("\nstationd_ready"), "and in the other format");
    assert!(text(2, OPEN).contains("process_resident_memory_bytes"));
    assert_eq!(asked, 2);
}

#[test]
fn counters_move_while_the_families_are_kept() {
    let counter = prometheus_client::metrics::counter::Counter::<u64>::default();
    let mut registry = Metrics::registry();
    registry.register("asked", "Times", counter.clone());
    let metrics = Metrics::new(registry);
    for wanted in [OPEN, CLASSIC] {
        let before = counter.inc();
        let text = plain(&metrics.scrape(edition(1), wanted, shown));
        let line = format!("stationd_asked_total {}", before + 1);
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_older_format_and_gzip_say_the_same() {
    use std::io::Read as _;
    let metrics = Metrics::new(Metrics::registry());
    let scrape = |wanted| metrics.scrape(edition(1), wanted, shown);
    // What this process takes moves.
    let still = |text: &str| {
        text.lines().filter(|line| !line.contains("process_")).collect::<Vec<_>>().join("\n")
    };
    let open = plain(&scrape(OPEN));
    assert_eq!(still(&plain(&scrape(CLASSIC))), still(&classic::of(&open)));
    for plain_one in [OPEN, CLASSIC] {
        let scraped = scrape(Wanted { gzip: true, ..plain_one });
        assert!(scraped.gzip);
        let mut text = String::new();
        let bytes = scraped.pieces.concat();
        flate2::bufread::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(still(&text), still(&plain(&scrape(plain_one))));
    }
}

/// The list of names is a promise: who takes one away breaks somebody's alerts.
#[test]
fn every_name_is_unique() {
    let text = families(shown());
    let mut names: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
