//! Finds the credentials in a request. Pure: what they are worth is for `front::Credentials`.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

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

/// The token of `Authorization: Bearer TOKEN`; other schemes are the app's affair.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let value = fields.next()?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let only = fields.next().is_none();
    (only && scheme.eq_ignore_ascii_case("bearer")).then_some(token.trim())
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
        check("Basic abc", None);
        check("Bearer", None);
    }
}
