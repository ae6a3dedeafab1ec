//! Hand look at a machine, never committed.
use crate::setup::{fresh, install, VERSION};
#[tokio::test]
async fn look() {
    let machine = fresh().await.unwrap();
    install(&machine, VERSION).await.unwrap();
    let o = machine.run("sleep 2; systemctl status stationd --no-pager; stationctl status; stationctl login --app jupyterlab; stationctl check; ls -la /var/lib/stationd /run/stationd; systemctl list-units 'stationd*' --no-pager; ps -eo user:16,pid,ppid,args --forest | tail -20; systemd-cgls --no-pager | head -60; cat /proc/meminfo | head -2; systemctl show stationd -P MemoryMin -P Slice; systemctl show stationd.slice -P MemoryMin; cat /proc/$(systemctl show -P MainPID stationd)/oom_score_adj").await.unwrap();
    eprintln!("{}", o.all());
}
