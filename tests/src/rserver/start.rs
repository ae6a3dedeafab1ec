//! What `rserver` needs before it listens, checked in the real program's order.
//!
//! Facts of the source that are easy to get wrong: as root it goes to the background unless told
//! not to, so whoever waits for it sees exit 0 at once; the data folder is made and opened to
//! everybody (1777); the socket has mode 0700 (0600 in the first version that had the option) and a
//! missing folder for it is made 1777 too; a `session-rpc-key` that is there and cannot be read or
//! is empty ends the program with status 1, and the reason goes to its log and nowhere else.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::{User, geteuid};
use stationd::os::file::write_atomic;

use super::flags::Flags;

const OPEN_TO_ALL: u32 = 0o1777;
const KEY_MODE: u32 = 0o600;
const SOCKET_MODE: u32 = 0o700;

/// How this server runs.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: Listen,
    pub root_path: String,
    pub data_dir: PathBuf,
    /// Whom the session belongs to.
    pub user: String,
    pub auth_none: bool,
    pub rsession: PathBuf,
    pub working_dir: String,
    pub verify_agent: bool,
    pub frame: &'static str,
    pub same_site: Option<&'static str>,
    /// Origins besides the own one; none if origins are not checked.
    pub origins: Option<Vec<String>>,
}

#[derive(Debug, Clone)]
pub enum Listen {
    Socket(PathBuf),
    Tcp(SocketAddr),
}

/// Why there is no server.
#[derive(Debug)]
pub enum Stopped {
    /// The reason is not told.
    Silently,
    Because(anyhow::Error),
}

impl From<anyhow::Error> for Stopped {
    fn from(error: anyhow::Error) -> Self {
        Self::Because(error)
    }
}

/// Whether the program is to go on in the background.
pub fn daemonizes(flags: &Flags) -> bool {
    flags.on("server-daemonize", geteuid().is_root())
}

/// Checks and makes what is needed.
pub fn prepare(flags: &Flags) -> Result<Settings, Stopped> {
    let settings = settings(flags)?;
    let working_dir = flags.text("server-working-dir").unwrap_or("/");
    std::env::set_current_dir(working_dir)
        .with_context(|| format!("--server-working-dir: cannot go to {working_dir}"))?;
    data_dir(&settings.data_dir)?;
    cookie_key(flags)?;
    let name = "session-rpc-key";
    rpc_key(name).map_err(|()| Stopped::Silently)?;
    database(flags)?;
    if let Listen::Socket(socket) = &settings.listen
        && let Some(folder) = socket.parent().filter(|folder| !folder.exists())
    {
        open_dir(folder).map_err(Stopped::Because)?;
    }
    Ok(settings)
}

/// Gives a socket that is bound its mode.
pub fn close_socket(socket: &Path) -> Result<()> {
    Ok(fs::set_permissions(socket, Permissions::from_mode(SOCKET_MODE))?)
}

fn settings(flags: &Flags) -> Result<Settings> {
    let same_site = match flags.text("www-same-site") {
        None => None,
        Some("lax") => Some("Lax"),
        Some("none") => Some("None"),
        Some(other) => bail!("--www-same-site: '{other}' is neither 'lax' nor 'none'"),
    };
    let frame = match flags.text("www-frame-origin").unwrap_or("none") {
        "none" => "DENY",
        "same" => "SAMEORIGIN",
        _ => "",
    };
    let server_user = flags.text("server-user").unwrap_or("rstudio-server");
    let default = server_user == "rstudio-server";
    if geteuid().is_root() && !default && User::from_name(server_user)?.is_none() {
        bail!("--server-user: there is no user {server_user}");
    }
    let user = User::from_uid(geteuid())?.context("this user has no name")?.name;
    let beside = || -> Result<PathBuf> {
        let own = std::env::current_exe()?;
        Ok(own.with_file_name(flags.text("rsession-path").unwrap_or("rsession")))
    };
    let checks = flags.on("www-enable-origin-check", false);
    Ok(Settings {
        listen: listen(flags)?,
        root_path: flags.text("www-root-path").unwrap_or("/").to_owned(),
        data_dir: flags.text("server-data-dir").unwrap_or("/var/run/rstudio-server").into(),
        user,
        auth_none: flags.on("auth-none", !geteuid().is_root()),
        rsession: beside()?,
        working_dir: session_dir(flags)?,
        verify_agent: flags.on("www-verify-user-agent", true),
        frame,
        same_site,
        origins: checks.then(|| flags.all("www-allow-origin").to_vec()),
    })
}

fn listen(flags: &Flags) -> Result<Listen> {
    if let Some(socket) = flags.text("www-socket") {
        return Ok(Listen::Socket(socket.into()));
    }
    let address: IpAddr = flags
        .text("www-address")
        .unwrap_or("0.0.0.0")
        .parse()
        .context("--www-address: an IP address is needed")?;
    let port = flags.text("www-port").unwrap_or("8787").parse().context("--www-port: no port")?;
    ensure!(
        address.is_loopback(),
        "the stand-in does not listen on {address}:{port}: the network is no place for a test; \
         the real server would. Give --www-socket or a loopback --www-address"
    );
    Ok(Listen::Tcp(SocketAddr::new(address, port)))
}

