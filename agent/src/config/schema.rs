//! Every key there is, in one list: what this release takes, with its default, and what it will
//! take one day. Pure.
//!
//! The reader asks for keys of this list only, unknown keys are judged by it, and the commented
//! default file is tested against it, so that the three cannot drift apart.

use super::reader::Mistakes;
use super::reader::tree::{Node, Table, Value};

/// A key of this release.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Such as `listen.address`; keys of `[[app]]` are `app.…`.
    pub path: &'static str,
    /// As it is written in TOML; `None` if there is none.
    pub default: Option<&'static str>,
}

const fn key(path: &'static str, default: Option<&'static str>) -> Key {
    Key { path, default }
}

/// All keys of this release.
pub const KEYS: &[Key] = &[
    key("instance.name", None),
    key("instance.local_user", None),
    key("instance.user_folder", Some("\"Users/{user}\"")),
    key("instance.root_access", Some("false")),
    key("listen.address", Some("\"127.0.0.1:8710\"")),
    key("listen.hosts", Some("[]")),
    key("listen.public_url", None),
    key("listen.tls", Some("\"off\"")),
    key("listen.tls_certificate", None),
    key("listen.tls_key", None),
    key("listen.allowed_origins", Some("[]")),
    key("control.address", None),
    key("control.client_ca", None),
    key("control.allowed_san", None),
    key("control.tls_certificate", None),
    key("control.tls_key", None),
    key("identity.session_hours", Some("12")),
    key("app.name", Some("\"jupyterlab\"")),
    key("app.kind", Some("\"jupyterlab\"")),
    key("app.command", None),
    key("app.start", Some("\"boot\"")),
    key("app.ports", None),
    key("app.prefix", None),
    key("app.health", None),
    key("app.memory_max", None),
    key("app.idle_stop_minutes", None),
    key("app.server", None),
    key("mount.name", Some("\"workspace\"")),
    key("mount.driver", Some("\"directory\"")),
    key("mount.path", None),
    key("mount.account", None),
    key("mount.container", None),
    key("mount.subdirectory", None),
    key("mount.endpoint", None),
    key("mount.authentication", None),
    key("mount.credential", None),
    key("mount.tenant_id", None),
    key("mount.client_id", None),
    key("mount.remote", None),
    key("mount.share", None),
    key("mount.export", None),
    key("mount.cache_dir", None),
    key("mount.cache_max", None),
    key("mount.read_only", None),
    key("mount.wait_seconds", None),
    key("gpu.expected", None),
    key("log.level", Some("\"info\"")),
    key("log.format", Some("\"text\"")),
];

/// Keys and parts that stationd is designed for and this release does not have.
const LATER: &[&str] = &[
    "jobs",
    "idle",
    "schedule",
    "power",
    "script",
    "ssh",
    "samples",
    "disk",
    "instance.assigned_user",
    "instance.created_by",
    "identity.issuers",
    "identity.oidc",
    "identity.login_links",
    "mount.classes",
    "log.retention",
];

/// The default of `path` without its quotes.
pub(super) fn default_text(path: &str) -> &'static str {
    let default = KEYS.iter().find(|key| key.path == path).and_then(|key| key.default);
    debug_assert!(default.is_some(), "{path} has no default");
    default.unwrap_or_default().trim_matches('"')
}

pub(super) fn known(path: &str) -> bool {
    let below = |key: &&Key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    KEYS.iter().any(|key| key.path == path || below(&key))
}

/// Complains of every key in the tree that this release does not take.
pub(super) fn refuse_unknown(root: &Table, mistakes: &Mistakes) {
    walk(root, "", mistakes);
}

fn walk(table: &Table, above: &str, mistakes: &Mistakes) {
    for (name, node) in &table.0 {
        let path = join(above, name);
        if !known(&path) {
            refuse(&path, name, node, mistakes);
            continue;
        }
        match &node.value {
            Value::Table(inner) if above.is_empty() => walk(inner, &path, mistakes),
            Value::List(items) if above.is_empty() => {
                for item in items {
                    if let Value::Table(inner) = &item.value {
                        walk(inner, &path, mistakes);
                    }
                }
            }
            // A wrong type is the reader's to complain of.
            _ => {}
        }
    }
}

fn join(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") }
}

fn refuse(path: &str, name: &str, node: &Node, mistakes: &Mistakes) {
    let (problem, remedy) = if LATER.contains(&path) {
        let problem = "not supported by this release".to_owned();
        (problem, format!("remove {}", shown(path, node)))
    } else {
        ("unknown key".to_owned(), suggestion(path, name))
    };
    mistakes.add(&node.spot, path, problem, remedy);
}

fn shown(path: &str, node: &Node) -> String {
    match node.value {
        Value::Table(_) if !path.contains('.') => format!("[{path}]"),
        _ => path.to_owned(),
    }
}

/// What was meant, as far as that can be guessed.
fn suggestion(path: &str, name: &str) -> String {
    let part_of = |key: &'static str| key.split_once('.').map_or(key, |(part, _)| part);
    let part = path.rsplit_once('.').map(|(part, _)| part);
    let mut candidates: Vec<&str> = KEYS
        .iter()
        .filter_map(|key| match part {
            Some(part) => key.path.strip_prefix(part)?.strip_prefix('.'),
            None => Some(part_of(key.path)),
        })
        .collect();
    candidates.dedup();
    let nearest = candidates.iter().min_by_key(|candidate| distance(name, candidate));
    if let Some(near) = nearest.filter(|near| distance(name, near) <= 1 + name.len() / 4) {
        return format!("did you mean {near}?");
    }
    let elsewhere = KEYS.iter().find(|key| key.path.ends_with(&format!(".{name}")));
    if let Some(other) = elsewhere {
        return format!("{name} belongs to [{}]", part_of(other.path));
    }
    let place = part.map_or("the file".to_owned(), |part| format!("[{part}]"));
    format!("remove it; {place} takes {}", candidates.join(", "))
}

/// Letters to add, drop, change or swap until `a` is `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let change = at(&last, j) + usize::from(left != right);
            let mut best = change.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped =
                i > 0 && j > 0 && a.get(i - 1) == Some(right) && b.get(j - 1) == Some(left);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    at(&last, b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("tls", "tsl", 1),
            ("adress", "address", 1),
            ("kitten", "sitting", 3),
            ("ä", "a", 1),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn suggestions() {
        for (path, name, expected) in [
            ("listen.adress", "adress", "did you mean address?"),
            ("lisen", "lisen", "did you mean listen?"),
            ("apps", "apps", "did you mean app?"),
            ("identity.level", "level", "level belongs to [log]"),
            ("address", "address", "address belongs to [listen]"),
            ("log.zebra", "zebra", "remove it; [log] takes level, format"),
            (
                "zebra",
                "zebra",
                "remove it; the file takes instance, listen, control, identity, app, mount, \
                 gpu, log",
            ),
        ] {
            assert_eq!(suggestion(path, name), expected);
        }
    }

    #[test]
    fn no_key_is_both_now_and_later() {
        assert!(LATER.iter().all(|path| !known(path)));
    }
}
