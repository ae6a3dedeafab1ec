//! The machine falls ill and gets well again, and the heartbeat says so.

use std::io::Write as _;
use std::os::unix::fs::FileTypeExt as _;
use std::time::Duration;

use nix::sys::signal::Signal;
use station_proto::condition::{Condition, Truth};
use station_proto::heartbeat::{Heartbeat, Phase};
use station_tests::process;
use station_tests::station::{App, Station};
use stationd::os::process::{Stat, signal};

/// A few looks of ten seconds, on a loaded machine.
const SOON: Duration = Duration::from_secs(90);

fn condition(heartbeat: &Heartbeat, kind: &str) -> Option<Condition> {
    heartbeat.status.conditions.iter().find(|one| one.kind == kind).cloned()
}

/// Waits until a condition holds.
async fn holds(station: &Station, kind: &str) -> Condition {
    let seen = station.wait_for(kind, SOON, |now| condition(now, kind).is_some()).await.unwrap();
    condition(&seen, kind).unwrap()
}

/// Waits until it does not any more.
async fn clears(station: &Station, kind: &str) {
    station.wait_for(kind, SOON, |now| condition(now, kind).is_none()).await.unwrap();
}

/// Waits for figures, which change without the status.
async fn sampled(station: &Station, what: &str, is: impl Fn(&Heartbeat) -> bool) -> Heartbeat {
    process::eventually_async(what, SOON, || async {
        station.heartbeat().await.ok().filter(|now| is(now))
    })
    .await
    .unwrap()
}

async fn start() -> Station {
    Station::start(App::None, "app = []").await.unwrap()
}

#[tokio::test]
async fn a_machine_that_is_well_has_no_condition_and_shows_its_figures() {
    let station = start().await;
    let full = |now: &Heartbeat| {
        now.samples.as_ref().is_some_and(|now| now.os_disk.is_some() && now.memory.is_some())
    };
    let now = sampled(&station, "figures", full).await;
    let host = ["MemoryPressure", "DiskPressure", "ClockUnsynchronized", "NetworkDown"];
    for kind in host {
        assert_eq!(condition(&now, kind), None);
    }
    let now = now.samples.unwrap();
    assert_eq!(now.disks[0].path, "/");
    assert!(now.disks[0].total_mib > 0 && now.disks[0].inodes_total > 0);
    assert!(now.pressure.unwrap().io_full_percent < 0.1);
}

#[tokio::test]
async fn pressure_of_memory_cores_and_disks_comes_and_goes() {
    let station = start().await;
    let machine = station.machine();
    machine.memory(100_000).unwrap();
    machine.pressure("cpu", 95.0).unwrap();
    machine.pressure("io", 70.0).unwrap();
    let memory = holds(&station, "MemoryPressure").await;
    assert_eq!(memory.reason, "MemoryLow");
    assert!(memory.message.contains("97 MiB"), "{}", memory.message);
    holds(&station, "CpuPressure").await;
    holds(&station, "IoPressure").await;
    machine.memory(8_000_000).unwrap();
    machine.pressure("cpu", 10.0).unwrap();
    machine.pressure("io", 0.0).unwrap();
    for kind in ["MemoryPressure", "CpuPressure", "IoPressure"] {
        clears(&station, kind).await;
    }
    machine.pressure("memory", 30.0).unwrap();
    assert_eq!(holds(&station, "MemoryPressure").await.reason, "Stalled");
    machine.pressure("memory", 0.0).unwrap();
    clears(&station, "MemoryPressure").await;
}

#[tokio::test]
async fn a_full_disk_is_told_with_its_largest_folders() {
    let station = start().await;
    let state = station.home().join("state");
    let path = state.display().to_string();
    std::fs::create_dir_all(state.join("caches/of/somebody")).unwrap();
    let big = state.join("caches/of/somebody/big");
    stationd::os::file::write_atomic(&big, &vec![7; 64 << 20], 0o644).unwrap();
    station.machine().space(Some((&path, "100000000000 3000000000 1000 500"))).unwrap();
    let names = |now: &Heartbeat| {
        condition(now, "DiskPressure").is_some_and(|one| one.message.contains("largest"))
    };
    let seen = station.wait_for("the largest folders", SOON, names).await.unwrap();
    let full = condition(&seen, "DiskPressure").unwrap();
    assert_eq!((full.subject.as_str(), full.reason.as_str()), (path.as_str(), "SpaceLow"));
    assert!(full.message.contains("3 % of 93.1 GiB"), "{}", full.message);
    assert!(full.message.contains("64 MiB in "), "{}", full.message);
    assert!(full.message.contains("caches/of/somebody"), "{}", full.message);
    station.machine().space(Some((&path, "100000000000 50000000000 1000 20"))).unwrap();
    let inodes = |now: &Heartbeat| {
        condition(now, "DiskPressure").is_some_and(|one| one.reason == "InodesLow")
    };
    station.wait_for("few inodes", SOON, inodes).await.unwrap();
    station.machine().space(Some((&path, "100000000000 50000000000 1000 500"))).unwrap();
    clears(&station, "DiskPressure").await;
}