/// Where sessions begin: `session-default-working-dir` of the file for sessions, else the home.
fn session_dir(flags: &Flags) -> Result<String> {
    let Some(path) = flags.text("rsession-config-file") else {
        return Ok("~".to_owned());
    };
    let text = fs::read_to_string(path)
        .with_context(|| format!("--rsession-config-file: cannot read {path}"))?;
    Ok(ini(&text)
        .with_context(|| format!("in {path}"))?
        .into_iter()
        .find(|(name, _)| *name == "session-default-working-dir")
        .map_or_else(|| "~".to_owned(), |(_, value)| value.to_owned()))
}

/// The lines `name=value` of a file; `#` begins a comment.
fn ini(text: &str) -> Result<Vec<(&str, &str)>> {
    let lines = text.lines().map(str::trim);
    let said = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    said.map(|line| {
        let (name, value) = line.split_once('=').with_context(|| format!("no `=` in `{line}`"))?;
        Ok((name.trim(), value.trim()))
    })
    .collect()
}

fn open_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(OPEN_TO_ALL))
        .with_context(|| format!("cannot open {} to all", path.display()))
}

fn data_dir(path: &Path) -> Result<()> {
    open_dir(path).context("--server-data-dir")?;
    let sessions = path.join("rstudio-rsession");
    open_dir(&sessions).context("--server-data-dir")?;
    let probe = path.join(".writable");
    write_atomic(&probe, b"", KEY_MODE).context("--server-data-dir is not writable")?;
    Ok(fs::remove_file(probe)?)
}

/// The real program makes it when it is missing, and reads it whatever its mode; the stand-in
/// refuses one that others can read, so that no test passes with a key that is none.
fn cookie_key(flags: &Flags) -> Result<()> {
    let path = match flags.text("secure-cookie-key-file") {
        Some(path) => PathBuf::from(path),
        None => var().join("secure-cookie-key"),
    };
    let name = || format!("--secure-cookie-key-file {}", path.display());
    match fs::metadata(&path) {
        Ok(found) => {
            let others = found.mode() & 0o077;
            ensure!(others == 0, "{}: others may use it: chmod 600", name());
            let key = fs::read(&path).with_context(name)?;
            ensure!(!key.is_empty(), "{}: it is empty", name());
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            write_atomic(&path, token()?.as_bytes(), KEY_MODE).with_context(name)?;
        }
        Err(error) => return Err(error).with_context(name),
    }
    Ok(())
}

/// A key that the server shares with its sessions: in the folder of the configuration, in that of
/// the system, else made in the user's cache. The first that is there counts, readable or not.
fn rpc_key(name: &str) -> Result<(), ()> {
    let config = std::env::var_os("RSTUDIO_CONFIG_DIR").map(PathBuf::from);
    let system = config.into_iter().chain([var()]).map(|folder| folder.join(name));
    if let Some(path) = system.into_iter().find(|path| fs::symlink_metadata(path).is_ok()) {
        let key = fs::read(path).map_err(drop)?;
        return if key.is_empty() { Err(()) } else { Ok(()) };
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let path = cache.or_else(home).ok_or(())?.join("rstudio").join(name);
    if path.exists() {
        return Ok(());
    }
    fs::create_dir_all(path.parent().ok_or(())?).map_err(drop)?;
    write_atomic(&path, token().map_err(drop)?.as_bytes(), KEY_MODE).map_err(drop)
}

fn database(flags: &Flags) -> Result<()> {
    let path = flags.text("database-config-file").context(
        "--database-config-file is missing: the default is a database that only root may write",
    )?;
    let text = fs::read_to_string(path)
        .with_context(|| format!("--database-config-file: cannot read {path}"))?;
    let lines = ini(&text).with_context(|| format!("in {path}"))?;
    let value = |name| lines.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    ensure!(value("provider") == Some("sqlite"), "{path}: provider=sqlite is needed");
    let folder = Path::new(value("directory").context(format!("{path}: no directory="))?);
    fs::create_dir_all(folder).with_context(|| format!("{path}: {}", folder.display()))?;
    let file = folder.join("rstudio.sqlite");
    let opened = fs::File::options().create(true).append(true).open(&file);
    opened.with_context(|| format!("{path}: cannot write {}", file.display()))?;
    Ok(())
}

fn var() -> PathBuf {
    std::env::var_os("FAKE_RSERVER_VAR").unwrap_or("/var/lib/rstudio-server".into()).into()
}

/// An unguessable text.
pub fn token() -> Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_settings_has_names_values_and_comments() {
        let lines = ini("# c\n\n provider = sqlite\ndirectory=/a=b\n").unwrap();
        assert_eq!(lines, [("provider", "sqlite"), ("directory", "/a=b")]);
        assert!(ini("nothing").is_err());
    }
}
