//! TLS 1.2 and 1.3 for any address but loopback, from PEM files or self-signed.
//!
//! The certificate can be replaced while connections run: the resolver hands out the current one. So can
//! the authorities of clients, where those must show a certificate too.

mod clients;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use data_encoding::HEXUPPER;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use self::clients::Clients;
pub use self::clients::Shown;
use crate::base::moment::Moment;
use crate::os::file::{self, FileError};

/// What failed, on which file, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(
        "cannot read the TLS certificate or key; where stationd runs as a user of its own, let its \
         group read it: chgrp stationd FILE, chmod g+r FILE"
    )]
    Read(#[source] FileError),
    #[error("{path} is not a PEM file with {wanted}")]
    Parse { path: PathBuf, wanted: &'static str, source: rustls::pki_types::pem::Error },
    #[error("{path} holds no certificate")]
    Empty { path: PathBuf },
    #[error("the key {key} does not fit the certificate {certificate}, or is of an unknown kind")]
    Mismatch { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("{path} holds a certificate that cannot be an authority")]
    Authority { path: PathBuf, source: rustls::Error },
    #[error("cannot verify clients with the authorities in {path}")]
    Clients { path: PathBuf, source: rustls::server::VerifierBuilderError },
    #[error("cannot make a self-signed certificate for {names:?}")]
    Make { names: Vec<String>, source: rcgen::Error },
    #[error("cannot set TLS up")]
    Setup(#[source] rustls::Error),
}

/// Where the certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `tls_certificate` and `tls_key`.
    Files { certificate: PathBuf, key: PathBuf },
    /// `tls = "self-signed"`: made once for `names` and kept in `folder`.
    SelfSigned { folder: PathBuf, names: Vec<String> },
}

/// The TLS side of the listener.
#[derive(Debug, Clone)]
pub struct Tls {
    setup: Arc<RwLock<Setup>>,
    current: Arc<Current>,
    source: Source,
}

/// What a handshake goes by.
#[derive(Debug, Clone)]
struct Setup {
    config: Arc<ServerConfig>,
    /// Those who may show a certificate, where they must.
    clients: Option<Clients>,
    /// Counts the changes of them.
    generation: u64,
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

/// Certificates and keys are a few KiB; more is a wrong path.
const PEM_BYTES: u64 = 256 * 1024;

impl Tls {
    /// Reads the certificate, or makes it if it is to be self-signed and there is none yet.
    pub fn load(source: Source) -> Result<Self, TlsError> {
        Self::with(source, None)
    }

    /// The same for clients that must show a certificate, which an authority in the file `ca` vouches
    /// for.
    pub fn load_for_clients(source: Source, ca: &Path) -> Result<Self, TlsError> {
        Self::with(source, Some(ca))
    }

    fn with(source: Source, ca: Option<&Path>) -> Result<Self, TlsError> {
        let current = Arc::new(Current(RwLock::new(Arc::new(certified(&source)?))));
        let setup = Setup::make(&current, ca, 0)?;
        Ok(Self { setup: Arc::new(RwLock::new(setup)), current, source })
    }

    /// Reads the certificate and the authorities again; on an error those in force stay, all of them.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(certified(&self.source)?);
        let before = self.setup();
        if let Some(clients) = &before.clients {
            let setup = Setup::make(&self.current, Some(&clients.ca), before.generation + 1)?;
            *self.setup.write().unwrap_or_else(PoisonError::into_inner) = setup;
        }
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The files that a change is looked for in.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = match &self.source {
            Source::Files { certificate, key } => vec![certificate.clone(), key.clone()],
            Source::SelfSigned { .. } => Vec::new(),
        };
        files.extend(self.setup().clients.map(|clients| clients.ca));
        files
    }

    /// Changes whenever the authorities of clients do.
    pub(super) fn generation(&self) -> u64 {
        self.setup().generation
    }

    /// Whether an authority vouches now for a certificate that a client has shown before.
    pub(super) fn vouches(&self, shown: &Shown, now: Moment) -> bool {
        self.setup().clients.is_some_and(|clients| shown.holds(&*clients.verifier, now))
    }

    fn setup(&self) -> Setup {
        self.setup.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// SHA-256 of the certificate, as browsers show it: `AB:CD:…`.
    pub fn fingerprint(&self) -> String {
        let current = self.current.get();
        let digest = current
            .cert
            .first()
            .map(|certificate| HEXUPPER.encode(&Sha256::digest(certificate)))
            .unwrap_or_default();
        let pairs: Vec<&str> =
            (0..digest.len()).step_by(2).filter_map(|at| digest.get(at..at + 2)).collect();
        pairs.join(":")
    }

    /// Whether browsers may be told to insist on TLS: never with a certificate that they doubt.
    pub(super) fn strict(&self) -> bool {
        matches!(self.source, Source::Files { .. })
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.setup().config
    }
}

impl Setup {
    fn make(current: &Arc<Current>, ca: Option<&Path>, generation: u64) -> Result<Self, TlsError> {
        let resolver = Arc::<Current>::clone(current);
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Setup)?;
        let (mut config, clients) = match ca {
            None => (builder.with_no_client_auth().with_cert_resolver(resolver), None),
            Some(ca) => {
                let verifier = clients::verifier(ca, provider)?;
                let clients = Clients { ca: ca.to_owned(), verifier: Arc::clone(&verifier) };
                let builder = builder.with_client_cert_verifier(verifier);
                let mut config = builder.with_cert_resolver(resolver);
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
                (config, Some(clients))
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), clients, generation })
    }
}

