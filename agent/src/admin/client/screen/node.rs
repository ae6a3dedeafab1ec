//! Pure: what the machine is, as text for a person.

use station_proto::node::{Cloud, Cuda, CudaLibrary, CudaToolkit, Node};

use crate::admin::client::words::{gib, printable};

/// One line for each thing that is known.
pub(in crate::admin::client) fn screen(node: &Node) -> String {
    let mut lines: Vec<(&str, String)> = Vec::new();
    let mut say = |what: &'static str, value: Option<String>| {
        lines.extend(value.map(|value| (what, value)));
    };
    say("host name", node.host_name.clone());
    say("system", node.os.as_ref().map(|os| os.name.clone()));
    say("kernel", joined(&[&node.kernel, &node.architecture], " "));
    if let Some(hardware) = &node.hardware {
        let kind = hardware.virtual_machine;
        let kind = kind.map(|yes| if yes { "a virtual machine" } else { "no virtual machine" });
        let kind = kind.map(str::to_owned);
        say("hardware", joined(&[&hardware.vendor, &hardware.product, &kind], ", "));
        say("CPU", hardware.cpu.clone());
    }
    let cores = node.cores.map(|cores| format!("{cores} cores"));
    let memory = node.memory_mib.map(|mib| format!("{} of memory", gib(mib)));
    say("size", joined(&[&cores, &memory], ", "));
    say("booted", node.booted_at.map(|at| at.to_string()));
    for (what, value) in node.cloud.iter().flat_map(cloud) {
        say(what, value);
    }
    let width = lines.iter().map(|(what, _)| what.len()).max().unwrap_or_default();
    let line = |(what, value): &(&str, String)| format!("{what:<width$}  {}\n", printable(value));
    let mut out = lines.iter().map(line).collect::<Vec<String>>().concat();
    out.push_str(&node.cuda.as_ref().map(cuda).unwrap_or_default());
    if out.is_empty() { "nothing is known yet; ask again in a moment\n".to_owned() } else { out }
}

fn cloud(cloud: &Cloud) -> [(&'static str, Option<String>); 8] {
    let list = |addresses: &[String]| (!addresses.is_empty()).then(|| addresses.join(", "));
    [
        ("cloud", joined(&[&cloud.name, &cloud.region, &cloud.availability_zone], ", ")),
        ("instance", cloud.instance_id.clone()),
        ("type", cloud.instance_type.clone()),
        ("image", cloud.image_id.clone()),
        ("local name", cloud.local_hostname.clone()),
        ("public name", cloud.public_hostname.clone()),
        ("addresses", list(&cloud.private_addresses)),
        ("public", list(&cloud.public_addresses)),
    ]
}

fn joined(parts: &[&Option<String>], with: &str) -> Option<String> {
    let known: Vec<&str> = parts.iter().filter_map(|part| part.as_deref()).collect();
    (!known.is_empty()).then(|| known.join(with))
}

/// What is installed of CUDA; empty if nothing is.
pub(in crate::admin::client) fn cuda(cuda: &Cuda) -> String {
    let toolkit = |one: &CudaToolkit| {
        let default = if one.default { ", the default" } else { "" };
        format!("{} in {} ({}{default})", one.version, one.path, one.source)
    };
    let library = |one: &CudaLibrary| format!("{} in {} ({})", one.version, one.path, one.source);
    let toolkits = cuda.toolkits.iter().map(|one| ("CUDA", toolkit(one)));
    let cudnn = cuda.cudnn.iter().map(|one| ("cuDNN", library(one)));
    let nccl = cuda.nccl.iter().map(|one| ("NCCL", library(one)));
    let all = toolkits.chain(cudnn).chain(nccl);
    let line = |(what, value): (&str, String)| format!("{what:<5} {}\n", printable(&value));
    all.map(line).collect::<Vec<String>>().concat()
}

#[cfg(test)]
mod tests {
    use station_proto::node::{Hardware, Os};

    use super::*;

    #[test]
    fn what_is_known_is_shown_and_nothing_else() {
        let some = |text: &str| Some(text.to_owned());
        let node = Node {
            host_name: some("gpu-1"),
            os: Some(Os { name: "Ubuntu 24.04 LTS".into(), ..Os::default() }),
            kernel: some("6.8.0"),
            hardware: Some(Hardware { virtual_machine: Some(true), ..Hardware::default() }),
            memory_mib: Some(16_384),
            cloud: Some(Cloud {
                name: some("azure"),
                region: some("westeurope"),
                private_addresses: vec!["10.0.0.4".into()],
                ..Cloud::default()
            }),
            cuda: Some(Cuda {
                toolkits: vec![CudaToolkit {
                    version: "12.4.1".into(),
                    path: "/usr/local/cuda-12.4\u{7}".into(),
                    source: "toolkit".into(),
                    default: true,
                    ..CudaToolkit::default()
                }],
                ..Cuda::default()
            }),
            ..Node::default()
        };
        let shown = screen(&node);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "host name  gpu-1");
        assert!(lines.contains(&"size       16.0 GiB of memory"), "{shown}");
        assert!(lines.contains(&"cloud      azure, westeurope"), "{shown}");
        assert!(shown.contains("CUDA  12.4.1 in /usr/local/cuda-12.4"), "{shown}");
        assert!(shown.contains("(toolkit, the default)") && !shown.contains('\u{7}'), "{shown}");
        assert!(!shown.contains("image"), "{shown}");
        assert!(screen(&Node::default()).contains("nothing is known"));
    }
}
