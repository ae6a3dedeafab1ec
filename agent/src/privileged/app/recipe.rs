//! How each kind of app is started: arguments, environment and folder. Pure.
//!
//! An app listens on a Unix socket that only its user can reach, so JupyterLab has an empty token:
//! a token that the proxy adds would switch off Jupyter's own XSRF and Origin checks.
//! `PYTHONSAFEPATH` is not set, although the workspace may be shared: kernels would inherit it, and
//! `import` of a file beside a script would fail. The server is safe without it: its working folder
//! is local and empty, and it is started by its script, which puts no folder of the user's in front.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::attend::rstudio::Files;
use crate::attend::{self, Arguments, Ending, Target};
use crate::base::text::placeholders;
use crate::privileged::{AppRoot, RootConfig};

/// What kinds of app there are; a new one is one arm in each `match` of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    JupyterLab,
    /// Notebook 7, and nbclassic.
    Jupyter,
    RStudio,
    Custom,
}

impl Kind {
    /// As the configuration writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JupyterLab => "jupyterlab",
            Self::Jupyter => "jupyter",
            Self::RStudio => "rstudio",
            Self::Custom => "custom",
        }
    }

    /// The path below the app's own that a person opens.
    pub fn open(self) -> &'static str {
        match self {
            Self::JupyterLab => "lab",
            Self::Jupyter => "tree",
            Self::RStudio | Self::Custom => "",
        }
    }

    /// Whether it has kernels and Jupyter's API.
    pub fn is_jupyter(self) -> bool {
        matches!(self, Self::JupyterLab | Self::Jupyter)
    }

    /// The program that is looked for.
    pub(in crate::privileged) fn program(self) -> &'static str {
        match self {
            Self::JupyterLab => "jupyter-lab",
            Self::Jupyter => "jupyter-notebook",
            Self::RStudio => "rserver",
            // Its command is always configured.
            Self::Custom => "",
        }
    }
}

/// What is found out at the moment of the start.
#[derive(Debug, Clone)]
pub(in crate::privileged) struct Given {
    pub(in crate::privileged) program: PathBuf,
    pub(in crate::privileged) generation: u64,
    /// The user's login PATH.
    pub(in crate::privileged) path: String,
}

impl Given {
    /// Fixed values, for telling whether two configurations start the same thing.
    pub(in crate::privileged) fn for_comparison() -> Self {
        Self { program: PathBuf::new(), generation: 0, path: String::new() }
    }
}

/// What is started; the account it runs under is the same for every app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::privileged) struct Recipe {
    pub(in crate::privileged) program: PathBuf,
    pub(in crate::privileged) arguments: Vec<String>,
    pub(in crate::privileged) environment: BTreeMap<String, String>,
    /// The working directory: local, and the app's own.
    pub(in crate::privileged) folder: PathBuf,
    pub(in crate::privileged) memory_max: Option<u64>,
}

/// The whole launch of one app: the attendant, which starts the program.
pub(in crate::privileged) fn build(root: &RootConfig, app: &AppRoot, given: &Given) -> Recipe {
    let folder = root.sockets.join(app.name.as_str());
    let mut command = vec![given.program.display().to_string()];
    command.extend(app.command.iter().skip(1).cloned());
    let mut attended = Arguments {
        folder: folder.clone(),
        work: None,
        relay: None,
        shared: root.group.is_some(),
        ending: Ending::Plain,
        command,
    };
    match app.kind {
        Kind::JupyterLab => {
            attended.command.extend(jupyter(root, app));
            attended.command.extend(LAB.map(str::to_owned));
        }
        Kind::Jupyter => attended.command.extend(jupyter(root, app)),
        Kind::RStudio => {
            attended.work = Some(root.folder.clone());
            attended.relay = Some(Target::Inner);
            attended.ending = Ending::RStudio;
            attended.command.extend(rstudio(root, app, &folder));
        }
        Kind::Custom => {
            attended.work = Some(root.folder.clone());
            attended.relay = Some(app.port.map_or(Target::Inner, Target::Port));
            let value = |name: &str| placeholder(root, app, &folder, name);
            for word in &mut attended.command {
                *word = placeholders::filled(word, value);
            }
        }
    }
    Recipe {
        program: root.keeper.clone(),
        arguments: attended.line(),
        environment: environment(root, app, given),
        folder,
        memory_max: app.memory_max,
    }
}

/// What a custom app is told of its place.
fn placeholder(root: &RootConfig, app: &AppRoot, folder: &Path, name: &str) -> Option<String> {
    match name {
        "port" => app.port.map(|port| port.to_string()),
        "socket" => Some(folder.join(attend::INNER).display().to_string()),
        "prefix" => Some(format!("/apps/{}", app.name)),
        "base_url" => Some(format!("/apps/{}/", app.name)),
        "folder" => Some(root.folder.display().to_string()),
        _ => None,
    }
}

