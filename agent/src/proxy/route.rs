//! Which app a path belongs to and what the app gets to see of it. Pure; raw bytes stay raw.

use http::uri::PathAndQuery;

/// A path below `/apps/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// `/apps/NAME/…`; `rest` begins with `/`.
    App { name: &'a str, rest: &'a str },
    /// `/apps/NAME`, which goes to `/apps/NAME/`.
    NoSlash { name: &'a str },
    /// Anything else.
    Elsewhere,
}

/// Reads a raw path.
pub fn place(path: &str) -> Place<'_> {
    let Some(below) = path.strip_prefix("/apps/") else {
        return Place::Elsewhere;
    };
    let (name, rest) = match below.find('/') {
        Some(end) => below.split_at(end),
        None => (below, ""),
    };
    if name.is_empty() {
        Place::Elsewhere
    } else if rest.is_empty() {
        Place::NoSlash { name }
    } else {
        Place::App { name, rest }
    }
}

/// The target without `/apps/NAME`; `None` if it has no such prefix.
pub fn stripped(target: &PathAndQuery, name: &str) -> Option<PathAndQuery> {
    let raw = target.as_str();
    let rest = raw.strip_prefix("/apps/")?.strip_prefix(name)?;
    PathAndQuery::try_from(rest).ok()
}

/// Where `/apps/NAME` is sent: the query stays.
pub fn with_slash(target: &PathAndQuery) -> String {
    let query = target.query();
    let mark = if query.is_some() { "?" } else { "" };
    format!("{}/{mark}{}", target.path(), query.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let app = |name, rest| Place::App { name, rest };
        let check = |path: &str, expect: Place<'_>| assert_eq!(place(path), expect, "{path}");
        check("/apps/x/", app("x", "/"));
        check("/apps/x//a/../b;c%2F", app("x", "//a/../b;c%2F"));
        check("/apps/x", Place::NoSlash { name: "x" });
        check("/apps/", Place::Elsewhere);
        check("/apps//x", Place::Elsewhere);
        check("/apps", Place::Elsewhere);
        check("/Apps/x/", Place::Elsewhere);
    }

    #[test]
    fn prefixes_go_and_the_rest_stays() {
        let check = |target: &str, expect: &str| {
            let target = PathAndQuery::try_from(target).unwrap();
            assert_eq!(stripped(&target, "r").unwrap().as_str(), expect);
        };
        check("/apps/r/", "/");
        check("/apps/r/a%20b?x=%zz&y", "/a%20b?x=%zz&y");
        check("/apps/r/?", "/?");
        let other = PathAndQuery::from_static("/apps/rr/");
        assert!(stripped(&other, "r").is_none_or(|path| path.as_str() != "/"));
    }

    #[test]
    fn the_missing_slash() {
        let check = |target: &'static str, expect: &str| {
            assert_eq!(with_slash(&PathAndQuery::from_static(target)), expect);
        };
        check("/apps/x", "/apps/x/");
        check("/apps/x?", "/apps/x/?");
        check("/apps/x?a=b", "/apps/x/?a=b");
    }
}
