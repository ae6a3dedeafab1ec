//! What a token is for. Pure.

use std::fmt;
use std::sync::Arc;

use station_proto::token::Action;

/// One app, or actions of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    App(Arc<str>),
    /// In the order of [`Action::ALL`], each once.
    Actions(Arc<[Action]>),
}

impl Scope {
    pub fn actions(actions: impl IntoIterator<Item = Action>) -> Self {
        let mut actions: Vec<Action> = actions.into_iter().collect();
        actions.sort_unstable();
        actions.dedup();
        Self::Actions(actions.into())
    }

    /// Whether it allows `action`, at `app` where that is about one.
    ///
    /// A token for an app allows what is done in that app, and nothing of the API. A token for actions
    /// never leads into an app, whatever they are.
    pub fn allows(&self, action: &str, app: Option<&str>) -> bool {
        match (self, app) {
            (Self::App(own), Some(app)) => {
                action == Action::ApplicationAccess.name() && **own == *app
            }
            (Self::Actions(actions), None) => actions.iter().any(|one| one.name() == action),
            _ => false,
        }
    }

    /// The app, if it is for one.
    pub fn app(&self) -> Option<&str> {
        match self {
            Self::App(app) => Some(app),
            Self::Actions(_) => None,
        }
    }

    /// The two columns of the database: an app, and actions by name. One of them is empty.
    pub(super) fn columns(&self) -> (&str, String) {
        match self {
            Self::App(app) => (app, String::new()),
            Self::Actions(actions) => {
                ("", actions.iter().map(|action| action.name()).collect::<Vec<_>>().join(" "))
            }
        }
    }

    /// From the two columns. An action that this release does not know allows nothing.
    pub(super) fn of_columns(app: String, actions: &str) -> Self {
        if app.is_empty() {
            Self::actions(actions.split(' ').filter_map(Action::parse))
        } else {
            Self::App(app.into())
        }
    }
}

/// For sentences: `lab`, `computes/read`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (app, actions) = self.columns();
        f.write_str(app)?;
        f.write_str(&actions.replace(' ', ", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_allows() {
        let lab = Scope::App("lab".into());
        let looks = Scope::actions([Action::Read, Action::Read]);
        let all = Scope::actions(Action::ALL);
        let access = Action::ApplicationAccess.name();
        for (scope, action, app, expected) in [
            (&lab, access, Some("lab"), true),
            (&lab, access, Some("other"), false),
            (&lab, access, Some(""), false),
            (&lab, access, None, false),
            (&lab, Action::Read.name(), None, false),
            (&looks, Action::Read.name(), None, true),
            (&looks, Action::Stop.name(), None, false),
            (&all, Action::Stop.name(), None, true),
            (&all, access, None, true),
            (&all, access, Some("lab"), false),
            (&all, access, Some(""), false),
            (&all, "", None, false),
            (&all, "page", None, false),
        ] {
            assert_eq!(scope.allows(action, app), expected, "{scope} {action} {app:?}");
        }
    }

    #[test]
    fn columns_and_back() {
        for scope in [Scope::App("lab".into()), Scope::actions(Action::ALL)] {
            let (app, actions) = scope.columns();
            assert_eq!(Scope::of_columns(app.to_owned(), &actions), scope);
        }
        let later = Scope::of_columns(String::new(), "computes/read computes/later/action");
        assert_eq!(later, Scope::actions([Action::Read]));
    }
}
