//! `stationctl`: arguments in, one exit code out. The verbs are in `admin::client`.

use std::process::ExitCode;

use clap::Parser;
use stationd::admin::client::args::{Args, Verb};
use stationd::admin::client::{self, ClientError, Printer, setup};
use stationd::base::chain::Chain;
use stationd::wiring::check;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let printer = Printer {
        json: args.json,
        ssh_connection: std::env::var("SSH_CONNECTION").ok(),
        user: std::env::var("USER").unwrap_or_else(|_| "USER".to_owned()),
    };
    let done = match &args.verb {
        Verb::Check { file } => check::run(args.home.clone(), file.as_deref(), &printer),
        Verb::Setup(wanted) => setup::run(args.home.clone(), wanted, &printer).await,
        verb => {
            let sockets = check::sockets(args.socket.clone(), args.home.clone());
            client::run(verb, &sockets, &printer).await
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one place where the command reports a failure")]
fn complain(error: &ClientError) {
    eprintln!("stationctl: {}", Chain(error));
}
