//! Asks an app whether it answers, over its own socket and without counting as activity.

use std::path::PathBuf;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::activity::{Kernel, Terminal};
use crate::base::ids::AppName;
use crate::base::limits;
use crate::os::socket::http::{self as client, HttpError};
use crate::privileged::{Kind, RootConfig};

#[derive(Debug, thiserror::Error)]
pub(in crate::apps) enum ProbeError {
    #[error("the question cannot be put")]
    Build(#[source] http::Error),
    #[error("no answer")]
    Exchange(#[source] HttpError),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer is not understood")]
    Parse(#[source] serde_json::Error),
}

/// What an app says of itself; without kernels, if its kind has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::apps) struct Answer {
    pub(in crate::apps) kernels: Vec<Kernel>,
    pub(in crate::apps) terminals: Vec<Terminal>,
}

/// Where and how an app is asked.
#[derive(Debug, Clone)]
pub(in crate::apps) struct Place {
    kind: Kind,
    socket: PathBuf,
    /// Only the app's own user is asked: in the folder of the socket they may put a link to whatever
    /// listens.
    uid: u32,
    /// Before every path, without a slash at its end.
    prefix: String,
    /// Absent: the prefix is taken off before the app sees a path.
    health: String,
}

impl Place {
    pub(in crate::apps) fn of(root: &RootConfig, app: &AppName) -> Option<Self> {
        let known = root.app(app)?;
        let prefix = if known.keeps_prefix { format!("/apps/{app}") } else { String::new() };
        let health = if known.health.is_empty() { "/" } else { &known.health };
        Some(Self {
            kind: known.kind,
            socket: root.socket(app),
            uid: root.user.uid,
            health: format!("{prefix}{health}"),
            prefix,
        })
    }
}

#[derive(Debug, Deserialize)]
struct KernelModel {
    id: String,
    execution_state: String,
    #[serde(default)]
    last_activity: Option<Timestamp>,
    #[serde(default)]
    connections: u32,
}

#[derive(Debug, Deserialize)]
struct TerminalModel {
    name: String,
    #[serde(default)]
    last_activity: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct SessionModel {
    #[serde(default)]
    path: String,
    kernel: Option<SessionKernel>,
}

#[derive(Debug, Deserialize)]
struct SessionKernel {
    id: String,
}

/// One question; an answer also says what the app is doing.
pub(in crate::apps) async fn ask(place: &Place) -> Result<Answer, ProbeError> {
    if place.kind.is_jupyter() {
        return jupyter(place).await;
    }
    let answer = get(place, &place.health).await?;
    // Anything but a failure: it may want a login or a path that we do not know.
    if answer.status().is_server_error() {
        return Err(ProbeError::Status(answer.status()));
    }
    Ok(Answer::default())
}

/// Without `no_track_activity` each question would count as the user's activity.
async fn jupyter(place: &Place) -> Result<Answer, ProbeError> {
    let kernels: Vec<KernelModel> = list(place, "/api/kernels?no_track_activity=1").await?;
    // What has terminals or notebooks nowhere is still an app that answers.
    let terminals: Vec<TerminalModel> =
        list(place, "/api/terminals?no_track_activity=1").await.unwrap_or_default();
    let sessions: Vec<SessionModel> = if kernels.is_empty() {
        Vec::new()
    } else {
        list(place, "/api/sessions?no_track_activity=1").await.unwrap_or_default()
    };
    Ok(answer(kernels, terminals, &sessions))
}

fn answer(
    kernels: Vec<KernelModel>,
    terminals: Vec<TerminalModel>,
    sessions: &[SessionModel],
) -> Answer {
    let path = |id: &str| {
        let of = |session: &&SessionModel| session.kernel.as_ref().is_some_and(|k| k.id == id);
        let path = sessions.iter().find(of).map(|session| session.path.clone());
        path.filter(|path| !path.is_empty())
    };
    let kernel = |model: KernelModel| Kernel {
        path: path(&model.id),
        id: model.id,
        state: model.execution_state,
        last_activity: model.last_activity,
        connections: model.connections,
    };
    let terminal =
        |model: TerminalModel| Terminal { name: model.name, last_activity: model.last_activity };
    Answer {
        kernels: kernels.into_iter().map(kernel).collect(),
        terminals: terminals.into_iter().map(terminal).collect(),
    }
}

async fn list<T: DeserializeOwned>(place: &Place, path: &str) -> Result<Vec<T>, ProbeError> {
    let answer = get(place, &format!("{}{path}", place.prefix)).await?;
    match answer.status() {
        StatusCode::OK => serde_json::from_slice(answer.body()).map_err(ProbeError::Parse),
        status => Err(ProbeError::Status(status)),
    }
}

async fn get(place: &Place, path: &str) -> Result<Response<Bytes>, ProbeError> {
    let request = Request::get(path)
        .header("host", "localhost")
        .body(Full::default())
        .map_err(ProbeError::Build)?;
    let (most, deadline) = (limits::APP_ANSWER, limits::APP_PROBE);
    client::exchange_with(place.uid, &place.socket, request, most, deadline)
        .await
        .map_err(ProbeError::Exchange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_named_by_their_notebooks() {
        let kernels = br#"[{"id":"a","execution_state":"busy","connections":2,"name":"ir",
            "last_activity":"2026-01-01T00:00:00.123456Z"},{"id":"b","execution_state":"dead"}]"#;
        let sessions =
            r#"[{"path":"学習 1.ipynb","kernel":{"id":"a"}},{"path":"","kernel":{"id":"b"}}]"#;
        let answer = answer(
            serde_json::from_slice(kernels).unwrap(),
            Vec::new(),
            &serde_json::from_str::<Vec<SessionModel>>(sessions).unwrap(),
        );
        let [first, second] = answer.kernels.as_slice() else { panic!("{answer:?}") };
        assert_eq!((first.path.as_deref(), first.connections), (Some("学習 1.ipynb"), 2));
        assert!(first.last_activity.is_some());
        assert_eq!((second.path.as_deref(), second.state.as_str()), (None, "dead"));
    }
}
