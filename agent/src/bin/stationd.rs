//! `stationd`: arguments in, one exit code out. What is built and joined is in `wiring`.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use stationd::attend;
use stationd::base::chain::Chain;
use stationd::base::tasks::pulse::Pulses;
use stationd::config::{Environment, Paths, Surroundings};
use stationd::lifecycle::watchdog;
use stationd::os::signals;
use stationd::os::systemd::passed::Passed;
use stationd::privileged::keeper;
use stationd::probe;
use stationd::warden;
use stationd::wiring::{self, Args, Outside, StartError, roles};

fn main() -> ExitCode {
    signals::let_all_through();
    if let Some(ended) = other_role() {
        return ended;
    }
    match daemon(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// The roles that stationd and PID 1 start, not a person. The small ones need no runtime.
fn other_role() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1).peekable();
    let role = arguments.next()?.into_string().ok()?;
    let ended = match role.as_str() {
        "keep" => return Some(keeper::run(arguments)),
        "attend" => return Some(attend::run(arguments)),
        "warden" => return Some(warden::run(arguments)),
        "note-exit" => return Some(roles::note_exit()),
        "probe" if arguments.next_if(|word| word == "look").is_some() => {
            return Some(probe::run());
        }
        "probe" if arguments.next_if(|word| word == "gpu").is_some() => {
            return Some(probe::gpu::run(arguments));
        }
        "probe" if arguments.next_if(|word| word == "host").is_some() => {
            return Some(probe::host::run());
        }
        "probe" if arguments.next_if(|word| word == "walk").is_some() => {
            return Some(probe::host::walk::run(arguments));
        }
        "probe" if arguments.next_if(|word| word == "share").is_some() => {
            return Some(probe::share::run());
        }
        "probe" => roles::probe(),
        "privileged" => roles::privileged(),
        _ => return None,
    };
    Some(ended.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::FAILURE
    }))
}

fn daemon(args: Args) -> Result<(), StartError> {
    // First of all: what was passed on is at known descriptors.
    let passed = Arc::new(Passed::take().map_err(StartError::Passed)?);
    let paths = if args.system {
        Paths::system()
    } else {
        Paths::of(&Surroundings::of_process(args.home)).map_err(StartError::Paths)?
    };
    let program = std::env::current_exe().map_err(StartError::Program)?;
    let (pulses, trace) = (Pulses::default(), paths.abort_trace.clone());
    // Before there is another thread: it takes SIGABRT from all of them.
    watchdog::start(pulses.clone(), trace).map_err(StartError::Watchdog)?;
    let environment = Environment::of_process();
    let outside = Outside { paths, environment, program, units: args.system, passed, pulses };
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
fn complain(error: &dyn std::error::Error) {
    eprintln!("stationd: {}", Chain(error));
}
