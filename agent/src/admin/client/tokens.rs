//! The verbs about tokens: `login --token`, `token create`, `token list`, `token revoke`.

use http::Method;
use serde_json::json;
use station_proto::time::Time;
use station_proto::token::{NewToken, Token};

use super::args::{Login, TokenVerb};
use super::verbs::{get, print_json, text};
use super::{ClientError, Connection, Printer, screen};
use crate::os::clock;

/// Prints the app's address and, below it, the token: the only time that it is shown.
pub(super) async fn create(
    station: &Connection,
    wanted: &Login,
    printer: &Printer,
) -> Result<(), ClientError> {
    let app = wanted.app.as_ref().map(ToString::to_string).unwrap_or_default();
    let body = json!({ "app": app, "ttl_seconds": wanted.ttl.as_secs(), "note": wanted.note });
    let made: NewToken = station.json(Method::POST, "/v1/tokens", Some(&body)).await?;
    if printer.json {
        return print_json(&made);
    }
    text(&format!("{}\n{}\n", made.url, made.secret))?;
    if let Some(tunnel) = printer.tunnel(made.loopback, made.port) {
        printer.note(&tunnel);
    }
    if !wanted.print {
        printer.note(&hints(&made));
    }
    Ok(())
}

fn hints(made: &NewToken) -> String {
    let Token { id, app, expires_at, .. } = &made.token;
    format!(
        "The token opens {app} and nothing else, until {expires_at}. It is not shown again.\n\
         In scripts, send the field \"Authorization: token TOKEN\" to the address above.\n\
         In VS Code: Select Kernel, Existing Jupyter Server, then the address with ?token=TOKEN.\n\
         `stationctl token revoke {id}` ends it."
    )
}

pub(super) async fn run(
    station: &Connection,
    verb: &TokenVerb,
    printer: &Printer,
) -> Result<(), ClientError> {
    match verb {
        TokenVerb::Create { actions, ttl, name } => {
            let body = json!({ "actions": actions, "ttl_seconds": ttl.as_secs(), "note": name });
            let made: NewToken = station.json(Method::POST, "/v1/tokens", Some(&body)).await?;
            if printer.json {
                return print_json(&made);
            }
            text(&format!("{}\n", made.secret))?;
            printer.note(&format!(
                "The token holds until {}. It is not shown again.\n\
                 Send the field \"Authorization: Bearer TOKEN\" to {}.\n\
                 `stationctl token revoke {}` ends it.",
                made.token.expires_at,
                if made.url.is_empty() { "the API" } else { &made.url },
                made.token.id
            ));
            Ok(())
        }
        TokenVerb::List => {
            let tokens: Vec<Token> = get(station, "/v1/tokens").await?;
            if printer.json {
                return print_json(&tokens);
            }
            text(&screen::tokens(&tokens, Time(clock::now().wall)))
        }
        TokenVerb::Revoke { id } => {
            station.bytes(Method::DELETE, &format!("/v1/tokens/{id}"), None).await?;
            printer.answer(&json!({ "revoked": id }), &format!("token {id} has ended\n"))
        }
    }
}
