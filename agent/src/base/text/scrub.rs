//! Takes out of a text whatever may be a secret, for readers outside of the machine: rather too much than
//! too little. `redact` is for what stationd itself writes, and this one for what anybody may have written.

use serde_json::Value;

use super::redact;

/// What stands in the place of a value.
pub const GONE: &str = "…";

/// Parts of names whose value is never shown.
const NAMES: [&str; 17] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "accountkey",
    "sharedkey",
    "privatekey",
    "storagekey",
    "credential",
    "authorization",
    "cookie",
    "xsrf",
    "signature",
];
/// The same as whole names.
const WHOLE: [&str; 5] = ["sig", "key", "pass", "auth", "sas"];
/// How well-known services begin their keys.
const KINDS: [&str; 9] =
    ["eyJ", "AKIA", "ASIA", "ghp_", "gho_", "github_pat_", "hf_", "sk-", "xox"];
/// A word that is longer and of letters of both cases and digits is a key.
const LONG: usize = 40;

/// The text without them.
pub fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut within_key = false;
    for line in text.split_inclusive('\n') {
        let ends = line.contains("-----END ");
        if line.contains("-----BEGIN ") || within_key {
            if !within_key {
                shown.push_str(GONE);
                shown.push('\n');
            }
            within_key = !ends;
            continue;
        }
        shown.push_str(&one_line(line));
    }
    redact::secrets(&shown)
}

