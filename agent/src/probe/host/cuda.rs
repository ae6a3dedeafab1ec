//! What is installed of CUDA: toolkits, cuDNN and NCCL, by their files. Nothing is executed and no
//! library is loaded: users may write to some of these places.
//!
//! Places: `/usr/local/cuda*` and `/opt/cuda`, the folders of the dynamic linker, conda's
//! environments, and the virtual environments of stationd's tools. `names` (pure) reads versions.

mod names;
mod places;

use std::path::Path;

use station_proto::node::{Cuda, CudaLibrary, CudaToolkit};

use self::names::Part;
use self::places::Place;
use crate::os::machine;

pub(super) use self::places::folders;

/// No file that tells a version is larger.
const FILE: u64 = 256 * 1024;
/// Things of a kind that are listed.
const LISTED: usize = 64;

pub(super) fn read(tools: Option<&Path>) -> Cuda {
    let mut cuda = Cuda::default();
    let default = Place::machine("/usr/local/cuda").canonical();
    let toolkits = places::toolkits();
    for place in &toolkits {
        if let Some(version) = toolkit_version(place) {
            let default = default.as_ref() == Some(place);
            let path = place.shown();
            let forward_compatible = place.join("compat/libcuda.so.1").real().exists();
            let source = "toolkit".to_owned();
            cuda.toolkits.push(CudaToolkit { version, path, source, default, forward_compatible });
        }
    }
    for (folder, in_toolkit) in places::libraries(&toolkits) {
        for name in folder.names() {
            if let Some((part, version)) = names::library(&name)
                // The toolkit itself is listed already.
                && !(in_toolkit && part == Part::Toolkit)
            {
                add(&mut cuda, part, version, (folder.join(&name).shown(), "library"));
            }
        }
    }
    headers(&mut cuda, &toolkits);
    for folder in places::conda_meta() {
        let of = folder.parent().shown();
        for (part, version) in folder.names().iter().filter_map(|name| names::conda(name)) {
            add(&mut cuda, part, version, (of.clone(), "conda"));
        }
    }
    for folder in places::site_packages(tools) {
        for name in folder.names() {
            if let Some((part, version)) = names::wheel(&name) {
                add(&mut cuda, part, version, (folder.shown(), "wheel"));
            }
        }
    }
    sorted(cuda)
}

fn add(cuda: &mut Cuda, part: Part, version: String, (path, source): (String, &str)) {
    let source = source.to_owned();
    match part {
        Part::Toolkit => {
            cuda.toolkits.push(CudaToolkit { version, path, source, ..CudaToolkit::default() });
        }
        Part::Cudnn => cuda.cudnn.push(CudaLibrary { version, path, source }),
        Part::Nccl => cuda.nccl.push(CudaLibrary { version, path, source }),
    }
}

/// `version.json` since 11.1, `version.txt` before; the runtime's file where a package has neither.
fn toolkit_version(place: &Place) -> Option<String> {
    let text = |name: &str| machine::text_at(place.join(name).real(), FILE);
    text("version.json")
        .and_then(|text| names::version_json(&text))
        .or_else(|| names::version_txt(&text("version.txt")?))
        .or_else(|| {
            let libraries = ["lib64", "lib"].map(|name| place.join(name));
            let names = libraries.iter().flat_map(Place::names);
            let mut found = names.filter_map(|name| names::library(&name));
            found.find(|(part, _)| *part == Part::Toolkit).map(|(_, version)| version)
        })
}

/// What only a header tells of: a library without a full version in its name.
fn headers(cuda: &mut Cuda, toolkits: &[Place]) {
    let include = toolkits.iter().map(|place| place.join("include"));
    let folders = include.chain([Place::machine("/usr/include")]);
    for folder in folders {
        for (file, part) in names::HEADERS {
            let header = folder.join(file);
            let Some(version) =
                machine::text_at(header.real(), FILE).and_then(|text| names::header(&text, part))
            else {
                continue;
            };
            let known = if part == Part::Cudnn { &cuda.cudnn } else { &cuda.nccl };
            if !known.iter().any(|one| one.version == version) {
                add(cuda, part, version, (header.shown(), "library"));
            }
        }
    }
}

fn sorted(mut cuda: Cuda) -> Cuda {
    cuda.toolkits.sort_by(|a, b| (&a.path, &a.version).cmp(&(&b.path, &b.version)));
    cuda.toolkits.dedup();
    cuda.toolkits.truncate(LISTED);
    for list in [&mut cuda.cudnn, &mut cuda.nccl] {
        list.sort_by(|a, b| (&a.path, &a.version).cmp(&(&b.path, &b.version)));
        list.dedup();
        list.truncate(LISTED);
    }
    cuda
}
