//! The few places where a thing may be done: waiting on several events, becoming another user,
//! mounting, talking to the container engine or to PID 1.

use crate::tree::{Tree, places};
use crate::{Violations, finds, hold};

/// Files besides `task.rs` that may use `select!`, each with the reason.
const SELECT_ALLOWED: &[(&str, &str)] =
    &[("agent/src/os/signals.rs", "one wait for two signals, used by everybody")];

fn select_in_task_files_only(tree: &Tree) -> Violations {
    let mut violations = Vec::new();
    for file in tree.agent() {
        let allowed = file.path.ends_with("/task.rs")
            || SELECT_ALLOWED.iter().any(|(path, _)| *path == file.path);
        if allowed {
            continue;
        }
        for (line, ..) in places(file.code_without_tests(), "select!") {
            violations.push(file.at(
                line,
                "select! outside of task.rs: move the loop there, or add the file with its reason \
                 to SELECT_ALLOWED in tests/tidy/seams.rs",
            ));
        }
    }
    violations
}

fn every_select_arm_is_explained(tree: &Tree) -> Violations {
    let mut violations = Vec::new();
    for file in tree.agent() {
        for (line, ..) in places(file.code_without_tests(), "select!") {
            let around: Vec<_> = file.text.lines().skip(line.saturating_sub(6)).take(60).collect();
            if !around.iter().any(|text| text.to_lowercase().contains("cancel")) {
                violations.push(file.at(line, "say for each arm of select! why it is cancel-safe"));
            }
        }
    }
    violations
}

/// What only `privileged/` and `os/` may do, and the words by which it shows.
const PRIVILEGED: &[(&str, &[&str])] = &[
    (
        "changes the user or group of a process",
        &[
            "setuid(",
            "setgid(",
            "setresuid(",
            "setresgid(",
            "setgroups(",
            "initgroups(",
            ".uid(",
            ".gid(",
        ],
    ),
    ("mounts", &["nix::mount", "mount::mount(", "umount(", "umount2(", "unshare(", "setns("]),
    ("talks to the container engine", &["bollard"]),
    ("talks to D-Bus", &["zbus"]),
];

/// The same, where it shows in a string.
const PRIVILEGED_PATHS: &[(&str, &str)] = &[
    ("talks to the container engine", "docker.sock"),
    ("talks to the container engine", "podman.sock"),
    ("talks to D-Bus", "system_bus_socket"),
];

fn privileged_acts_have_one_place(tree: &Tree) -> Violations {
    let mut violations = Vec::new();
    for file in tree.agent() {
        if matches!(file.module_path()[0], "privileged" | "os") {
            continue;
        }
        let mut report = |line, act| {
            let message = format!("this {act}: add a verb to agent/src/privileged instead");
            violations.push(file.at(line, &message));
        };
        for (act, words) in PRIVILEGED {
            for word in *words {
                for (line, _, after) in places(&file.code, word) {
                    // `.uid()` without an argument only asks.
                    if !(word.starts_with('.') && after.starts_with(')')) {
                        report(line, *act);
                    }
                }
            }
        }
        for (act, path) in PRIVILEGED_PATHS {
            for (line, text) in file.text.lines().enumerate() {
                if text.contains(path) && !text.trim_start().starts_with("//") {
                    report(line + 1, *act);
                }
            }
        }
    }
    violations
}

#[test]
fn select_stands_in_task_files_only() {
    hold(select_in_task_files_only);
}

#[test]
fn a_select_elsewhere_is_found() {
    finds(
        select_in_task_files_only,
        &[
            ("agent/src/apps/task.rs", "tokio::select! {}\n"),
            ("agent/src/apps/state.rs", "\ntokio::select! {}\n"),
        ],
        &["agent/src/apps/state.rs:2"],
    );
}

#[test]
fn select_exceptions_exist() {
    let tree = Tree::of_repository();
    let gone: Vec<_> = SELECT_ALLOWED
        .iter()
        .filter(|(path, _)| tree.file(path).is_none_or(|file| !file.code.contains("select!")))
        .collect();
    assert!(gone.is_empty(), "these need no exception any more: {gone:#?}");
}

#[test]
fn select_arms_are_explained() {
    hold(every_select_arm_is_explained);
}

#[test]
fn a_select_without_a_word_on_cancelling_is_found() {
    finds(
        every_select_arm_is_explained,
        &[
            ("agent/src/apps/task.rs", "\ntokio::select! {\n  x = y() => {}\n}\n"),
            (
                "agent/src/host/task.rs",
                "tokio::select! {\n  // cancel-safe: recv loses nothing\n  x = y() => {}\n}\n",
            ),
        ],
        &["agent/src/apps/task.rs:2"],
    );
}

#[test]
fn privileged_acts_stand_in_privileged_and_os_only() {
    hold(privileged_acts_have_one_place);
}

#[test]
fn a_privileged_act_elsewhere_is_found() {
    finds(
        privileged_acts_have_one_place,
        &[
            (
                "agent/src/apps/keeper.rs",
                "command.uid(1000);\nlet u = peer.uid();\nnix::unistd::setuid(x);\nlet s = \"/run/docker.sock\";\n",
            ),
            ("agent/src/privileged/launch.rs", "command.uid(1000);\n"),
        ],
        &["agent/src/apps/keeper.rs:3", "agent/src/apps/keeper.rs:1", "agent/src/apps/keeper.rs:4"],
    );
}
