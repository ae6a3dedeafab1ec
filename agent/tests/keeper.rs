//! The keeper with real processes: every way to end, nothing left below, no output lost.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test plays the part of stationd, and fails loudly"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use stationd::base::ids::AppName;
use stationd::os::command::Program;
use stationd::os::{clock, process};
use stationd::privileged::keeper::files::{Exit, Folder, Hello, Launch, Order, State, StopBy};

/// Nothing here takes long; a wait over this is a failure.
const LIMIT: Duration = Duration::from_secs(20);

/// One keeper in a temporary folder. Whatever a test leaves is ended with it.
struct Kept {
    _place: tempfile::TempDir,
    folder: Folder,
    log: PathBuf,
    keeper: Child,
    unit: String,
    hello: Hello,
}

impl Kept {
    /// Keeps `script`, run by sh.
    fn script(script: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("app.log");
        Self::start(place, script, log)
    }

    fn start(place: tempfile::TempDir, script: &str, log: PathBuf) -> Self {
        let folder = Folder(place.path().to_owned());
        let unit = format!("test{}/app/1", place.path().file_name().unwrap().to_string_lossy());
        let path = std::env::var("PATH").unwrap();
        let launch = Launch {
            version: 1,
            app: AppName::parse("app").unwrap(),
            generation: 1,
            unit: unit.clone(),
            spec: "spec".into(),
            program: Program {
                program: "/bin/sh".into(),
                arguments: vec!["-c".into(), script.into()],
                environment: BTreeMap::from([
                    ("PATH".into(), path),
                    ("STATIOND_UNIT".into(), unit.clone()),
                ]),
                folder: place.path().to_owned(),
                account: None,
            },
            log: log.clone(),
            group: None,
        };
        fs::write(folder.launch(), serde_json::to_vec(&launch).unwrap()).unwrap();
        let mut keeper = Command::new(env!("CARGO_BIN_EXE_stationd"))
            .args(["keep", "--dir"])
            .arg(place.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let hello = serde_json::from_str(&line).unwrap();
        Self { _place: place, folder, log, keeper, unit, hello }
    }

    fn state(&self) -> &State {
        match &self.hello {
            Hello::Running(state) => state,
            Hello::Failed(message) => panic!("not started: {message}"),
        }
    }

    fn connect(&self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(self.folder.socket()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        BufReader::new(stream)
    }

    fn order(&self, order: &Order) {
        let mut stream = UnixStream::connect(self.folder.socket()).unwrap();
        writeln!(stream, "{}", serde_json::to_string(order).unwrap()).unwrap();
    }

    /// Waits for the end and checks that nothing of the app is left.
    fn end(&mut self) -> Exit {
        until("the keeper ends", || self.keeper.try_wait().unwrap().is_some());
        assert_eq!(self.left(), Vec::<i32>::new(), "processes are left");
        assert!(!self.folder.socket().exists());
        serde_json::from_slice(&fs::read(self.folder.exit()).unwrap()).unwrap()
    }

    fn left(&self) -> Vec<i32> {
        process::with_environment(&format!("STATIOND_UNIT={}", self.unit))
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn wait_for_log(&self, text: &str) {
        until(text, || self.log().contains(text));
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.keeper.kill());
        drop(self.keeper.wait());
        for pid in self.left() {
            drop(process::signal(pid, Signal::SIGKILL));
        }
    }
}

fn until(what: &str, test: impl FnMut() -> bool) {
    let mut test = test;
    let end = clock::since_boot() + LIMIT;
    while !test() {
        assert!(clock::since_boot() < end, "it did not happen: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn next(lines: &mut BufReader<UnixStream>) -> State {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn the_exit_code_and_the_last_line_are_kept() {
    let mut kept = Kept::script("echo out; echo err >&2; printf 'no newline'; exit 3");
    let exit = kept.end();
    assert_eq!((exit.code, exit.signal, exit.asked), (Some(3), None, None));
    assert_eq!(kept.log(), "[stationd: app started, generation 1]\nout\nerr\nno newline");
}

#[test]
fn a_signal_is_no_exit_code() {
    let mut kept = Kept::script("kill -SEGV $$");
    let exit = kept.end();
    assert_eq!((exit.code, exit.signal), (None, Some(11)));
}

#[test]
fn a_program_that_is_not_there_is_an_answer() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("launch.json");
    fs::write(&missing, "{}").unwrap_or_default();
    let output = Command::new(env!("CARGO_BIN_EXE_stationd"))
        .args(["keep", "--dir"])
        .arg(place.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let hello: Hello = serde_json::from_slice(&output.stdout).unwrap();
    let Hello::Failed(message) = hello else { panic!("it started nothing: {hello:?}") };
    assert!(message.contains("launch.json is not understood"), "{message}");
}

#[test]
fn whoever_connects_hears_the_state_and_every_change() {
    let mut kept = Kept::script("echo up; trap 'exit 0' TERM; while :; do sleep 0.05; done");
    kept.wait_for_log("up");
    let mut lines = kept.connect();
    let first = next(&mut lines);
    assert_eq!((first.stopping, first.kept.generation), (false, 1));
    assert_eq!(&first.kept, &kept.state().kept);
    assert!(first.kept.app.alive() && first.kept.keeper.alive());
    kept.order(&Order::Stop { grace_ms: 10_000, by: StopBy::User });
    assert!(next(&mut lines).stopping);
    let end = next(&mut lines).exit.unwrap();
    assert_eq!((end.code, end.asked, end.forced), (Some(0), Some(StopBy::User), false));
    assert_eq!(kept.end(), end);
}

#[test]
fn what_ignores_sigterm_is_killed_after_the_grace() {
    let mut kept = Kept::script("trap '' TERM; echo up; while :; do sleep 0.05; done");
    kept.wait_for_log("up");
    kept.order(&Order::Stop { grace_ms: 200, by: StopBy::Down });
    let exit = kept.end();
    assert_eq!((exit.signal, exit.asked, exit.forced), (Some(9), Some(StopBy::Down), true));
}

#[test]
fn children_with_sessions_of_their_own_end_with_the_app() {
    let script = "setsid sh -c 'sleep 300 & setsid sleep 301 & exit 0' & sleep 0.3; echo up; \
                  exit 0";
    let mut kept = Kept::script(script);
    let exit = kept.end();
    assert_eq!(exit.code, Some(0));
    assert_eq!((exit.killed, exit.left), (2, 0));
}

#[test]
fn a_stopped_process_still_ends() {
    let mut kept = Kept::script("echo up; exec sleep 300");
    kept.wait_for_log("up");
    process::signal(kept.state().kept.app.pid, Signal::SIGSTOP).unwrap();
    kept.order(&Order::Stop { grace_ms: 10_000, by: StopBy::User });
    let exit = kept.end();
    assert_eq!((exit.signal, exit.forced), (Some(15), false));
}

#[test]
fn sigterm_to_the_keeper_stops_the_app_and_terminal_signals_do_not() {
    let mut kept = Kept::script("echo up; exec sleep 300");
    kept.wait_for_log("up");
    let keeper = i32::try_from(kept.keeper.id()).unwrap();
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        process::signal(keeper, signal).unwrap();
    }
    assert!(!next(&mut kept.connect()).stopping);
    process::signal(keeper, Signal::SIGTERM).unwrap();
    assert_eq!(kept.end().asked, Some(StopBy::Signal));
}

#[test]
fn the_app_starts_with_default_signals_and_nothing_open() {
    // In the background of a shell, SIGINT is ignored; Python would then never raise on it.
    let mut kept = Kept::script("grep -E 'SigBlk|SigIgn' /proc/self/status; ls /proc/self/fd");
    kept.end();
    let log = kept.log();
    let masks = log.lines().filter_map(|line| line.split('\t').nth(1));
    // The C library has the signals from 32 on for itself.
    let ours: Vec<u64> =
        masks.map(|mask| u64::from_str_radix(mask, 16).unwrap() & 0x7fff_ffff).collect();
    assert_eq!(ours, [0, 0], "{log}");
    // ls itself has opened the folder: 0, 1, 2 and that one.
    assert!(log.ends_with("0\n1\n2\n3\n"), "{log}");
}

#[test]
fn a_flood_is_rotated_and_nothing_of_the_end_is_lost() {
    let script = "i=0; while [ $i -lt 26 ]; do head -c 1048576 /dev/zero | tr '\\0' x; \
                  i=$((i+1)); done; echo; echo last line";
    let mut kept = Kept::script(script);
    let exit = kept.end();
    assert_eq!((exit.code, exit.dropped_bytes), (Some(0), 0));
    let size = |path: PathBuf| fs::metadata(path).map(|file| file.len()).unwrap_or_default();
    let parts = [None, Some(1), Some(2)]
        .map(|number| size(stationd::privileged::keeper::numbered(&kept.log, number)));
    let header = "[stationd: app started, generation 1]\n".len() as u64;
    let tail = "\nlast line\n".len() as u64;
    assert_eq!(parts.iter().sum::<u64>(), 26 * 1_048_576 + header + tail);
    assert!(parts.iter().all(|size| *size <= 10 * 1_048_576 + 65_536), "{parts:?}");
    assert!(kept.log().ends_with("\nlast line\n"));
}

#[test]
fn nonsense_and_too_many_clients_do_not_harm() {
    let mut kept = Kept::script("echo up; exec sleep 300");
    kept.wait_for_log("up");
    let mut garbage = kept.connect();
    garbage.get_mut().write_all(b"hello\n").unwrap();
    let crowd: Vec<_> = (0..20).map(|_| kept.connect()).collect();
    drop(crowd);
    until("a new client is heard", || {
        let mut line = String::new();
        kept.connect().read_line(&mut line).is_ok_and(|bytes| bytes > 0)
    });
    kept.order(&Order::Kill { by: StopBy::User });
    assert!(kept.end().forced);
}

/// On a file system of 256 KiB: the app goes on, the loss is counted and said in the log.
#[test]
fn a_full_disk_drops_output_and_says_so() {
    let Some(disk) = SmallDisk::mount() else {
        println!("SKIPPED: a full disk needs root and mount(8) for a small tmpfs");
        return;
    };
    let ballast = disk.0.path().join("ballast");
    let script = "i=0; while [ $i -lt 100 ]; do head -c 10240 /dev/zero | tr '\\0' x; \
                  i=$((i+1)); done; echo full; touch full; while [ ! -e go ]; do sleep 0.05; done; \
                  echo after; sleep 300";
    let place = tempfile::tempdir().unwrap();
    fs::write(&ballast, vec![0; 100 * 1024]).unwrap();
    let mut kept = Kept::start(place, script, disk.0.path().join("app.log"));
    let mut lines = kept.connect();
    let dropped = next(&mut lines).dropped_bytes.max(next(&mut lines).dropped_bytes);
    assert!(dropped > 0, "nothing was said of dropped bytes");
    until("the flood is over", || kept.folder.0.join("full").exists());
    fs::remove_file(&ballast).unwrap();
    fs::write(kept.folder.0.join("go"), "").unwrap();
    kept.wait_for_log(" bytes dropped]\n");
    kept.wait_for_log("after");
    kept.order(&Order::Kill { by: StopBy::User });
    let exit = kept.end();
    assert!(exit.dropped_bytes > 500 * 1024, "{exit:?}");
}

struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=256k", "tmpfs"], place.path())
            .then_some(Self(place))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l"], self.0.path());
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    Command::new(program)
        .args(arguments)
        .arg(path)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