impl Current {
    fn get(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

fn certified(source: &Source) -> Result<CertifiedKey, TlsError> {
    match source {
        Source::Files { certificate, key } => from_files(certificate, key),
        Source::SelfSigned { folder, names } => {
            let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
            if !(certificate.exists() && key.exists()) {
                make(folder, names)?;
            }
            from_files(&certificate, &key)
        }
    }
}

fn from_files(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let read = |path| file::read_limited(path, PEM_BYTES).map_err(TlsError::Read);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Parse {
            path: certificate.to_owned(),
            wanted: "certificates",
            source,
        })?;
    if chain.is_empty() {
        return Err(TlsError::Empty { path: certificate.to_owned() });
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|source| TlsError::Parse {
        path: key.to_owned(),
        wanted: "a private key",
        source,
    })?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|source| {
        TlsError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned(), source }
    })
}

/// Makes a key and its certificate. The key is written first: a crash leaves no certificate
/// without its key.
fn make(folder: &Path, names: &[String]) -> Result<(), TlsError> {
    let fail = |source| TlsError::Make { names: names.to_vec(), source };
    let made = rcgen::generate_simple_self_signed(names.to_vec()).map_err(fail)?;
    file::ensure_dir(folder, 0o700).map_err(TlsError::Read)?;
    let write = |name: &str, pem: String| {
        file::write_atomic(&folder.join(name), pem.as_bytes(), 0o600).map_err(TlsError::Read)
    };
    write("tls.key", made.signing_key.serialize_pem())?;
    write("tls.crt", made.cert.pem())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn self_signed(folder: &Path) -> Source {
        Source::SelfSigned {
            folder: folder.to_owned(),
            names: vec!["localhost".into(), "10.0.0.5".into()],
        }
    }

    #[test]
    fn a_self_signed_certificate_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = Tls::load(self_signed(folder.path())).unwrap();
        let again = Tls::load(self_signed(folder.path())).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_eq!(first.fingerprint().len(), 32 * 3 - 1);
        assert!(!first.strict());
        let mode = std::fs::metadata(folder.path().join("tls.key")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_reload_takes_the_new_certificate_and_keeps_the_old_one_on_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls::load(self_signed(folder.path())).unwrap();
        let old = tls.fingerprint();
        file::write_atomic(&folder.path().join("tls.crt"), b"nonsense", 0o600).unwrap();
        assert!(tls.reload().is_err());
        assert_eq!(tls.fingerprint(), old);
        std::fs::remove_file(folder.path().join("tls.crt")).unwrap();
        tls.reload().unwrap();
        assert_ne!(tls.fingerprint(), old);
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Source::Files {
            certificate: folder.path().join("none.crt"),
            key: folder.path().join("none.key"),
        };
        let error = Tls::load(missing).unwrap_err();
        assert!(crate::base::chain::Chain(&error).to_string().contains("none.crt"), "{error}");
    }
}
