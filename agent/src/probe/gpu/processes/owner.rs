//! Whose a process is: its user, and the app, unit or container that it runs in.

use std::fs;

use nix::unistd::{Uid, User};

/// What is known of a process; it may have ended meanwhile, or be hidden from us.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Owner {
    pub name: Option<String>,
    pub uid: Option<u32>,
    pub user: Option<String>,
    pub app: Option<String>,
    pub unit: Option<String>,
}

pub(super) fn of(pid: i32) -> Owner {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let uid = read("status").and_then(|text| uid(&text));
    let place = read("cgroup").map(|text| place(&text)).unwrap_or_default();
    let environment = || fs::read(format!("/proc/{pid}/environ")).ok();
    Owner {
        name: read("comm").map(|text| text.trim_end().to_owned()),
        uid,
        user: uid.and_then(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten()).map(|u| u.name),
        // Without systemd an app is known by its environment.
        app: place.app.or_else(|| environment().and_then(|bytes| app_of(&bytes))),
        unit: place.unit,
    }
}

/// The real uid of `/proc/PID/status`.
fn uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Place {
    app: Option<String>,
    unit: Option<String>,
}

/// The innermost unit or container in the paths of `/proc/PID/cgroup`; see cgroups(7).
fn place(cgroup: &str) -> Place {
    let paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let parts = paths.flat_map(|path| path.split('/'));
    let named = parts.filter_map(name_of);
    // The longest path comes last where there is one for each controller; the innermost part wins.
    let Some(unit) = named.fold(None, |_before, part| Some(part)) else { return Place::default() };
    let app = unit.strip_prefix("stationd-app-").and_then(|rest| rest.strip_suffix(".service"));
    Place { app: app.map(str::to_owned), unit: Some(unit) }
}

/// A service or scope of systemd, or a container of Docker or Podman (64 hexadecimal digits).
fn name_of(part: &str) -> Option<String> {
    let id = part.strip_suffix(".scope").unwrap_or(part);
    let id = id.strip_prefix("docker-").or_else(|| id.strip_prefix("libpod-")).unwrap_or(id);
    if id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let short: String = id.chars().take(12).collect();
        return Some(format!("container {short}"));
    }
    let (_name, kind) = part.rsplit_once('.')?;
    matches!(kind, "service" | "scope").then(|| part.to_owned())
}

/// `app` of `STATIOND_UNIT=INSTANCE/app/generation`.
fn app_of(environment: &[u8]) -> Option<String> {
    let mut entries = environment.split(|byte| *byte == 0);
    let value = entries.find_map(|entry| entry.strip_prefix(b"STATIOND_UNIT="))?;
    let app = std::str::from_utf8(value).ok()?.split('/').nth(1)?;
    (!app.is_empty()).then(|| app.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_unit_or_container_counts() {
        let id = "a1b2".repeat(16);
        let cases = [
            (
                "0::/stationd.slice/stationd-app-jupyterlab.service\n",
                Some("jupyterlab"),
                "stationd-app-jupyterlab.service",
            ),
            ("0::/user.slice/user-1000.slice/session-3.scope\n", None, "session-3.scope"),
            (&format!("0::/system.slice/docker-{id}.scope\n"), None, "container a1b2a1b2a1b2"),
            (
                &format!("4:memory:/docker/{id}\n1:name=systemd:/docker/{id}\n"),
                None,
                "container a1b2a1b2a1b2",
            ),
            (
                &format!("0::/system.slice/docker.service/docker/{id}\n"),
                None,
                "container a1b2a1b2a1b2",
            ),
        ];
        for (text, app, unit) in cases {
            let expected = Place { app: app.map(str::to_owned), unit: Some(unit.to_owned()) };
            assert_eq!(place(text), expected, "{text}");
        }
        assert_eq!(place("0::/\n"), Place::default());
        assert_eq!(place("nonsense"), Place::default());
    }

    #[test]
    fn the_environment_names_the_app() {
        assert_eq!(app_of(b"A=b\0STATIOND_UNIT=INST/lab/3\0"), Some("lab".to_owned()));
        assert_eq!(app_of(b"STATIOND_UNIT=nothing\0"), None);
        assert_eq!(app_of(b"X_STATIOND_UNIT=a/b/c\0"), None);
    }

    #[test]
    fn this_process_has_a_name_and_a_user() {
        let owner = of(nix::unistd::getpid().as_raw());
        assert_eq!(owner.uid, Some(nix::unistd::getuid().as_raw()));
        assert!(owner.name.is_some());
        assert_eq!(of(i32::MAX), Owner::default());
    }
}
