//! Whole configurations, several files, and the default file against the schema.

mod tables;

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

struct Desk;

impl Facts for Desk {
    fn user_exists(&self, name: &str) -> bool {
        ["ann", "bob"].contains(&name)
    }

    fn bound_to_user(&self) -> Option<String> {
        Some("ann".into())
    }

    fn missing(&self, path: &Path) -> bool {
        path.starts_with("/missing")
    }
}

fn sources(texts: &[&str]) -> Vec<Source> {
    let source = |(at, text): (usize, &&str)| Source {
        name: format!("{}.toml", at + 1),
        text: (*text).to_owned(),
    };
    texts.iter().enumerate().map(source).collect()
}

fn read(texts: &[&str], listen: Option<&str>) -> Result<Config, Box<Failed>> {
    let environment = Environment { listen: listen.map(str::to_owned) };
    check(&sources(texts), Path::new("/ws"), &environment, &Desk)
}

pub(super) fn config(text: &str) -> Config {
    read(&[text], None).unwrap_or_else(|failed| panic!("{text}\n{failed:#?}"))
}

/// Each mistake as `file:line field: a word of the problem or the remedy`.
fn expect(texts: &[&str], expected: &[(&str, &str, &str)]) {
    let failed = read(texts, None).expect_err(&format!("{texts:?}"));
    let shown: Vec<_> = failed
        .mistakes
        .iter()
        .map(|m| {
            let line = m.line.map_or(String::new(), |line| line.to_string());
            let file = m.file.trim_end_matches(".toml");
            assert!(!m.remedy.is_empty() && !m.problem.is_empty(), "{m:?}");
            (format!("{file}:{line}"), m.field.clone(), format!("{}; {}", m.problem, m.remedy))
        })
        .collect();
    assert_eq!(shown.len(), expected.len(), "{texts:?}\n{shown:#?}");
    for (seen, (place, field, words)) in shown.iter().zip(expected) {
        assert_eq!((seen.0.as_str(), seen.1.as_str()), (*place, *field), "{texts:?}\n{shown:#?}");
        assert!(seen.2.contains(words), "{texts:?}\n{words} is not in: {}", seen.2);
    }
}

#[test]
fn no_configuration_is_the_documented_default() {
    let config = read(&[], None).unwrap();
    assert_eq!(config.listen.address.to_string(), "127.0.0.1:8710");
    assert_eq!(config.listen.tls, Tls::Off);
    assert!(config.listen.loopback() && config.listen.hosts.is_empty());
    assert_eq!(config.identity.session.as_secs(), 12 * 3600);
    assert_eq!(config.instance.local_user, None);
    assert_eq!(config.instance.folder_of("ann"), Path::new("Users/ann"));
    let app = config.apps.first().unwrap();
    assert_eq!((app.name.as_str(), app.start), ("jupyterlab", Start::Boot));
    assert_eq!(config.mounts.first().unwrap().driver, Driver::Directory { path: "/ws".into() });
    assert_eq!(config.log.level.as_str(), "info");
}

#[test]
fn a_full_configuration_is_read() {
    let config = config(FULL);
    assert_eq!(config.instance.name.as_deref(), Some("box-1"));
    assert_eq!(config.instance.folder_of("ann"), Path::new("u/ann/x"));
    assert!(config.instance.root_access);
    assert_eq!(config.listen.public_host(), Some("box.example"));
    assert_eq!(config.listen.hosts, ["a.example", "10.0.0.7"]);
    let files = Tls::Files { certificate: "/c.pem".into(), key: "/k.pem".into() };
    assert_eq!(config.listen.tls, files);
    let control = config.control.as_ref().unwrap();
    assert_eq!(control.allowed_san, ["control.example", "spiffe://example/Control"]);
    assert_eq!(control.own_files, Some(("/c2.pem".into(), "/k2.pem".into())));
    assert_eq!(config.apps.len(), 4);
    assert_eq!(config.apps[1].start, Start::OnDemand);
    assert_eq!(config.apps[1].command, ["/x/jupyter-lab"]);
    let custom = &config.apps[2];
    assert_eq!(custom.command, ["panel", "serve", "--port={port}"]);
    assert_eq!(
        (custom.port, custom.prefix, custom.health.as_str()),
        (Some(5006), Prefix::Strip, "/up")
    );
    assert_eq!(
        (custom.memory_max, custom.idle_stop),
        (Some(2 << 30), Some(Duration::from_secs(900)))
    );
    assert_eq!(config.apps[3].shares, None);
    assert_eq!(config.mounts[0].driver, Driver::Directory { path: "/data".into() });
    let drivers = config.mounts.iter().map(|mount| match &mount.driver {
        Driver::Directory { .. } => "directory",
        Driver::Share(share) => share.source.driver(),
    });
    let drivers: Vec<&str> = drivers.collect();
    assert_eq!(drivers, ["directory", "blobfuse2", "rclone", "rclone", "cifs", "nfs"]);
    let Driver::Share(share) = &config.mounts[1].driver else { unreachable!() };
    assert_eq!((share.cache_max, share.read_only), (8 << 30, true));
    assert_eq!(config.log.format, model::Format::Json);
}

