//! The configuration as the public listener needs it. Pure.

use std::net::SocketAddr;
use std::path::Path;

use crate::config::{Listen, Tls};
use crate::front::gate::Names;
use crate::front::tls::Source;

/// Where users reach this machine: as configured, or made from the address that is bound.
pub(in crate::wiring) fn public_url(listen: &Listen, bound: SocketAddr, host: &str) -> String {
    if let Some(url) = &listen.public_url {
        return url.clone();
    }
    let scheme = if listen.tls == Tls::Off { "http" } else { "https" };
    if bound.ip().is_unspecified() {
        return format!("{scheme}://{}:{}", host.to_lowercase(), bound.port());
    }
    format!("{scheme}://{bound}")
}

/// The names that requests may carry.
pub(in crate::wiring) fn names(listen: &Listen, public_url: &str) -> Names {
    Names {
        hosts: listen.hosts.clone(),
        public_origin: Some(public_url.to_owned()),
        allowed_origins: listen.allowed_origins.clone(),
    }
}

/// Where the certificate comes from; `None` without TLS.
pub(in crate::wiring) fn certificate(listen: &Listen, keys: &Path, host: &str) -> Option<Source> {
    match &listen.tls {
        Tls::Off => None,
        Tls::Files { certificate, key } => {
            Some(Source::Files { certificate: certificate.clone(), key: key.clone() })
        }
        Tls::SelfSigned => {
            let own = [host, "localhost", "127.0.0.1", "::1"].map(str::to_owned);
            let mut names: Vec<String> = own.into_iter().chain(listen.hosts.clone()).collect();
            names.extend(listen.public_host().map(str::to_owned));
            if !listen.address.ip().is_unspecified() {
                names.push(listen.address.ip().to_string());
            }
            names.sort();
            names.dedup();
            Some(Source::SelfSigned { folder: keys.to_owned(), names })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(tls: Tls, public_url: Option<&str>) -> Listen {
        Listen {
            address: "127.0.0.1:8710".parse().unwrap(),
            hosts: vec!["vm7".to_owned()],
            public_url: public_url.map(str::to_owned),
            tls,
            allowed_origins: Vec::new(),
        }
    }

    #[test]
    fn the_public_url_is_configured_or_made_from_the_address() {
        let bound = "127.0.0.1:4000".parse().unwrap();
        let any = "0.0.0.0:4000".parse().unwrap();
        let url = |listen: &Listen, bound| public_url(listen, bound, "VM7");
        assert_eq!(url(&listen(Tls::Off, None), bound), "http://127.0.0.1:4000");
        assert_eq!(url(&listen(Tls::SelfSigned, None), any), "https://vm7:4000");
        let configured = listen(Tls::SelfSigned, Some("https://vm7.example"));
        assert_eq!(url(&configured, any), "https://vm7.example");
    }

    #[test]
    fn a_self_signed_certificate_names_all_that_users_may_type() {
        let listen = listen(Tls::SelfSigned, Some("https://vm7.example:8443"));
        let Some(Source::SelfSigned { names, .. }) = certificate(&listen, Path::new("/k"), "vm7")
        else {
            panic!("self-signed")
        };
        for name in ["vm7", "vm7.example", "localhost", "127.0.0.1"] {
            assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
        }
    }
}
