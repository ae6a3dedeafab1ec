//! Pure: versions from the names and texts of CUDA's files.

use serde_json::Value;

/// What a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The toolkit, or its runtime library.
    Toolkit,
    Cudnn,
    Nccl,
}

/// The headers that tell a version.
pub(super) const HEADERS: [(&str, Part); 3] =
    [("cudnn_version.h", Part::Cudnn), ("cudnn.h", Part::Cudnn), ("nccl.h", Part::Nccl)];

/// `{"cuda": {"name": "CUDA SDK", "version": "12.4.1"}, …}`
pub(super) fn version_json(text: &str) -> Option<String> {
    let data: Value = serde_json::from_str(text).ok()?;
    version(data.pointer("/cuda/version")?.as_str()?)
}

/// `CUDA Version 10.2.89`
pub(super) fn version_txt(text: &str) -> Option<String> {
    version(text.lines().next()?.trim().strip_prefix("CUDA Version ")?)
}

/// `libcudart.so.12.4.127`: of a name with the whole version, three numbers at least.
pub(super) fn library(name: &str) -> Option<(Part, String)> {
    const KNOWN: [(&str, Part); 3] = [
        ("libcudart.so.", Part::Toolkit),
        ("libcudnn.so.", Part::Cudnn),
        ("libnccl.so.", Part::Nccl),
    ];
    let (part, rest) =
        KNOWN.iter().find_map(|(start, part)| Some((*part, name.strip_prefix(start)?)))?;
    let whole = rest.split('.').count() >= 3;
    version(rest).filter(|_| whole).map(|version| (part, version))
}

/// `cuda-cudart-12.4.127-he02047a_2.json`: name, version, build.
pub(super) fn conda(name: &str) -> Option<(Part, String)> {
    let mut fields = name.strip_suffix(".json")?.rsplitn(3, '-').skip(1);
    let (text, name) = (fields.next()?, fields.next()?);
    let part = match name {
        "cuda-cudart" | "cudatoolkit" => Part::Toolkit,
        "cudnn" | "libcudnn" => Part::Cudnn,
        "nccl" => Part::Nccl,
        _ => return None,
    };
    version(text).map(|version| (part, version))
}

/// `nvidia_cuda_runtime_cu12-12.4.127.dist-info`; the suffix went with CUDA 13.
pub(super) fn wheel(name: &str) -> Option<(Part, String)> {
    let (name, text) = name.strip_suffix(".dist-info")?.rsplit_once('-')?;
    let base = name.rsplit_once("_cu").filter(|(_, digits)| {
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
    });
    let part = match base.map_or(name, |(base, _)| base) {
        "nvidia_cuda_runtime" => Part::Toolkit,
        "nvidia_cudnn" => Part::Cudnn,
        "nvidia_nccl" => Part::Nccl,
        _ => return None,
    };
    version(text).map(|version| (part, version))
}

/// `#define CUDNN_MAJOR 9`, or the same of NCCL.
pub(super) fn header(text: &str, part: Part) -> Option<String> {
    let names = match part {
        Part::Cudnn => ["CUDNN_MAJOR", "CUDNN_MINOR", "CUDNN_PATCHLEVEL"],
        Part::Nccl => ["NCCL_MAJOR", "NCCL_MINOR", "NCCL_PATCH"],
        Part::Toolkit => return None,
    };
    let number = |name: &str| {
        text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let defines = words.next()? == "#define" && words.next()? == name;
            words.next()?.parse::<u32>().ok().filter(|_| defines)
        })
    };
    let [major, minor, patch] = names.map(number);
    Some(format!("{}.{}.{}", major?, minor?, patch?))
}

/// Numbers and dots, and not too many: what a message and a table can show.
fn version(text: &str) -> Option<String> {
    let good = text.len() <= 32
        && text
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit()));
    good.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(found: Option<(Part, String)>) -> Option<(Part, &'static str)> {
        found.map(|(part, version)| (part, &*version.leak()))
    }

    #[test]
    fn libraries_packages_and_wheels_name_their_version() {
        use Part::{Cudnn, Nccl, Toolkit};
        let libraries = [
            ("libcudart.so.12.4.127", Some((Toolkit, "12.4.127"))),
            ("libcudart.so.11.8.89", Some((Toolkit, "11.8.89"))),
            ("libcudnn.so.9.1.0", Some((Cudnn, "9.1.0"))),
            ("libnccl.so.2.21.5", Some((Nccl, "2.21.5"))),
            ("libcudart.so.12", None),
            ("libcudart.so", None),
            ("libcudnn_ops.so.9.1.0", None),
            ("libcudart.so.12.4.127.bak", None),
            ("libnccl.so.2..5", None),
        ];
        for (name, expected) in libraries {
            assert_eq!(of(library(name)), expected, "{name}");
        }
        let packages = [
            ("cuda-cudart-12.4.127-he02047a_2.json", Some((Toolkit, "12.4.127"))),
            ("cudatoolkit-11.8.0-h6a678d5_0.json", Some((Toolkit, "11.8.0"))),
            ("cudnn-9.1.1.17-cuda12_0.json", Some((Cudnn, "9.1.1.17"))),
            ("nccl-2.21.5.1-h3a97aeb_0.json", Some((Nccl, "2.21.5.1"))),
            ("cuda-cudart-dev-12.4.127-h_2.json", None),
            ("history", None),
        ];
        for (name, expected) in packages {
            assert_eq!(of(conda(name)), expected, "{name}");
        }
        let wheels = [
            ("nvidia_cuda_runtime_cu12-12.4.127.dist-info", Some((Toolkit, "12.4.127"))),
            ("nvidia_cuda_runtime-13.0.48.dist-info", Some((Toolkit, "13.0.48"))),
            ("nvidia_cudnn_cu12-9.1.0.70.dist-info", Some((Cudnn, "9.1.0.70"))),
            ("nvidia_nccl_cu12-2.20.5.dist-info", Some((Nccl, "2.20.5"))),
            ("nvidia_cublas_cu12-12.4.5.8.dist-info", None),
            ("nvidia_nccl_cu12-2.20.5+x.dist-info", None),
        ];
        for (name, expected) in wheels {
            assert_eq!(of(wheel(name)), expected, "{name}");
        }
    }

    #[test]
    fn a_toolkit_and_a_header_say_their_version() {
        let json = r#"{"cuda": {"name": "CUDA SDK", "version": "12.4.1"}, "cuda_cccl": {}}"#;
        assert_eq!(version_json(json).as_deref(), Some("12.4.1"));
        for bad in ["", "{}", r#"{"cuda": {"version": "12.4; rm"}}"#, r#"{"cuda": 12}"#] {
            assert_eq!(version_json(bad), None, "{bad}");
        }
        assert_eq!(version_txt("CUDA Version 10.2.89\n").as_deref(), Some("10.2.89"));
        assert_eq!(version_txt("Version 10\n"), None);
        let cudnn = "#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 1\n#define CUDNN_PATCHLEVEL 0\n";
        assert_eq!(header(cudnn, Part::Cudnn).as_deref(), Some("9.1.0"));
        assert_eq!(header("#define CUDNN_MAJOR x\n", Part::Cudnn), None);
        let nccl = "#define NCCL_MAJOR 2\n#define NCCL_MINOR 21\n#define NCCL_PATCH 5\n";
        assert_eq!(header(nccl, Part::Nccl).as_deref(), Some("2.21.5"));
    }
}
