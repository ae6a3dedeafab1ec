//! What drives the real binaries from outside: measurements now, suites beside them.

pub mod bench;
