//! The daemon's entry; the roles of the same binary are told apart by the first argument.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(role) if role == "keep" => stationd::privileged::keeper::run(arguments),
        _ => ExitCode::FAILURE,
    }
}