const FULL: &str = r#"
[instance]
name = "box-1"
local_user = "ann"
user_folder = "u/{user}/x"
root_access = true
[listen]
address = "0.0.0.0:443"
hosts = ["A.example", "10.0.0.7", "a.example"]
public_url = "https://Box.example:443/"
tls = "files"
tls_certificate = "/c.pem"
tls_key = "/k.pem"
allowed_origins = ["https://portal.example"]
[control]
address = "0.0.0.0:8711"
client_ca = "/ca.pem"
allowed_san = ["Control.example", "spiffe://example/Control"]
tls_certificate = "/c2.pem"
tls_key = "/k2.pem"
[identity]
session_hours = 168
[[app]]
name = "jupyterlab"
kind = "jupyterlab"
[[app]]
name = "second"
kind = "jupyterlab"
command = "/x/jupyter-lab"
start = "on-demand"
[[app]]
name = "panel"
kind = "custom"
command = ["panel", "serve", "--port={port}"]
ports = [5006]
prefix = "strip"
health = "/up"
memory_max = "2 GiB"
idle_stop_minutes = 15
[[app]]
name = "jupyter"
kind = "jupyter"
server = "own"
[[mount]]
name = "workspace"
driver = "directory"
path = "/data"
[[mount]]
name = "models"
driver = "blobfuse2"
account = "acme"
container = "models"
subdirectory = "/a/b/"
endpoint = "https://acme.blob.example/"
authentication = "spn"
tenant_id = "t"
client_id = "c"
credential = "/s"
cache_dir = "/big"
cache_max = "8GiB"
read_only = true
wait_seconds = 5
[[mount]]
name = "data"
driver = "rclone"
account = "acme"
container = "data"
credential = "/key"
[[mount]]
name = "nas"
driver = "rclone"
remote = "nas:a/b"
credential = "/rclone.conf"
[[mount]]
name = "smb"
driver = "cifs"
share = "//srv/s"
credential = "/c"
[[mount]]
name = "nfs"
driver = "nfs"
export = "srv:/e"
[log]
level = "trace"
format = "json"
"#;

#[test]
fn every_key_of_the_schema_is_read_and_no_other() {
    let tree = reader::tree::read(&sources(&[FULL]));
    let mistakes = Mistakes::default();
    let root = Reader::root(&tree.root, &mistakes);
    listen::control::read(&root, &Tls::Off, &Desk);
    listen::read(&root, None, &mistakes, &Desk);
    parts::instance(&root, &Desk);
    parts::identity(&root);
    parts::apps::apps(&root);
    parts::mounts::mounts(&root, Path::new("/ws"));
    parts::gpu(&root);
    parts::log(&root);
    let asked: BTreeSet<String> =
        mistakes.asked().into_iter().filter(|key| key.contains('.')).collect();
    let keys: BTreeSet<String> = schema::KEYS.iter().map(|key| key.path.to_owned()).collect();
    assert_eq!(asked, keys);
}

#[test]
fn all_mistakes_of_all_files_at_once() {
    expect(
        &[
            "[listen]\naddress = 'x'\nfoo = 1\n[log]\nlevel = 5",
            "[log]\nlevel = = 1",
            "[log]\nformat = 'x'\n[[app]]\nkind = 'jupyterlab'",
        ],
        &[
            ("1:2", "listen.address", "is not an address"),
            ("1:3", "listen.foo", "unknown key"),
            ("1:5", "log.level", "is a number"),
            ("2:2", "log", "not valid TOML at column"),
            ("3:2", "log.format", "is not a known word"),
            ("3:3", "app.name", "is missing"),
        ],
    );
}

#[test]
fn a_later_file_overrides_and_is_the_one_blamed() {
    let good = "[log]\nlevel = 'debug'";
    let listen = "[listen]\naddress = '127.0.0.1:1'";
    let both = read(&[listen, "\n[listen]\naddress = '127.0.0.1:2'"], None).unwrap();
    assert_eq!(both.listen.address.port(), 2);
    expect(&[good, "\n\n[log]\nlevel = 'x'"], &[("2:4", "log.level", "is not a known word")]);
    // An overridden mistake is none.
    assert!(read(&["[log]\nlevel = 'x'", good], None).is_ok());
}

#[test]
fn listen_survives_mistakes_elsewhere_and_no_mistake_of_its_own() {
    let listen = |texts: &[&str]| read(texts, None).unwrap_err().listen;
    let good = "[listen]\naddress = '127.0.0.1:7'\n";
    assert_eq!(listen(&[good, "[log]\nlevel = 5"]).unwrap().address.port(), 7);
    assert_eq!(listen(&[&format!("{good}[log]\nlevel = = 5")]).unwrap().address.port(), 7);
    assert_eq!(listen(&[&format!("{good}[log]\nlevel = 'x\n")]).unwrap().address.port(), 7);
    assert_eq!(listen(&["[log]\nx = 1"]).unwrap().address.port(), 8710);
    for spoiled in [
        "[listen]\naddress = 'x'",
        "[listen]\ntsl = 'files'",
        "[listen]\naddress = = 1",
        "listen = 1",
        "= 1\n[listen]\naddress = '127.0.0.1:7'",
        "[log]\nlevel = '''x\n[listen]\naddress = '127.0.0.1:7'",
        "[log]\nlevel = 'x\n[listen]\naddress = '127.0.0.1:7",
        "[[listen]]\naddress = '127.0.0.1:7'",
    ] {
        assert_eq!(listen(&[spoiled]), None, "{spoiled}");
    }
}

