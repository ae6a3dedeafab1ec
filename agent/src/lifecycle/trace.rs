//! What a daemon that is being aborted leaves for whoever looks for the cause: the text alone.

use std::time::Duration;

use crate::base::limits;
use crate::base::moment::Moment;
use crate::base::tasks::pulse::Late;
use crate::os::process::threads::Thread;

/// The trace as text.
pub(super) fn text(now: Moment, pid: u32, late: &[Late], threads: &[Thread]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut lines =
        vec![format!("stationd {version}, process {pid}, was aborted by SIGABRT at {}", now.wall)];
    if late.is_empty() {
        lines.push("every loop answered".to_owned());
    }
    for Late { name, since } in late {
        lines.push(format!("no answer from {name} for {}", seconds(now.mono, *since)));
    }
    lines.push("threads: number, name, state, where it waits, system call".to_owned());
    for thread in threads.iter().take(limits::TRACE_THREADS) {
        let Thread { id, name, state, waits_in, call } = thread;
        let known = |word: &str| if word.is_empty() { "?".to_owned() } else { word.to_owned() };
        let words = [known(name), known(state), known(waits_in), known(call)].join(" ");
        lines.push(format!("{id} {words}"));
    }
    let more = threads.len().saturating_sub(limits::TRACE_THREADS);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n") + "\n"
}

/// The beginning of a trace: what its event shows.
pub(super) fn beginning(trace: &str) -> String {
    trace.lines().take(limits::TRACE_LINES).collect::<Vec<_>>().join("\n")
}

/// How long ago, for people.
pub(super) fn seconds(now: Duration, since: Duration) -> String {
    format!("{:.1} s", now.saturating_sub(since).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_names_late_loops_and_every_thread() {
        let now = Moment { mono: Duration::from_secs(100), wall: jiff::Timestamp::UNIX_EPOCH };
        let late = [Late { name: "apps".into(), since: Duration::from_millis(89_500) }];
        let thread = Thread {
            id: 7,
            name: "lane-0".into(),
            state: "S".into(),
            waits_in: "futex_wait".into(),
            call: String::new(),
        };
        let trace = text(now, 5, &late, &[thread.clone(), thread]);
        assert!(trace.contains("process 5, was aborted by SIGABRT at 1970-01-01"), "{trace}");
        assert!(trace.contains("no answer from apps for 10.5 s\n"), "{trace}");
        assert!(trace.contains("7 lane-0 S futex_wait ?\n"), "{trace}");
        assert_eq!(beginning(&trace).lines().count(), 5);
        assert!(text(now, 5, &[], &[]).contains("every loop answered"));
    }

    #[test]
    fn a_trace_has_a_size() {
        let now = Moment { mono: Duration::ZERO, wall: jiff::Timestamp::UNIX_EPOCH };
        let threads = vec![Thread::default(); limits::TRACE_THREADS + 3];
        let trace = text(now, 5, &[], &threads);
        assert!(trace.ends_with("and 3 more\n"), "{trace}");
        assert_eq!(beginning(&trace).lines().count(), limits::TRACE_LINES);
    }
}
