//! The supervision with real keepers and a small program as the app: crashes, kills, adoption.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test plays the part of stationd, and fails loudly"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use station_proto::app::AppPhase;
use station_proto::cause::CauseKind;
use stationd::apps::{self, Apps, AppsError, FEATURE, Seen, Spec, StartOn};
use stationd::base::ids::AppName;
use stationd::base::tasks::Tasks;
use stationd::os::process;
use stationd::privileged::keeper::files::{Folder, Kept};
use stationd::privileged::{AppRoot, Holder, Kind, Privileged, RootConfig, UnitUser, keeper};
use stationd::store::Store;
use tokio::sync::watch;

/// Answers like Jupyter's kernel list; `crash` and `refuse` in its folder change its mind.
const PROGRAM: &str = r#"#!/usr/bin/env python3
import os, socketserver, sys, http.server, signal, subprocess, time
flags = dict(a[2:].split("=", 1) for a in sys.argv[1:] if "=" in a)
place = flags["ServerApp.root_dir"]
print("serving", flags["ServerApp.base_url"], "token=secret", flush=True)
if os.path.exists(place + "/crash"):
    print("cannot go on", flush=True)
    sys.exit(1)
subprocess.Popen(["sleep", "300"], start_new_session=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        assert self.path == "/apps/jupyterlab/api/kernels?no_track_activity=1", self.path
        body = b'[{"execution_state": "busy"}]'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
    def address_string(self): return ""
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    def get_request(self):
        request, _ = super().get_request()
        return request, ("", 0)
Server(flags["ServerApp.sock"], Handler).serve_forever()
"#;

const LIMIT: Duration = Duration::from_secs(30);

/// A home with everything in it; a supervision can be started on it again and again.
struct Home {
    place: tempfile::TempDir,
    root: RootConfig,
}

/// One life of the supervision, as stationd has one.
struct Life {
    tasks: Tasks,
    store: Store,
    apps: Apps,
    _root: watch::Sender<Arc<RootConfig>>,
}

fn lab() -> AppName {
    AppName::parse("jupyterlab").unwrap()
}

impl Home {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for folder in ["run", "workspace", "tools/bin"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        let instance = place.path().file_name().unwrap().to_string_lossy().replace('.', "");
        let root = RootConfig {
            instance,
            holder: Holder::Keepers,
            group: None,
            keeper: env!("CARGO_BIN_EXE_stationd").into(),
            keepers: at("keepers"),
            sockets: at("run/apps"),
            logs: at("logs"),
            tools: at("tools"),
            admin_socket: at("admin.sock"),
            user: UnitUser::own(),
            root_access: false,
            workspace: at("workspace"),
            own_workspace: false,
            folder: at("workspace/Users/ada"),
            environment: BTreeMap::new(),
            apps: vec![AppRoot {
                name: lab(),
                kind: Kind::JupyterLab,
                command: vec![at("tools/bin/lab").to_string_lossy().into_owned()],
            }],
        };
        Self { place, root }
    }

    fn with_program() -> Self {
        let home = Self::new();
        home.install();
        home
    }

    fn install(&self) {
        let path = self.place.path().join("tools/bin/lab");
        fs::write(&path, PROGRAM).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn live(&self) -> Life {
        let (tasks, _ended) = Tasks::new();
        let store = Store::open(&self.place.path().join("stationd.db"), &[FEATURE]).unwrap();
        let root = watch::Sender::new(Arc::new(self.root.clone()));
        let specs = vec![Spec { name: lab(), start: StartOn::Boot }];
        let apps =
            apps::spawn(&tasks, store.clone(), Privileged::in_process(root.clone()), Some(specs));
        Life { tasks, store, apps, _root: root }
    }

    fn kept(&self) -> Kept {
        keeper::read(&Folder::of(&self.root.keepers, &lab()).kept()).unwrap()
    }

    fn processes(&self) -> usize {
        process::with_environment_start(&format!("STATIOND_UNIT={}/", self.root.instance)).len()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let folder = Folder::of(&self.root.keepers, &lab());
        if let Some(kept) = keeper::read::<Kept>(&folder.kept()).filter(|k| k.keeper.alive()) {
            drop(process::signal(kept.keeper.pid, Signal::SIGKILL));
        }
        let start = format!("STATIOND_UNIT={}/", self.root.instance);
        for pid in process::with_environment_start(&start) {
            drop(process::signal(pid, Signal::SIGKILL));
        }
    }
}

impl Life {
    async fn until(&self, what: &str, test: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = self.apps.seen();
        let found = tokio::time::timeout(LIMIT, seen.wait_for(|all| all.iter().any(&test))).await;
        let Ok(Ok(all)) = found else {
            panic!("it did not happen: {what}; {:?}", self.apps.seen().borrow());
        };
        all.iter().find(|one| test(one)).cloned().unwrap()
    }

    async fn phase(&self, phase: AppPhase) -> Seen {
        self.until(&format!("{phase:?}"), |seen| seen.phase == phase).await
    }

    /// As SIGTERM to stationd.
    async fn end(self) {
        self.tasks.cancel();
        self.tasks.joined().await;
        self.store.close().await;
    }

    async fn events(&self) -> Vec<String> {
        let last = self.store.last_seq().await.unwrap();
        // An event has its number before it is on disk.
        let page = loop {
            let page = self.store.events_after(0, 1000).await.unwrap();
            if page.events.last().is_some_and(|event| event.seq >= last) {
                break page;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        page.events.into_iter().map(|event| event.kind).collect()
    }
}

#[tokio::test]
async fn it_starts_answers_stops_and_leaves_nothing() {
    let home = Home::with_program();
    let life = home.live();
    let seen = life.phase(AppPhase::Ready).await;
    assert_eq!((seen.generation, seen.failures, seen.wanted), (1, 0, true));
    assert_eq!(seen.activity.unwrap().busy, 1);
    assert_eq!(home.processes(), 2);
    let mode = fs::metadata(seen.socket.parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let lines = life.apps.logs("jupyterlab", 10).await.unwrap();
    assert!(lines.contains(&"serving /apps/jupyterlab/ token=…".to_owned()), "{lines:?}");
    life.apps.stop("jupyterlab").await.unwrap();
    let seen = life.phase(AppPhase::Stopped).await;
    assert_eq!(seen.last_end.unwrap().kind, CauseKind::UserStop);
    assert_eq!(home.processes(), 0);
    let expected = ["app.starting", "app.ready", "app.stopping", "app.ended", "app.stopped"];
    assert_eq!(life.events().await, expected);
    life.end().await;
    // The wish outlives stationd.
    let life = home.live();
    let seen = life.phase(AppPhase::Stopped).await;
    assert_eq!((seen.wanted, seen.generation), (false, 1));
    assert!(seen.last_end.is_some());
    life.apps.start("jupyterlab").await.unwrap();
    assert_eq!(life.phase(AppPhase::Ready).await.generation, 2);
    let report = life.apps.shutdown(LIMIT).await;
    assert_eq!((report.stopped, report.left), (vec![lab()], Vec::new()));
    assert_eq!(home.processes(), 0);
    life.end().await;
}

#[tokio::test]
async fn a_second_life_adopts_the_same_process() {
    let home = Home::with_program();
    let life = home.live();
    let first = life.phase(AppPhase::Ready).await;
    life.end().await;
    assert_eq!(home.processes(), 2, "the end of stationd ends no app");
    let life = home.live();
    let second = life.phase(AppPhase::Ready).await;
    assert_eq!((second.pid, second.generation), (first.pid, 1));
    assert!(!second.restart_pending);
    assert!(life.events().await.contains(&"app.adopted".to_owned()));
    life.end().await;
    // A third one has a configuration that would start something else.
    let mut home = home;
    home.root.folder = home.place.path().join("workspace/Users/bob");
    let life = home.live();
    let third = life.phase(AppPhase::Ready).await;
    assert_eq!((third.pid, third.restart_pending), (first.pid, true));
    life.apps.restart("jupyterlab").await.unwrap();
    let fourth = life.phase(AppPhase::Ready).await;
    assert_eq!((fourth.generation, fourth.restart_pending), (2, false));
    life.end().await;
}

#[tokio::test]
async fn an_end_that_nobody_watched_is_recorded_truly() {
    let home = Home::with_program();
    let life = home.live();
    let first = life.phase(AppPhase::Ready).await;
    life.end().await;
    process::signal(first.pid.unwrap(), Signal::SIGSEGV).unwrap();
    let keeper = home.kept().keeper;
    while keeper.alive() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let life = home.live();
    let second = life.phase(AppPhase::Ready).await;
    assert_eq!(second.generation, 2);
    let end = second.last_end.unwrap();
    assert_eq!((end.kind, end.signal), (CauseKind::Signal, Some(11)));
    life.end().await;
}

#[tokio::test]
async fn a_killed_app_is_started_again_with_its_cause() {
    let home = Home::with_program();
    let life = home.live();
    let first = life.phase(AppPhase::Ready).await;
    process::signal(first.pid.unwrap(), Signal::SIGKILL).unwrap();
    let second = life.until("a second start", |s| s.generation == 2 && s.pid.is_some()).await;
    let end = second.last_end.unwrap();
    assert_eq!((end.kind, end.signal), (CauseKind::Signal, Some(9)));
    assert_eq!(end.last_lines, ["serving /apps/jupyterlab/ token=…"]);
    life.until("ready again", |s| s.generation == 2 && s.phase == AppPhase::Ready).await;
    assert_eq!(home.processes(), 2);
    life.end().await;
}

#[tokio::test]
async fn a_killed_keeper_takes_its_app_along_and_both_come_back() {
    let home = Home::with_program();
    let life = home.live();
    life.phase(AppPhase::Ready).await;
    process::signal(home.kept().keeper.pid, Signal::SIGKILL).unwrap();
    let second =
        life.until("ready again", |s| s.generation == 2 && s.phase == AppPhase::Ready).await;
    let end = second.last_end.unwrap();
    assert_eq!((end.kind, end.exit_code), (CauseKind::KeeperLost, None));
    assert_eq!(home.processes(), 2);
    life.end().await;
}

#[tokio::test]
async fn keeper_and_stationd_killed_together_leave_one_instance() {
    let home = Home::with_program();
    let life = home.live();
    life.phase(AppPhase::Ready).await;
    life.end().await;
    let keeper = home.kept().keeper;
    process::signal(keeper.pid, Signal::SIGKILL).unwrap();
    while keeper.alive() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let life = home.live();
    let second = life.phase(AppPhase::Ready).await;
    let end = second.last_end.unwrap().kind;
    assert_eq!((end, second.generation, home.processes()), (CauseKind::KeeperLost, 2, 2));
    life.end().await;
}

#[tokio::test]
async fn a_crash_loop_opens_the_breaker_and_shows_the_last_lines() {
    let home = Home::with_program();
    fs::write(home.place.path().join("workspace/crash"), "").unwrap();
    let life = home.live();
    // A user who asks again and again does not wait for the back-off, and meets the breaker.
    let seen = loop {
        let ended = |s: &Seen| matches!(s.phase, AppPhase::Backoff | AppPhase::Failed);
        let seen = life.until("an end", ended).await;
        if seen.phase == AppPhase::Failed {
            break seen;
        }
        drop(life.apps.start("jupyterlab").await);
    };
    assert_eq!(seen.failures, 6);
    let end = seen.last_end.unwrap();
    assert_eq!((end.kind, end.exit_code), (CauseKind::Exit, Some(1)));
    assert_eq!(end.last_lines.last().unwrap(), "cannot go on");
    fs::remove_file(home.place.path().join("workspace/crash")).unwrap();
    life.apps.start("jupyterlab").await.unwrap();
    assert_eq!(life.phase(AppPhase::Ready).await.generation, 7);
    life.end().await;
}

#[tokio::test]
async fn a_missing_program_is_unavailable_until_it_is_there() {
    let home = Home::new();
    let life = home.live();
    let seen = life.phase(AppPhase::Unavailable).await;
    assert!(seen.message.contains("tools/bin/lab (configured)"), "{}", seen.message);
    assert!(seen.message.contains("scripts/up"), "{}", seen.message);
    let refused = life.apps.start("jupyterlab").await;
    assert!(matches!(refused, Err(AppsError::Unavailable { .. })), "{refused:?}");
    home.install();
    life.apps.start("jupyterlab").await.unwrap();
    assert_eq!(life.phase(AppPhase::Ready).await.generation, 1);
    assert!(matches!(life.apps.start("other").await, Err(AppsError::Unknown { .. })));
    life.end().await;
}

#[tokio::test]
async fn a_socket_path_that_is_too_long_says_so() {
    let mut home = Home::with_program();
    home.root.sockets = home.place.path().join("x".repeat(100));
    let life = home.live();
    let seen = life.phase(AppPhase::Backoff).await;
    assert!(seen.message.contains("shorter STATIOND_HOME"), "{}", seen.message);
    assert_eq!(seen.last_end.unwrap().kind, CauseKind::StartFailed);
    life.end().await;
}

#[tokio::test]
async fn a_missing_workspace_is_made_or_named() {
    for own in [true, false] {
        let mut home = Home::with_program();
        fs::remove_dir(home.place.path().join("workspace")).unwrap();
        home.root.own_workspace = own;
        let life = home.live();
        life.phase(AppPhase::Ready).await;
        assert!(home.place.path().join("workspace/Users/ada").is_dir());
        life.end().await;
    }
    let mut home = Home::with_program();
    home.root.workspace = home.place.path().join("tools/bin/lab/workspace");
    home.root.folder = home.root.workspace.clone();
    let life = home.live();
    let seen = life.phase(AppPhase::Backoff).await;
    assert!(seen.message.contains("check the workspace"), "{}", seen.message);
    life.end().await;
}

#[tokio::test]
async fn whatever_the_user_put_at_the_socket_is_removed() {
    let home = Home::with_program();
    let socket = home.root.socket(&lab());
    fs::create_dir_all(socket.join("full/of")).unwrap();
    fs::set_permissions(socket.join("full"), fs::Permissions::from_mode(0o500)).unwrap();
    let life = home.live();
    life.phase(AppPhase::Ready).await;
    life.end().await;
}

#[tokio::test]
async fn an_app_that_left_the_configuration_is_stopped() {
    let home = Home::with_program();
    let life = home.live();
    life.phase(AppPhase::Ready).await;
    life.apps.configure(Vec::new()).await.unwrap();
    let mut seen = life.apps.seen();
    let gone = seen.wait_for(|all| all.is_empty());
    tokio::time::timeout(LIMIT, gone).await.unwrap().unwrap();
    assert_eq!(home.processes(), 0);
    life.end().await;
}

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
