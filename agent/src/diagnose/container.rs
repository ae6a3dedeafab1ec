//! The container engine: an image that this program makes itself is imported, run and removed. So it
//! needs no registry and no network.

mod image;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Skipped, StepError, step};
use crate::base::chain::Chain;
use crate::os::file::{FileError, write_atomic};

/// One question or order to the engine.
const LIMIT: Duration = Duration::from_secs(30);
const IMAGE: &str = "stationd-canary:1";

/// Why no container ran.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    #[error(transparent)]
    Skipped(#[from] Skipped),
    #[error("there is no folder for the image")]
    Folder(#[source] io::Error),
    #[error("the image's file cannot be written")]
    Image(#[source] FileError),
    #[error("{engine} does not import an image")]
    Import { engine: String, source: StepError },
    #[error("{engine} runs no container")]
    Run { engine: String, source: StepError },
    #[error("the container said {said:?} instead of {wanted:?}")]
    Said { said: String, wanted: &'static str },
}

/// Runs a container with the first engine that answers; gives the engine's name and version.
pub async fn check() -> Result<String, ContainerError> {
    let kind = std::env::consts::ARCH;
    let none = || Skipped(format!("there is no canary for processors of kind {kind}"));
    let image = image::tar(kind).ok_or_else(none)?;
    let (engine, program, version) = engine().await?;
    let folder = new_folder().map_err(ContainerError::Folder)?;
    let file = folder.join("image.tar");
    let written = write_atomic(&file, &image, 0o600);
    let done = match written {
        Ok(()) => run(&engine, &program, &file).await,
        Err(error) => Err(ContainerError::Image(error)),
    };
    if let Err(error) = std::fs::remove_dir_all(&folder) {
        tracing::debug!(%error, "the canary's folder is left");
    }
    if let Err(error) = step(&program, &["rmi", "--force", IMAGE], LIMIT).await {
        tracing::debug!(%error, "the canary's image is left");
    }
    done.map(|()| format!("{engine} {version}"))
}

async fn run(engine: &str, program: &Path, file: &Path) -> Result<(), ContainerError> {
    let engine = || engine.to_owned();
    let file = file.display().to_string();
    step(program, &["import", &file, IMAGE], LIMIT)
        .await
        .map_err(|source| ContainerError::Import { engine: engine(), source })?;
    let limits = ["--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only"];
    let arguments = [
        &["run", "--rm", "--network=none", "--pull=never"],
        limits.as_slice(),
        &[IMAGE, image::PROGRAM],
    ];
    let said = step(program, &arguments.concat(), LIMIT)
        .await
        .map_err(|source| ContainerError::Run { engine: engine(), source })?;
    if said == image::SAYS {
        return Ok(());
    }
    Err(ContainerError::Said { said, wanted: image::SAYS })
}

/// Docker, then Podman: the first that is installed and answers.
async fn engine() -> Result<(String, PathBuf, String), ContainerError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut silent = Vec::new();
    for engine in ["docker", "podman"] {
        let found = std::env::split_paths(&path).map(|place| place.join(engine));
        let Some(program) = found.into_iter().find(|file| file.is_file()) else { continue };
        let asked = ["version", "--format", "{{.Server.Version}}"];
        match step(&program, &asked, LIMIT).await {
            Ok(version) => return Ok((engine.to_owned(), program, version.trim().to_owned())),
            Err(error) => {
                silent.push(format!("{engine} does not answer: {}", Chain(&error)));
            }
        }
    }
    if silent.is_empty() {
        silent.push("no container engine is installed; jobs need one".to_owned());
    }
    Err(Skipped(silent.join("; ")).into())
}

/// A new folder that only we can read.
fn new_folder() -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let folder = std::env::temp_dir().join(format!("stationd-canary-{}", std::process::id()));
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}
