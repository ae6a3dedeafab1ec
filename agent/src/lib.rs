//! stationd: makes a Linux VM a managed data-science workstation.
//!
//! The modules stand in floors; a module may use those on lower floors only, and features never
//! use each other (ARCHITECTURE.md, held by the tidy test).

// floor 0
pub mod base;
// floor 1
pub mod os;
// floor 2
pub mod front;
pub mod proxy;
