//! Asks an app whether it answers, over its own socket and without counting as activity.

use std::path::Path;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde::Deserialize;

use super::Activity;
use crate::base::limits;
use crate::os::http::{self as client, HttpError};
use crate::privileged::Kind;

#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("the question cannot be put")]
    Build(#[source] http::Error),
    #[error("no answer")]
    Exchange(#[source] HttpError),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer is not understood")]
    Parse(#[source] serde_json::Error),
}

/// What Jupyter says of one kernel.
#[derive(Debug, Deserialize)]
struct Kernel {
    execution_state: String,
}

/// One question; an answer also says what the app is doing. Only the app's own user is asked: in
/// the folder of the socket they may put a link to whatever listens.
pub(super) async fn ask(
    kind: Kind,
    (socket, uid): (&Path, u32),
    prefix: &str,
) -> Result<Activity, ProbeError> {
    match kind {
        // Without `no_track_activity` each question would count as the user's activity.
        Kind::JupyterLab => {
            let path = format!("{prefix}api/kernels?no_track_activity=1");
            let body = get(socket, uid, &path).await?;
            let kernels: Vec<Kernel> = serde_json::from_slice(&body).map_err(ProbeError::Parse)?;
            Ok(activity(&kernels))
        }
    }
}

fn activity(kernels: &[Kernel]) -> Activity {
    let count = |length| u32::try_from(length).unwrap_or(u32::MAX);
    let at_work = |kernel: &&Kernel| {
        matches!(kernel.execution_state.as_str(), "busy" | "starting" | "restarting")
    };
    Activity { kernels: count(kernels.len()), busy: count(kernels.iter().filter(at_work).count()) }
}

async fn get(socket: &Path, uid: u32, path: &str) -> Result<Bytes, ProbeError> {
    let request = Request::get(path)
        .header("host", "localhost")
        .body(Full::default())
        .map_err(ProbeError::Build)?;
    let (most, deadline) = (limits::APP_ANSWER, limits::APP_PROBE);
    let response = client::exchange_with(uid, socket, request, most, deadline)
        .await
        .map_err(ProbeError::Exchange)?;
    match response.status() {
        StatusCode::OK => Ok(response.into_body()),
        status => Err(ProbeError::Status(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_counted_and_unknown_states_are_not_work() {
        let answer = br#"[{"id":"a","execution_state":"busy"},{"execution_state":"idle"},
            {"execution_state":"starting"},{"execution_state":"dead"}]"#;
        let kernels: Vec<Kernel> = serde_json::from_slice(answer).unwrap();
        assert_eq!(activity(&kernels), Activity { kernels: 4, busy: 2 });
    }
}
