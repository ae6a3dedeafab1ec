//! Takes secrets out of text before it reaches a log, a page or an error.

use crate::base::ids::TOKEN_PREFIX;

/// Names whose value is never shown, as in `token=…` or `_xsrf=…`.
const SECRET_KEYS: [&str; 6] = ["token", "password", "secret", "_xsrf", "access_key", "sig"];

/// `text` with the value of every `token=`, `password=`, … replaced by `…`, and every token of ours
/// wherever it stands.
pub fn secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('=') {
        let (before, after) = rest.split_at(at + 1);
        shown.push_str(before);
        rest = after;
        let key = before.trim_end_matches('=').to_ascii_lowercase();
        if SECRET_KEYS.iter().any(|secret| key.ends_with(secret)) {
            let end = rest.find(|c: char| c.is_whitespace() || "&;\"'<>)".contains(c));
            shown.push('…');
            rest = rest.get(end.unwrap_or(rest.len())..).unwrap_or_default();
        }
    }
    shown.push_str(rest);
    tokens(&login_links(&shown))
}

/// `stn_…` loses what comes after the prefix.
fn tokens(text: &str) -> String {
    let mut parts = text.split(TOKEN_PREFIX);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        let rest = part.get(end.unwrap_or(part.len())..).unwrap_or_default();
        shown.push_str(TOKEN_PREFIX);
        shown.push('…');
        shown.push_str(rest);
    }
    shown
}

/// `/login/TOKEN` paths lose the token.
fn login_links(text: &str) -> String {
    let Some(at) = text.find("/login/") else {
        return text.to_owned();
    };
    let (before, after) = text.split_at(at + "/login/".len());
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    let rest = after.get(end.unwrap_or(after.len())..).unwrap_or_default();
    format!("{before}…{}", login_links(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_keys_disappear() {
        let check = |input: &str, expect: &str| assert_eq!(secrets(input), expect);
        check("GET /lab?token=abc123&x=1", "GET /lab?token=…&x=1");
        check("http://h/login/Ab-_9 opened", "http://h/login/… opened");
        check("PASSWORD=hunter2 done", "PASSWORD=… done");
        check("a=b c=d", "a=b c=d");
        check("token=", "token=…");
        check("/login/a /login/b", "/login/… /login/…");
        check("Authorization: token stn_Ab-_9, x", "Authorization: token stn_…, x");
        check("/lab?token=stn_Ab9&a stn_ stn_x", "/lab?token=…&a stn_… stn_…");
    }
}
