//! The command line of `stationctl`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::base::ids::AppName;

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
    /// Make a link that opens a browser session, once, within ten minutes
    Login {
        /// Open this app after the login
        #[arg(long, value_name = "NAME", value_parser = AppName::parse)]
        app: Option<AppName>,
        /// Print the link alone, for scripts
        #[arg(long)]
        print: bool,
    },
    /// List, start, stop and restart apps, and read their logs
    #[command(subcommand)]
    App(AppVerb),
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
    /// Stop every app, then stationd. (SIGTERM to stationd leaves apps running.)
    Down,
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
        #[arg(long, default_value_t = crate::base::limits::LOG_TAIL_LINES)]
        lines: usize,
    },
}
