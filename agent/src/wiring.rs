//! Floor 4: builds every part and joins them.

pub mod check;
pub mod folders;
pub mod log;
