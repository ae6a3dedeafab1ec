//! The machine: what it is, and what is wrong with it.

mod host;
mod node;
