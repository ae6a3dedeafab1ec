//! `stationd`: arguments in, one exit code out. What is built and joined is in `wiring`.

use std::process::ExitCode;

use clap::Parser;
use stationd::base::chain::Chain;
use stationd::config::{Environment, Paths, Surroundings};
use stationd::privileged::keeper;
use stationd::wiring::{self, Args, Outside, StartError};

fn main() -> ExitCode {
    // A keeper holds one app; it needs no runtime and stays small.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|role| role == "keep") {
        return keeper::run(arguments);
    }
    match daemon(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn daemon(args: Args) -> Result<(), StartError> {
    let paths = if args.system {
        Paths::system()
    } else {
        Paths::of(&Surroundings::of_process(args.home)).map_err(StartError::Paths)?
    };
    let program = std::env::current_exe().map_err(StartError::Program)?;
    let outside =
        Outside { paths, environment: Environment::of_process(), program, units: args.system };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let done = runtime.block_on(wiring::run(&outside));
    runtime.shutdown_background();
    done
}

#[expect(clippy::print_stderr, reason = "the one place where the daemon reports a failed start")]
fn complain(error: &StartError) {
    eprintln!("stationd: {}", Chain(error));
}
