//! After an upgrade of a library, needrestart restarts what has loaded the old one: not the apps.

use station_proto::app::AppPhase;

use crate::setup::{APP, MAIN, with_jupyterlab};

/// A library that Python and stationd have loaded.
const LIBRARY: &str = "$(realpath /lib/*-linux-gnu/libc.so.6)";
const RESTART: &str = "needrestart -r a -q -l 2>&1 </dev/null";

#[tokio::test]
async fn an_upgraded_library_restarts_stationd_and_no_app() -> anyhow::Result<()> {
    let machine = with_jupyterlab().await?;
    if !machine.path("/usr/sbin/needrestart").exists() {
        return station_tests::skip("needrestart is not installed");
    }
    let (app, main) = (machine.main_pid(APP).await?, machine.main_pid(MAIN).await?);
    machine.must(&format!("cp {LIBRARY} /var/tmp/c && mv /var/tmp/c {LIBRARY}")).await?;
    let said = machine.must(RESTART).await?;
    machine.admin.app_in(AppPhase::Ready).await?;
    assert_eq!(machine.main_pid(APP).await?, app, "its kernels are lost: {said}");
    assert_ne!(machine.main_pid(MAIN).await?, main, "it would have been: {said}");
    // Without what the package brought, the app would have been restarted too.
    machine.must("rm /etc/needrestart/conf.d/stationd.conf").await?;
    machine.must(RESTART).await?;
    assert_ne!(machine.main_pid(APP).await?, app, "the test shows nothing");
    Ok(())
}
