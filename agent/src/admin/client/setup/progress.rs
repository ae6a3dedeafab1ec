//! What is seen of a running setup: one line for each step, and on a terminal the newest line of
//! its output below.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

/// Letters of an output line that are shown: a line that wraps could not be taken away again.
const WIDTH: usize = 76;

/// Where the lines go.
#[derive(Debug)]
pub(super) struct Progress {
    quiet: bool,
    terminal: bool,
    total: usize,
    head: String,
    /// Whether the line of a step has no end yet.
    open: bool,
}

impl Progress {
    /// For so many steps; `quiet` prints nothing.
    pub(super) fn new(quiet: bool, total: usize) -> Self {
        Self {
            quiet,
            terminal: io::stdout().is_terminal(),
            total,
            head: String::new(),
            open: false,
        }
    }

    pub(super) fn begin(&mut self, number: usize, sentence: &str) {
        self.head = format!("[{number}/{}] {sentence} …", self.total);
        self.print(&self.head);
        self.open = true;
    }

    pub(super) fn line(&self, line: &str) {
        if self.terminal {
            self.print(&below(&self.head, line));
        }
    }

    pub(super) fn end(&mut self, how: &str) {
        let clear = if self.terminal { "\x1b[J" } else { "" };
        self.print(&format!("{clear} {how}\n"));
        self.open = false;
    }

    fn print(&self, text: &str) {
        if self.quiet {
            return;
        }
        let mut out = io::stdout().lock();
        // Whoever reads it may have gone; the work goes on.
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).unwrap_or_default();
    }
}

impl Drop for Progress {
    /// What comes after a step that was broken off begins on a line of its own.
    fn drop(&mut self) {
        if self.open {
            self.end("stopped");
        }
    }
}

/// The line below the head, and the cursor at the head's end again.
fn below(head: &str, line: &str) -> String {
    let shown: String = line.chars().filter(|c| !c.is_control()).take(WIDTH).collect();
    format!("\n\r\x1b[K  {shown}\x1b[A\r{head}")
}

/// `0.4 s`, `41 s`, `3 min`
pub(super) fn took(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_steer_the_terminal_nor_wrap() {
        let shown = below("[1/2] x …", &format!("\x1b[2Ja\tb{}", "c".repeat(500)));
        let line = shown.split("\x1b[K  ").nth(1).unwrap().split("\x1b[A").next().unwrap();
        assert!(line.starts_with("[2Jabc") && line.len() == WIDTH, "{line}");
    }

    #[test]
    fn times() {
        let of = |ms| took(Duration::from_millis(ms));
        assert_eq!([of(420), of(41_300), of(200_000)], ["0.4 s", "41 s", "3 min"]);
    }
}
