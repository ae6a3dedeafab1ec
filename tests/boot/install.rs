//! From an empty machine to a running cell: unattended, with the rights that each part should have.

mod apps;
mod cloud;
mod host;
mod libraries;
mod share;

use station_proto::app::AppPhase;
use station_proto::heartbeat::{Heartbeat, Phase};
use station_tests::kernel::Kernel;
use station_tests::machine::Machine;

use crate::setup::{APP, MAIN, SOON, VERSION, bring, configure, fresh};

#[tokio::test]
async fn cloud_init_makes_a_workstation_and_every_part_has_its_own_rights() {
    let machine = Machine::boot().await.unwrap();
    cloud::run(&machine).await.unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
    assert_eq!(machine.property(MAIN, "ActiveState").await.unwrap(), "active");
    assert_eq!(machine.property(MAIN, "NRestarts").await.unwrap(), "0");

    // The agent: its own account, no capability, no network but what it was given.
    let main = rights(&machine, MAIN).await;
    assert_eq!(main, (uid(&machine, "stationd").await, "0000000000000000".to_owned()));
    let network = |pid: &str| format!("readlink /proc/{pid}/ns/net");
    let own = machine.main_pid(MAIN).await.unwrap().to_string();
    assert_ne!(
        machine.must(&network(&own)).await.unwrap(),
        machine.must(&network("1")).await.unwrap()
    );
    // The app: the user's, without a sandbox, in the apps' slice.
    let (app, _) = rights(&machine, APP).await;
    assert_eq!(app, uid(&machine, "ada").await);
    assert_eq!(machine.property(APP, "Slice").await.unwrap(), "stationd-apps.slice");
    assert_eq!(machine.property(APP, "NoNewPrivileges").await.unwrap(), "no");

    // What a person does: a link, a page, a cell; and root by sudo, as the example allows it.
    let ready = |now: &Heartbeat| now.status.phase == Phase::Ready;
    let status = machine.admin.wait_for("ready", SOON, ready).await.unwrap().status;
    assert_eq!(status.public_url, "http://127.0.0.1:8710");
    let client = machine.admin.login().await.unwrap();
    let mut kernel = Kernel::start(&client, "/apps/jupyterlab").await.unwrap();
    let code =
        "import subprocess as s; s.run(['sudo', '-n', 'id', '-u'], capture_output=True, text=True)";
    let outcome = kernel.run(&format!("{code}.stdout")).await.unwrap();
    assert_eq!(outcome.value.as_deref(), Some("'0\\n'"), "{outcome:?}");

    configure(&machine, "root_access = false").unwrap();
    machine.must("systemctl restart stationd.service").await.unwrap();
    let taken = "until [ ! -e /etc/sudoers.d/stationd ]; do sleep 0.1; done";
    machine.must(taken).await.unwrap();

    // The user sees the station, and the package brought its papers and nothing in /etc.
    machine.must("runuser -u ada -- stationctl status").await.unwrap();
    let files = machine.must("dpkg --listfiles stationd").await.unwrap();
    for page in ["man8/stationd.8.gz", "man1/stationctl-app-logs.1.gz"] {
        assert!(files.contains(page), "{files}");
    }
    let owned: Vec<&str> = files.lines().filter(|file| file.starts_with("/etc/stationd")).collect();
    assert!(owned.is_empty(), "{owned:?}");
}

/// Where nothing may be started, as while an image is built, the files come and nothing fails.
#[tokio::test]
async fn it_installs_where_no_systemd_runs() {
    let machine = fresh().await.unwrap();
    let package = bring(&machine, VERSION).unwrap();
    // A root without /run/systemd: what an image looks like from a chroot.
    let chroot = format!(
        "mkdir /var/tmp/image && mount --bind / /var/tmp/image && mount -t tmpfs run /var/tmp/image/run && \
         chroot /var/tmp/image dpkg --install {package} </dev/null"
    );
    machine.must(&chroot).await.unwrap();
    assert_eq!(machine.property(MAIN, "ActiveState").await.unwrap(), "inactive");
    let enabled = machine.must("systemctl is-enabled stationd.service stationd.socket").await;
    assert_eq!(enabled.unwrap(), "enabled\nenabled");
    machine.must("chroot /var/tmp/image dpkg --purge stationd </dev/null").await.unwrap();
}

/// User number and effective capabilities of a unit's main process.
async fn rights(machine: &Machine, unit: &str) -> (String, String) {
    let pid = machine.main_pid(unit).await.unwrap();
    let line = format!("awk '/^Uid:/ {{print $3}} /^CapEff:/ {{print $2}}' /proc/{pid}/status");
    let text = machine.must(&line).await.unwrap();
    let (uid, capabilities) = text.split_once('\n').unwrap();
    (uid.to_owned(), capabilities.to_owned())
}

async fn uid(machine: &Machine, user: &str) -> String {
    machine.must(&format!("id -u {user}")).await.unwrap()
}
