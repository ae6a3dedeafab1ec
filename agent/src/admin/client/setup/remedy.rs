//! Pure: what to do about a failed step, as far as its output tells.

/// What to do about it, as far as the output tells.
pub(super) fn remedy(lines: &[String]) -> Option<String> {
    let after = |mark: &str| {
        let found = lines.iter().find_map(|line| line.split_once(mark))?;
        let word = found.1.split([' ', ',', ';']).next()?;
        Some(word.to_owned()).filter(|word| !word.is_empty())
    };
    let has = |mark: &str| lines.iter().any(|line| line.contains(mark));
    if has("No space left on device") {
        return Some("make room on the disk of the tools folder, then run this again".to_owned());
    }
    let network = [
        "Failed to establish a new connection",
        "Temporary failure",
        "ConnectTimeout",
        "NewConnectionError",
        "Could not resolve",
        "Read timed out",
    ];
    if network.iter().any(|mark| has(mark)) {
        return Some(
            "the index was not reached: look at the network and at https_proxy, or name \
             an index that can be reached with PIP_INDEX_URL, then run this again"
                .to_owned(),
        );
    }
    let package = after("No matching distribution found for ")
        .or_else(|| after("that satisfies the requirement "));
    if let Some(package) = package {
        return Some(format!(
            "the index has no {package} for this Python: mend the pin, or name an index that has it \
             with PIP_INDEX_URL"
        ));
    }
    if has("Invalid requirement") {
        return Some("mend the line that pip names in the pins".to_owned());
    }
    if has("conflicting dependencies") || has("ResolutionImpossible") {
        return Some("the pins contradict each other: mend those that pip names".to_owned());
    }
    if has("Unable to locate package") {
        return Some("the distribution's lists do not have it: look at /etc/apt".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_names_the_package() {
        let of = |line: &str| remedy(&["x".to_owned(), line.to_owned()]).unwrap_or_default();
        assert!(of("ERROR: No matching distribution found for nono==1").contains("no nono==1 for"));
        assert!(of("E: Could not resolve 'deb.debian.org'").contains("proxy"));
        assert!(of("OSError: [Errno 28] No space left on device").contains("disk"));
        assert_eq!(of("anything else"), "");
    }
}
