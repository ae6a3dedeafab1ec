//! Why a kernel has ended. Pure.

use std::time::Duration;

use station_proto::cause::{Cause, CauseKind};
use station_proto::time::Time;

use super::uses::{EndAsked, Whose};
use crate::apps::cause;
use crate::attend::report::Ended;

/// How long a kernel that was asked to end may take to do so.
const ASKED: Duration = Duration::from_secs(15);

/// The cause of a kernel's end, `ago` before now; `asked` are the requests of late.
pub(in crate::apps) fn cause(ended: &Ended, asked: &[EndAsked], at: Duration) -> Cause {
    let on_request = asked.iter().any(|one| {
        let names = match &one.whose {
            Whose::Kernel(kernel) => *kernel == ended.kernel,
            Whose::Notebook => true,
        };
        // The request is noted before the kernel hears of it; clocks of two processes differ a bit.
        names
            && at.saturating_add(Duration::from_secs(1)) >= one.at
            && at.saturating_sub(one.at) <= ASKED
    });
    let how = cause::how(ended.code, ended.signal);
    let (kind, message, action) = match (&ended.oom, on_request, ended.code, ended.signal) {
        (Some(memory), ..) => return oom(ended, cause::out_of_memory(memory, ended.memory_bytes)),
        (None, true, ..) => {
            (CauseKind::UserStop, format!("restarted or shut down on request ({how})"), "")
        }
        (None, false, Some(_), _) => {
            (CauseKind::Exit, how, "read the notebook's last output, and the app's log")
        }
        (None, false, None, Some(9)) => (
            CauseKind::Signal,
            how,
            "somebody killed it: not this system for its memory, of which there is no trace",
        ),
        (None, false, None, Some(_)) => {
            (CauseKind::Signal, how, "a native library has probably crashed: see the app's log")
        }
        (None, false, None, None) => (CauseKind::Unknown, how, "read the app's log"),
    };
    Cause {
        kind,
        at: time(ended),
        message,
        exit_code: ended.code,
        signal: ended.signal,
        last_lines: Vec::new(),
        action: action.to_owned(),
    }
}

fn oom(ended: &Ended, (message, action): (String, String)) -> Cause {
    Cause {
        kind: CauseKind::OutOfMemory,
        at: time(ended),
        message,
        exit_code: None,
        signal: ended.signal,
        last_lines: Vec::new(),
        action,
    }
}

fn time(ended: &Ended) -> Time {
    Time::from_ms(ended.at).unwrap_or(Time(jiff::Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attend::report::Memory;

    #[test]
    fn every_end_has_its_cause() {
        let ended = |code, signal| Ended {
            seq: 1,
            kernel: "k".into(),
            pid: 7,
            code,
            signal,
            at: 0,
            memory_bytes: 3 << 30,
            oom: None,
        };
        let memory = Memory {
            group: "/stationd-apps.slice/lab".into(),
            used_bytes: 1,
            limit_bytes: Some(4 << 30),
            killed: 1,
        };
        let oom = Ended { oom: Some(memory), ..ended(None, Some(9)) };
        let now = Duration::from_secs(1000);
        let asked = |kernel: Option<&str>, ago: u64| {
            let whose = kernel.map_or(Whose::Notebook, |id| Whose::Kernel(id.to_owned()));
            vec![EndAsked { at: Duration::from_secs(1000 - ago), whose }]
        };
        let table = [
            (ended(Some(0), None), vec![], CauseKind::Exit, "exit code 0"),
            (
                ended(Some(0), None),
                asked(Some("k"), 2),
                CauseKind::UserStop,
                "restarted or shut down on request (exit code 0)",
            ),
            (
                ended(None, Some(9)),
                asked(None, 6),
                CauseKind::UserStop,
                "restarted or shut down on request (ended by SIGKILL)",
            ),
            (ended(None, Some(9)), asked(Some("other"), 2), CauseKind::Signal, "ended by SIGKILL"),
            (ended(None, Some(9)), asked(Some("k"), 60), CauseKind::Signal, "ended by SIGKILL"),
            (ended(None, Some(11)), vec![], CauseKind::Signal, "ended by SIGSEGV"),
            (ended(None, None), vec![], CauseKind::Unknown, "an unknown end"),
            (
                oom,
                asked(Some("k"), 2),
                CauseKind::OutOfMemory,
                "the system killed it because it had no memory left: it used 3.0 GiB, the limit of /stationd-apps.slice/lab is 4.0 GiB",
            ),
        ];
        for (ended, asked, kind, message) in table {
            let cause = cause(&ended, &asked, now);
            assert_eq!((cause.kind, cause.message.as_str()), (kind, message));
        }
    }
}
