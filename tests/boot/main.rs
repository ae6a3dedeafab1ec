//! The package on a machine: installed, booted, restarted, upgraded, removed, under a real systemd.
//!
//! Each test has a machine of its own ([`station_tests::machine`]). It needs root and the packages
//! that `scripts/package` has built; the step `boot` of `scripts/test` does all of it.
#![cfg(test)]

mod gpus;
mod install;
mod lives;
mod privileges;
mod remove;
mod tarball;
mod trouble;
mod upgrade;

pub(crate) use station_tests::machine::setup;
