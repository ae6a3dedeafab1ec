//! Tokens, as the API asks for them.

use std::time::Duration;

use http::StatusCode;
use secrecy::ExposeSecret;
use station_proto::problem::Problem;
use station_proto::time::Time;
use station_proto::token::{Action, Token, TokenRequest};

use crate::admin::answers::{no_such_token, problem};
use crate::base::chain::Chain;
use crate::identity::{Identity, MintError, Scope, TokenFacts, TokenWish};
use crate::os::clock;

/// Makes a token; the text is its secret.
pub(super) async fn mint(
    identity: &Identity,
    user: String,
    wanted: TokenRequest,
) -> Result<(Token, String), Box<Problem>> {
    let scope = scope(&wanted)?;
    let TokenRequest { ttl_seconds, note, .. } = wanted;
    let wish = TokenWish { user, scope, note, life: Duration::from_secs(ttl_seconds) };
    let made = identity.mint_token(wish, clock::now()).await;
    let made = made.map_err(|error| {
        let detail = Chain(&error).to_string();
        let (status, kind, title) = match error {
            MintError::Life { .. } | MintError::Note => {
                (StatusCode::BAD_REQUEST, "bad-token-request", "the token cannot be made so")
            }
            MintError::TooMany => {
                (StatusCode::CONFLICT, "too-many-tokens", "there are too many tokens")
            }
            MintError::Random(_) | MintError::Store(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "no-token", "the token could not be made")
            }
        };
        problem(status, kind, title, detail)
    })?;
    Ok((shown(made.facts), made.secret.expose_secret().to_owned()))
}

/// An app or actions, and only known ones.
fn scope(wanted: &TokenRequest) -> Result<Scope, Box<Problem>> {
    let refuse = |detail: String| {
        let (status, title) = (StatusCode::BAD_REQUEST, "the token cannot be made so");
        Err(problem(status, "bad-token-request", title, detail))
    };
    match (wanted.app.is_empty(), wanted.actions.is_empty()) {
        (false, true) => return Ok(Scope::App(wanted.app.as_str().into())),
        (true, false) => {}
        (true, true) => {
            return refuse("name an `app`, or `actions` of the API".to_owned());
        }
        (false, false) => {
            return refuse(
                "a token is for an `app` or for `actions`, not for both: make two".to_owned(),
            );
        }
    }
    let mut actions = Vec::new();
    for name in &wanted.actions {
        let Some(action) = Action::parse(name) else {
            return refuse(format!(
                "`actions` names {name:?}, which is no action; there are {}",
                Action::names()
            ));
        };
        actions.push(action);
    }
    Ok(Scope::actions(actions))
}

pub(super) fn list(identity: &Identity) -> Vec<Token> {
    identity.tokens(clock::now()).into_iter().map(shown).collect()
}

/// Ends the token of this number.
pub(super) async fn revoke(identity: &Identity, id: &str) -> Result<(), Box<Problem>> {
    let number: u64 = id.parse().map_err(|_no_number| no_such_token(id))?;
    match identity.revoke_token(number, clock::now()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(no_such_token(id)),
        Err(error) => {
            let detail = format!(
                "the token does not work any more, but the disk did not take its end: {}; it will be \
                 tried again, and until then a restart would bring the token back",
                Chain(&error)
            );
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Err(problem(status, "not-recorded", "the revocation was not recorded", detail))
        }
    }
}

fn shown(facts: TokenFacts) -> Token {
    let app = facts.scope.app().unwrap_or_default().to_owned();
    let actions = match &facts.scope {
        Scope::App(_) => Vec::new(),
        Scope::Actions(actions) => actions.iter().map(|one| one.name().to_owned()).collect(),
    };
    Token {
        id: facts.id,
        app,
        actions,
        note: facts.note,
        created_at: Time(facts.created),
        expires_at: Time(facts.expires),
        last_used_at: facts.used.map(Time),
    }
}
