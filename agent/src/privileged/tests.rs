//! What is started, exactly, and which verbs are refused.

use super::*;
use crate::base::limits;

fn user() -> UnitUser {
    UnitUser {
        name: "ada".into(),
        uid: 1000,
        gid: 1000,
        groups: vec![1000, 44],
        home: "/home/ada".into(),
        shell: "/bin/bash".into(),
    }
}

fn root() -> RootConfig {
    RootConfig {
        instance: "abababab".into(),
        holder: Holder::Keepers,
        group: None,
        keeper: "/usr/bin/stationd".into(),
        keepers: "/var/lib/stationd/keepers".into(),
        sockets: "/run/stationd/apps".into(),
        logs: "/var/lib/stationd/logs/apps".into(),
        tools: "/opt/stationd/tools".into(),
        admin_socket: "/run/stationd/admin.sock".into(),
        user: user(),
        root_access: false,
        workspace: "/mnt/stationd/workspace".into(),
        own_workspace: false,
        folder: "/mnt/stationd/workspace/Users/ada".into(),
        environment: BTreeMap::from([("TZ".into(), "Europe/Paris".into())]),
        apps: vec![AppRoot::plain(
            AppName::parse("jupyterlab").unwrap(),
            Kind::JupyterLab,
            Vec::new(),
        )],
        scratch: None,
        wardens: "/run/x/mounts".into(),
        mounts_dir: "/mnt/x".into(),
        own: 0,
        mounts: Vec::new(),
    }
}

const JUPYTERLAB: &str = "\
/usr/bin/stationd
attend
--folder
/run/stationd/apps/jupyterlab
--
/opt/stationd/tools/bin/jupyter-lab
--no-browser
--ServerApp.base_url=/apps/jupyterlab/
--ServerApp.sock=/run/stationd/apps/jupyterlab/s.sock
--ServerApp.sock_mode=0600
--IdentityProvider.token=
--PasswordIdentityProvider.hashed_password=
--ServerApp.allow_remote_access=True
--ServerApp.trust_xheaders=True
--ServerApp.allow_unauthenticated_access=False
--ServerApp.quit_button=False
--ServerApp.open_browser=False
--ServerApp.root_dir=/mnt/stationd/workspace
--ServerApp.preferred_dir=/mnt/stationd/workspace/Users/ada
--ServerApp.shutdown_no_activity_timeout=0
--MappingKernelManager.cull_idle_timeout=0
--TerminalManager.cull_inactive_timeout=0
--ServerApp.terminado_settings={\"shell_command\":[\"/bin/sh\",\"-c\",\"[ \\\"$PWD\\\" = \\\"$1\\\" ] && cd -- \\\"$2\\\"; exec \\\"${SHELL:-/bin/sh}\\\" -l\",\"sh\",\"/run/stationd/apps/jupyterlab\",\"/mnt/stationd/workspace/Users/ada\"]}
--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate
--LabApp.news_url=None
--LabApp.extension_manager=readonly
in /run/stationd/apps/jupyterlab
HOME=/home/ada
LANG=C.UTF-8
LOGNAME=ada
PATH=/usr/bin:/bin:/opt/stationd/tools/bin
SHELL=/bin/bash
STATIOND_SOCKET=/run/stationd/admin.sock
STATIOND_UNIT=abababab/jupyterlab/7
TZ=Europe/Paris
USER=ada
";

#[test]
fn jupyterlab_is_started_like_this() {
    let root = root();
    let given = recipe::Given {
        program: "/opt/stationd/tools/bin/jupyter-lab".into(),
        generation: 7,
        path: "/usr/bin:/bin".into(),
    };
    let program = recipe::build(&root, root.apps.first().unwrap(), &given);
    let mut shown = vec![program.program.display().to_string()];
    shown.extend(program.arguments);
    shown.push(format!("in {}", program.folder.display()));
    let variables = program.environment.iter();
    shown.extend(variables.map(|(name, value)| format!("{name}={value}")));
    assert_eq!(shown.join("\n"), JUPYTERLAB.trim_end());
    let account = root.user.account().unwrap();
    assert_eq!((account.uid, account.groups), (1000, vec![1000, 44]));
}

#[test]
fn root_is_told_to_jupyter_only_when_it_is_root() {
    let mut root = root();
    root.user.uid = 0;
    let program =
        recipe::build(&root, root.apps.first().unwrap(), &recipe::Given::for_comparison());
    let flag = "--ServerApp.allow_root=True".to_owned();
    assert!(program.arguments.contains(&flag));
}

#[test]
fn the_fingerprint_follows_what_is_started_and_nothing_else() {
    let name = AppName::parse("jupyterlab").unwrap();
    let before = root();
    let mut elsewhere = before.clone();
    elsewhere.logs = "/tmp/logs".into();
    assert_eq!(before.fingerprint(&name), elsewhere.fingerprint(&name));
    assert_ne!(before.digest(), elsewhere.digest());
    let mut changed = before.clone();
    changed.workspace = "/data".into();
    assert_ne!(before.fingerprint(&name), changed.fingerprint(&name));
}

#[tokio::test]
async fn a_verb_of_another_configuration_or_app_is_refused() {
    let root = root();
    let app = AppName::parse("jupyterlab").unwrap();
    let start = |app| Verb::StartApp { app, generation: 1, scratch: false };
    let stale = Order { digest: "of yesterday".into(), verb: start(app) };
    assert_eq!(execute(stale, &root).await, Err(Refusal::ConfigChanged));
    let other = AppName::parse("other").unwrap();
    let unknown = Order { digest: root.digest(), verb: start(other.clone()) };
    assert_eq!(execute(unknown, &root).await, Err(Refusal::UnknownApp(other)));
}

#[tokio::test]
async fn a_missing_program_names_the_places() {
    let mut root = root();
    root.user = UnitUser::own();
    root.user.home = "/nonexistent-home".into();
    root.apps.first_mut().unwrap().command = vec!["no-such-program".into()];
    let verb = Verb::FindApp { app: AppName::parse("jupyterlab").unwrap() };
    let refusal = execute(Order { digest: root.digest(), verb }, &root).await.unwrap_err();
    let message = refusal.to_string();
    for place in [
        "/opt/stationd/tools/bin (tools)",
        "/nonexistent-home/.local/bin (user)",
        "/opt/conda/bin (conda)",
        "(login PATH)",
    ] {
        assert!(message.contains(place), "{place} is not in: {message}");
    }
}

/// A login shell that does as it likes.
fn shell(folder: &std::path::Path, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("shell");
    crate::os::file::write_atomic(&path, format!("#!/bin/sh\n{script}\n").as_bytes(), 0o755)
        .unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o755);
    path
}

#[tokio::test]
async fn the_login_path_is_known_as_soon_as_the_shell_has_said_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut root = root();
    root.user = UnitUser::own();
    let table = [
        ("printf '@stationd@/made/up@stationd@'; sleep 311", "/made/up"),
        ("sleep 311 & printf 'hello @stationd@/made/up@stationd@'", "/made/up"),
        ("yes", "/usr/local/bin:/usr/bin:/bin"),
        ("exit 1", "/usr/local/bin:/usr/bin:/bin"),
    ];
    for (script, path) in table {
        root.user.shell = shell(folder.path(), script);
        // A fork of another test may hold the file open for writing until its exec (ETXTBSY).
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let before = crate::os::clock::since_boot();
        assert_eq!(find::login_path(&root).await, path, "{script}");
        assert!(crate::os::clock::since_boot() < before + limits::USER_STEP / 2, "{script}");
    }
}
