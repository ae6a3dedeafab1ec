//! A share under the package's units: the warden and its driver have the rights of their unit and no more, and
//! outlive everything but the machine; what was saved reaches the share over a restart of it.

use anyhow::Result;
use station_proto::mount::MountDetail;
use station_tests::machine::Machine;
use station_tests::process;

use crate::setup::{MAIN, SOON, VERSION, fresh, heartbeat, install, write};

const UNIT: &str = "stationd-mount-workspace.service";
const PLACE: &str = "/mnt/stationd/workspace";
/// The storage: a folder of the machine, behind a real rclone.
const STORAGE: &str = "/srv/storage";

async fn mounted(machine: &Machine, generation: u64) -> MountDetail {
    let mounted = process::eventually_async("the share", SOON, || async {
        let path = "/v1/mounts/workspace";
        let answer = machine.admin.admin(http::Method::GET, path, "").await.ok()?;
        let detail: MountDetail = serde_json::from_slice(answer.body()).ok()?;
        (detail.mount.ready && detail.mount.generation >= generation).then_some(detail)
    });
    match mounted.await {
        Ok(detail) => detail,
        Err(error) => {
            let said = machine.run("stationctl mount list; journalctl --no-pager -n 60").await;
            panic!("{error}: {}", said.map(|said| said.all()).unwrap_or_default());
        }
    }
}

async fn machine() -> Result<Machine> {
    let machine = fresh().await?;
    machine.must(&format!("mkdir -p {STORAGE}")).await?;
    let remote = format!("[local]\ntype = alias\nremote = {STORAGE}\n");
    write(&machine, "/etc/stationd/rclone.conf", &remote)?;
    machine.must("chmod 600 /etc/stationd/rclone.conf").await?;
    let text = "app = []\n[instance]\nlocal_user = \"ada\"\n[[mount]]\nname = \"workspace\"\n\
                driver = \"rclone\"\nremote = \"local:\"\ncredential = \"/etc/stationd/rclone.conf\"\n";
    write(&machine, "/etc/stationd/stationd.toml", text)?;
    install(&machine, VERSION).await?;
    Ok(machine)
}

#[tokio::test]
async fn a_share_lives_in_a_unit_of_its_own_and_outlives_stationd_and_the_driver() {
    let mut machine = machine().await.unwrap();
    mounted(&machine, 1).await;
    // The user may write, and nobody else may look.
    let as_user = |line: &str| format!("runuser -u ada -- sh -c '{line}'");
    machine.must(&as_user(&format!("echo mine > {PLACE}/a.txt"))).await.unwrap();
    let other = machine.run(&format!("runuser -u nobody -- ls {PLACE}")).await.unwrap();
    assert!(!other.status.success(), "{}", other.all());
    assert!(other.all().contains("Permission denied"), "{}", other.all());

    let warden = machine.main_pid(UNIT).await.unwrap();
    let status = machine.must(&format!("cat /proc/{warden}/status")).await.unwrap();
    let holds = |word: &str| status.lines().any(|line| line.split_whitespace().eq(word.split(' ')));
    assert!(holds("NoNewPrivs: 1"), "{status}");

    machine.must(&format!("systemctl restart {MAIN}")).await.unwrap();
    heartbeat(&machine).await.unwrap();
    assert_eq!(mounted(&machine, 1).await.mount.generation, 1);
    assert_eq!(machine.main_pid(UNIT).await.unwrap(), warden);

    let driver = format!("kill -9 $(pgrep --parent {warden} rclone)");
    machine.must(&driver).await.unwrap();
    let healed = mounted(&machine, 2).await;
    assert_eq!(healed.mount.heals, 1, "{healed:?}");
    // What was started before sees the healed mount: it has the parent, with rslave.
    let seen = machine.must(&as_user(&format!("cat {PLACE}/a.txt"))).await.unwrap();
    assert_eq!(seen, "mine");
    let layers = machine.must(&format!("grep -c ' {PLACE} ' /proc/self/mountinfo")).await.unwrap();
    assert_eq!(layers, "1");

    machine.must(&as_user(&format!("echo last > {PLACE}/b.txt"))).await.unwrap();
    machine.reboot().await.unwrap();
    mounted(&machine, 1).await;
    assert_eq!(machine.must(&format!("cat {STORAGE}/b.txt")).await.unwrap(), "last");
    assert_eq!(machine.must(&as_user(&format!("cat {PLACE}/b.txt"))).await.unwrap(), "last");

    // The removal of the package drains too, and takes nothing of the share with it.
    machine.must(&as_user(&format!("echo gone > {PLACE}/c.txt"))).await.unwrap();
    machine.must("dpkg --purge stationd").await.unwrap();
    assert_eq!(
        machine.must(&format!("cat {STORAGE}/[abc].txt")).await.unwrap(),
        "mine\nlast\ngone"
    );
    let left = machine.must("ls -d /mnt/stationd /run/stationd 2>/dev/null || true").await.unwrap();
    assert_eq!(left, "");
    let processes = machine.must("pgrep -l 'stationd|rclone' || true").await.unwrap();
    assert_eq!(processes, "");
}
