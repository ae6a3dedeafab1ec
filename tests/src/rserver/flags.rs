//! The options of `rserver`, and no other: a supervisor that passes a wrong one learns it here.
//!
//! The names are those of the open-source server's own list, with `www-socket` (2024.09 and later)
//! and what every program of RStudio takes. Two forms, `--name=value` and `--name value`; the real
//! parser also takes a unique beginning of a name, which nobody should rely on: refused here.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Stands alone.
    Alone,
    Switch,
    Number,
    Text,
    /// May be given several times.
    Several,
}

use Kind::{Alone, Number, Several, Switch, Text};

const OPTIONS: &[(&str, Kind)] = &[
    ("help", Alone),
    ("version", Alone),
    ("test-config", Alone),
    ("check-config", Alone),
    ("config-file", Text),
    ("verify-installation", Switch),
    ("server-working-dir", Text),
    ("server-user", Text),
    ("server-daemonize", Switch),
    ("server-pid-file", Text),
    ("server-app-armor-enabled", Switch),
    ("server-set-umask", Switch),
    ("secure-cookie-key-file", Text),
    ("server-data-dir", Text),
    ("server-add-header", Several),
    ("www-address", Text),
    ("www-port", Text),
    ("www-socket", Text),
    ("www-root-path", Text),
    ("www-local-path", Text),
    ("www-symbol-maps-path", Text),
    ("www-use-emulated-stack", Switch),
    ("www-thread-pool-size", Number),
    ("www-proxy-localhost", Switch),
    ("www-verify-user-agent", Switch),
    ("www-same-site", Text),
    ("www-frame-origin", Text),
    ("www-enable-origin-check", Switch),
    ("www-allow-origin", Several),
    ("session-use-file-storage", Switch),
    ("rsession-which-r", Text),
    ("rsession-path", Text),
    ("rldpath-path", Text),
    ("rsession-ld-library-path", Text),
    ("rsession-config-file", Text),
    ("rsession-proxy-max-wait-secs", Number),
    ("rsession-memory-limit-mb", Number),
    ("rsession-stack-limit-mb", Number),
    ("rsession-process-limit", Number),
    ("database-config-file", Text),
    ("db-command", Text),
    ("auth-none", Switch),
    ("auth-validate-users", Switch),
    ("auth-stay-signed-in-days", Number),
    ("auth-timeout-minutes", Number),
    ("auth-encrypt-password", Switch),
    ("auth-login-page-html", Text),
    ("auth-rdp-login-page-html", Text),
    ("auth-required-user-group", Text),
    ("auth-minimum-user-id", Text),
    ("auth-pam-helper-path", Text),
    ("auth-pam-require-password-prompt", Switch),
    ("auth-pam-requires-priv", Switch),
    ("auth-sign-in-throttle-seconds", Number),
    ("auth-revocation-list-dir", Text),
    ("auth-cookies-force-secure", Switch),
    ("monitor-interval-seconds", Number),
];

/// What was given, by name.
#[derive(Debug, Default)]
pub struct Flags(BTreeMap<&'static str, Vec<String>>);

impl Flags {
    /// Reads the arguments without the program's name.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut flags = Self::default();
        let mut left = arguments.iter().peekable();
        while let Some(argument) = left.next() {
            let Some(option) = argument.strip_prefix("--") else {
                bail!("`{argument}` is no option, and nothing else is taken on the command line");
            };
            let (name, given) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            let Some((name, kind)) = OPTIONS.iter().find(|(known, _)| *known == name) else {
                bail!("the option '--{name}' is not recognised on the command line");
            };
            let value = if *kind == Alone {
                ensure!(given.is_none(), "the option '--{name}' takes no argument");
                String::new()
            } else {
                let next = || left.next_if(|next| !next.starts_with("--")).cloned();
                let value = given.or_else(next).unwrap_or_default();
                ensure!(!value.is_empty(), "the option '--{name}' needs an argument");
                value
            };
            let fits = match kind {
                Switch => switch(&value).is_some(),
                Number => value.parse::<i32>().is_ok(),
                Alone | Text | Several => true,
            };
            ensure!(fits, "the argument '{value}' does not fit the option '--{name}'");
            let all = flags.0.entry(name).or_default();
            all.push(value);
            ensure!(all.len() == 1 || *kind == Several, "the option '--{name}' is given twice");
        }
        Ok(flags)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn all(&self, name: &str) -> &[String] {
        debug_assert!(OPTIONS.iter().any(|(known, _)| *known == name), "{name}");
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    pub fn on(&self, name: &str, default: bool) -> bool {
        self.text(name).and_then(switch).unwrap_or(default)
    }
}

fn switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// The answer to `--help`: whoever looks for what this version can finds it here.
pub fn help() -> String {
    let lines = OPTIONS.iter().map(|(name, kind)| match kind {
        Alone => format!("  --{name}\n"),
        _ => format!("  --{name} arg\n"),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags> {
        Flags::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn both_forms_are_taken() {
        let line = "--www-socket=/a=b --auth-none 1 --server-add-header A:1 --server-add-header=B";
        let flags = parse(line).unwrap();
        assert_eq!(flags.text("www-socket"), Some("/a=b"));
        assert!(flags.on("auth-none", false));
        assert_eq!(flags.all("server-add-header"), ["A:1", "B"]);
        assert!(flags.on("server-daemonize", true) && !flags.on("server-daemonize", false));
        assert!(parse("--help").unwrap().has("help"));
    }

    #[test]
    fn everything_else_is_refused() {
        for (line, word) in [
            ("--www-sockets=/a", "'--www-sockets' is not recognised"),
            ("--www-sock=/a", "not recognised"),
            ("--WWW-SOCKET=/a", "not recognised"),
            ("-h", "no option"),
            ("/a", "no option"),
            ("--www-socket", "needs an argument"),
            ("--www-socket=", "needs an argument"),
            ("--www-socket --auth-none=1", "needs an argument"),
            ("--auth-none=maybe", "'maybe' does not fit"),
            ("--www-thread-pool-size=two", "does not fit"),
            ("--auth-none=1 --auth-none=1", "given twice"),
            ("--help=1", "takes no argument"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn the_help_names_what_a_preflight_looks_for() {
        for name in ["--www-root-path", "--www-socket", "--server-data-dir"] {
            assert!(help().contains(name));
        }
    }
}
