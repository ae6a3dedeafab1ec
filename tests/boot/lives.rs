//! A station over its lives and those of its machine: a reboot, `stationctl down` and a start after it,
//! and ends of single parts, after which the app goes on and the next stationd takes it over.

use station_proto::app::AppPhase;
use station_proto::cause::CauseKind;
use station_proto::heartbeat::Heartbeat;
use station_tests::http::Client;
use station_tests::kernel::Kernel;
use station_tests::process;

use crate::setup::{
    APP, MAIN, SOON, VERSION, configure, fresh, heartbeat, install, processes, until,
    with_jupyterlab,
};

#[tokio::test]
async fn a_reboot_brings_everything_back() {
    let mut machine = with_jupyterlab().await.unwrap();
    let before = machine.admin.heartbeat().await.unwrap();
    machine.reboot().await.unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
    let after = machine.admin.heartbeat().await.unwrap();
    assert_eq!(after.lease.instance_id, before.lease.instance_id);
    assert_eq!(machine.property(MAIN, "NRestarts").await.unwrap(), "0");
    machine.admin.login().await.unwrap().page("/apps/jupyterlab/lab").await.unwrap();
}

#[tokio::test]
async fn a_down_leaves_nothing_and_a_start_brings_it_back() {
    let machine = with_jupyterlab().await.unwrap();
    let url = machine.admin.heartbeat().await.unwrap().status.public_url;
    machine.must("stationctl down").await.unwrap();
    until(&machine, MAIN, "ActiveState", |state| state == "inactive").await.unwrap();
    assert_eq!(machine.property(APP, "ActiveState").await.unwrap(), "inactive");
    let gone = process::eventually_async("no process", SOON, async || {
        processes(&machine).await.ok().filter(String::is_empty)
    });
    gone.await.unwrap();

    // Whoever connects finds nobody, and wakes nobody.
    Client::new(&url).unwrap().get("/healthz").await.unwrap_err();
    machine.run("stationctl status").await.unwrap();
    assert_eq!(processes(&machine).await.unwrap(), "");
    assert_eq!(machine.property(MAIN, "ActiveState").await.unwrap(), "inactive");

    machine.must("systemctl start stationd.service").await.unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
    Client::new(&url).unwrap().get("/healthz").await.unwrap().expect(200).unwrap();
}

#[tokio::test]
async fn no_end_of_a_part_ends_an_app() {
    let machine = with_jupyterlab().await.unwrap();
    let app = machine.main_pid(APP).await.unwrap();

    machine.must("systemctl restart stationd.service").await.unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
    assert_eq!(machine.property(MAIN, "NRestarts").await.unwrap(), "0");

    let first = machine.main_pid(MAIN).await.unwrap();
    machine.must("kill -9 $(systemctl show -P MainPID stationd.service)").await.unwrap();
    until(&machine, MAIN, "NRestarts", |count| count == "1").await.unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
    assert_ne!(machine.main_pid(MAIN).await.unwrap(), first);

    for part in ["privileged", "probe"] {
        let unit = format!("stationd-{part}.service");
        machine.must(&format!("systemctl start {unit}")).await.unwrap();
        machine.must(&format!("kill -9 $(systemctl show -P MainPID {unit})")).await.unwrap();
        // It asks the privileged part for the log, and so shows that one is there.
        machine.must("stationctl app logs jupyterlab").await.unwrap();
    }
    assert_eq!(machine.property(MAIN, "NRestarts").await.unwrap(), "1");
    assert_eq!(machine.main_pid(APP).await.unwrap(), app);
}

#[tokio::test]
async fn a_daemon_that_hangs_is_ended_with_a_trace_and_the_app_goes_on() {
    let machine = with_jupyterlab().await.unwrap();
    let (app, main) = (machine.main_pid(APP).await.unwrap(), machine.main_pid(MAIN).await.unwrap());
    machine.must(&format!("kill -STOP {main}")).await.unwrap();
    until(&machine, MAIN, "NRestarts", |count| count == "1").await.unwrap();
    heartbeat(&machine).await.unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
    assert_eq!(machine.main_pid(APP).await.unwrap(), app);
    let journal = machine.journal(MAIN).await.unwrap();
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    assert!(journal.contains("was aborted by SIGABRT"), "{journal}");
}

/// stationd, which sees no process of the user's, hears from the attendant what runs and what ended.
#[tokio::test]
async fn a_kernel_that_ends_in_its_unit_is_told_and_the_others_go_on() {
    const BASE: &str = "/apps/jupyterlab";
    let machine = fresh().await.unwrap();
    configure(&machine, "").unwrap();
    machine.must("echo 'memory_max = \"700MiB\"' >>/etc/stationd/stationd.toml").await.unwrap();
    install(&machine, VERSION).await.unwrap();
    let before = machine.admin.app_in(AppPhase::Ready).await.unwrap();
    assert_eq!(machine.property(APP, "MemoryMax").await.unwrap(), (700_u64 << 20).to_string());
    let client = machine.admin.login().await.unwrap();
    let mut other = Kernel::start(&client, BASE).await.unwrap();
    other.run("kept = 'alive'").await.unwrap();
    let mut kernel = Kernel::start(&client, BASE).await.unwrap();
    kernel.run("import os, time; time.sleep(2)").await.unwrap();
    let limited = !before.message.contains("memory_max is not enforced");
    let code = if limited {
        "held = []\nwhile True:\n    held.append(bytearray(16 << 20)); time.sleep(0.05)"
    } else {
        println!("SKIPPED: units have no memory controller here, so the kernel is killed by hand");
        "os.kill(os.getpid(), 9)"
    };
    kernel.send(code).await.unwrap();
    let ended = |heartbeat: &Heartbeat| !heartbeat.status.apps[0].kernel_ends.is_empty();
    let heartbeat = machine.admin.wait_for("the end of a kernel", SOON, ended).await.unwrap();
    let app = &heartbeat.status.apps[0];
    let cause = &app.kernel_ends[0].cause;
    let expected = if limited { CauseKind::OutOfMemory } else { CauseKind::Signal };
    assert_eq!((cause.kind, cause.signal), (expected, Some(9)), "{cause:?}");
    assert_eq!((app.pid, app.generation), (before.pid, before.generation));
    assert_eq!(other.run("kept").await.unwrap().value.as_deref(), Some("'alive'"));
    let shown = machine.must("stationctl app show jupyterlab").await.unwrap();
    assert!(shown.contains("KERNELS THAT ENDED") && shown.contains("ACTIVITY"), "{shown}");
}
