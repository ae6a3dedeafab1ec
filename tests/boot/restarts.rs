//! Whatever of stationd ends, the app goes on and the next stationd takes it over.

use station_proto::app::AppPhase;

use crate::setup::{APP, MAIN, heartbeat, until, with_jupyterlab};

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
