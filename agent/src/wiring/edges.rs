//! The edges: one small file for every place where one part's facts become another's input.

pub(super) mod admin_to_identity;
pub(super) mod admin_to_parts;
pub(super) mod apps_to_heartbeat;
pub(super) mod apps_to_proxy;
pub(super) mod config_to_apps;
pub(super) mod config_to_front;
pub(super) mod config_to_gpu;
pub(super) mod config_to_host;
pub(super) mod config_to_mounts;
pub(super) mod config_to_privileged;
pub(super) mod front_to_admin;
pub(super) mod front_to_identity;
pub(super) mod front_to_proxy;
pub(super) mod front_to_web;
pub(super) mod gpu_to_heartbeat;
pub(super) mod host_to_heartbeat;
pub(super) mod mount_to_heartbeat;
pub(super) mod parts_to_metrics;
pub(super) mod proxy_to_parts;
