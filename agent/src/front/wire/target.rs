//! Which request targets are taken: origin form only, and nothing before an app's name that two
//! programs could read in two ways.
//!
//! Behind the app's name every byte is the app's own affair and is forwarded as it came.

/// What is wrong with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("must begin with \"/\"")]
    NotOrigin,
    #[error("must not contain \"#\"")]
    Fragment,
    #[error("contains an empty segment, \"\\\" or a dot segment")]
    Ambiguous,
    #[error("contains a malformed %-escape")]
    Escape,
}

/// Checks a raw target (path and query).
pub fn check(target: &[u8]) -> Result<(), Fault> {
    if target.first() != Some(&b'/') {
        return Err(Fault::NotOrigin);
    }
    if target.contains(&b'#') {
        return Err(Fault::Fragment);
    }
    let path = target.split(|byte| *byte == b'?').next().unwrap_or(target);
    ours(path).split(|byte| *byte == b'/').skip(1).try_for_each(check_segment)?;
    if ours(path).windows(2).any(|pair| pair == b"//") {
        return Err(Fault::Ambiguous);
    }
    Ok(())
}

/// The part of the path that stationd itself reads: up to the app's name, or all of it.
fn ours(path: &[u8]) -> &[u8] {
    let Some(rest) = path.strip_prefix(b"/apps/") else {
        return path;
    };
    let end = rest.iter().position(|byte| *byte == b'/');
    let name = end.filter(|end| *end > 0);
    path.get(..b"/apps/".len() + name.unwrap_or(rest.len())).unwrap_or(path)
}

fn check_segment(segment: &[u8]) -> Result<(), Fault> {
    let mut rest = segment;
    let (mut dots, mut others) = (0, 0);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let mut plain = byte;
        if byte == b'%' {
            let escape = after.get(..2).ok_or(Fault::Escape)?;
            plain = hex(escape).ok_or(Fault::Escape)?;
            rest = after.get(2..).unwrap_or_default();
            if plain == b'/' || plain == 0 {
                return Err(Fault::Ambiguous);
            }
        }
        match plain {
            b'\\' => return Err(Fault::Ambiguous),
            b'.' => dots += 1,
            _ => others += 1,
        }
    }
    if others == 0 && (dots == 1 || dots == 2) {
        return Err(Fault::Ambiguous);
    }
    Ok(())
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_targets_pass() {
        for good in [
            "/",
            "/?",
            "/apps/jupyterlab/",
            "/apps/jupyterlab",
            "/help/a.b..c",
            "/v1/apps?a=../..",
            "/apps/x/..",
            "/apps/x//a\\b/%2e%2e/%zz",
            "/apps/x/?a=%",
            "/apps/x;y/",
            "/v1/%20",
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
    }

    #[test]
    fn odd_targets_do_not() {
        let check = |target: &str, expect: Fault| {
            assert_eq!(super::check(target.as_bytes()), Err(expect), "{target}");
        };
        check("", Fault::NotOrigin);
        check("*", Fault::NotOrigin);
        check("!", Fault::NotOrigin);
        check("http://x/", Fault::NotOrigin);
        check("x:443", Fault::NotOrigin);
        check("/a#b", Fault::Fragment);
        for ambiguous in [
            "//apps/x/",
            "/apps//x/",
            "/apps/../v1",
            "/apps/%2e%2E/v1",
            "/./apps/x/",
            "/.%2e/apps",
            "/apps\\x/",
            "/apps/x%5cy/",
            "/apps/x%2f/",
            "/v1/a//b",
            "/apps/x%00/",
            "/..",
            "/apps/.",
        ] {
            check(ambiguous, Fault::Ambiguous);
        }
        check("/apps/%zz/", Fault::Escape);
        check("/v1/%", Fault::Escape);
        check("/v1/%2", Fault::Escape);
    }
}
