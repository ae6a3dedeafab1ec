//! From what a launcher saw to a cause that a person understands. Pure.

use std::time::Duration;

use jiff::Timestamp;
use station_proto::cause::{Cause, CauseKind};
use station_proto::time::Time;

use super::launcher::End;
use crate::attend::report::{LastWord, Memory};
use crate::privileged::keeper::files::{Exit, StopBy};

/// The cause of an end; `now` is used where nobody wrote down the time.
pub(super) fn of_end(
    end: &End,
    lines: Vec<String>,
    now: Timestamp,
    last_word: Option<&LastWord>,
) -> Cause {
    if let (End::Exit(exit @ Exit { asked: None, .. }), Some(word)) = (end, last_word) {
        let (message, action) = out_of_memory(&word.oom, 0);
        let kind = CauseKind::OutOfMemory;
        return Cause { kind, message, action, ..of_exit(exit, lines) };
    }
    let base = |kind, message: &str, action: &str| Cause {
        kind,
        at: Time(now),
        message: message.to_owned(),
        exit_code: None,
        signal: None,
        last_lines: lines.clone(),
        action: action.to_owned(),
    };
    match end {
        End::Exit(exit) => of_exit(exit, lines),
        End::KeeperLost => base(
            CauseKind::KeeperLost,
            "its keeper was killed; the app and everything below it were ended",
            "nothing; it is started again. Do not kill `stationd keep` processes",
        ),
        End::Unseen => {
            base(CauseKind::Unknown, "it ended, and nobody saw how", "read its last lines")
        }
        End::OtherBoot => base(
            CauseKind::Unknown,
            "the machine was restarted while it ran; how it ended is unknown",
            "",
        ),
    }
}

/// It could not be started at all.
pub(super) fn not_started(message: &str, lines: Vec<String>, now: Timestamp) -> Cause {
    Cause {
        kind: CauseKind::StartFailed,
        at: Time(now),
        message: format!("it could not be started: {message}"),
        exit_code: None,
        signal: None,
        last_lines: lines,
        action: "remove what the message names, then start it again".to_owned(),
    }
}

fn of_exit(exit: &Exit, last_lines: Vec<String>) -> Cause {
    let how = how(exit.code, exit.signal);
    let after = seconds(Duration::from_millis(exit.ran_ms));
    let (kind, message, action) = match exit.asked {
        Some(StopBy::User | StopBy::Down | StopBy::Other) => {
            let forced = if exit.forced { "; the grace was over, it was killed" } else { "" };
            (CauseKind::UserStop, format!("stopped on request ({how}){forced}"), "")
        }
        Some(StopBy::Idle) => (
            CauseKind::IdleStop,
            format!("stopped: it had been idle for as long as idle_stop_minutes says ({how})"),
            "nothing: the next request starts it",
        ),
        Some(StopBy::Left) => {
            (CauseKind::UserStop, format!("stopped: it left the configuration ({how})"), "")
        }
        Some(StopBy::NotReady) => (
            CauseKind::NotReady,
            format!("it did not answer within {after} of its start, so it was ended"),
            "read its last lines",
        ),
        Some(StopBy::Signal) => (
            CauseKind::Signal,
            format!("its keeper was told to stop by SIGTERM ({how}) after {after}"),
            "",
        ),
        None => {
            let action = match exit.signal {
                Some(9) => "if nobody killed it, memory ran out: see the kernel's log",
                _ => "read its last lines",
            };
            let kind = match (exit.code, exit.signal) {
                (Some(_), _) => CauseKind::Exit,
                (None, Some(_)) => CauseKind::Signal,
                (None, None) => CauseKind::Unknown,
            };
            (kind, format!("{how} after {after}"), action)
        }
    };
    let left = match exit.left {
        0 => String::new(),
        left => format!("; {left} of its processes could not be ended"),
    };
    Cause {
        kind,
        at: Time::from_ms(exit.at).unwrap_or(Time(Timestamp::UNIX_EPOCH)),
        message: format!("{message}{left}"),
        exit_code: exit.code,
        signal: exit.signal,
        last_lines,
        action: action.to_owned(),
    }
}

/// A kill for memory in words, and what to do.
pub(super) fn out_of_memory(memory: &Memory, used_bytes: u64) -> (String, String) {
    let used = match used_bytes {
        0 => String::new(),
        used => format!(" it used {},", gib(used)),
    };
    let (limit, action) = match memory.limit_bytes {
        Some(limit) => (
            format!(" the limit of {} is {}", memory.group, gib(limit)),
            "use less memory at once, or raise memory_max in its [[app]]",
        ),
        None => (
            " all of this machine's was taken".to_owned(),
            "use less memory at once, or end other programs; memory_max in its [[app]] protects \
             those",
        ),
    };
    let message = format!("the system killed it because it had no memory left:{used}{limit}");
    (message, action.to_owned())
}

/// Sizes that a person compares, with one digit.
fn gib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 30;
    match tenths {
        0..10 => format!("{} MiB", bytes >> 20),
        _ => format!("{}.{} GiB", tenths / 10, tenths % 10),
    }
}

pub(super) fn how(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => {
            let name = nix::sys::signal::Signal::try_from(signal)
                .map_or_else(|_unknown| format!("signal {signal}"), |s| s.to_string());
            format!("ended by {name}")
        }
        (None, None) => "an unknown end".to_owned(),
    }
}

fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds if seconds < 600 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit() -> Exit {
        Exit {
            version: 1,
            generation: 1,
            unit: "u".into(),
            code: None,
            signal: None,
            at: 0,
            ran_ms: 3_000,
            asked: None,
            forced: false,
            dropped_bytes: 0,
            killed: 0,
            left: 0,
        }
    }

    #[test]
    fn each_end_has_its_kind_and_sentence() {
        let by = |asked| Exit { signal: Some(15), asked: Some(asked), ..exit() };
        let table = [
            (Exit { code: Some(0), ..exit() }, CauseKind::Exit, "exit code 0 after 3 s"),
            (Exit { code: Some(1), ..exit() }, CauseKind::Exit, "exit code 1 after 3 s"),
            (Exit { signal: Some(9), ..exit() }, CauseKind::Signal, "ended by SIGKILL after 3 s"),
            (exit(), CauseKind::Unknown, "an unknown end after 3 s"),
            (by(StopBy::User), CauseKind::UserStop, "stopped on request (ended by SIGTERM)"),
            (
                by(StopBy::Left),
                CauseKind::UserStop,
                "stopped: it left the configuration (ended by SIGTERM)",
            ),
            (
                by(StopBy::NotReady),
                CauseKind::NotReady,
                "it did not answer within 3 s of its start, so it was ended",
            ),
            (
                by(StopBy::Signal),
                CauseKind::Signal,
                "its keeper was told to stop by SIGTERM (ended by SIGTERM) after 3 s",
            ),
        ];
        for (exit, kind, message) in table {
            let cause = of_end(&End::Exit(exit), Vec::new(), Timestamp::UNIX_EPOCH, None);
            assert_eq!((cause.kind, cause.message.as_str()), (kind, message));
        }
    }

    #[test]
    fn an_unseen_end_has_no_exit_code() {
        for end in [End::KeeperLost, End::Unseen, End::OtherBoot] {
            let cause = of_end(&end, Vec::new(), Timestamp::UNIX_EPOCH, None);
            assert_eq!((cause.exit_code, cause.signal), (None, None));
        }
    }
}
