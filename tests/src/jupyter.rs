//! Where the suites find the real JupyterLab.

use std::path::{Path, PathBuf};

/// `STATIOND_TEST_JUPYTERLAB`, or the one that `scripts/test` installs at the repository's root.
pub fn lab() -> Option<PathBuf> {
    let path = std::env::var_os("STATIOND_TEST_JUPYTERLAB").map_or_else(installed, PathBuf::from);
    path.is_file().then_some(path)
}

fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/jupyterlab/bin/jupyter-lab")
}

/// What to say where there is none.
pub const MISSING: &str = "JupyterLab is not installed: scripts/test installs it into \
     .cache/jupyterlab, or set STATIOND_TEST_JUPYTERLAB to a jupyter-lab";
