//! stationd: makes a Linux VM a managed data-science workstation.
//!
//! The modules stand in floors; a module may use those on lower floors only, and features never
//! use each other (ARCHITECTURE.md, held by the tidy test).

// floor 0
pub mod base;
// floor 1
pub mod os;
pub mod privileged;
pub mod probe;
pub mod store;
pub mod warden;
// floor 2
pub mod apps;
pub mod attend;
pub mod front;
pub mod gpu;
pub mod host;
pub mod identity;
pub mod mount;
pub mod proxy;
// floor 3
pub mod admin;
pub mod config;
pub mod diagnose;
pub mod heartbeat;
pub mod lifecycle;
pub mod metrics;
pub mod web;
// floor 4
pub mod wiring;
