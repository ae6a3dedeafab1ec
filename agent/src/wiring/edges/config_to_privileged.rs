//! The configuration as the privileged side needs it. Pure, but for the look-up of the user.

use std::path::Path;

use crate::base::ids::InstanceId;
use crate::config::{App, AppKind, Config, Paths};
use crate::privileged::{AppRoot, Kind, NoUser, RootConfig, UnitUser, environment};

/// Builds what verbs may use.
pub(in crate::wiring) fn root_config(
    config: &Config,
    paths: &Paths,
    program: &Path,
    instance: &InstanceId,
) -> Result<RootConfig, NoUser> {
    let user = user(config)?;
    let workspace = workspace(config, paths);
    let folder = workspace.join(config.instance.folder_of(&user.name));
    let app = |app: &App| AppRoot {
        name: app.name.clone(),
        kind: kind(app.kind),
        command: app.command.iter().map(|path| path.display().to_string()).collect(),
        workspace: workspace.to_owned(),
        own_workspace: *workspace == *paths.workspace_dir,
        folder: folder.clone(),
    };
    Ok(RootConfig {
        instance: instance.short().to_owned(),
        keeper: program.to_owned(),
        keepers: paths.state_dir.join("keepers"),
        sockets: paths.run_dir.join("apps"),
        logs: paths.logs_dir.join("apps"),
        tools: paths.tools_dir.clone(),
        admin_socket: paths.admin_socket.clone(),
        environment: environment::passed(std::env::vars_os()),
        apps: config.apps.iter().map(app).collect(),
        user,
    })
}

/// Who the apps run as.
pub(in crate::wiring) fn user(config: &Config) -> Result<UnitUser, NoUser> {
    config.instance.local_user.as_deref().map_or_else(|| Ok(UnitUser::own()), UnitUser::named)
}

/// The folder of the mount called `workspace`.
pub(in crate::wiring) fn workspace<'a>(config: &'a Config, paths: &'a Paths) -> &'a Path {
    let mount = config.mounts.iter().find(|mount| mount.name == "workspace");
    mount.map_or(&paths.workspace_dir, |mount| &mount.path)
}

fn kind(kind: AppKind) -> Kind {
    match kind {
        AppKind::JupyterLab => Kind::JupyterLab,
    }
}
