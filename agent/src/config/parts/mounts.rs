//! Reads and checks `[[mount]]`. Pure.

use std::path::Path;
use std::time::Duration;

use crate::base::ids::AppName;
use crate::config::model::{Driver, Mount, Share};
use crate::config::reader::{Found, Reader};
use crate::warden::files::{Cifs, Container, Login, Nfs, Rclone, Source};

use super::apps::{app_name, keys};
use super::{absolute_path, refuse_duplicate};

/// The mount that apps work in.
const WORKSPACE: &str = "workspace";
/// Mounts in one configuration.
const MOUNTS_MAX: usize = 8;
/// How long apps wait for a share where nothing is configured, and at most, in seconds.
const WAIT: Duration = Duration::from_secs(60);
const WAIT_MAX: i64 = 3600;
/// Bytes of local copies where nothing is configured.
const CACHE_MAX: u64 = 20 << 30;
const DRIVERS: [&str; 5] = ["directory", "blobfuse2", "rclone", "cifs", "nfs"];
const LOGINS: [(&str, With); 5] = [
    ("key", With::Key),
    ("sas", With::Sas),
    ("spn", With::Spn),
    ("msi", With::Msi),
    ("workload-identity", With::WorkloadIdentity),
];
/// Which drivers take which keys; `name` and `driver` are everybody's.
const TAKES: [(&str, &[&str]); 15] = [
    ("path", &["directory"]),
    ("account", &["blobfuse2", "rclone"]),
    ("container", &["blobfuse2", "rclone"]),
    ("subdirectory", &["blobfuse2", "rclone"]),
    ("endpoint", &["blobfuse2", "rclone"]),
    ("authentication", &["blobfuse2", "rclone"]),
    ("tenant_id", &["blobfuse2", "rclone"]),
    ("client_id", &["blobfuse2", "rclone"]),
    ("credential", &["blobfuse2", "rclone", "cifs"]),
    ("remote", &["rclone"]),
    ("share", &["cifs"]),
    ("export", &["nfs"]),
    ("cache_dir", &["blobfuse2", "rclone"]),
    ("cache_max", &["blobfuse2", "rclone"]),
    ("wait_seconds", &["blobfuse2", "rclone", "cifs", "nfs"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum With {
    Key,
    Sas,
    Spn,
    Msi,
    WorkloadIdentity,
}

/// Without a mount named workspace it is a local folder.
pub(in crate::config) fn mounts(root: &Reader<'_>, workspace_dir: &Path) -> Vec<Mount> {
    let tables = root.tables("mount").unwrap_or_default();
    let mut names: Vec<Found<'_, AppName>> = Vec::new();
    let mut mounts: Vec<Mount> = Vec::new();
    for table in &tables {
        let driver = driver(table, workspace_dir);
        let name = table.text_required("name", "add name = \"workspace\"");
        let Some(name) = name.and_then(|found| app_name(&found)) else { continue };
        refuse_duplicate(&name, &names);
        if matches!(driver, Some(Driver::Directory { .. })) && name.value.as_str() != WORKSPACE {
            name.wrong(
                "a local folder needs no mount",
                "name it \"workspace\", choose another driver, or remove the [[mount]]",
            );
        }
        if names.len() >= MOUNTS_MAX {
            name.wrong(
                format!("is one of more than {MOUNTS_MAX} mounts"),
                format!("keep {MOUNTS_MAX} at most"),
            );
        }
        names.push(name.with(name.value.clone()));
        if let Some(driver) = driver {
            mounts.push(Mount { name: name.value, driver });
        }
    }
    if !mounts.iter().any(|mount| mount.name.as_str() == WORKSPACE)
        && let Ok(name) = AppName::parse(WORKSPACE)
    {
        let driver = Driver::Directory { path: workspace_dir.to_owned() };
        mounts.insert(0, Mount { name, driver });
    }
    mounts
}

/// Every key is read, so that all mistakes are told at once.
fn driver(table: &Reader<'_>, workspace_dir: &Path) -> Option<Driver> {
    let path = table.text("path").and_then(|found| absolute_path(&found));
    let cache_dir = table.text("cache_dir").and_then(|found| absolute_path(&found));
    let cache_max = table.text("cache_max").and_then(|found| keys::bytes(&found));
    let wait = table.integer("wait_seconds", 0, WAIT_MAX);
    let read_only = table.flag("read_only").is_some_and(|found| found.value);
    let driver = table.text_required("driver", "add driver = \"directory\"")?;
    let kind = DRIVERS.into_iter().find(|kind| *kind == driver.value);
    let Some(kind) = kind else {
        let problem = format!("{:?} is not a driver", driver.value);
        driver.wrong(problem, format!("use one of \"{}\"", DRIVERS.join("\", \"")));
        return None;
    };
    for (key, kinds) in TAKES {
        if !kinds.contains(&kind) {
            let problem = format!("is no key of driver \"{kind}\"");
            let of = kinds.join("\" and \"");
            table.wrong(key, problem, format!("remove it; it belongs to \"{of}\""));
        }
    }
    let source = match kind {
        "directory" => {
            if read_only {
                table.wrong("read_only", "is no key of driver \"directory\"", "remove it");
            }
            let path = path.unwrap_or_else(|| workspace_dir.to_owned());
            return Some(Driver::Directory { path });
        }
        "blobfuse2" => container(table).map(Source::Blobfuse2),
        "rclone" => rclone(table).map(Source::Rclone),
        "cifs" => cifs(table).map(Source::Cifs),
        _ => nfs(table).map(Source::Nfs),
    };
    Some(Driver::Share(Box::new(Share {
        source: source?,
        cache_dir,
        cache_max: cache_max.unwrap_or(CACHE_MAX),
        read_only,
        wait: wait.map_or(WAIT, |found| Duration::from_secs(found.value.unsigned_abs())),
    })))
}

/// A remote of rclone's own configuration, or a container.
fn rclone(table: &Reader<'_>) -> Option<Rclone> {
    let Some(remote) = table.text("remote") else {
        return container(table).map(Rclone::Container);
    };
    for key in [
        "account",
        "container",
        "subdirectory",
        "endpoint",
        "authentication",
        "tenant_id",
        "client_id",
    ] {
        let problem = "does not go together with remote";
        table.wrong(key, problem, "remove one of the two; the remote's own file says it");
    }
    let config = credential(table, "the configuration file of rclone with that remote");
    let plain = |c: char| c.is_ascii_alphanumeric() || "_- .".contains(c);
    let good = remote.value.split_once(':').is_some_and(|(name, _path)| {
        !name.is_empty() && name.chars().all(plain) && !name.starts_with(['-', ' '])
    });
    if !good {
        remote
            .wrong(format!("{:?} is no remote", remote.value), "write \"NAME:\" or \"NAME:PATH\"");
        return None;
    }
    Some(Rclone::Remote { remote: remote.value, config: config? })
}

fn container(table: &Reader<'_>) -> Option<Container> {
    let account = table.text_required("account", "add account = \"…\", the storage account's name");
    let account = account.and_then(|found| azure_name(&found, (3, 24), false));
    let container = table.text_required("container", "add container = \"…\"");
    let container = container.and_then(|found| azure_name(&found, (3, 63), true));
    let below = table.text("subdirectory").and_then(|found| below(&found));
    let (configured, endpoint) =
        (table.has("endpoint"), table.text("endpoint").and_then(|found| endpoint(&found)));
    let login = login(table);
    Some(Container {
        account: account?,
        container: container?,
        subdirectory: below.unwrap_or_default(),
        endpoint: if configured { Some(endpoint?) } else { None },
        login: login?,
    })
}

/// "Naming and referencing containers, blobs, and metadata" of Azure Storage.
fn azure_name(
    found: &Found<'_, String>,
    (least, most): (usize, usize),
    dashes: bool,
) -> Option<String> {
    let name = &found.value;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || (dashes && c == '-');
    if (least..=most).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('-') {
        return Some(name.clone());
    }
    let also = if dashes { ", digits and '-'" } else { " and digits" };
    found.wrong(
        format!("{name:?} is no such name"),
        format!("use {least} to {most} lower-case letters{also}"),
    );
    None
}

fn below(found: &Found<'_, String>) -> Option<String> {
    let text = found.value.trim_matches('/');
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    if text.split('/').all(part) && !text.contains(char::is_control) {
        return Some(text.to_owned());
    }
    found.wrong(
        format!("{:?} is no folder", found.value),
        "name a folder of the container: \"a/b\"",
    );
    None
}

fn endpoint(found: &Found<'_, String>) -> Option<String> {
    let text = found.value.trim_end_matches('/');
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let good = |rest: &str| {
        let odd = |c: char| c.is_control() || "?#@ ".contains(c);
        !rest.is_empty() && !rest.starts_with('/') && !rest.contains(odd)
    };
    if rest.is_some_and(good) {
        return Some(text.to_owned());
    }
    found.wrong(
        format!("{:?} is no address", found.value),
        "write \"https://ACCOUNT.blob.core.windows.net\", or leave it out",
    );
    None
}

fn login(table: &Reader<'_>) -> Option<Login> {
    let with = table.word("authentication", &LOGINS);
    if table.has("authentication") && with.is_none() {
        return None;
    }
    let with = with.map_or(With::Key, |found| found.value);
    let client = table.text("client_id").map(|found| found.value);
    if with == With::Msi {
        for key in ["credential", "tenant_id"] {
            table.wrong(key, "is no key of authentication \"msi\"", "remove it");
        }
        return Some(Login::Msi { client });
    }
    let needs = match with {
        With::Key => "a file with the account's key",
        With::Sas => "a file with the shared access signature",
        With::Spn => "a file with the service principal's secret",
        _ => "the file that the platform writes its token to",
    };
    let file = credential(table, needs);
    if matches!(with, With::Key | With::Sas) {
        for key in ["tenant_id", "client_id"] {
            let remedy = "remove it, or choose authentication = \"spn\"";
            table.wrong(key, "belongs to another authentication", remedy);
        }
        let file = file?;
        return Some(if with == With::Key { Login::Key { file } } else { Login::Sas { file } });
    }
    let tenant = table.text_required("tenant_id", "add tenant_id = \"…\"").map(|found| found.value);
    let client = table.text_required("client_id", "add client_id = \"…\"").map(|found| found.value);
    let (tenant, client, file) = (tenant?, client?, file?);
    Some(if with == With::Spn {
        Login::Spn { tenant, client, file }
    } else {
        Login::WorkloadIdentity { tenant, client, file }
    })
}

fn credential(table: &Reader<'_>, what: &str) -> Option<std::path::PathBuf> {
    let remedy = format!("add credential = \"/PATH\": {what}, readable for root alone");
    table.text_required("credential", &remedy).and_then(|found| absolute_path(&found))
}

fn cifs(table: &Reader<'_>) -> Option<Cifs> {
    let share = table.text_required("share", "add share = \"//SERVER/SHARE\"");
    let credentials = credential(table, "a file with username= and password= lines");
    let share = share.filter(|found| {
        let rest = found.value.strip_prefix("//").unwrap_or_default();
        let good = rest.split('/').count() >= 2
            && rest.split('/').all(|part| !part.is_empty())
            && !rest.contains([',', ' ']);
        if !good {
            found.wrong(format!("{:?} is no share", found.value), "write \"//SERVER/SHARE\"");
        }
        good
    });
    Some(Cifs { share: share?.value, credentials: credentials? })
}

fn nfs(table: &Reader<'_>) -> Option<Nfs> {
    let export = table.text_required("export", "add export = \"SERVER:/EXPORT\"")?;
    let good = export.value.split_once(":/").is_some_and(|(server, _path)| {
        !server.is_empty() && !server.starts_with('-') && !export.value.contains([',', ' '])
    });
    if !good {
        export.wrong(format!("{:?} is no export", export.value), "write \"SERVER:/EXPORT\"");
    }
    good.then_some(Nfs { export: export.value })
}
