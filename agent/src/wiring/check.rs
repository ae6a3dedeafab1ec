//! `stationctl check`, and where `stationctl` looks for the admin socket.

use std::path::{Path, PathBuf};

use serde_json::json;
use station_proto::api::Mistake;

use crate::admin::client::{ClientError, Printer};
use crate::config::{self, Environment, Paths, PathsError, Surroundings};

/// Finds every mistake of `file`, or of the configuration in force.
pub fn run(home: Option<PathBuf>, file: Option<&Path>, to: &Printer) -> Result<(), ClientError> {
    let all = installations(home).map_err(|error| ClientError::Unknown(error.to_string()))?;
    let there = all.iter().find(|paths| paths.config_file.exists() || paths.conf_dir.exists());
    let Some(paths) = there.or(all.first()) else {
        return Err(ClientError::Unknown("there is no place for a configuration".to_owned()));
    };
    let environment = Environment::of_process();
    let loaded = match file {
        Some(file) => config::load_file(file, paths, &environment),
        None => config::load(paths, &environment),
    };
    match loaded {
        Ok(loaded) => {
            let files = if loaded.files.is_empty() {
                format!(
                    "no file, so the defaults hold; it would be {}",
                    paths.config_file.display()
                )
            } else {
                loaded.files.join(", ")
            };
            to.answer(
                &json!({ "files": loaded.files, "mistakes": [] }),
                &format!("no mistakes: {files}\n"),
            )
        }
        Err(failed) => {
            let text: String = failed.mistakes.iter().map(|one| sentence(one) + "\n").collect();
            to.answer(&json!({ "mistakes": failed.mistakes }), &text)?;
            let count = failed.mistakes.len();
            let noun = if count == 1 { "mistake" } else { "mistakes" };
            Err(ClientError::Unknown(format!("{count} {noun} in the configuration")))
        }
    }
}

/// `FILE:LINE: FIELD PROBLEM; REMEDY`
pub(super) fn sentence(mistake: &Mistake) -> String {
    let Mistake { file, line, field, problem, remedy } = mistake;
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{file}{line}: {field} {problem}; {remedy}")
}

/// The sockets to try, in order.
pub fn sockets(socket: Option<PathBuf>, home: Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(socket) = socket {
        return vec![socket];
    }
    let all = installations(home).unwrap_or_default();
    all.into_iter().map(|paths| paths.admin_socket).collect()
}

/// Where stationd may be: the named home alone, or the caller's own and then the system's.
fn installations(home: Option<PathBuf>) -> Result<Vec<Paths>, PathsError> {
    let named = home.is_some();
    let mine = Paths::of(&Surroundings::of_process(home));
    if named {
        return mine.map(|mine| vec![mine]);
    }
    let mut all: Vec<Paths> = mine.into_iter().chain([Paths::system()]).collect();
    all.dedup();
    Ok(all)
}
