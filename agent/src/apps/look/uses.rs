//! What people do with an app, as the proxy sees it: which of it counts, and when it was last done.
//! Pure, but for one lock.
//!
//! What a page does by itself does not count: an open tab is no work. A method that changes
//! something counts, and so do the opening of a page and what is typed into a notebook or terminal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::privileged::Kind;

/// Something that went to an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use<'a> {
    Request {
        method: &'a str,
        path: &'a str,
    },
    /// Messages of the client through a websocket that was opened at this path.
    Message {
        path: &'a str,
    },
}

/// When something was last done, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::apps) struct Last {
    pub(in crate::apps) at: Duration,
    /// `a request to /x`, for people.
    pub(in crate::apps) what: String,
}

/// A request that ends a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::apps) struct EndAsked {
    pub(in crate::apps) at: Duration,
    pub(in crate::apps) whose: Whose,
}

/// Which kernel is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::apps) enum Whose {
    Kernel(String),
    /// That of a notebook, of which only Jupyter knows the kernel.
    Notebook,
}

#[derive(Debug, Clone, Default)]
struct Used {
    last: Option<Last>,
    ends: Vec<EndAsked>,
}

/// The uses of every app, by name. Clones share it.
#[derive(Debug, Clone, Default)]
pub(in crate::apps) struct Uses(Arc<Mutex<HashMap<String, Used>>>);

/// Requests to end kernels that are kept.
const ENDS: usize = 32;
/// Characters of a path that are shown.
const SHOWN: usize = 60;

impl Uses {
    /// Notes a use; called for every request.
    pub(in crate::apps) fn note(&self, app: (&str, Kind), what: Use<'_>, now: Duration) {
        let (name, kind) = app;
        let (counts, ends) = (counts(name, kind, what), ends(name, kind, what));
        if !counts && ends.is_none() {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = all.entry(name.to_owned()).or_default();
        if let Some(whose) = ends {
            used.ends.push(EndAsked { at: now, whose });
            if used.ends.len() > ENDS {
                used.ends.remove(0);
            }
        }
        if counts {
            used.last = Some(Last { at: now, what: shown(what) });
        }
    }

    pub(in crate::apps) fn last(&self, app: &str) -> Option<Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(app)?.last.clone()
    }

    pub(in crate::apps) fn ends(&self, app: &str) -> Vec<EndAsked> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(app).map(|used| used.ends.clone()).unwrap_or_default()
    }
}

fn shown(what: Use<'_>) -> String {
    let (before, path) = match what {
        Use::Request { path, .. } => ("a request to ", path),
        Use::Message { path } => ("something was sent to ", path),
    };
    before.chars().chain(path.chars().take(SHOWN)).collect()
}

/// The path below the app's own.
fn below<'a>(name: &str, path: &'a str) -> &'a str {
    let rest = path.strip_prefix("/apps/").and_then(|path| path.strip_prefix(name));
    rest.unwrap_or(path)
}

/// Whether it shows that a person, or a program on their behalf, works with the app.
pub(in crate::apps) fn counts(name: &str, kind: Kind, what: Use<'_>) -> bool {
    match (kind, what) {
        (Kind::JupyterLab | Kind::Jupyter, Use::Request { method, path }) => {
            jupyter(method, below(name, path))
        }
        // Events and the awareness of shared documents are sent by the page itself.
        (Kind::JupyterLab | Kind::Jupyter, Use::Message { path }) => {
            let path = below(name, path);
            !path.starts_with("/api/events/") && !path.starts_with("/api/collaboration/")
        }
        (Kind::RStudio, Use::Request { method, path }) => rstudio(method, below(name, path)),
        (Kind::Custom, Use::Request { path, .. }) => {
            let path = below(name, path);
            // Streamlit's page asks these again and again.
            !path.starts_with("/_stcore/health") && !path.starts_with("/_stcore/host-config")
        }
        (Kind::RStudio | Kind::Custom, Use::Message { .. }) => true,
    }
}

fn jupyter(method: &str, path: &str) -> bool {
    const PAGES: [&str; 7] =
        ["/lab", "/tree", "/notebooks/", "/edit/", "/consoles/", "/files/", "/nbconvert/"];
    if !reads(method) {
        return true;
    }
    let page = PAGES.iter().any(|page| path.starts_with(page)) || path.starts_with("/nbclassic/");
    page && !path.starts_with("/lab/api/") && !path.contains("/static/")
}

