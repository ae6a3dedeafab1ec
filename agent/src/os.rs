//! Floor 1: the shared doors to the operating system. A door that one feature uses lives there.

pub mod clock;
pub mod command;
pub mod file;
pub mod machine;
pub mod process;
pub mod random;
pub mod signals;
pub mod socket;
pub mod systemd;
