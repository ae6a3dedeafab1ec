//! The command line of `stationctl`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use station_proto::token::Action;

use super::setup::Setup;
use crate::base::ids::AppName;
use crate::base::limits;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 the answer is no, 2 wrong command line, \
                          3 cannot connect, 4 not allowed";

/// Looks at and steers the stationd of this machine.
#[derive(Debug, Parser)]
#[command(name = "stationctl", version, after_help = EXIT_CODES)]
pub struct Args {
    /// The folder that holds all of stationd's files
    #[arg(long, global = true, env = "STATIOND_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// The admin socket, if it is not where --home puts it
    #[arg(long, global = true, env = "STATIOND_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Print the API's own JSON
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// One screen: apps, what is wrong, the machine
    Status,
    /// What a control plane sees: lease, status, samples (JSON)
    Heartbeat,
    /// Make a link that opens a browser session, once, within ten minutes; or a token for scripts
    Login(Login),
    /// Make tokens for programs that use the API; list and revoke all tokens
    #[command(subcommand)]
    Token(TokenVerb),
    /// List, start, stop and restart apps, and read their logs
    #[command(subcommand)]
    App(AppVerb),
    /// Shares: list and show them, take one up anew, bring everything to one and unmount it
    #[command(subcommand)]
    Mount(MountVerb),
    /// What the machine is: system, size, cloud, CUDA
    Node,
    /// GPUs, their driver, and who holds their memory
    Gpu,
    /// Try whether the workstation works: a kernel, the share, a container, each GPU; or look closer
    /// at one part
    Doctor {
        #[arg(value_enum)]
        part: Option<DoctorPart>,
        /// Write what somebody who helps needs to see to FILE, a new .tar.gz: what doctor finds, status, node,
        /// GPUs, events of the last day, logs and configuration, without passwords, keys and tokens
        #[arg(long, value_name = "FILE", conflicts_with = "part")]
        bundle: Option<PathBuf>,
    },
    /// What doctor tries in a process of its own
    #[command(hide = true)]
    Canary {
        #[arg(value_enum)]
        what: Canary,
        /// The share's folder, or the GPU's number
        subject: String,
    },
    /// What happened, in order
    Events {
        /// Go on and print new events as they come
        #[arg(long)]
        follow: bool,
        /// Only events after this sequence number
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: u64,
    },
    /// Say what a condition means and what to do; without NAME list them all
    Explain {
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Find every mistake in the configuration; needs no running stationd
    Check {
        /// A file to check instead of the one in force
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Install or repair what the workstation runs; needs no running stationd
    Setup(Setup),
    /// Stop every app, then stationd. (SIGTERM to stationd leaves apps running.)
    Down,
}

/// What `doctor` looks at.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum DoctorPart {
    /// Every value of the GPUs, and how long each call of their driver takes
    Gpu,
    /// Every share: what is pending, how it answers, what lies at its place
    Mount,
}

/// What a process of its own tries.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Canary {
    Share,
    Gpu,
}

#[derive(Debug, clap::Args)]
pub struct Login {
    /// Open this app after the login
    #[arg(long, value_name = "NAME", value_parser = AppName::parse)]
    pub app: Option<AppName>,
    /// Print the link alone, for scripts
    #[arg(long)]
    pub print: bool,
    /// Make a token instead, for scripts and VS Code: it opens the app of --app and nothing else
    #[arg(long, requires = "app")]
    pub token: bool,
    /// How long the token holds, from 1m to 90d
    #[arg(long, value_name = "D", requires = "token", default_value = "12h", value_parser = life)]
    pub ttl: Duration,
    /// What the token is for, to know it again in the list
    #[arg(
        long,
        value_name = "TEXT",
        requires = "token",
        default_value = "",
        hide_default_value = true
    )]
    pub note: String,
}

#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Make a token for a program that uses the API, such as a control plane; for an app see `login
    /// --token`
    Create {
        /// What it allows; may be given several times
        #[arg(long = "action", value_name = "ACTION", required = true, value_parser = action)]
        actions: Vec<String>,
        /// How long it holds: 30m, 12h, 7d; a minute at least, 90d at most
        #[arg(long, value_name = "D", value_parser = life)]
        ttl: Duration,
        /// What it is for, to know it again in the list
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        name: String,
    },
    /// Every token that holds; never its secret
    List,
    /// End a token at once
    Revoke {
        /// The number that `token list` shows
        #[arg(value_name = "ID")]
        id: u64,
    },
}

