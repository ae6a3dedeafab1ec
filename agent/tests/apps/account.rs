//! An app under another account than stationd's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use station_proto::app::AppPhase;
use stationd::apps::AppsError;
use stationd::privileged::UnitUser;

use crate::rig::Home;

/// As root only: the program is looked for with the user's rights, not with ours.
#[tokio::test]
async fn what_only_root_may_run_is_passed_over() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: running an app as another user needs root");
        return;
    }
    let mut home = Home::with_program();
    home.root.user = UnitUser::named("nobody").unwrap();
    home.root.user.shell = "/bin/sh".into();
    home.root.user.home = home.place.path().join("home");
    home.root.apps.first_mut().unwrap().command = vec!["lab".to_owned()];
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open(home.place.path());
    let shut = home.place.path().join("tools");
    fs::set_permissions(shut, fs::Permissions::from_mode(0o700)).unwrap();
    let life = home.live();
    let seen = life.phase(AppPhase::Unavailable).await;
    assert!(seen.message.contains("tools/bin (tools)"), "{}", seen.message);
    assert!(seen.message.contains("nobody"), "{}", seen.message);
    let next = home.root.user.home.join(".local/bin");
    fs::create_dir_all(&next).unwrap();
    fs::copy(home.place.path().join("tools/bin/lab"), next.join("lab")).unwrap();
    for path in [home.place.path().join("run"), home.root.user.home.clone()] {
        open(&path);
    }
    let asked = life.apps.start("jupyterlab").await;
    assert!(!matches!(asked, Err(AppsError::Unavailable { .. })), "{asked:?}");
    life.end().await;
}

/// As root only: the app runs under another account, with its groups, and reaches its socket.
#[tokio::test]
async fn another_user_is_that_user_in_everything() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: running an app as another user needs root");
        return;
    }
    let mut home = Home::with_program();
    home.root.user = UnitUser::named("nobody").unwrap();
    home.root.user.shell = "/bin/sh".into();
    for folder in ["", "run", "workspace", "tools", "tools/bin"] {
        let mode = if folder == "workspace" { 0o777 } else { 0o755 };
        let path = home.place.path().join(folder);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    if !Path::new("/usr/bin/python3").exists() {
        println!("SKIPPED: no python3 that nobody may run");
        return;
    }
    let program = home.place.path().join("tools/bin/lab");
    let text = fs::read_to_string(&program).unwrap();
    fs::write(&program, text.replace("/usr/bin/env python3", "/usr/bin/python3")).unwrap();
    let life = home.live();
    let seen = life.phase(AppPhase::Ready).await;
    let status = fs::read_to_string(format!("/proc/{}/status", seen.pid.unwrap())).unwrap();
    let field = |name: &str| status.lines().find(|text| text.starts_with(name)).unwrap().to_owned();
    let uid = home.root.user.uid;
    assert_eq!(field("Uid:"), format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}"));
    let gid = home.root.user.gid;
    assert_eq!(field("Groups:").trim_end(), format!("Groups:\t{gid}"));
    life.apps.stop("jupyterlab").await.unwrap();
    assert_eq!(home.processes(), 0);
    life.end().await;
}