fn rstudio(method: &str, path: &str) -> bool {
    if !reads(method) {
        // The page waits with `get_events` for what the session has to say, all the time.
        return !path.starts_with("/events/") && path != "/rpc/ping";
    }
    path == "/" || path.starts_with("/s/") && path.matches('/').count() <= 3
}

fn reads(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// Whether it asks for the end of a kernel, and of which.
fn ends(name: &str, kind: Kind, what: Use<'_>) -> Option<Whose> {
    let Use::Request { method, path } = what else { return None };
    if !kind.is_jupyter() {
        return None;
    }
    let path = below(name, path);
    let kernel = || path.strip_prefix("/api/kernels/");
    let of_kernel = |id: &str| Whose::Kernel(id.to_owned());
    match method {
        // A notebook that gets another kernel (PATCH) loses the one that it had.
        "DELETE" | "PATCH" if path.starts_with("/api/sessions/") => Some(Whose::Notebook),
        "DELETE" => kernel().map(of_kernel),
        "POST" => kernel().and_then(|rest| rest.strip_suffix("/restart")).map(of_kernel),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_and_what_a_page_does_by_itself() {
        use Kind::{Custom, JupyterLab, RStudio};
        let table = [
            (JupyterLab, "GET", "/apps/a/lab", true),
            (JupyterLab, "GET", "/apps/a/lab/tree/x.ipynb", true),
            (JupyterLab, "GET", "/apps/a/lab/api/settings", false),
            (JupyterLab, "GET", "/apps/a/api/kernels?1", false),
            (JupyterLab, "GET", "/apps/a/api/contents/x", false),
            (JupyterLab, "GET", "/apps/a/static/lab/main.js", false),
            (JupyterLab, "PUT", "/apps/a/api/contents/x.ipynb", true),
            (JupyterLab, "POST", "/apps/a/api/kernels", true),
            (JupyterLab, "GET", "/apps/a/files/data.csv", true),
            (RStudio, "POST", "/apps/a/events/get_events", false),
            (RStudio, "POST", "/apps/a/rpc/console_input", true),
            (RStudio, "GET", "/apps/a/", true),
            (RStudio, "GET", "/apps/a/rstudio/main.js", false),
            (Custom, "GET", "/apps/a/data", true),
            (Custom, "GET", "/apps/a/_stcore/health", false),
        ];
        for (kind, method, path, expected) in table {
            let found = counts("a", kind, Use::Request { method, path });
            assert_eq!(found, expected, "{kind:?} {method} {path}");
        }
        let message = |path| counts("a", JupyterLab, Use::Message { path });
        assert!(
            message("/apps/a/api/kernels/x/channels") && message("/apps/a/terminals/websocket/1")
        );
        assert!(!message("/apps/a/api/events/subscribe"));
    }

    #[test]
    fn requests_that_end_kernels_say_which() {
        let of = |method, path| ends("a", Kind::JupyterLab, Use::Request { method, path });
        assert_eq!(of("DELETE", "/apps/a/api/kernels/k-1"), Some(Whose::Kernel("k-1".into())));
        assert_eq!(
            of("POST", "/apps/a/api/kernels/k-1/restart"),
            Some(Whose::Kernel("k-1".into()))
        );
        assert_eq!(of("POST", "/apps/a/api/kernels/k-1/interrupt"), None);
        assert_eq!(of("DELETE", "/apps/a/api/sessions/s"), Some(Whose::Notebook));
        assert_eq!(of("GET", "/apps/a/api/kernels/k-1"), None);
    }

    #[test]
    fn the_last_use_is_kept_and_polls_leave_it() {
        let (uses, app) = (Uses::default(), ("a", Kind::JupyterLab));
        let request = |method, path| Use::Request { method, path };
        uses.note(app, request("GET", "/apps/a/lab"), Duration::from_secs(1));
        uses.note(app, request("GET", "/apps/a/api/status"), Duration::from_secs(2));
        let last = uses.last("a").unwrap();
        assert_eq!((last.at.as_secs(), last.what.as_str()), (1, "a request to /apps/a/lab"));
        assert_eq!(uses.last("b"), None);
    }
}
