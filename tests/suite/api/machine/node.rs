//! What the machine is: `GET /v1/node` and `stationctl node`.

use std::time::Duration;

use serde_json::json;
use station_proto::node::Node;
use station_tests::process;
use station_tests::station::{App, Station};

/// A few looks of ten seconds, on a loaded machine.
const SOON: Duration = Duration::from_secs(90);

async fn node(station: &Station, what: &str, is: impl Fn(&Node) -> bool) -> Node {
    process::eventually_async(what, SOON, || async {
        let json = station.ctl_json(&["node"]).await.ok()?;
        let node: Node = serde_json::from_value(json).ok()?;
        is(&node).then_some(node)
    })
    .await
    .unwrap()
}

fn cloud(size: &str) -> String {
    json!({
        "v1": { "cloud_name": "azure", "platform": "azure", "region": "westeurope",
            "instance_id": "3f0c8a4e", "local_hostname": "gpu-1" },
        "ds": { "meta_data": { "imds": { "compute": { "vmSize": size } } } }
    })
    .to_string()
}

#[tokio::test]
async fn the_machine_is_told_and_what_changes_is_read_again() {
    let mut station = Station::prepare(App::None, "app = []").unwrap();
    let machine = station.machine();
    machine.write("etc/os-release", "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nID=ubuntu\n").unwrap();
    machine.write("proc/sys/kernel/hostname", "gpu-1\n").unwrap();
    machine.write("proc/sys/kernel/osrelease", "6.8.0-1017-azure\n").unwrap();
    machine.write("proc/sys/kernel/random/boot_id", "0a1b\n").unwrap();
    machine.write("proc/stat", "cpu 1\nbtime 1764000000\n").unwrap();
    machine.write("sys/devices/system/cpu/online", "0-23\n").unwrap();
    machine.write("sys/class/dmi/id/sys_vendor", "Microsoft Corporation\n").unwrap();
    machine.write("proc/cpuinfo", "model name\t: AMD EPYC\nflags\t\t: hypervisor\n").unwrap();
    let path = "run/cloud-init/instance-data.json";
    machine.write(path, &cloud("Standard_NC24ads_A100_v4")).unwrap();
    station.launch().await.unwrap();
    let told = node(&station, "the node", |node| node.cloud.is_some()).await;
    assert_eq!(told.os.unwrap().name, "Ubuntu 24.04.1 LTS");
    assert_eq!((told.cores, told.memory_mib), (Some(24), Some(15_625)));
    assert_eq!(told.booted_at.unwrap().to_string(), "2025-11-24T16:00:00.000Z");
    let hardware = told.hardware.unwrap();
    assert_eq!(hardware.virtual_machine, Some(true));
    assert_eq!(hardware.product, None, "what is not told is absent");
    let size = told.cloud.unwrap().instance_type;
    assert_eq!(size.as_deref(), Some("Standard_NC24ads_A100_v4"));
    let shown = station.ctl(&["node"]).await.unwrap().stdout;
    for part in ["Ubuntu 24.04.1 LTS", "azure, westeurope", "24 cores", "Microsoft Corporation"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    station.machine().write(path, &cloud("Standard_NC48ads_A100_v4")).unwrap();
    let resized = |node: &Node| {
        let size = node.cloud.as_ref().and_then(|cloud| cloud.instance_type.as_deref());
        size == Some("Standard_NC48ads_A100_v4")
    };
    node(&station, "the new size", resized).await;
    station.machine().write(path, "{ half").unwrap();
    node(&station, "no cloud", |node| node.cloud.is_none()).await;
}

#[tokio::test]
async fn cuda_is_found_by_its_files_and_new_toolkits_are_noticed() {
    let mut station = Station::prepare(App::None, "app = []").unwrap();
    let machine = station.machine().clone();
    let json = r#"{"cuda": {"name": "CUDA SDK", "version": "12.4.1"}}"#;
    machine.write("usr/local/cuda-12.4/version.json", json).unwrap();
    machine.write("usr/local/cuda-12.4/lib64/libcudart.so.12.4.127", "").unwrap();
    let link = machine.folder().join("usr/local/cuda");
    std::os::unix::fs::symlink("cuda-12.4", link).unwrap();
    machine.write("usr/local/cuda-10.2/version.txt", "CUDA Version 10.2.89\n").unwrap();
    machine.write("usr/lib/x86_64-linux-gnu/libcudnn.so.9.1.0", "").unwrap();
    machine.write("usr/lib/x86_64-linux-gnu/libcudart.so.11.8.89", "").unwrap();
    let nccl = "#define NCCL_MAJOR 2\n#define NCCL_MINOR 21\n#define NCCL_PATCH 5\n";
    machine.write("usr/include/nccl.h", nccl).unwrap();
    machine.write("opt/conda/envs/ml/conda-meta/cudnn-9.1.1.17-cuda12_0.json", "{}").unwrap();
    let wheels = "tools/venvs/ml/lib/python3.12/site-packages";
    let runtime = station.home().join(wheels).join("nvidia_cuda_runtime_cu12-12.8.90.dist-info");
    std::fs::create_dir_all(runtime).unwrap();
    station.launch().await.unwrap();
    let cuda = node(&station, "CUDA", |node| node.cuda.is_some()).await.cuda.unwrap();
    let mut toolkits: Vec<(&str, &str, bool)> = cuda
        .toolkits
        .iter()
        .map(|one| (one.version.as_str(), one.source.as_str(), one.default))
        .collect();
    toolkits.sort_unstable();
    let all = [
        ("10.2.89", "toolkit", false),
        ("11.8.89", "library", false),
        ("12.4.1", "toolkit", true),
        ("12.8.90", "wheel", false),
    ];
    assert_eq!(toolkits, all);
    assert!(cuda.toolkits.iter().any(|one| one.path == "/usr/local/cuda-12.4"), "{cuda:?}");
    let versions: Vec<&str> = cuda.cudnn.iter().map(|one| one.version.as_str()).collect();
    assert_eq!(versions, ["9.1.1.17", "9.1.0"]);
    assert_eq!((cuda.nccl[0].version.as_str(), cuda.driver_cuda_version), ("2.21.5", None));
    let shown = station.ctl(&["gpu"]).await.unwrap().stdout;
    assert!(shown.contains("CUDA  12.4.1 in /usr/local/cuda-12.4"), "{shown}");

    machine.write("usr/local/cuda-13.0/version.json", &json.replace("12.4.1", "13.0.1")).unwrap();
    let newer = |node: &Node| {
        node.cuda.iter().flat_map(|cuda| &cuda.toolkits).any(|one| one.version == "13.0.1")
    };
    node(&station, "the new toolkit", newer).await;
}
