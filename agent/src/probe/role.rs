//! `stationd probe`: the same looks, GPUs and the machine, asked for over a socket by stationd alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::net::UnixListener;

use super::{Look, Probe, Question, host, kernel, walk};
use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::os::socket::{Peer, calls};

/// How long a look may take.
const LOOK: Duration = Duration::from_secs(2);

/// What may be looked at: an answer about any other path would tell what only root may know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct May {
    /// The folder that apps work in, if it is known.
    pub workspace: Option<PathBuf>,
    /// Whose disks may be asked and walked, beside the workspace's.
    pub disks: Vec<PathBuf>,
    /// Where stationd's tools are.
    pub tools: Option<PathBuf>,
}

impl May {
    fn disk(&self, path: &Path) -> bool {
        self.workspace.as_deref() == Some(path) || self.disks.iter().any(|disk| disk == path)
    }

    /// What of a question may be asked.
    fn of(&self, ask: host::Ask) -> host::Ask {
        let disks = ask.disks.into_iter().filter(|path| self.disk(path)).collect();
        let tools = ask.tools.filter(|tools| self.tools.as_ref() == Some(tools));
        host::Ask { disks, tools, ..ask }
    }
}

/// What the role is made of.
#[expect(missing_debug_implementations, reason = "a function has no text")]
pub struct Role {
    /// This program, which is started to look.
    pub program: PathBuf,
    /// Who may ask, beside root.
    pub uid: u32,
    /// What may be looked at just now.
    pub may: Arc<dyn Fn() -> May + Send + Sync>,
}

/// Answers until nobody asks any more.
pub async fn serve(tasks: &Tasks, listener: UnixListener, role: Role) {
    let Role { program, uid, may } = role;
    let probe = Probe::own(program);
    let admits = move |peer: Peer| peer.uid == 0 || peer.uid == uid;
    let answer = move |question: Vec<u8>, stream| {
        let (probe, may) = (probe.clone(), Arc::clone(&may));
        async move {
            let answer = match serde_json::from_slice(&question) {
                Ok(Question::Kernel(topics)) => return kernel::pass_on(stream, topics).await,
                Ok(Question::Gpu(ask)) => return probe.hand_gpu(&ask, stream).await,
                Ok(Question::Look { path }) if may().workspace.as_ref() == Some(&path) => {
                    text(&probe.look(&path, LOOK).await)
                }
                Ok(Question::Host(ask)) => text(&probe.host(&may().of(ask), host::LIMIT).await),
                Ok(Question::Walk(ask)) if may().disk(&ask.path) => text(&probe.walk(&ask).await),
                Ok(Question::Walk(_)) => text(&None::<walk::Walked>),
                Ok(Question::Look { .. }) | Err(_) => text(&Look::Unknown),
            };
            calls::say(stream, &answer).await
        }
    };
    calls::serve_streams(tasks, listener, admits, limits::PART_IDLE, answer).await;
}

fn text(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_disks_and_the_tools_of_this_station_may_be_looked_at() {
        let may = May {
            workspace: Some("/home/ada".into()),
            disks: vec!["/".into()],
            tools: Some("/opt/stationd/tools".into()),
        };
        let ask = |tools: &str| host::Ask {
            disks: ["/", "/home/ada", "/home/bob", "/home/ada/x"].map(PathBuf::from).to_vec(),
            tools: Some(tools.into()),
            ..host::Ask::default()
        };
        let allowed = may.of(ask("/home/bob"));
        assert_eq!(allowed.disks, ["/", "/home/ada"].map(PathBuf::from));
        assert_eq!(allowed.tools, None);
        assert_eq!(may.of(ask("/opt/stationd/tools")).tools, may.tools);
        assert!(May::default().of(ask("/")).disks.is_empty());
    }
}
