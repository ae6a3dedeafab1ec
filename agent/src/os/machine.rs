//! Where the kernel's files about the machine are read: `/proc`, `/sys` and `/dev`, or a copy of
//! them for tests, which have no GPU.

pub mod kmsg;

use std::path::PathBuf;

/// A folder that stands for `/`, in tests.
const ROOT_VARIABLE: &str = "STATIOND_MACHINE";

/// `path`, which is absolute, on this machine.
pub fn path(path: &str) -> PathBuf {
    let root = std::env::var_os(ROOT_VARIABLE).unwrap_or_default();
    PathBuf::from(root)
        .join(path.trim_start_matches('/'))
        .components()
        .fold(PathBuf::from("/"), |whole, part| whole.join(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_another_root_a_path_is_itself() {
        assert_eq!(path("/proc/meminfo"), PathBuf::from("/proc/meminfo"));
    }
}
