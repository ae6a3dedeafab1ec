//! Floor 0: what every part may use and what does no I/O.
//!
//! Nothing here opens a file, asks the clock or starts a task of its own accord. `tasks` and
//! `bus` wrap tokio's primitives so that every task has a name and every queue a limit.

pub mod backoff;
pub mod bus;
pub mod conditions;
pub mod frames;
pub mod ids;
pub mod limits;
pub mod moment;
pub mod tasks;
pub mod text;

pub use self::text::chain;
