//! Small things about texts, without I/O.

pub mod chain;
pub mod placeholders;
pub mod redact;
pub mod scrub;
