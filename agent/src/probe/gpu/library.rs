//! NVIDIA's management library: found, loaded and initialised.

use std::ffi::{CString, c_int, c_uint};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nvml_wrapper_sys::bindings::{NVML_INIT_FLAG_NO_ATTACH, NvmlLib, nvmlDevice_t};

use super::card::{Card, Text, checked};
use super::watch::Watch;
use super::{Code, Versions, codes};

/// Names the library where it lies at none of the usual places.
pub(super) const PATH_VARIABLE: &str = "STATIOND_NVML";
/// By name, as the loader finds it, then where drivers and containers put it.
const PLACES: [&str; 7] = [
    "libnvidia-ml.so.1",
    "/usr/lib/x86_64-linux-gnu/nvidia/current/libnvidia-ml.so.1",
    "/usr/lib/aarch64-linux-gnu/nvidia/current/libnvidia-ml.so.1",
    "/usr/lib64/libnvidia-ml.so.1",
    "/usr/local/nvidia/lib64/libnvidia-ml.so.1",
    "/run/nvidia/driver/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
];

/// Why there is no driver to ask: the call, its code, and what else is known.
#[derive(Debug)]
pub(super) struct Failure {
    pub call: &'static str,
    pub code: Code,
    pub why: String,
}

/// The initialised library.
pub(super) struct Library {
    library: Box<NvmlLib>,
}

impl Library {
    /// `attach`: whether the initialisation may touch every GPU, the sick ones too.
    pub(super) fn start(watch: &Watch, attach: bool) -> Result<Self, Failure> {
        let library = watch.call("dlopen", None, || Ok(load())).unwrap_or_else(|_never| {
            Err(Failure { call: "dlopen", code: codes::LIBRARY_NOT_FOUND, why: String::new() })
        })?;
        let call = if attach { "nvmlInit_v2" } else { "nvmlInitWithFlags" };
        let fail = |code| Failure { call, code, why: String::new() };
        watch.call(call, None, || initialise(&library, attach)).map_err(fail)?;
        Ok(Self { library })
    }

    pub(super) fn raw(&self) -> &NvmlLib {
        &self.library
    }

    /// Versions as the driver names them; each may be missing.
    pub(super) fn versions(&self, watch: &Watch) -> Versions {
        let library = self.raw();
        let text = |name, function: Option<&Read>| {
            let asked = watch.call(name, None, || {
                let function = function.ok_or(codes::FUNCTION_NOT_FOUND)?;
                let mut buffer = Text::default();
                let (start, length) = buffer.parts();
                // SAFETY: the function writes `length` bytes at most.
                checked(unsafe { function(start, length) })?;
                buffer.read()
            });
            asked.ok()
        };
        let cuda = watch.call("nvmlSystemGetCudaDriverVersion_v2", None, || {
            let function = library.nvmlSystemGetCudaDriverVersion_v2.as_ref();
            let function = function.map_err(|_missing| codes::FUNCTION_NOT_FOUND)?;
            let mut version: c_int = 0;
            // SAFETY: it fills one number.
            checked(unsafe { function(&raw mut version) }).map(|()| version)
        });
        let driver = library.nvmlSystemGetDriverVersion.as_ref().ok();
        let own = library.nvmlSystemGetNVMLVersion.as_ref().ok();
        Versions {
            driver: text("nvmlSystemGetDriverVersion", driver),
            library: text("nvmlSystemGetNVMLVersion", own),
            cuda: cuda.ok().map(|number| format!("{}.{}", number / 1000, number % 1000 / 10)),
        }
    }

    /// How many GPUs the driver lists.
    pub(super) fn count(&self, watch: &Watch) -> Result<u32, Code> {
        watch.call("nvmlDeviceGetCount_v2", None, || {
            let function = self.raw().nvmlDeviceGetCount_v2.as_ref();
            let function = function.map_err(|_missing| codes::FUNCTION_NOT_FOUND)?;
            let mut count: c_uint = 0;
            // SAFETY: it fills one number.
            checked(unsafe { function(&raw mut count) }).map(|()| count)
        })
    }