/// Every string of a document, and every value of a name that tells of a secret.
pub fn json(value: &mut Value) {
    match value {
        Value::String(found) => *found = text(found),
        Value::Array(all) => all.iter_mut().for_each(json),
        Value::Object(all) => {
            for (name, value) in all {
                match value {
                    Value::String(found) if is_secret(name) => GONE.clone_into(found),
                    Value::Array(_) if is_secret(name) => *value = GONE.into(),
                    value => json(value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether the value of something with this name is not to be shown.
pub fn is_secret(name: &str) -> bool {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    NAMES.iter().any(|part| plain.contains(part))
        || WHOLE.contains(&plain.as_str())
        || name.to_ascii_lowercase().ends_with("_key")
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// What ends a value that stands in a line.
fn ends_value(c: char) -> bool {
    c.is_whitespace() || "\"'\\,;&<>(){}[]".contains(c)
}

fn one_line(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(is_word) {
        let (before, from_word) = rest.split_at(start);
        shown.push_str(before);
        // Who logs in stands before an `@` in an address.
        let user = before.ends_with("://").then(|| user_part(from_word)).flatten();
        if let Some(after) = user {
            shown.push_str(GONE);
            rest = after;
            continue;
        }
        let end = from_word.find(|c| !is_word(c)).unwrap_or(from_word.len());
        let (word, after) = from_word.split_at(end);
        let long = from_word.find(|c: char| !(is_word(c) || "+/=.".contains(c)));
        let (whole, after_whole) = from_word.split_at(long.unwrap_or(from_word.len()));
        if is_key(whole) {
            shown.push_str(GONE);
            rest = after_whole;
            continue;
        }
        shown.push_str(word);
        rest = after;
        if let Some((between, value)) = value_after(word, before, after) {
            shown.push_str(between);
            shown.push_str(GONE);
            // A header's value goes on to the end of its line.
            let all = ["authorization", "cookie"].iter().any(|name| same(word, name));
            let end = if all { value.find(['\n', '"', '\'']) } else { value.find(ends_value) };
            rest = value.get(end.unwrap_or(value.len())..).unwrap_or_default();
        }
    }
    shown.push_str(rest);
    shown
}

fn same(word: &str, name: &str) -> bool {
    word.to_ascii_lowercase().ends_with(name)
}

/// What follows `user:password@`.
fn user_part(address: &str) -> Option<&str> {
    let end = address.find(|c: char| c == '/' || ends_value(c)).unwrap_or(address.len());
    let at = address.get(..end)?.rfind('@')?;
    address.get(at..)
}

/// What stands between a word that tells of a secret and its value, and from the value on.
fn value_after<'a>(word: &str, before: &str, after: &'a str) -> Option<(&'a str, &'a str)> {
    let flag = word.starts_with('-') || before.ends_with('-');
    let scheme = ["bearer", "basic"].contains(&word.to_ascii_lowercase().as_str());
    if !(is_secret(word) || scheme) {
        return None;
    }
    let between = after.find(|c: char| !(c.is_whitespace() || "\"'\\,=:".contains(c)))?;
    let (between, value) = after.split_at(between);
    let said = between.contains(['=', ':']) || (flag || scheme) && !between.is_empty();
    (said && !between.contains('\n')).then_some((between, value))
}

/// Whether a word looks like a key by itself.
fn is_key(word: &str) -> bool {
    let known = KINDS.iter().any(|kind| word.starts_with(kind)) && word.len() >= 20;
    let has = |is: fn(&char) -> bool| word.chars().any(|c| is(&c));
    let mixed =
        has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase) && has(char::is_ascii_digit);
    let few_parts = word.chars().filter(|c| matches!(c, '/' | '.' | '-')).count() <= 4;
    known || (word.len() >= LONG && mixed && few_parts)
}

#[cfg(test)]
mod tests {
    use serde_json::json as value;

    use super::*;

    const KEY: &str = "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ubw==";

    #[test]
    fn secrets_go_however_they_are_written() {
        let github = format!("ghp_{}", "aB3".repeat(10));
        let table = [
            ("password = \"hunter2\" # x", "password = \"…\" # x"),
            ("password: hunter2\n", "password: …\n"),
            ("{'api_key': 'hunter2', 'n': 1}", "{'api_key': '…', 'n': 1}"),
            ("{\"accountKey\":\"hunter2\"}", "{\"accountKey\":\"…\"}"),
            ("run --token hunter2 --port 80", "run --token … --port 80"),
            ("['run', '--password', 'hunter2']", "['run', '--password', '…']"),
            ("Authorization: Basic aHVudGVyMg== x\n", "Authorization: …\n"),
            ("sent Bearer hunter2 to it", "sent Bearer … to it"),
            ("https://ada:hunter2@host/x", "https://…@host/x"),
            ("https://a.b/c?sv=1&sig=hunter2&x=1", "https://a.b/c?sv=1&sig=…&x=1"),
            ("AccountName=a;AccountKey=hunter2;x=1", "AccountName=a;AccountKey=…;x=1"),
            ("AZURE_STORAGE_ACCESS_KEY=hunter2", "AZURE_STORAGE_ACCESS_KEY=…"),
            ("a -----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\nb\n", "…\nb\n"),
            ("/lab?token=stn_hunter2 /login/hunter2", "/lab?token=… /login/…"),
        ];
        for (input, expected) in table {
            assert_eq!(text(input), expected);
        }
        for key in [KEY, &github] {
            assert_eq!(text(&format!("it is {key} then")), "it is … then");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for plain in [
            "the keyboard: a b",
            "no token is valid any more",
            "see /usr/lib/python3/dist-packages/jupyter_server/services/contents/largefilemanager.py",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "https://host/x@y",
            "2026-11-28T13:21:59.238918Z  INFO ready version=\"0.1.0\" url=http://127.0.0.1:37777",
        ] {
            assert_eq!(text(plain), plain);
        }
    }

    #[test]
    fn documents_lose_values_by_their_names_and_keep_the_rest() {
        let mut document = value!({ "token": "x", "keys": 3, "deep": [{ "db_password": ["x"] }],
            "note": format!("password={KEY}"), "count": 1 });
        json(&mut document);
        let expected = value!({ "token": "…", "keys": 3, "deep": [{ "db_password": "…" }],
            "note": "password=…", "count": 1 });
        assert_eq!(document, expected);
    }
}
