//! Where a login leads to: a path on this server and nothing else. Pure.
//!
//! A login link that sends its user to another site would be a gift to whoever made it. Browsers
//! read `\` as `/`, drop tabs and line breaks, and take `//host` for another server, so anything
//! near that is refused instead of repaired.

use std::fmt;

/// Longest path that is taken.
const BYTES_MAX: usize = 2048;

/// A path on this server, with its query and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextPath(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("next {0}: name a path on this server, such as \"/apps/jupyterlab/lab\"")]
pub struct BadNext(&'static str);

impl NextPath {
    pub fn parse(text: &str) -> Result<Self, BadNext> {
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let problem = if !path.starts_with('/') {
            "does not begin with /"
        } else if text.len() > BYTES_MAX {
            "is too long"
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            "holds a blank, a control character or a letter outside ASCII (write those as %XX)"
        } else if text.contains(['\\', '"', '<', '>']) {
            "holds one of \\ \" < >"
        } else if path.contains("//") {
            "holds //"
        } else if path.split('/').skip(1).any(misleading) {
            "holds a part that leads elsewhere"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(BadNext(problem))
    }

    /// The page at `/`.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Dot segments, plain or encoded, and segments that begin with an encoded slash: some program on
/// the way may decode them and find `//` or `..`. An encoded slash further in is a file's name.
fn misleading(segment: &str) -> bool {
    let lower = segment.to_ascii_lowercase();
    let dots = lower.replace("%2e", ".");
    dots == "."
        || dots == ".."
        || ["%2f", "%5c", "%09", "%0a", "%0d", "%00"].iter().any(|code| dots.starts_with(code))
}

impl fmt::Display for NextPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_on_this_server() {
        for good in [
            "/",
            "/apps/jupyterlab/",
            "/apps/jupyterlab/lab/tree/a%2Fb.ipynb",
            "/apps/jupyterlab/lab/tree/%C3%A4.ipynb?reset#cell-3",
            "/apps/x/?url=https://example.com//a",
            "/apps/x/#//a",
            "/a:b@c",
            "/.hidden/..x/x..",
            "/help",
        ] {
            assert_eq!(NextPath::parse(good).map(|next| next.to_string()), Ok(good.to_owned()));
        }
    }

    #[test]
    fn redirects_to_elsewhere() {
        for bad in [
            "",
            "evil.example",
            "http://evil.example",
            "https://evil.example/",
            "https:evil.example",
            "https:/evil.example",
            "https:///evil.example",
            "hTTps://evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "//evil.example",
            "///evil.example",
            "////evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            " /x",
            "/ /evil.example",
            "/x\r\nLocation: https://evil.example",
            "/x\r\nSet-Cookie: a=b",
            "/\0/evil.example",
            "/x\u{7f}",
            "/./",
            "/.//evil.example",
            "/..//evil.example",
            "/../x",
            "/a/../..//evil.example",
            "/%2e%2e/x",
            "/%2E/x",
            "/.%2e/x",
            "/%2f/evil.example",
            "/%2Fevil.example",
            "/%5cevil.example",
            "/%5Cevil.example",
            "/a/%5c%5cevil.example",
            "/%09/evil.example",
            "/%0a/evil.example",
            "/%0d%0aLocation:x",
            "/%00/x",
            "/x//y",
            "/x\\y",
            "/?x\\y",
            "/\u{2215}evil.example",
            "/\u{ff0f}evil.example",
            "\u{ff0f}\u{ff0f}evil.example",
            "/x\u{2028}y",
            "/<script>",
            "/\"onload=",
            "?next=/",
            "#/",
            "@evil.example",
            ".evil.example",
            ":443/",
        ] {
            assert!(NextPath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(NextPath::parse(&format!("/{}", "a".repeat(BYTES_MAX))).is_err());
    }
}