    /// Opens the GPU at a place on the bus.
    pub(super) fn open(&self, watch: &Watch, pci: &str) -> Result<Card<'_>, Code> {
        let address = CString::new(pci).map_err(|_zero| codes::INVALID_ARGUMENT)?;
        watch.call("nvmlDeviceGetHandleByPciBusId_v2", Some(pci), || {
            let function = self.raw().nvmlDeviceGetHandleByPciBusId_v2.as_ref();
            let function = function.map_err(|_missing| codes::FUNCTION_NOT_FOUND)?;
            let mut handle: nvmlDevice_t = std::ptr::null_mut();
            // SAFETY: the address ends with a zero byte; the handle is of this library.
            checked(unsafe { function(address.as_ptr(), &raw mut handle) })?;
            Ok(Card { library: self.raw(), handle })
        })
    }

    /// Opens the GPU with a number; for machines that show no PCI bus.
    pub(super) fn open_index(&self, watch: &Watch, index: u32) -> Result<Card<'_>, Code> {
        watch.call("nvmlDeviceGetHandleByIndex_v2", None, || {
            let function = self.raw().nvmlDeviceGetHandleByIndex_v2.as_ref();
            let function = function.map_err(|_missing| codes::FUNCTION_NOT_FOUND)?;
            let mut handle: nvmlDevice_t = std::ptr::null_mut();
            // SAFETY: as above.
            checked(unsafe { function(index, &raw mut handle) })?;
            Ok(Card { library: self.raw(), handle })
        })
    }
}

type Read = unsafe extern "C" fn(*mut std::ffi::c_char, c_uint) -> Code;

fn initialise(library: &NvmlLib, attach: bool) -> Result<(), Code> {
    if attach {
        let function =
            library.nvmlInit_v2.as_ref().map_err(|_missing| codes::FUNCTION_NOT_FOUND)?;
        // SAFETY: it takes nothing.
        return checked(unsafe { function() });
    }
    let function = library.nvmlInitWithFlags.as_ref();
    let function = function.map_err(|_missing| codes::FUNCTION_NOT_FOUND)?;
    // SAFETY: it takes a number.
    checked(unsafe { function(NVML_INIT_FLAG_NO_ATTACH) })
}

/// Loads the first library that can be loaded.
fn load() -> Result<Box<NvmlLib>, Failure> {
    let fail = |why| Failure { call: "dlopen", code: codes::LIBRARY_NOT_FOUND, why };
    let named = std::env::var_os(PATH_VARIABLE).map(PathBuf::from);
    if let Some(path) = &named {
        may_be_loaded(path, nix::unistd::geteuid().is_root()).map_err(fail)?;
    }
    let places = named.map_or_else(|| PLACES.map(PathBuf::from).to_vec(), |path| vec![path]);
    let mut first = None;
    for place in places {
        // SAFETY: the library's initialisers run. It is NVIDIA's, from where only root may put one.
        match unsafe { NvmlLib::new(&place) } {
            Ok(library) => return Ok(Box::new(library)),
            Err(error) => drop(first.get_or_insert(error.to_string())),
        }
    }
    Err(fail(first.unwrap_or_default()))
}

/// Whoever could write the library would run as we do: root loads only root's.
fn may_be_loaded(path: &Path, root: bool) -> Result<(), String> {
    let name = path.display();
    if !path.is_absolute() {
        return Err(format!("{PATH_VARIABLE} is {name}: use an absolute path"));
    }
    for place in [Some(path), path.parent()].into_iter().flatten().filter(|_place| root) {
        let found = fs::metadata(place).map_err(|error| format!("{}: {error}", place.display()))?;
        if found.uid() != 0 || found.mode() & 0o022 != 0 {
            return Err(format!(
                "{PATH_VARIABLE} is {name}: {} may be written by others than root; change its \
                 owner or mode",
                place.display()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn root_loads_only_what_root_alone_may_write() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libnvidia-ml.so.1");
        crate::os::file::write_atomic(&file, b"", 0o644).unwrap();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let own = nix::unistd::geteuid().is_root();
        assert_eq!(may_be_loaded(&file, true).is_ok(), own);
        set(&file, 0o664);
        assert!(may_be_loaded(&file, true).is_err());
        assert!(may_be_loaded(&file, false).is_ok());
        set(&file, 0o644);
        set(folder.path(), 0o777);
        assert!(may_be_loaded(&file, true).unwrap_err().contains("may be written by others"));
        assert!(may_be_loaded(Path::new("lib.so"), false).is_err());
    }
}
