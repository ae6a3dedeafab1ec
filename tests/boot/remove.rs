//! Removing and purging the package: nothing of ours goes on, nothing of the user's is lost.

use station_proto::app::AppPhase;
use station_tests::machine::Machine;

use crate::setup::{VERSION, configure, install, processes, with_jupyterlab};

const NOTEBOOK: &str = "/var/lib/stationd/workspace/Users/ada/notes.ipynb";

#[tokio::test]
async fn a_removal_leaves_no_process_and_a_purge_leaves_the_users_files() {
    let machine = with_jupyterlab().await.unwrap();
    let instance = machine.admin.heartbeat().await.unwrap().lease.instance_id;
    configure(&machine, "root_access = true").unwrap();
    machine.must(&format!("runuser -u ada -- touch {NOTEBOOK}")).await.unwrap();

    machine.must("dpkg --remove stationd").await.unwrap();
    assert_eq!(processes(&machine).await.unwrap(), "");
    left_on(&machine, &["/etc/stationd/stationd.toml", "/var/lib/stationd/stationd.db"]);
    gone_from(&machine, &["/run/stationd", "/usr/bin/stationd", "/etc/sudoers.d/stationd"]);
    let units = machine.must("systemctl list-units --all --plain --no-legend 'stationd*'").await;
    assert_eq!(units.unwrap(), "");
    let links = machine.must("find /etc/systemd -name 'stationd*'").await.unwrap();
    assert_eq!(links, "");

    // What was kept is what the next one goes on with.
    install(&machine, VERSION).await.unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
    assert_eq!(machine.admin.heartbeat().await.unwrap().lease.instance_id, instance);

    machine.must("dpkg --purge stationd").await.unwrap();
    left_on(&machine, &["/etc/stationd/stationd.toml", NOTEBOOK]);
    let left = machine.must("ls -A /var/lib/stationd").await.unwrap();
    assert_eq!(left, "workspace");

    install(&machine, VERSION).await.unwrap();
    machine.must(&format!("rm {NOTEBOOK}; dpkg --purge stationd")).await.unwrap();
    let files = machine.must("find /var/lib/stationd -type f 2>/dev/null || true").await.unwrap();
    gone_from(&machine, &["/var/lib/stationd/keys", "/var/lib/stationd/stationd.db"]);
    assert!(!machine.path("/var/lib/stationd").exists(), "{files}");
}

fn left_on(machine: &Machine, paths: &[&str]) {
    for path in paths {
        assert!(machine.path(path).exists(), "{path} is gone");
    }
}

fn gone_from(machine: &Machine, paths: &[&str]) {
    for path in paths {
        assert!(!machine.path(path).exists(), "{path} is left");
    }
}
