//! Reads and checks every part but `[listen]`. Pure: what it must know of the machine comes
//! through [`Facts`].

pub(super) mod apps;
pub(super) mod mounts;

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::model::{Format, Gpu, Identity, Instance, Level, Log};
use super::reader::{Found, Reader};
use super::schema::default_text;

/// How long a session may live without use, in hours; a week is its absolute life.
const SESSION_HOURS_MAX: i64 = 168;

/// What the checks ask of the machine.
pub trait Facts {
    fn user_exists(&self, name: &str) -> bool;
    /// The user that stationd runs as; `None` for root, who may become anyone.
    fn bound_to_user(&self) -> Option<String>;
    /// Whether it is certain that there is no such file.
    fn missing(&self, path: &Path) -> bool;
}

pub(super) fn instance(root: &Reader<'_>, facts: &dyn Facts) -> Instance {
    let part = root.part("instance");
    let folder = part.text("user_folder").and_then(|found| user_folder(&found));
    Instance {
        name: part.text("name").and_then(|found| instance_name(&found)),
        local_user: part.text("local_user").and_then(|found| local_user(&found, facts)),
        user_folder: folder.unwrap_or_else(|| default_text("instance.user_folder").to_owned()),
        root_access: part.flag("root_access").is_some_and(|found| found.value),
    }
}

fn instance_name(found: &Found<'_, String>) -> Option<String> {
    let name = &found.value;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let head = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if head && name.len() <= 63 && name.chars().all(plain) {
        return Some(name.clone());
    }
    found.wrong(
        format!("{name:?} is not a name"),
        "use letters, digits, '.', '_' and '-', beginning with a letter or digit, 63 at most",
    );
    None
}

fn local_user(found: &Found<'_, String>, facts: &dyn Facts) -> Option<String> {
    let name = &found.value;
    if name.is_empty() || name.contains(['/', ':', '\0']) || !facts.user_exists(name) {
        found.wrong(
            format!("there is no user {name:?} on this machine"),
            "create the user, or name another; without the key it is whoever runs stationd",
        );
        return None;
    }
    if let Some(own) = facts.bound_to_user().filter(|own| own != name) {
        found.wrong(
            format!("stationd runs as {own} and cannot start apps as {name}"),
            "start stationd as root, or remove the key",
        );
        return None;
    }
    Some(name.clone())
}

fn user_folder(found: &Found<'_, String>) -> Option<String> {
    let text = &found.value;
    let filled = text.replace("{user}", "user");
    let problem = if filled.contains(['{', '}']) {
        "holds a placeholder other than {user}"
    } else if filled.contains(|c: char| c.is_control()) {
        "holds a control character"
    } else if Path::new(&filled).is_absolute() {
        "is absolute"
    } else if Path::new(&filled).components().any(|c| c == Component::ParentDir) {
        "leaves the workspace with .."
    } else {
        return Some(text.trim_end_matches('/').to_owned());
    };
    found.wrong(
        format!("{text:?} {problem}"),
        "name a folder below the workspace, such as \"Users/{user}\"; \"\" is the workspace itself",
    );
    None
}

pub(super) fn identity(root: &Reader<'_>) -> Identity {
    let part = root.part("identity");
    let hours = part.integer("session_hours", 1, SESSION_HOURS_MAX);
    let hours = hours.and_then(|found| u64::try_from(found.value).ok());
    let default = default_text("identity.session_hours").parse().unwrap_or(12);
    Identity { session: Duration::from_secs(hours.unwrap_or(default) * 3600) }
}

/// The most that one machine has; stationd looks at no more.
const GPUS: i64 = 64;

pub(super) fn gpu(root: &Reader<'_>) -> Gpu {
    let expected = root.part("gpu").integer("expected", 0, GPUS);
    Gpu { expected: expected.and_then(|found| u32::try_from(found.value).ok()) }
}

pub(super) fn log(root: &Reader<'_>) -> Log {
    let part = root.part("log");
    let levels = [
        ("off", Level::Off),
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
        ("trace", Level::Trace),
    ];
    let formats = [("text", Format::Text), ("json", Format::Json)];
    let level = part.word("level", &levels);
    let format = part.word("format", &formats);
    Log {
        level: level.map_or(Level::Info, |found| found.value),
        format: format.map_or(Format::Text, |found| found.value),
    }
}

fn refuse_duplicate<T: PartialEq + std::fmt::Display>(
    found: &Found<'_, T>,
    earlier: &[Found<'_, T>],
) {
    if let Some(first) = earlier.iter().find(|first| first.value == found.value) {
        let line = first.at.line.map(|line| format!(" line {line}"));
        found.wrong(
            format!(
                "{} is named twice, first in {}{}",
                found.value,
                first.at.file,
                line.unwrap_or_default()
            ),
            "choose another, or remove one of the two",
        );
    }
}

/// A path that means the same wherever stationd was started.
pub(super) fn absolute_path(found: &Found<'_, String>) -> Option<PathBuf> {
    let path = Path::new(&found.value);
    let problem = if found.value.contains('\0') {
        "holds a NUL character"
    } else if !path.is_absolute() {
        "is not an absolute path"
    } else if path.components().any(|part| part == Component::ParentDir) {
        "holds .."
    } else {
        return Some(path.to_owned());
    };
    found.wrong(
        format!("{:?} {problem}", found.value),
        "write the path in full from /, without ~ and without ..",
    );
    None
}