#[test]
fn the_default_file_names_every_key_with_its_default() {
    let text = include_str!("../../../systemd/stationd.toml");
    let empty = read(&[text], None).unwrap();
    assert_eq!(empty, read(&[], None).unwrap());
    let uncommented: String = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .fold(String::new(), |all, line| all + line + "\n");
    let table: toml::Table = uncommented.parse().unwrap();
    let mut named = BTreeSet::new();
    for (part, value) in &table {
        let value = value.as_array().map_or(value, |list| &list[0]);
        for (key, value) in value.as_table().unwrap() {
            named.insert(format!("{part}.{key}"));
            let path = format!("{part}.{key}");
            let key = schema::KEYS.iter().find(|key| key.path == path).expect(&path);
            if let Some(default) = key.default {
                assert_eq!(value.to_string(), default, "{path}");
            }
        }
    }
    assert_eq!(named, schema::KEYS.iter().map(|key| key.path.to_owned()).collect());
    let values = |keys: &[schema::Key]| -> Vec<String> {
        keys.iter().filter(|key| key.default.is_none()).map(|key| key.path.to_owned()).collect()
    };
    // With the keys that have no default taken out, it is the default configuration.
    let without: BTreeSet<String> = values(schema::KEYS).into_iter().collect();
    let mut table = table;
    for (part, value) in &mut table {
        let value = match value {
            toml::Value::Array(list) => &mut list[0],
            value => value,
        };
        let inner = value.as_table_mut().unwrap();
        inner.retain(|key, _| !without.contains(&format!("{part}.{key}")));
    }
    // A part that is there must have what it needs.
    table.remove("control");
    assert_eq!(config(&table.to_string()), read(&[], None).unwrap());
}

fn files() -> (tempfile::TempDir, Paths) {
    let home = tempfile::tempdir().unwrap();
    let paths = Paths::of(&Surroundings::of_process(Some(home.path().to_owned()))).unwrap();
    (home, paths)
}

fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    file::write_atomic(path, bytes, 0o600).unwrap();
}

#[test]
fn files_are_read_in_order_and_digested() {
    let (_home, paths) = files();
    let environment = Environment::default();
    let none = load(&paths, &environment).unwrap();
    assert!(none.files.is_empty());
    let local = Driver::Directory { path: paths.workspace_dir.clone() };
    assert_eq!(none.config.mounts[0].driver, local);
    put(&paths.config_file, b"[log]\nlevel = 'warn'");
    put(&paths.conf_dir.join("20.toml"), b"[log]\nlevel = 'debug'");
    put(&paths.conf_dir.join("10.toml"), b"[log]\nlevel = 'error'");
    for ignored in [".30.toml", "30.toml.bak", "30.txt"] {
        put(&paths.conf_dir.join(ignored), b"broken");
    }
    let loaded = load(&paths, &environment).unwrap();
    assert_eq!(loaded.config.log.level, model::Level::Debug);
    assert_eq!(loaded.files.len(), 3);
    assert_eq!(loaded.digest.len(), 64);
    assert_ne!(loaded.digest, none.digest);
    assert_eq!(load(&paths, &environment).unwrap().digest, loaded.digest);
}

#[test]
fn files_that_cannot_be_read_are_mistakes() {
    let (_home, paths) = files();
    put(&paths.config_file, b"[log]\nlevel = 'x'");
    put(&paths.conf_dir.join("a.toml"), b"# ok\n\xff");
    std::fs::create_dir(paths.conf_dir.join("b.toml")).unwrap();
    put(&paths.conf_dir.join("c.toml"), &vec![b'#'; 1024 * 1024 + 1]);
    let failed = load(&paths, &Environment::default()).unwrap_err();
    let shown: Vec<_> = failed.mistakes.iter().map(|m| (m.line, m.problem.as_str())).collect();
    assert_eq!(shown.len(), 4, "{shown:#?}");
    assert_eq!(shown[0], (Some(2), "is not UTF-8 text"));
    assert!(shown[1].1.starts_with("cannot be read"));
    assert!(shown[2].1.contains("is larger than"));
    assert_eq!(shown[3].0, Some(2));
    assert_eq!(failed.listen, None);
}

#[test]
fn a_named_file_must_be_there() {
    let (home, paths) = files();
    let file = home.path().join("x.toml");
    let failed = load_file(&file, &paths, &Environment::default()).unwrap_err();
    assert_eq!(failed.mistakes[0].file, file.display().to_string());
    put(&file, b"[log]\nlevel = 'warn'");
    assert!(load_file(&file, &paths, &Environment::default()).is_ok());
}