/// RStudio Server, open source, without a login of its own: nobody but the user reaches its socket.
fn rstudio(root: &RootConfig, app: &AppRoot, folder: &Path) -> Vec<String> {
    let Files { data, cookie_key, database, session } = Files::of(folder);
    let flag = |name: &str, value: &dyn std::fmt::Display| format!("--{name}={value}");
    vec![
        // As root it would go into the background, and look ended.
        flag("server-daemonize", &0),
        flag("server-user", &root.user.name),
        flag("server-working-dir", &folder.display()),
        flag("server-data-dir", &data.display()),
        flag("server-pid-file", &folder.join("rserver.pid").display()),
        flag("database-config-file", &database.display()),
        flag("secure-cookie-key-file", &cookie_key.display()),
        flag("rsession-config-file", &session.display()),
        flag("auth-none", &1),
        flag("www-socket", &folder.join(attend::INNER).display()),
        flag("www-root-path", &format_args!("/apps/{}/", app.name)),
        flag("www-frame-origin", &"same"),
        flag("www-same-site", &"lax"),
        flag("www-verify-user-agent", &0),
    ]
}

/// These would ask servers on the internet.
const LAB: [&str; 3] = [
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.news_url=None",
    "--LabApp.extension_manager=readonly",
];

fn jupyter(root: &RootConfig, app: &AppRoot) -> Vec<String> {
    let socket = root.socket(&app.name);
    let mut arguments = vec![
        "--no-browser".to_owned(),
        format!("--ServerApp.base_url=/apps/{}/", app.name),
        format!("--ServerApp.sock={}", socket.display()),
        format!("--ServerApp.sock_mode={}", sock_mode(root)),
        "--IdentityProvider.token=".to_owned(),
        "--PasswordIdentityProvider.hashed_password=".to_owned(),
        // The Host is the public name; the proxy has the list of allowed ones.
        "--ServerApp.allow_remote_access=True".to_owned(),
        "--ServerApp.trust_xheaders=True".to_owned(),
        "--ServerApp.allow_unauthenticated_access=False".to_owned(),
        "--ServerApp.quit_button=False".to_owned(),
        "--ServerApp.open_browser=False".to_owned(),
        format!("--ServerApp.root_dir={}", root.workspace.display()),
        format!("--ServerApp.preferred_dir={}", root.folder.display()),
        // When to end what is idle is decided by stationd alone.
        "--ServerApp.shutdown_no_activity_timeout=0".to_owned(),
        "--MappingKernelManager.cull_idle_timeout=0".to_owned(),
        "--TerminalManager.cull_inactive_timeout=0".to_owned(),
        format!("--ServerApp.terminado_settings={}", terminals(root, app)),
    ];
    if root.user.uid == 0 {
        arguments.push("--ServerApp.allow_root=True".to_owned());
    }
    arguments
}

/// A terminal for which nobody has named a folder would begin where the server does: it goes to the
/// user's folder. The text is JSON, and a value of Python.
fn terminals(root: &RootConfig, app: &AppRoot) -> String {
    const SHELL: &str = r#"[ "$PWD" = "$1" ] && cd -- "$2"; exec "${SHELL:-/bin/sh}" -l"#;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (server, user) = (text(&root.folder_of(&app.name)), text(&root.folder));
    let command = ["/bin/sh", "-c", SHELL, "sh", &server, &user];
    serde_json::json!({ "shell_command": command }).to_string()
}

/// Where stationd runs as another user, its group may connect: the folder has given it the socket.
fn sock_mode(root: &RootConfig) -> &'static str {
    if root.group.is_some() { "0660" } else { "0600" }
}

fn environment(root: &RootConfig, app: &AppRoot, given: &Given) -> BTreeMap<String, String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut environment = BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]);
    environment.extend(root.environment.clone());
    let own = [
        ("HOME", text(&root.user.home)),
        ("USER", root.user.name.clone()),
        ("LOGNAME", root.user.name.clone()),
        ("SHELL", text(&root.user.shell)),
        ("PATH", with_own_folder(given)),
        ("STATIOND_SOCKET", text(&root.admin_socket)),
        ("STATIOND_UNIT", root.unit(&app.name, given.generation)),
    ];
    environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
    environment
}

/// The program's own folder comes last: its siblings are found, the user's tools win.
fn with_own_folder(given: &Given) -> String {
    match given.program.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            format!("{}:{}", given.path, folder.display())
        }
        _ => given.path.clone(),
    }
}
