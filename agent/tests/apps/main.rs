//! The supervision with real keepers and a small program as the app: crashes, kills, adoption.
//!
//! With `STATIOND_TEST_HOLDER=units` systemd's units hold the app instead: as root, where systemd is
//! PID 1 and the package's files are installed, one test at a time. The boot suite does that.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test plays the part of stationd, and fails loudly"
)]

mod account;
mod idle;
mod life;
mod rig;
