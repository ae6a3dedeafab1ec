//! A home for one test, and lives of the supervision in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use station_proto::app::AppPhase;
use stationd::apps::{self, Apps, FEATURE, Ground, Seen, Spec, StartOn};
use stationd::base::ids::AppName;
use stationd::base::tasks::Tasks;
use stationd::os::process;
use stationd::privileged::keeper::files::{Folder, Kept};
use stationd::privileged::{AppRoot, Holder, Kind, Privileged, RootConfig, UnitUser, keeper};
use stationd::store::Store;
use tokio::sync::watch;

/// Answers like Jupyter's kernel list; `crash` and `idle` in its folder change its mind.
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
        start, end = "/apps/jupyterlab/api/", "?no_track_activity=1"
        assert self.path.startswith(start) and self.path.endswith(end), self.path
        kernels = b'[{"id": "k", "execution_state": "busy"}]'
        if os.path.exists(place + "/idle"):
            kernels = b"[]"
        body = kernels if "kernels" in self.path else b"[]"
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

/// Processes of an app that runs: its attendant, the program, and what that has started.
pub(crate) const ALIVE: usize = 3;
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A home with everything in it; a supervision can be started on it again and again.
pub(crate) struct Home {
    pub(crate) place: tempfile::TempDir,
    pub(crate) root: RootConfig,
    pub(crate) idle_stop: Option<Duration>,
}

/// One life of the supervision, as stationd has one.
pub(crate) struct Life {
    tasks: Tasks,
    pub(crate) store: Store,
    pub(crate) apps: Apps,
    _root: watch::Sender<Arc<RootConfig>>,
}

pub(crate) fn lab() -> AppName {
    AppName::parse("jupyterlab").unwrap()
}

/// The program of the package.
const PACKAGED: &str = "/usr/bin/stationd";
/// Where the last step of a unit writes down how the app ended.
const SYSTEM_KEEPERS: &str = "/var/lib/stationd/keepers";

pub(crate) fn units() -> bool {
    std::env::var_os("STATIOND_TEST_HOLDER").is_some_and(|holder| holder == "units")
}

/// Whether this is a test of keepers and units hold the app.
pub(crate) fn without_keepers() -> bool {
    if units() {
        println!("SKIPPED: systemd's units have no keeper that could be killed");
    }
    units()
}

impl Home {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for folder in ["run", "workspace", "tools/bin"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        let units = units();
        if units {
            drop(fs::remove_dir_all(SYSTEM_KEEPERS));
        }
        let instance = place.path().file_name().unwrap().to_string_lossy().replace('.', "");
        let root = RootConfig {
            instance,
            holder: if units { Holder::Units } else { Holder::Keepers },
            group: None,
            // That of the package, where units are: a machine of tests may not see where we were built.
            keeper: if units { PACKAGED } else { env!("CARGO_BIN_EXE_stationd") }.into(),
            keepers: if units { SYSTEM_KEEPERS.into() } else { at("keepers") },
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
            apps: vec![AppRoot::plain(
                lab(),
                Kind::JupyterLab,
                vec![at("tools/bin/lab").to_string_lossy().into_owned()],
            )],
            scratch: None,
            wardens: at("run/mounts"),
            mounts_dir: at("mnt"),
            own: 0,
            mounts: Vec::new(),
        };
        Self { place, root, idle_stop: None }
    }

    pub(crate) fn with_program() -> Self {
        let home = Self::new();
        home.install();
        home
    }

    pub(crate) fn install(&self) {
        let path = self.place.path().join("tools/bin/lab");
        fs::write(&path, PROGRAM).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn live(&self) -> Life {
        let (tasks, _ended) = Tasks::new();
        let store = Store::open(&self.place.path().join("stationd.db"), &[FEATURE]).unwrap();
        let root = watch::Sender::new(Arc::new(self.root.clone()));
        let (name, start) = (lab(), StartOn::Boot);
        let specs = vec![Spec { name, start, idle_stop: self.idle_stop, shares: None }];
        let ground = watch::channel(Ground::Ready).1;
        let privileged = Privileged::in_process(root.clone());
        let apps = apps::spawn(&tasks, store.clone(), privileged, (Some(specs), ground));
        Life { tasks, store, apps, _root: root }
    }

    pub(crate) fn kept(&self) -> Kept {
        keeper::read(&Folder::of(&self.root.keepers, &lab()).kept()).unwrap()
    }

    /// Until nothing of the run is left, and its end is written down.
    pub(crate) async fn over(&self) {
        let kept = self.kept();
        let last = if units() { kept.app } else { kept.keeper };
        while last.alive() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn processes(&self) -> usize {
        process::with_environment_start(&format!("STATIOND_UNIT={}/", self.root.instance)).len()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let folder = Folder::of(&self.root.keepers, &lab());
        let kept = keeper::read::<Kept>(&folder.kept());
        if let Some(kept) = kept.filter(|kept| kept.keeper.alive() && !units()) {
            drop(process::signal(kept.keeper.pid, Signal::SIGKILL));
        }
        let start = format!("STATIOND_UNIT={}/", self.root.instance);
        for pid in process::with_environment_start(&start) {
            drop(process::signal(pid, Signal::SIGKILL));
        }
    }
}

impl Life {
    pub(crate) async fn until(&self, what: &str, test: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = self.apps.seen();
        let found = tokio::time::timeout(LIMIT, seen.wait_for(|all| all.iter().any(&test))).await;
        let Ok(Ok(all)) = found else {
            panic!("it did not happen: {what}; {:?}", self.apps.seen().borrow());
        };
        all.iter().find(|one| test(one)).cloned().unwrap()
    }

    pub(crate) async fn phase(&self, phase: AppPhase) -> Seen {
        self.until(&format!("{phase:?}"), |seen| seen.phase == phase).await
    }

    /// As SIGTERM to stationd.
    pub(crate) async fn end(self) {
        self.tasks.cancel();
        self.tasks.joined().await;
        self.store.close().await;
    }

    pub(crate) async fn events(&self) -> Vec<String> {
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