#[tokio::test]
async fn a_disk_that_hangs_is_named_and_hides_no_other() {
    let station = start().await;
    let path = station.home().join("state").display().to_string();
    station.machine().space(Some((&path, "hang"))).unwrap();
    let silent = holds(&station, "ProbeSilent").await;
    assert_eq!((silent.subject, silent.reason), (path.clone(), "DiskSilent".to_owned()));
    let samples = station.heartbeat().await.unwrap().samples.unwrap();
    assert_eq!(samples.os_disk, None, "no old value");
    assert_eq!(samples.disks[0].path, "/");
    // One process at most hangs on it; the heartbeat does not.
    let second = Duration::from_secs(1);
    tokio::time::timeout(second, station.heartbeat()).await.unwrap().unwrap();
    let asking = process::of_home_with(&station.home(), "probe host").len();
    assert!(asking <= 1, "{asking}");
    station.machine().space(None).unwrap();
    clears(&station, "ProbeSilent").await;
}

#[tokio::test]
async fn a_file_system_that_takes_no_writes_any_more_is_named() {
    let station = start().await;
    let machine = station.machine();
    let mounts = |options: &str| {
        format!("28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 {options},errors=remount-ro\n")
    };
    machine.write("proc/1/mountinfo", &mounts("rw")).unwrap();
    let figures = |now: &Heartbeat| now.samples.as_ref().is_some_and(|now| now.os_disk.is_some());
    sampled(&station, "a first look", figures).await;
    assert!(condition(&station.heartbeat().await.unwrap(), "ReadOnlyFilesystem").is_none());
    machine.write("proc/1/mountinfo", &mounts("ro")).unwrap();
    let found = holds(&station, "ReadOnlyFilesystem").await;
    assert_eq!(found.subject, "/");
    assert!(found.message.contains("/dev/sda1"), "{}", found.message);
    let degraded = |now: &Heartbeat| now.status.phase == Phase::Degraded;
    station.wait_for("degraded", SOON, degraded).await.unwrap();
    machine.write("proc/1/mountinfo", &mounts("rw")).unwrap();
    clears(&station, "ReadOnlyFilesystem").await;
}

/// A hundred thousand lines with a gap among them; what matters stands at the end.
fn flood(mut log: std::fs::File, end: &str) {
    assert!(log.metadata().unwrap().file_type().is_fifo());
    for number in 0..100_000_u64 {
        let number = if number > 50_000 { number + 4000 } else { number };
        writeln!(log, "6,{number},{number},-;eth0: a line that says nothing, number {number}")
            .unwrap();
    }
    log.write_all(end.as_bytes()).unwrap();
}

