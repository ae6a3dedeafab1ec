//! Pure files decide and nothing else: no waiting, no clock, no I/O. What they need comes as a
//! parameter, what they want goes back as a value, and so every decision can be tested as a table.

use crate::tree::{File, Tree, places};
use crate::{Violations, finds, hold};

/// Files with these names are pure in every module of `agent/src`; so is every file whose opening
/// comment says it in one word, `Pure.` or `Pure:`.
const PURE_NAMES: &[&str] = &[
    "compose", "frames", "gate", "headers", "judge", "queue", "recipe", "route", "routes", "rules",
    "state", "verdict",
];

/// Whole folders that are pure. `base` alone may use tokio: its tasks and channels are no I/O.
const PURE_FOLDERS: &[&str] = &["agent/src/base", "proto/src"];

const WAITING: &[&str] = &["async ", ".await", "tokio::", "tokio_util::"];
const CLOCKS: &[&str] = &["::now()", "os::clock", "clock::now", "since_boot("];
const IO: &[&str] = &[
    "std::fs",
    "fs::",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "std::process",
    "std::env",
    "env::var",
    "env::args",
    "env::current_",
    "std::thread",
    "thread::",
    "rusqlite",
    "nix::unistd",
    "nix::fcntl",
    "nix::poll",
    "nix::sys::socket",
    "signal::kill",
    "crate::store",
    "os::file",
    "os::socket::http",
    "os::process",
    "os::random",
    "os::signals",
    "os::socket",
    "os::systemd",
    "command::run",
    "command::start",
];

fn is_pure(file: &File) -> bool {
    let path = file.module_path();
    let named = path.last().is_some_and(|stem| PURE_NAMES.contains(stem));
    let cover = file.text.lines().take_while(|line| line.starts_with("//!"));
    let says_so = |line: &str| ["Pure.", "Pure:", "Pure;"].iter().any(|word| line.contains(word));
    file.path.starts_with("agent/src/") && (named || cover.into_iter().any(says_so))
}

fn pure_files_decide_only(tree: &Tree) -> Violations {
    let mut violations = Vec::new();
    for file in tree.rust() {
        let in_pure_folder =
            PURE_FOLDERS.iter().any(|folder| file.path.starts_with(&format!("{folder}/")));
        let banned: Vec<&str> = if is_pure(file) {
            [WAITING, CLOCKS, IO].concat()
        } else if in_pure_folder {
            [CLOCKS, IO].concat()
        } else {
            continue;
        };
        let mut found = Vec::new();
        for pattern in banned {
            for (line, ..) in places(file.code_without_tests(), pattern) {
                found.push((line, pattern));
            }
        }
        found.sort_unstable();
        // One report a line: `std::fs` is also found as `fs::`.
        found.dedup_by_key(|(line, _)| *line);
        for (line, pattern) in found {
            violations.push(file.at(
                line,
                &format!(
                    "`{}` in a pure file: take it as a parameter, or return an effect",
                    pattern.trim()
                ),
            ));
        }
    }
    violations
}

#[test]
fn pure_files_have_no_waiting_no_clock_and_no_io() {
    hold(pure_files_decide_only);
}

#[test]
fn a_clock_a_wait_and_io_in_a_pure_file_are_found() {
    finds(
        pure_files_decide_only,
        &[
            (
                "agent/src/apps/state.rs",
                "//! tokio:: in a comment is fine\nuse std::fs::File;\nasync fn f() {}\nfn g(now: Moment) {}\nlet x = Instant::now();\n\n#[cfg(test)]\nmod tests { use std::fs; }\n",
            ),
            ("agent/src/apps/task.rs", "use tokio::select;\n"),
            (
                "agent/src/apps/cause.rs",
                "//! Causes. Pure.\nuse crate::os::file;\nuse std::net::SocketAddr;\n",
            ),
            ("agent/src/base/bus.rs", "use tokio::sync::watch;\nuse tokio::net::TcpStream;\n"),
            ("proto/src/time.rs", "let now = Timestamp::now();\n"),
        ],
        &[
            "agent/src/apps/state.rs:2",
            "agent/src/apps/state.rs:3",
            "agent/src/apps/state.rs:5",
            "agent/src/apps/cause.rs:2",
            "agent/src/base/bus.rs:2",
            "proto/src/time.rs:1",
        ],
    );
}
