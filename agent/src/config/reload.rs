//! What a new configuration changes: what may change live, and what needs a restart. Pure.

use super::model::{Config, Control, Listen, Tls};

/// A part that takes its new values while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    InstanceName,
    RootAccess,
    PublicUrl,
    Hosts,
    AllowedOrigins,
    AllowedSan,
    SessionHours,
    Apps,
    LogLevel,
}

/// The difference between two configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    pub live: Vec<Live>,
    /// Keys whose new value waits for a restart of stationd.
    pub needs_restart: Vec<String>,
}

impl Change {
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.needs_restart.is_empty()
    }
}

/// What is to be done so that `new` holds after `old`.
///
/// The folder of the user and the log format are read once, at the start: a running server
/// keeps its folder, and half a log in each format serves no reader. The scheme of the public URL
/// decides on the kind of the session cookie, which those who are logged in carry already.
pub fn diff(old: &Config, new: &Config) -> Change {
    let url = old.listen.public_url != new.listen.public_url;
    let scheme = url && scheme_changes(&old.listen, &new.listen);
    let live = [
        (Live::InstanceName, old.instance.name != new.instance.name),
        (Live::RootAccess, old.instance.root_access != new.instance.root_access),
        (Live::PublicUrl, url && !scheme),
        (Live::Hosts, old.listen.hosts != new.listen.hosts),
        (Live::AllowedOrigins, old.listen.allowed_origins != new.listen.allowed_origins),
        (Live::AllowedSan, sans(old) != sans(new) && rest(old) == rest(new)),
        (Live::SessionHours, old.identity != new.identity),
        (Live::Apps, old.apps != new.apps),
        (Live::LogLevel, old.log.level != new.log.level),
    ];
    let restart = [
        ("instance.local_user", old.instance.local_user != new.instance.local_user),
        ("instance.user_folder", old.instance.user_folder != new.instance.user_folder),
        ("listen.address", old.listen.address != new.listen.address),
        ("listen.public_url", scheme),
        ("listen.tls", old.listen.tls != new.listen.tls),
        ("control", rest(old) != rest(new)),
        ("mount", old.mounts != new.mounts),
        ("gpu.expected", old.gpu != new.gpu),
        ("log.format", old.log.format != new.log.format),
    ];
    Change {
        live: changed(live),
        needs_restart: changed(restart).into_iter().map(str::to_owned).collect(),
    }
}

/// What runs after a reload: `new`, with the values of `old` where a restart is needed.
pub fn effective(old: &Config, new: &Config) -> Config {
    let mut config = new.clone();
    config.instance.local_user.clone_from(&old.instance.local_user);
    config.instance.user_folder.clone_from(&old.instance.user_folder);
    if scheme_changes(&old.listen, &new.listen) {
        config.listen.public_url.clone_from(&old.listen.public_url);
    }
    config.listen.address = old.listen.address;
    config.listen.tls = old.listen.tls.clone();
    if rest(old) != rest(new) {
        config.control.clone_from(&old.control);
    }
    config.mounts.clone_from(&old.mounts);
    config.gpu = old.gpu;
    config.log.format = old.log.format;
    config
}

/// Who may come to the control listener.
fn sans(config: &Config) -> Option<&[String]> {
    config.control.as_ref().map(|control| control.allowed_san.as_slice())
}

/// All else of it. What is in the files may change at any time.
fn rest(config: &Config) -> Option<Control> {
    config.control.clone().map(|control| Control { allowed_san: Vec::new(), ..control })
}

/// Whether browsers would come with `https` where they came with `http`, or the other way round.
/// TLS itself stays as it is until a restart.
fn scheme_changes(old: &Listen, new: &Listen) -> bool {
    let secure = |url: &Option<String>| {
        url.as_ref().map_or(old.tls != Tls::Off, |url| url.starts_with("https://"))
    };
    secure(&old.public_url) != secure(&new.public_url)
}

fn changed<T, const N: usize>(parts: [(T, bool); N]) -> Vec<T> {
    let changed = parts.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(part, _)| part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    fn check(text: &str, live: &[Live], needs_restart: &[&str]) {
        let (old, new) = (config(""), config(text));
        let change = diff(&old, &new);
        assert_eq!(change.live, live, "{text}");
        assert_eq!(change.needs_restart, needs_restart, "{text}");
        assert_eq!(change.is_empty(), text.is_empty());
        // What is in force differs from the old one in the live parts alone.
        let effective = effective(&old, &new);
        let left = diff(&effective, &new);
        assert_eq!(left.live, [], "{text}");
        assert_eq!(left.needs_restart, needs_restart, "{text}");
        assert_eq!(diff(&old, &effective).needs_restart, [""; 0], "{text}");
    }

    #[test]
    fn what_a_change_means() {
        check("", &[], &[]);
        check("[instance]\nname = 'x'", &[Live::InstanceName], &[]);
        check("[instance]\nroot_access = true", &[Live::RootAccess], &[]);
        check("[instance]\nlocal_user = 'ann'", &[], &["instance.local_user"]);
        check("[instance]\nuser_folder = 'x'", &[], &["instance.user_folder"]);
        check("[listen]\naddress = '127.0.0.1:1'", &[], &["listen.address"]);
        check("[listen]\ntls = 'self-signed'", &[], &["listen.tls"]);
        check("[listen]\nhosts = ['x']", &[Live::Hosts], &[]);
        check("[listen]\nallowed_origins = ['http://x']", &[Live::AllowedOrigins], &[]);
        check("[listen]\npublic_url = 'http://x'", &[Live::PublicUrl], &[]);
        check("[listen]\npublic_url = 'https://x'", &[], &["listen.public_url"]);
        check(
            "[listen]\ntls = 'self-signed'\npublic_url = 'https://x'",
            &[],
            &["listen.public_url", "listen.tls"],
        );
        check("[identity]\nsession_hours = 1", &[Live::SessionHours], &[]);
        check("app = []", &[Live::Apps], &[]);
        check("[[mount]]\nname = 'workspace'\ndriver = 'directory'\npath = '/x'", &[], &["mount"]);
        let control =
            "[listen]\ntls = 'self-signed'\n[control]\naddress = '0.0.0.0:1'\nclient_ca = '/ca'";
        let with = |san: &str| config(&format!("{control}\nallowed_san = '{san}'"));
        let change = diff(&with("a"), &with("b"));
        assert_eq!((change.live, change.needs_restart.len()), (vec![Live::AllowedSan], 0));
        assert_eq!(diff(&config(""), &with("a")).needs_restart, ["listen.tls", "control"]);
        assert_eq!(effective(&config(""), &with("a")).control, None);
        check("[gpu]\nexpected = 8", &[], &["gpu.expected"]);
        check("[log]\nlevel = 'debug'", &[Live::LogLevel], &[]);
        check("[log]\nformat = 'json'", &[], &["log.format"]);
    }
}