#[tokio::test]
async fn kills_and_disk_errors_are_heard_through_a_flood_of_the_kernels_log() {
    let mut station = Station::prepare(App::None, "app = []").unwrap();
    let log = station.machine().kernel_log().unwrap();
    station.launch().await.unwrap();
    // The counter is read for the first time.
    let figures = |now: &Heartbeat| now.samples.as_ref().is_some_and(|now| now.memory.is_some());
    sampled(&station, "a first sample", figures).await;
    let now = stationd::os::clock::since_boot().as_micros();
    let end = format!(
        "3,104000,{now},-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,\
         oom_memcg=/a,task_memcg=/s.slice/stationd-app-lab.service,task=python3,pid=77,uid=9\n\
         3,104001,{now},-;Memory cgroup out of memory: Killed process 77 (python3) \
         total-vm:9000000kB, anon-rss:4194304kB, file-rss:0kB, shmem-rss:0kB, UID:9\n\
         2,104002,{now},-;EXT4-fs error (device sdz1): ext4_lookup:1785: inode #2: bad\n\
         4,104003,{now},-;audit: name=/home/ada/secret-canary\n"
    );
    let writer = std::thread::spawn(move || flood(log, &end));
    // Three were killed, and the log tells of one.
    station.machine().write("proc/vmstat", "nr_free_pages 1\noom_kill 3\n").unwrap();
    let counted = |now: &Heartbeat| {
        let kills = condition(now, "OutOfMemoryKills");
        kills.is_some_and(|one| one.message.contains("3 processes"))
    };
    let seen = station.wait_for("three kills", SOON, counted).await.unwrap();
    let message = condition(&seen, "OutOfMemoryKills").unwrap().message;
    for part in ["python3 (pid 77, 4096 MiB) in app lab", "of 2 the kernel's", "4000 lines"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let errors = holds(&station, "FilesystemErrors").await;
    assert_eq!(errors.subject, "sdz1");
    writer.join().unwrap();
    let text = serde_json::to_string(&station.heartbeat().await.unwrap()).unwrap();
    assert!(!text.contains("secret-canary") && !station.log().contains("secret-canary"));
}

#[tokio::test]
async fn a_clock_that_is_not_kept_and_one_that_jumps_are_told() {
    let station = start().await;
    let machine = station.machine();
    machine.write("adjtimex", "16000000\n").unwrap();
    let lost = holds(&station, "ClockUnsynchronized").await;
    assert_eq!((lost.reason.as_str(), lost.status), ("NotKept", Truth::True));
    machine.write("adjtimex", "nonsense\n").unwrap();
    let unknown = |now: &Heartbeat| {
        condition(now, "ClockUnsynchronized").is_some_and(|one| one.status == Truth::Unknown)
    };
    station.wait_for("unknown", SOON, unknown).await.unwrap();
    machine.write("adjtimex", "1500 -90000\n").unwrap();
    let jumped = holds(&station, "ClockJumped").await;
    assert!(jumped.message.contains("back by"), "{}", jumped.message);
    clears(&station, "ClockUnsynchronized").await;
}

#[tokio::test]
async fn a_restart_that_waits_and_a_network_without_a_way_out_are_told() {
    let station = start().await;
    let machine = station.machine();
    machine.write("run/reboot-required", "").unwrap();
    machine.write("run/reboot-required.pkgs", "linux-base\nlibc6\n").unwrap();
    let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
    let near = "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
    let out = "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
    machine.write("proc/1/net/route", &format!("{head}{near}{out}")).unwrap();
    machine.write("proc/1/net/dev", "  eth0: 1 2 3\n").unwrap();
    machine.write("sys/class/net/eth0/carrier", "0\n").unwrap();
    let restart = holds(&station, "RebootRequired").await;
    assert!(restart.message.contains("libc6, linux-base"), "{}", restart.message);
    let down = holds(&station, "NetworkDown").await;
    assert_eq!((down.reason.as_str(), down.message.as_str()), ("NoLink", "no link on eth0"));
    machine.write("sys/class/net/eth0/carrier", "1\n").unwrap();
    machine.remove("run/reboot-required").unwrap();
    clears(&station, "NetworkDown").await;
    clears(&station, "RebootRequired").await;
    machine.write("proc/1/net/route", &format!("{head}{near}")).unwrap();
    assert_eq!(holds(&station, "NetworkDown").await.reason, "NoDefaultRoute");
    machine.write("proc/1/net/route", &format!("{head}{near}{out}")).unwrap();
    clears(&station, "NetworkDown").await;
}

#[tokio::test]
async fn a_stationd_that_gets_no_time_says_so() {
    let mut station = Station::prepare(App::None, "app = []").unwrap();
    station.machine().write("pace", "1000 2000 2000 100\n").unwrap();
    station.launch().await.unwrap();
    let pid = station.pid().unwrap();
    let stopped = || async {
        signal(pid, Signal::SIGSTOP).unwrap();
        let stops = || (Stat::read(pid)?.state == 'T').then_some(());
        process::eventually("it is stopped", SOON, stops).await.unwrap();
        // This is the fault itself: so long it gets no time.
        tokio::time::sleep(Duration::from_millis(700)).await;
        signal(pid, Signal::SIGCONT).unwrap();
    };
    let measured = |now: &Heartbeat| now.samples.as_ref().is_some_and(|now| now.agent.is_some());
    sampled(&station, "a minute of timers", measured).await;
    for _ in 0..3 {
        stopped().await;
        station.heartbeat().await.unwrap();
    }
    let slow = holds(&station, "AgentSlow").await;
    assert_eq!(slow.reason, "TimersLate");
    clears(&station, "AgentSlow").await;
}
