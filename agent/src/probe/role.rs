//! `stationd probe`: the same looks, and GPUs, asked for over a socket by stationd alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;

use super::{Look, Probe, Question, kernel};
use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::os::socket::{Peer, calls};

/// How long a look may take.
const LOOK: Duration = Duration::from_secs(2);

/// What the role is made of.
#[expect(missing_debug_implementations, reason = "a function has no text")]
pub struct Role {
    /// This program, which is started for each look.
    pub program: PathBuf,
    /// Who may ask, beside root.
    pub uid: u32,
    /// The one path that may be looked at: an answer about any other would tell what only root may
    /// know.
    pub may: Arc<dyn Fn() -> Option<PathBuf> + Send + Sync>,
}

/// Answers until nobody asks any more.
pub async fn serve(tasks: &Tasks, listener: UnixListener, role: Role) {
    let Role { program, uid, may } = role;
    let probe = Probe::own(program);
    let admits = move |peer: Peer| peer.uid == 0 || peer.uid == uid;
    let answer = move |question: Vec<u8>, stream| {
        let (probe, may) = (probe.clone(), Arc::clone(&may));
        async move {
            let look = match serde_json::from_slice(&question) {
                Ok(Question::Look { path }) if may().as_ref() == Some(&path) => {
                    probe.look(&path, LOOK).await
                }
                Ok(Question::Kernel) => return kernel::pass_on(stream).await,
                Ok(Question::Gpu(ask)) => return probe.hand_gpu(&ask, stream).await,
                Ok(_) | Err(_) => Look::Unknown,
            };
            calls::say(stream, &serde_json::to_vec(&look).unwrap_or_default()).await
        }
    };
    calls::serve_streams(tasks, listener, admits, limits::PART_IDLE, answer).await;
}
