//! Reads and checks `[control]`: the listener for a control plane, with TLS on both sides. Pure.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{LIST_MAX, host_name, parse_address, tls_file};
use crate::config::model::{Control, Tls};
use crate::config::parts::Facts;
use crate::config::reader::Reader;

/// Reads `[control]`; `listen` is the certificate of `[listen]`.
pub(in crate::config) fn read(
    root: &Reader<'_>,
    listen: &Tls,
    facts: &dyn Facts,
) -> Option<Control> {
    if !root.has("control") {
        return None;
    }
    let part = root.part("control");
    let remedy = "name an IP address and a port, such as \"0.0.0.0:8711\"";
    let address = part.text_required("address", remedy);
    let address = address.and_then(|found| {
        let address = parse_address(&found)?;
        if address.value.port() == 0 {
            found.wrong(
                "port 0 would be another port after every start",
                "choose a port, such as 8711",
            );
            return None;
        }
        Some(address.value)
    });
    let client_ca = tls_file(&part, "client_ca", true, facts);
    let allowed_san = names(&part);
    let own_files = own_files(&part, listen, facts);
    let default = SocketAddr::from(([127, 0, 0, 1], 8711));
    // Where something is missing there is a mistake, and this is not used.
    Some(Control {
        address: address.unwrap_or(default),
        client_ca: client_ca.unwrap_or_default(),
        allowed_san,
        own_files,
    })
}

fn own_files(part: &Reader<'_>, listen: &Tls, facts: &dyn Facts) -> Option<(PathBuf, PathBuf)> {
    let wanted = part.has("tls_certificate") || part.has("tls_key");
    if wanted {
        let certificate = tls_file(part, "tls_certificate", true, facts);
        return certificate.zip(tls_file(part, "tls_key", true, facts));
    }
    if *listen == Tls::Off {
        part.wrong(
            "address",
            "is served with TLS alone, and there is no certificate for it",
            "set tls_certificate and tls_key in [control], or tls = \"files\" or \"self-signed\" in \
             [listen]",
        );
    }
    None
}

/// One text or a list of them.
fn names(part: &Reader<'_>) -> Vec<String> {
    let remedy = "name the DNS name or the URI of the control plane's certificate, such as \
                  [\"control.example.com\"]";
    let found = if part.is_list("allowed_san") {
        part.texts("allowed_san").unwrap_or_default()
    } else {
        part.text_required("allowed_san", remedy).into_iter().collect()
    };
    if part.is_list("allowed_san") && found.is_empty() {
        part.wrong("allowed_san", "is empty: nobody could come in", remedy);
    }
    if let Some(over) = found.get(LIST_MAX) {
        over.wrong(format!("has more than {LIST_MAX} entries"), format!("keep {LIST_MAX} at most"));
    }
    let mut names = Vec::new();
    for one in found.iter().take(LIST_MAX) {
        match san(&one.value) {
            Some(name) => names.push(name),
            None => one.wrong(
                format!("{:?} is neither a DNS name nor a URI", one.value),
                "write a name as it stands in the certificate, such as \"control.example.com\" or \
                 \"spiffe://example.com/control\"; wildcards and IP addresses do not count",
            ),
        }
    }
    names
}

/// A DNS name in lower case, or a URI as it is.
fn san(text: &str) -> Option<String> {
    if let Some((scheme, rest)) = text.split_once(':') {
        let plain = |c: char| c.is_ascii_graphic();
        let named = !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric());
        let fits = named && !rest.is_empty() && rest.chars().all(plain);
        return (fits && rest.starts_with(|c: char| !c.is_ascii_digit())).then(|| text.to_owned());
    }
    let address = text.parse::<std::net::IpAddr>().is_ok();
    (!address && host_name(text)).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_certificates() {
        for (text, expected) in [
            ("Control.Example.com", Some("control.example.com")),
            ("spiffe://Example.com/Control", Some("spiffe://Example.com/Control")),
            ("urn:x:y", Some("urn:x:y")),
            ("*.example.com", None),
            ("10.0.0.1", None),
            ("::1", None),
            ("a.example:8711", None),
            ("", None),
            ("a b", None),
            ("https://a b", None),
        ] {
            assert_eq!(san(text).as_deref(), expected, "{text}");
        }
    }
}
