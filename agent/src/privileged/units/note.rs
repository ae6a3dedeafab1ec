//! `stationd note-exit`: the last step of an app's unit, run by PID 1, which writes down how the app
//! ended. Whoever supervises it may not live then.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::base::ids::AppName;
use crate::os::{clock, file};
use crate::privileged::keeper;
use crate::privileged::keeper::files::{Asked, Exit, Folder, Kept, VERSION};

/// `sysconf(_SC_CLK_TCK)`, which Linux fixes for programs: the unit of a process's start time.
const TICK: Duration = Duration::from_millis(10);

/// The whole role, for the apps whose files lie below `keepers`. Which app it is stands in its
/// `STATIOND_UNIT`; how it ended in `$SERVICE_RESULT`, `$EXIT_CODE` and `$EXIT_STATUS`, see
/// systemd.exec(5).
pub fn run(keepers: &Path) -> ExitCode {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let unit = variable("STATIOND_UNIT");
    let Some(app) = unit.split('/').nth(1).and_then(|name| AppName::parse(name).ok()) else {
        return ExitCode::FAILURE;
    };
    let folder = Folder::of(keepers, &app);
    let ended = Ended {
        result: variable("SERVICE_RESULT"),
        code: variable("EXIT_CODE"),
        status: variable("EXIT_STATUS"),
    };
    let asked = keeper::read::<Asked>(&folder.asked()).filter(|asked| asked.unit == unit);
    let kept = keeper::read::<Kept>(&folder.kept()).filter(|kept| kept.unit == unit);
    let now = clock::now();
    let ran = kept.filter(|kept| kept.app.start_ticks > 0).map(|kept| {
        let ticks = u32::try_from(kept.app.start_ticks).unwrap_or(u32::MAX);
        now.mono.saturating_sub(TICK * ticks)
    });
    let ran_ms = u64::try_from(ran.unwrap_or_default().as_millis()).unwrap_or_default();
    let exit = Exit { at: now.wall.as_millisecond(), ran_ms, ..exit(&ended, &unit, asked) };
    let text = serde_json::to_vec_pretty(&exit).unwrap_or_default();
    let written =
        folder.check_own().and_then(|()| file::write_atomic(&folder.exit(), &text, 0o600));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        // The end is unknown then, and is called so.
        Err(_) => ExitCode::FAILURE,
    }
}

/// What PID 1 says of the end.
struct Ended {
    result: String,
    code: String,
    status: String,
}

fn exit(ended: &Ended, unit: &str, asked: Option<Asked>) -> Exit {
    let killed = matches!(ended.code.as_str(), "killed" | "dumped");
    let generation = unit.rsplit('/').next().and_then(|text| text.parse().ok());
    Exit {
        version: VERSION,
        generation: generation.unwrap_or_default(),
        unit: unit.to_owned(),
        code: ended.status.parse().ok().filter(|_| ended.code == "exited"),
        signal: if killed { signal(&ended.status) } else { None },
        at: 0,
        ran_ms: 0,
        asked: asked.map(|asked| asked.by),
        forced: matches!(ended.result.as_str(), "timeout" | "watchdog"),
        dropped_bytes: 0,
        killed: 0,
        left: 0,
    }
}

/// `TERM`, `KILL` and the like.
fn signal(name: &str) -> Option<i32> {
    format!("SIG{name}").parse::<Signal>().ok().map(|signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privileged::keeper::files::StopBy;

    #[test]
    fn the_end_is_what_pid_1_says() {
        let table = [
            ("success", "exited", "0", Some(0), None, false),
            ("exit-code", "exited", "3", Some(3), None, false),
            ("signal", "killed", "KILL", None, Some(9), false),
            ("core-dump", "dumped", "SEGV", None, Some(11), false),
            ("timeout", "killed", "KILL", None, Some(9), true),
            ("resources", "", "", None, None, false),
        ];
        for (result, code, status, exited, signalled, forced) in table {
            let [result, code, status] = [result, code, status].map(str::to_owned);
            let asked = Some(Asked { unit: "system/a/7".into(), by: StopBy::User });
            let found = exit(&Ended { result, code, status }, "system/a/7", asked);
            assert_eq!((found.code, found.signal, found.forced), (exited, signalled, forced));
            assert_eq!((found.generation, found.asked), (7, Some(StopBy::User)));
        }
    }
}
