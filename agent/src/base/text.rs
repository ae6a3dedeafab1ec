//! Small things about texts, without I/O.

pub mod placeholders;
pub mod redact;
