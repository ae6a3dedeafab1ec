//! What is seen of a running app: whether it answers, what it works at, which kernels have ended.
//!
//! ```text
//!   probe ─► the app's own API: kernels, terminals, notebooks ──┐
//!     └────► its attendant: processes, ends ────────────────────┼─► activity ─► idle? since when?
//!   uses ──► requests and messages that the proxy has passed on ┘
//! ```

pub(super) mod activity;
pub(super) mod attendant;
pub(super) mod kernels;
pub(super) mod probe;
pub(super) mod uses;
