//! What the machine says of its GPUs without the driver being asked: `/sys` and `/proc`.
//!
//! It comes first: a call of the library on a machine whose driver is not loaded makes device files
//! and tries to load it.

use std::fs;
use std::path::Path;

use crate::os::machine;

/// What the files say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// GPUs on the PCI bus, by place.
    pub on_pci: Vec<OnPci>,
    /// The version of the loaded module; `None` while none is loaded.
    pub module: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OnPci {
    /// `0000:00:06.0`
    pub pci: String,
    /// Its registers read as ones: it has fallen off the bus.
    pub gone: bool,
}

const NVIDIA: &str = "0x10de";
/// Display controllers: VGA and 3D, by the first digits of the class.
const CLASSES: [&str; 2] = ["0x0300", "0x0302"];

/// Reads them; a few files for each PCI device.
pub(super) fn read() -> Files {
    Files { on_pci: on_pci(&machine::path("/sys/bus/pci/devices")), module: module() }
}

fn module() -> Option<String> {
    let read = |path: &str| fs::read_to_string(machine::path(path)).ok();
    let state = read("/sys/module/nvidia/initstate")?;
    if state.trim() != "live" {
        return None;
    }
    read("/sys/module/nvidia/version").map(|version| version.trim().to_owned())
}

fn on_pci(folder: &Path) -> Vec<OnPci> {
    let Ok(devices) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<OnPci> = devices
        .filter_map(|device| {
            let device = device.ok()?;
            let read = |file: &str| fs::read_to_string(device.path().join(file)).ok();
            if read("vendor")?.trim() != NVIDIA {
                return None;
            }
            let class = read("class")?;
            CLASSES.iter().find(|known| class.starts_with(**known))?;
            let pci = device.file_name().into_string().ok()?;
            // The identity of the vendor in the device itself, not the copy that the kernel keeps.
            let config = fs::read(device.path().join("config")).unwrap_or_default();
            Some(OnPci { pci, gone: config.starts_with(&[0xff; 4]) })
        })
        .collect();
    found.sort_by(|a, b| a.pci.cmp(&b.pci));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::file::write_atomic;

    #[test]
    fn gpus_are_told_from_other_devices() {
        let folder = tempfile::tempdir().unwrap();
        let device = |name: &str, vendor: &str, class: &str, config: &[u8]| {
            let place = folder.path().join(name);
            fs::create_dir(&place).unwrap();
            let files = [("vendor", vendor.as_bytes()), ("class", class.as_bytes())];
            for (file, text) in files.into_iter().chain([("config", config)]) {
                write_atomic(&place.join(file), text, 0o644).unwrap();
            }
        };
        device("0000:02:00.0", "0x10de\n", "0x030200\n", &[0xff; 64]);
        device("0000:01:00.0", "0x10de\n", "0x030000\n", &[0xde, 0x10, 0x30, 0x23]);
        // Its sound, a switch of NVIDIA, and a GPU of another maker.
        device("0000:01:00.1", "0x10de\n", "0x040300\n", &[0xde, 0x10]);
        device("0000:03:00.0", "0x10de\n", "0x068000\n", &[0xde, 0x10]);
        device("0000:04:00.0", "0x1002\n", "0x030000\n", &[0x02, 0x10]);
        let found: Vec<(String, bool)> =
            on_pci(folder.path()).into_iter().map(|one| (one.pci, one.gone)).collect();
        let expected = [("0000:01:00.0".to_owned(), false), ("0000:02:00.0".to_owned(), true)];
        assert_eq!(found, expected);
        assert!(on_pci(Path::new("/nonexistent")).is_empty());
    }
}
