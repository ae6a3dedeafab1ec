//! What an app needs before it can be started, whatever holds it then: its program, its folders, and
//! the exact command line and environment.

pub mod environment;
pub(super) mod find;
pub(super) mod folders;
pub(super) mod recipe;
