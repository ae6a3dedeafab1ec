//! A token in an address, `?token=stn_…`: taken out of it, and exchanged for a cookie. Pure.
//!
//! An address is kept: in histories, in logs, in the Referer of the next request. What is left of
//! it here goes on to the routes, to the app and into pages.

use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderValue, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};

use crate::front::gate::credential::{self, FromQuery};
use crate::front::routes::Body;

/// Takes our tokens out of the query of an address.
pub(super) fn take_token(uri: &mut Uri) -> FromQuery {
    let Some(target) = uri.path_and_query() else {
        return FromQuery::None;
    };
    let (found, left) = credential::take_from_query(target.as_str());
    if let Some(left) = left {
        // A part of what could be read can be read.
        *uri = left.parse().unwrap_or_default();
    }
    found
}

/// The same page, to be asked for with this cookie.
pub(super) fn redirect(uri: &Uri, cookie: Option<HeaderValue>) -> Response<Body> {
    let mut answer = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let fields = answer.headers_mut();
    if let Ok(to) = HeaderValue::from_str(&place(uri)) {
        fields.insert(LOCATION, to);
    }
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Some(cookie) = cookie {
        fields.insert(SET_COOKIE, cookie);
    }
    answer
}

/// The cookie is for what lies below `/apps/NAME/`, so the slash must be there.
fn place(uri: &Uri) -> String {
    let (path, query) = (uri.path(), uri.query());
    let whole = credential::app(path).is_none_or(|app| path.len() > "/apps/".len() + app.len());
    let (slash, mark) = (if whole { "" } else { "/" }, if query.is_some() { "?" } else { "" });
    format!("{path}{slash}{mark}{}", query.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_without_the_token() {
        let check = |target: &'static str, expect: &str| {
            let mut uri = Uri::from_static(target);
            assert_ne!(take_token(&mut uri), FromQuery::None);
            let answer = redirect(&uri, None);
            assert_eq!(answer.headers()[LOCATION], expect, "{target}");
        };
        check("/apps/lab?token=stn_a", "/apps/lab/");
        check("/apps/lab?x=1&token=stn_a", "/apps/lab/?x=1");
        check("/apps/lab/?token=stn_a", "/apps/lab/");
        check("/apps/lab//a%2f/b?token=stn_a&c=//d", "/apps/lab//a%2f/b?c=//d");
    }
}
