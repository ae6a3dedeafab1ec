//! The harness of the suites: it drives the real `stationd` and `stationctl` as their users do.
//!
//! [`station::Station`] is a running daemon in a home of its own, [`machine::Machine`] a whole
//! machine with systemd that the package is installed on; [`http::Client`] a browser
//! without a screen; [`kernel::Kernel`] a notebook without one; [`browser::Browser`] a real one.
//! [`standin`] takes JupyterLab's place where a test needs an app that misbehaves on demand.
//! [`rserver`] stands in for RStudio Server. [`control`] is a control plane with its certificates.
//!
//! [`share`] is a storage with a share on it.
//!
//! [`mod@bench`] measures.
//!
//! The binaries are looked for beside the test's own: `cargo build --workspace --bins` makes them,
//! `scripts/test` does it before the suites. Waits are on the product's own events, each with a
//! limit; a program that cannot be had (JupyterLab, Chromium, Node) fails the test where `CI` is set and
//! is skipped aloud elsewhere.

pub mod admin;
pub mod bench;
pub mod browser;
pub mod control;
pub mod engine;
pub mod gpus;
pub mod held;
pub mod host;
pub mod http;
pub mod jupyter;
pub mod kernel;
pub mod machine;
pub mod node;
pub mod process;
pub mod rserver;
pub mod share;
pub mod soak;
pub mod standin;
pub mod station;

/// Prints why a test does nothing here; where `CI` is set it must not happen.
pub fn skip(why: &str) -> anyhow::Result<()> {
    anyhow::ensure!(std::env::var_os("CI").is_none(), "cannot run this test: {why}");
    #[expect(clippy::print_stderr, reason = "whoever runs the tests must see it")]
    {
        eprintln!("SKIPPED: {why}");
    }
    Ok(())
}