/// One of the reference's actions.
fn action(text: &str) -> Result<String, String> {
    let known = Action::parse(text).map(|action| action.name().to_owned());
    known.ok_or_else(|| format!("there are {}", Action::names()))
}

/// `30m`, `12h`, `7d`
fn life(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(number) {
        Some("m") => 60,
        Some("h") => 3600,
        Some("d") => 24 * 3600,
        _ => return Err("write a number and m, h or d, such as 30m, 12h or 7d".to_owned()),
    };
    let count: u64 = number.parse().map_err(|_no_number| {
        format!("{number:?} is no number: write a whole one and m, h or d, such as 30m, 12h or 7d")
    })?;
    let life = Duration::from_secs(count.saturating_mul(unit));
    if life < limits::TOKEN_LIFE_LEAST {
        Err("a token holds for a minute at least: 1m".to_owned())
    } else if life > limits::TOKEN_LIFE_MOST {
        Err("a token holds for 90 days at most: 90d".to_owned())
    } else {
        Ok(life)
    }
}

#[derive(Debug, Subcommand)]
pub enum AppVerb {
    /// Every configured app
    List,
    /// One app: what it does, how it and its kernels ended, and what shows whether it is at work
    Show {
        #[arg(value_parser = AppName::parse)]
        name: AppName,
    },
    /// Start an app
    Start {
        #[arg(value_parser = AppName::parse)]
        name: AppName,
    },
    /// Stop an app and everything it started, its kernels among them
    Stop {
        #[arg(value_parser = AppName::parse)]
        name: AppName,
    },
    /// Stop an app, then start it
    Restart {
        #[arg(value_parser = AppName::parse)]
        name: AppName,
    },
    /// The newest lines of an app's log
    Logs {
        #[arg(value_parser = AppName::parse)]
        name: AppName,
        /// How many lines
        #[arg(long, default_value_t = limits::LOG_TAIL_LINES)]
        lines: usize,
    },
}

#[derive(Debug, Subcommand)]
pub enum MountVerb {
    /// Every share, and the local workspace
    List,
    /// One of them: what is pending, how it answers, why it was lost
    Show {
        #[arg(value_parser = AppName::parse)]
        name: AppName,
    },
    /// Start its driver anew, with the configuration and the credential of now
    Remount {
        #[arg(value_parser = AppName::parse)]
        name: AppName,
    },
    /// Bring everything to the share, then unmount it; 1 if something is left after the limit
    Drain {
        #[arg(value_parser = AppName::parse)]
        name: AppName,
        /// How many seconds to wait
        #[arg(long, value_name = "S", default_value_t = 600)]
        limit: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_of_tokens() {
        let check = |text: &str, expect: Result<u64, &str>| {
            let parsed = life(text).map(|life| life.as_secs());
            match expect {
                Ok(seconds) => assert_eq!(parsed, Ok(seconds), "{text}"),
                Err(part) => assert!(parsed.clone().is_err_and(|e| e.contains(part)), "{parsed:?}"),
            }
        };
        check("1m", Ok(60));
        check("30m", Ok(1800));
        check("12h", Ok(43_200));
        check("90d", Ok(7_776_000));
        check("0h", Err("1m"));
        check("91d", Err("90d"));
        check("99999999999999999999d", Err("no number"));
        check("18446744073709551615d", Err("90d"));
        for bad in ["", "12", "12 h", "-1h", "1.5h", "h", "12H", "1w", "30s", "1hm"] {
            check(bad, Err("such as 30m"));
        }
    }

    #[test]
    fn a_token_needs_an_app_and_a_life_needs_a_token() {
        let fits = |arguments: &[&str]| {
            Args::try_parse_from([&["stationctl", "login"], arguments].concat()).is_ok()
        };
        assert!(
            fits(&["--token", "--app", "lab"]) && fits(&["--token", "--app", "lab", "--ttl", "1h"])
        );
        assert!(!fits(&["--token"]) && !fits(&["--app", "lab", "--ttl", "1h"]));
        assert!(!fits(&["--app", "lab", "--note", "x"]) && fits(&[]));
    }
}
