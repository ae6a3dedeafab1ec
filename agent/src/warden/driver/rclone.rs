//! rclone: pure. See rclone's documentation of `mount` and of its Azure Blob Storage back end.
//!
//! Writes go to the cache first and from there to the share (`--vfs-cache-mode writes`): a `close()` returns
//! at once, and what is on its way is in the gauge.

use super::{Given, Plan, environment};
use crate::warden::files::{Container, Launch, Login, Rclone};

/// What the remote is called in the configuration that we write.
const REMOTE: &str = "share";

/// How many parts of a path in the cache name the remote.
pub(in crate::warden) fn depth(source: &Rclone) -> usize {
    let remote = remote(source);
    let parts = remote.split([':', '/']).filter(|part| !part.is_empty());
    parts.count()
}

/// `NAME:PATH`
fn remote(source: &Rclone) -> String {
    match source {
        Rclone::Container(container) => {
            let path = [container.container.as_str(), container.subdirectory.trim_matches('/')];
            format!("{REMOTE}:{}", path.join("/").trim_end_matches('/'))
        }
        Rclone::Remote { remote, .. } => remote.clone(),
    }
}

pub(super) fn plan(launch: &Launch, source: &Rclone, given: &Given) -> Plan {
    let config = match source {
        Rclone::Container(container) => Some(configuration(container, given)),
        // Its own file, as it is.
        Rclone::Remote { .. } => given.secret.clone(),
    };
    let mut arguments = vec!["mount".to_owned(), remote(source), given.at.display().to_string()];
    let mut flag = |name: &str, value: String| {
        arguments.extend([format!("--{name}"), value]);
    };
    flag("config", given.config.display().to_string());
    flag("cache-dir", launch.cache.display().to_string());
    flag("vfs-cache-mode", "writes".to_owned());
    // From the `close()` of a file to the begin of its upload: what is saved twice in a row goes once.
    flag("vfs-write-back", "1s".to_owned());
    flag("vfs-cache-max-size", format!("{}M", launch.cache_max_mib));
    flag("vfs-cache-max-age", "24h".to_owned());
    // What another machine has written is seen after this time; of a file that this one has written before, only
    // when rclone has let go of its own copy too (about a minute, measured).
    flag("dir-cache-time", "5s".to_owned());
    flag("attr-timeout", "1s".to_owned());
    flag("transfers", "32".to_owned());
    // Memory: 32 transfers of two blocks of 4 MiB each.
    flag("azureblob-upload-concurrency", "2".to_owned());
    flag("low-level-retries", "3".to_owned());
    flag("contimeout", "10s".to_owned());
    flag("timeout", "60s".to_owned());
    flag("uid", launch.uid.to_string());
    flag("gid", launch.gid.to_string());
    // The files are the user's alone; scripts on the share can be run.
    flag("file-perms", "0700".to_owned());
    flag("dir-perms", "0700".to_owned());
    flag("log-level", "NOTICE".to_owned());
    if given.root {
        arguments.push("--allow-other".to_owned());
        arguments.push("--default-permissions".to_owned());
    }
    if launch.read_only {
        arguments.push("--read-only".to_owned());
    }
    Plan {
        program: "rclone",
        arguments,
        environment: environment(given),
        config,
        folders: Vec::new(),
    }
}

/// The remote, with its secret. A later rclone than Debian 12's takes any URL as `endpoint`; that one
/// does so for an emulator only, which is what a plain-HTTP endpoint is.
fn configuration(container: &Container, given: &Given) -> String {
    let secret = given.secret.as_deref().unwrap_or_default().trim();
    let mut lines = vec![format!("[{REMOTE}]"), "type = azureblob".to_owned()];
    let mut set = |name: &str, value: &str| lines.push(format!("{name} = {value}"));
    let account = &container.account;
    if let Some(endpoint) = &container.endpoint {
        set("endpoint", endpoint);
        if endpoint.starts_with("http://") {
            set("use_emulator", "true");
        }
    }
    match &container.login {
        Login::Key { .. } => {
            set("account", account);
            set("key", secret);
        }
        Login::Sas { .. } => {
            let usual = format!("https://{account}.blob.core.windows.net");
            let endpoint = container.endpoint.as_deref().unwrap_or(&usual);
            let signature = secret.trim_start_matches('?');
            set("sas_url", &format!("{endpoint}/{}?{signature}", container.container));
        }
        Login::Spn { tenant, client, .. } => {
            set("account", account);
            set("tenant", tenant);
            set("client_id", client);
            set("client_secret", secret);
        }
        Login::Msi { client } => {
            set("account", account);
            set("use_msi", "true");
            if let Some(client) = client {
                set("msi_client_id", client);
            }
        }
        Login::WorkloadIdentity { .. } => {
            set("account", account);
            set("env_auth", "true");
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
