//! blobfuse2: pure. See `setup/advancedConfig.yaml` of Azure/azure-storage-fuse.
//!
//! It empties its cache at each graceful unmount, and refuses one that is not empty, or forgets what is in
//! it. So each start gets a folder of its own, and what an earlier one left is put aside first (`rescue`).
//! The kernel's write-back cache is off: what lies there is lost with the driver.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::{Given, Plan, environment};
use crate::warden::files::{Container, Launch, Login};
use crate::warden::rescue::blobfuse2::Folders;

/// More than it will ever say.
const LOG_MIB_MAX: u64 = 1 << 20;

/// Where the driver of this generation keeps its copies: the only folder that it may empty.
pub(in crate::warden) fn folder(launch: &Launch) -> PathBuf {
    Folders::of(&launch.cache).now
}

pub(super) fn plan(launch: &Launch, container: &Container, given: &Given) -> Plan {
    let text = |path: &std::path::Path| path.display().to_string();
    let mut arguments = vec![
        "mount".to_owned(),
        text(&given.at),
        format!("--config-file={}", text(&given.config)),
        "--foreground".to_owned(),
        // It would ask a server on the internet, and may refuse to start by what that says.
        "--disable-version-check=true".to_owned(),
        "-o".to_owned(),
        format!("uid={},gid={}", launch.uid, launch.gid),
    ];
    if launch.read_only {
        arguments.push("--read-only=true".to_owned());
    }
    Plan {
        program: "blobfuse2",
        arguments,
        environment: environment(given),
        // JSON is YAML.
        config: Some(format!("{:#}\n", configuration(launch, container, given))),
        folders: vec![folder(launch)],
    }
}

fn configuration(launch: &Launch, container: &Container, given: &Given) -> Value {
    json!({
        "allow-other": given.root,
        "read-only": launch.read_only,
        // It renames its log when that is large, and must not rename this one.
        "logging": {
            "type": "base",
            "level": "log_warning",
            "file-path": "/dev/stderr",
            "max-file-size-mb": LOG_MIB_MAX,
        },
        "components": ["libfuse", "file_cache", "attr_cache", "azstorage"],
        "libfuse": {
            "attribute-expiration-sec": 1,
            "entry-expiration-sec": 1,
            "negative-entry-expiration-sec": 1,
            "ignore-open-flags": true,
            "disable-writeback-cache": true,
        },
        "file_cache": {
            "path": folder(launch).display().to_string(),
            "timeout-sec": 120,
            "max-size-mb": launch.cache_max_mib,
            "cleanup-on-start": false,
            "allow-non-empty-temp": false,
        },
        "attr_cache": { "timeout-sec": 15 },
        "azstorage": storage(container, given),
    })
}

fn storage(container: &Container, given: &Given) -> Value {
    let secret = given.secret.as_deref().unwrap_or_default().trim();
    let mut storage = Map::new();
    let mut set = |name: &str, value: Value| drop(storage.insert(name.to_owned(), value));
    set("type", json!("block"));
    set("account-name", json!(container.account));
    set("container", json!(container.container));
    if !container.subdirectory.is_empty() {
        set("subdirectory", json!(container.subdirectory));
    }
    if let Some(endpoint) = &container.endpoint {
        set("endpoint", json!(endpoint));
        set("use-http", json!(endpoint.starts_with("http://")));
    }
    match &container.login {
        Login::Key { .. } => {
            set("mode", json!("key"));
            set("account-key", json!(secret));
        }
        Login::Sas { .. } => {
            set("mode", json!("sas"));
            set("sas", json!(secret));
        }
        Login::Spn { tenant, client, .. } => {
            set("mode", json!("spn"));
            set("tenantid", json!(tenant));
            set("clientid", json!(client));
            set("clientsecret", json!(secret));
        }
        Login::Msi { client } => {
            set("mode", json!("msi"));
            if let Some(client) = client {
                set("appid", json!(client));
            }
        }
        Login::WorkloadIdentity { tenant, client, file } => {
            set("mode", json!("spn"));
            set("tenantid", json!(tenant));
            set("clientid", json!(client));
            set("oauth-token-path", json!(file.display().to_string()));
        }
    }
    // Without these a single call may hang for more than an hour.
    set("max-retries", json!(3));
    set("max-retry-timeout-sec", json!(60));
    set("retry-backoff-sec", json!(2));
    set("max-retry-delay-sec", json!(10));
    Value::Object(storage)
}
