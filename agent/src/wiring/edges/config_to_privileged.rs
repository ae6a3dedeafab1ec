//! The configuration as the privileged side needs it. Pure, but for the look-up of the user.

use std::path::PathBuf;

use crate::base::ids::InstanceId;
use crate::config::{App, AppKind, Config, Driver, Mount, Paths, Prefix};
use crate::privileged::{
    AppRoot, Holder, Kind, MountRoot, NoUser, RootConfig, UnitUser, environment,
};
use crate::wiring::Outside;

/// The mount that apps work in.
const WORKSPACE: &str = "workspace";
/// The group of the package's own account, and its name.
const OWN: &str = "stationd";
/// The instance in a unit's name: a machine has one installation of units.
const ONE_INSTANCE: &str = "system";

/// Builds what verbs may use. Both sides come to the same, but for what each has inherited.
pub(in crate::wiring) fn root_config(
    config: &Config,
    outside: &Outside,
    instance: Option<&InstanceId>,
) -> Result<RootConfig, NoUser> {
    let (paths, units) = (&outside.paths, outside.units);
    let user = user(config, units)?;
    let workspace = &workspace(config, paths);
    let folder = workspace.join(config.instance.folder_of(&user.name));
    let app = |app: &App| {
        let plain = AppRoot::plain(app.name.clone(), kind(app.kind), app.command.clone());
        AppRoot {
            port: app.port,
            keeps_prefix: plain.keeps_prefix && app.prefix == Prefix::Keep,
            health: app.health.clone(),
            memory_max: app.memory_max,
            shares: app.shares.clone(),
            ..plain
        }
    };
    Ok(RootConfig {
        instance: instance.map_or(ONE_INSTANCE, InstanceId::short).to_owned(),
        holder: if units { Holder::Units } else { Holder::Keepers },
        group: if units { group(OWN) } else { None },
        keeper: outside.program.clone(),
        keepers: keepers(paths),
        sockets: paths.run_dir.join("apps"),
        logs: paths.logs_dir.join("apps"),
        tools: paths.tools_dir.clone(),
        admin_socket: paths.admin_socket.clone(),
        environment: environment::passed(std::env::vars_os()),
        apps: config.apps.iter().map(app).collect(),
        root_access: config.instance.root_access,
        workspace: workspace.to_owned(),
        own_workspace: *workspace == *paths.workspace_dir,
        scratch: (*workspace != *paths.workspace_dir && is_share(config))
            .then(|| paths.workspace_dir.clone()),
        wardens: wardens(paths),
        mounts_dir: paths.mounts_dir.clone(),
        own: if units { uid(OWN) } else { nix::unistd::geteuid().as_raw() },
        mounts: config.mounts.iter().filter_map(|mount| share(mount, paths)).collect(),
        folder,
        user,
    })
}

/// Whether apps work on a share.
pub(in crate::wiring) fn is_share(config: &Config) -> bool {
    config
        .mounts
        .iter()
        .any(|mount| mount.name.as_str() == WORKSPACE && matches!(mount.driver, Driver::Share(_)))
}

/// Where wardens have their folders.
pub(in crate::wiring) fn wardens(paths: &Paths) -> PathBuf {
    paths.run_dir.join("mounts")
}

fn share(mount: &Mount, paths: &Paths) -> Option<MountRoot> {
    let Driver::Share(share) = &mount.driver else { return None };
    let usual = || paths.copies_dir.join(mount.name.as_str());
    Some(MountRoot {
        name: mount.name.clone(),
        source: share.source.clone(),
        cache: share.cache_dir.clone().unwrap_or_else(usual),
        cache_max_mib: share.cache_max >> 20,
        read_only: share.read_only,
    })
}

/// Who the apps run as: whoever runs stationd, which is root where units do.
fn user(config: &Config, units: bool) -> Result<UnitUser, NoUser> {
    match config.instance.local_user.as_deref() {
        Some(name) => UnitUser::named(name),
        None if units => UnitUser::named("root"),
        None => Ok(UnitUser::own()),
    }
}

/// One folder for each app, with what its holder writes down.
pub(in crate::wiring) fn keepers(paths: &Paths) -> PathBuf {
    paths.state_dir.join("keepers")
}

fn group(name: &str) -> Option<u32> {
    nix::unistd::Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
}

fn uid(name: &str) -> u32 {
    nix::unistd::User::from_name(name).ok().flatten().map_or(0, |user| user.uid.as_raw())
}

/// The folder of the mount called `workspace`.
pub(in crate::wiring) fn workspace(config: &Config, paths: &Paths) -> PathBuf {
    let mount = config.mounts.iter().find(|mount| mount.name.as_str() == WORKSPACE);
    match mount.map(|mount| (&mount.driver, &mount.name)) {
        None => paths.workspace_dir.clone(),
        Some((Driver::Directory { path }, _)) => path.clone(),
        Some((Driver::Share(_), name)) => paths.mounts_dir.join(name.as_str()),
    }
}

fn kind(kind: AppKind) -> Kind {
    match kind {
        AppKind::JupyterLab => Kind::JupyterLab,
        AppKind::Jupyter => Kind::Jupyter,
        AppKind::RStudio => Kind::RStudio,
        AppKind::Custom => Kind::Custom,
    }
}
