//! Finds the credentials in a request. Pure: what they are worth is for `front::Credentials`.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

use crate::base::ids::TOKEN_PREFIX;

/// Our cookie in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    None,
    One(&'a str),
    Twice,
}

/// Looks for the cookie `name` in all `Cookie` fields.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Found<'a> {
    let mut found = Found::None;
    for field in headers.get_all(COOKIE) {
        for pair in field.as_bytes().split(|byte| *byte == b';') {
            let Some(value) = value_of(pair.trim_ascii(), name.as_bytes()) else {
                continue;
            };
            if found != Found::None {
                return Found::Twice;
            }
            // A value that is not text is nobody's session; it still counts.
            found = Found::One(std::str::from_utf8(value).unwrap_or_default());
        }
    }
    found
}

fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    pair.strip_prefix(name)?.strip_prefix(b"=")
}

/// The token of `Authorization: Bearer TOKEN`, and one of ours in Jupyter's scheme, `token stn_…`.
/// All else is the app's affair.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let value = fields.next()?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let (token, only) = (token.trim(), fields.next().is_none());
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    let ours = is("bearer") || (is("token") && token.starts_with(TOKEN_PREFIX));
    (only && ours).then_some(token)
}

/// Which token a request shows: one of ours in `Authorization`, then one in the query, then
/// whatever else calls itself a bearer.
pub fn presented<'a>(headers: &'a HeaderMap, query: &'a FromQuery) -> Option<&'a str> {
    let bearer = bearer(headers);
    let in_query = match query {
        FromQuery::None => None,
        FromQuery::One(token) => Some(token.as_str()),
        // Nobody knows which one is meant: it is shown as a token that there is not.
        FromQuery::Several => Some(TOKEN_PREFIX),
    };
    bearer.filter(|token| token.starts_with(TOKEN_PREFIX)).or(in_query).or(bearer)
}

/// Tokens of ours in a query, `?token=stn_…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromQuery {
    None,
    One(String),
    Several,
}

/// Takes our tokens out of a target's query; all other bytes of it stay as they are. The target is
/// given back only if it changed. A `token=` of an app's own stays.
///
/// Names and values are compared as the app would read them: an escape hides no token.
pub fn take_from_query(target: &str) -> (FromQuery, Option<String>) {
    let Some((path, query)) = target.split_once('?') else {
        return (FromQuery::None, None);
    };
    if !query.contains(TOKEN_PREFIX) && !query.contains('%') {
        return (FromQuery::None, None);
    }
    let mut found = FromQuery::None;
    let mut kept = Vec::new();
    for part in query.split('&') {
        match our_token(part) {
            None => kept.push(part),
            Some(token) if found == FromQuery::None => found = FromQuery::One(token),
            Some(_) => found = FromQuery::Several,
        }
    }
    let left = match kept.as_slice() {
        _ if found == FromQuery::None => None,
        [] => Some(path.to_owned()),
        kept => Some(format!("{path}?{}", kept.join("&"))),
    };
    (found, left)
}

fn our_token(part: &str) -> Option<String> {
    let (name, value) = part.split_once('=')?;
    let value = unescaped(value);
    let ours = unescaped(name) == b"token" && value.starts_with(TOKEN_PREFIX.as_bytes());
    ours.then(|| String::from_utf8_lossy(&value).into_owned())
}

/// The bytes that a part of a query stands for.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        let escape = || u8::try_from(digit(0)? * 16 + digit(1)?).ok();
        let plain = if byte == b'%' { escape() } else { None };
        bytes.push(plain.unwrap_or(byte));
        rest = if plain.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes
}

/// The app that a path below `/apps/` names.
pub fn app(path: &str) -> Option<&str> {
    let name = path.strip_prefix("/apps/")?.split('/').next()?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with(fields: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_static(field));
        }
        headers
    }

    #[test]
    fn cookies() {
        let check = |fields: &[&'static str], expect: Found<'_>| {
            assert_eq!(cookie(&with(fields), "st"), expect, "{fields:?}");
        };
        check(&[], Found::None);
        check(&["a=1; xst=2; st2=3; st"], Found::None);
        check(&["a=1;st=x; b=2"], Found::One("x"));
        check(&["a=1", "st=x"], Found::One("x"));
        check(&["st="], Found::One(""));
        check(&["st=x; st=x"], Found::Twice);
        check(&["st=x", "st=y"], Found::Twice);
    }

    #[test]
    fn bearers() {
        let check = |value: &'static str, expect: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(bearer(&headers), expect, "{value}");
        };
        check("Bearer abc", Some("abc"));
        check("bearer abc", Some("abc"));
        check("token abc", None);
        check("token stn_abc", Some("stn_abc"));
        check("Token  stn_abc", Some("stn_abc"));
        check("Basic abc", None);
        check("Basic stn_abc", None);
        check("Bearer", None);
    }

    #[test]
    fn our_tokens_leave_the_query_and_all_else_stays() {
        let check = |target: &str, token: Option<&str>, left: Option<&str>| {
            let one = token.map_or(FromQuery::None, |token| FromQuery::One(token.into()));
            let expect = (one, left.map(str::to_owned));
            assert_eq!(take_from_query(target), expect, "{target}");
        };
        check("/apps/x/", None, None);
        check("/apps/x/?", None, None);
        check("/apps/x/?token=theirs&a=%zz", None, None);
        check("/apps/x/?xtoken=stn_a&token&Token=stn_b&token=xstn_", None, None);
        check("/apps/x/token=stn_a", None, None);
        check("/apps/x/?token=stn_a", Some("stn_a"), Some("/apps/x/"));
        check("/x?a=1&&token=stn_a&b=%2f+", Some("stn_a"), Some("/x?a=1&&b=%2f+"));
        check("/x?token=stn_a&", Some("stn_a"), Some("/x?"));
        check("/x?token=theirs&token=stn_a", Some("stn_a"), Some("/x?token=theirs"));
        check("/x?%74oken=s%74n%5Fa&b", Some("stn_a"), Some("/x?b"));
        check("/x?token=stn_%zz", Some("stn_%zz"), Some("/x"));
        check("/x?token=stn_%+1", Some("stn_%+1"), Some("/x"));
        check("/x?token=stn_?token=stn_b", Some("stn_?token=stn_b"), Some("/x"));
        let (found, left) = take_from_query("/x?token=stn_a&b&token=stn_a");
        assert_eq!((found, left.as_deref()), (FromQuery::Several, Some("/x?b")));
    }

    #[test]
    fn which_token_counts() {
        let check = |value: &'static str, query: FromQuery, expect: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(presented(&headers, &query), expect, "{value} {query:?}");
        };
        let one = || FromQuery::One("stn_q".into());
        check("token stn_h", one(), Some("stn_h"));
        check("Bearer theirs", one(), Some("stn_q"));
        check("Bearer theirs", FromQuery::None, Some("theirs"));
        check("Basic theirs", FromQuery::None, None);
        check("Basic theirs", FromQuery::Several, Some("stn_"));
    }

    #[test]
    fn names_of_apps() {
        let check = |path: &str, expect: Option<&str>| assert_eq!(app(path), expect, "{path}");
        check("/apps/lab/x/y", Some("lab"));
        check("/apps/lab", Some("lab"));
        check("/apps/", None);
        check("/apps//lab", None);
        check("/v1/apps/lab", None);
    }
}
