//! The .tar.gz for machines without apt has the effect of the package.

use station_proto::app::AppPhase;

use crate::setup::{APP, MAIN, NEXT, VERSION, built, configure, fresh, heartbeat, processes};

#[tokio::test]
async fn scripts_install_installs_upgrades_and_purges() {
    let machine = fresh().await.unwrap();
    configure(&machine, "").unwrap();
    for version in [VERSION, NEXT] {
        let name = format!("stationd-{version}-{}", std::env::consts::ARCH);
        let archive = format!("{name}.tar.gz");
        machine.copy_in(&built(&archive).unwrap(), &format!("/var/tmp/{archive}")).unwrap();
        machine.must(&format!("tar -xzf /var/tmp/{archive} -C /opt")).await.unwrap();
    }
    let script =
        |version: &str| format!("/opt/stationd-{version}-{}/install", std::env::consts::ARCH);
    machine.must(&format!("exec </dev/null; {}", script(VERSION))).await.unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
    let app = machine.main_pid(APP).await.unwrap();
    let main = machine.main_pid(MAIN).await.unwrap();

    machine.must(&format!("exec </dev/null; {}", script(NEXT))).await.unwrap();
    heartbeat(&machine).await.unwrap();
    assert_ne!(machine.main_pid(MAIN).await.unwrap(), main, "it was not restarted");
    assert_eq!(machine.main_pid(APP).await.unwrap(), app);

    machine.must(&format!("{} --purge", script(NEXT))).await.unwrap();
    assert_eq!(processes(&machine).await.unwrap(), "");
    let left =
        machine.must("find /usr /etc/systemd -xdev -name '*stationd*' -o -name '*stationctl*'");
    assert_eq!(left.await.unwrap(), "");
    assert!(machine.path("/etc/stationd/stationd.toml").exists());
    assert!(!machine.path("/var/lib/stationd").exists());
}
