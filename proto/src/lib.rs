//! Wire types of stationd: what crosses a socket, and nothing else. No I/O, and no logic but
//! how a delta is applied.
//!
//! Version 1 only grows: a field may be added, never removed or renamed, and a reader must ignore
//! fields and enum words that it does not know. `examples/` keeps a payload of every release and a
//! test reads them all for ever. Times are RFC 3339 in UTC with milliseconds; sizes are bytes or
//! carry their unit in the name.

pub mod api;
pub mod app;
pub mod cause;
pub mod condition;
pub mod event;
pub mod gpu;
pub mod heartbeat;
pub mod history;
pub mod mount;
pub mod node;
pub mod problem;
pub mod time;
pub mod token;
