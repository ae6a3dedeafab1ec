//! What a unit printed, out of the journal.

use std::collections::BTreeMap;

use crate::base::chain::Chain;
use crate::base::limits;
use crate::os::command::{self, CommandError, Program};
use crate::privileged::Refusal;

/// The last lines of a unit, oldest first; of one run, if its invocation is named.
///
/// Fewer where the lines are so long that they would not fit into one answer.
pub(super) async fn tail(
    unit: &str,
    invocation: Option<&str>,
    lines: usize,
) -> Result<Vec<String>, Refusal> {
    let mut lines = lines;
    loop {
        match command::run_as(&program(unit, invocation, lines), limits::USER_STEP, |_| false).await
        {
            Ok(output) if output.success => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                return Ok(text.lines().map(str::to_owned).collect());
            }
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(Refusal::Systemd(format!("the journal is not read: {text}")));
            }
            Err(CommandError::TooMuch { .. }) if lines > 1 => lines /= 4,
            Err(error) => {
                let error = Chain(&error);
                return Err(Refusal::Systemd(format!("the journal is not read: {error}")));
            }
        }
    }
}

fn program(unit: &str, invocation: Option<&str>, lines: usize) -> Program {
    let mut arguments = vec![
        "--quiet".to_owned(),
        "--no-pager".to_owned(),
        "--output=cat".to_owned(),
        format!("--lines={}", lines.max(1)),
        // What the program itself printed, and not what PID 1 says of it.
        format!("_SYSTEMD_UNIT={unit}"),
    ];
    arguments.extend(invocation.map(|id| format!("_SYSTEMD_INVOCATION_ID={id}")));
    Program {
        program: "/usr/bin/journalctl".into(),
        arguments,
        environment: BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]),
        folder: "/".into(),
        account: None,
    }
}
