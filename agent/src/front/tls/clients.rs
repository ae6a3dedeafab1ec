//! Certificates of clients: which authorities vouch for them, and what their names are.
//!
//! A session is never resumed here: each connection shows its certificate, which is verified with the
//! authorities and the time of that moment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::{PEM_BYTES, TlsError};
use crate::base::moment::Moment;
use crate::os::file;

/// Reads the authorities, and makes of them what verifies clients.
pub(super) fn verifier(
    ca: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let bytes = file::read_limited(ca, PEM_BYTES).map_err(TlsError::Read)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|source| TlsError::Parse {
            path: ca.to_owned(),
            wanted: "certificates",
            source,
        })?;
        let refused = |source| TlsError::Authority { path: ca.to_owned(), source };
        roots.add(certificate).map_err(refused)?;
    }
    if roots.is_empty() {
        return Err(TlsError::Empty { path: ca.to_owned() });
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|source| TlsError::Clients { path: ca.to_owned(), source })
}

/// Where the authorities are, and what was made of them.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    pub(super) ca: PathBuf,
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
}

/// A certificate that a client has shown, with those that it sent along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    chain: Vec<CertificateDer<'static>>,
    /// Its DNS names and URIs, as they stand in it.
    names: Vec<String>,
}

impl Shown {
    /// `None` without a certificate.
    pub(in crate::front) fn new(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let chain: Vec<_> = chain.iter().map(|one| one.clone().into_owned()).collect();
        let names = names(chain.first()?);
        Some(Self { chain, names })
    }

    /// Whether one of its names is exactly one of those. DNS names know no case.
    pub fn is_one_of(&self, allowed: &[String]) -> bool {
        self.names.iter().any(|name| {
            allowed.iter().any(|one| {
                if one.contains(':') { one == name } else { one.eq_ignore_ascii_case(name) }
            })
        })
    }

    /// Whether an authority vouches for it at `now`.
    pub(super) fn holds(&self, verifier: &dyn ClientCertVerifier, now: Moment) -> bool {
        let seconds = u64::try_from(now.wall.as_second()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        self.chain
            .split_first()
            .is_some_and(|(own, others)| verifier.verify_client_cert(own, others, now).is_ok())
    }
}

/// The names are compared as texts, so that a wildcard in a certificate stands for itself alone.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    let dns = certificate.valid_dns_names().filter(|name| !name.contains(':'));
    let uris = certificate.valid_uri_names().filter(|name| name.contains(':'));
    dns.chain(uris).map(str::to_owned).collect()
}
