//! A control plane: its authority, its certificates, and how it asks a station.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use stationd::os::file::write_atomic;
use tokio::net::TcpStream;

use crate::http::{Answer, whole};

const LIMIT: Duration = Duration::from_secs(20);

/// An authority that vouches for stations or control planes.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        // Another name than those that it vouches for: OpenSSL takes them for self-signed else.
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for those names: DNS names, addresses, and URIs by their colon.
    pub fn issue(&self, names: &[&str], purpose: ExtendedKeyUsagePurpose) -> Result<Identity> {
        self.issue_until(names, purpose, 2100)
    }

    /// The same; it expires with the start of `year`.
    pub fn issue_until(
        &self,
        names: &[&str],
        purpose: ExtendedKeyUsagePurpose,
        year: i32,
    ) -> Result<Identity> {
        let plain = |name: &&str| !name.contains("://");
        let listed: Vec<String> = names.iter().copied().filter(plain).map(str::to_owned).collect();
        let mut params = CertificateParams::new(listed)?;
        for uri in names.iter().filter(|name| !plain(name)) {
            params.subject_alt_names.push(SanType::URI((*uri).try_into()?));
        }
        params.extended_key_usages = vec![purpose];
        params.not_before = rcgen::date_time_ymd(2010, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// A station's side of it: certificate, key and the authority of its clients, in files.
#[derive(Debug)]
pub struct Files(PathBuf);

impl Files {
    /// In `folder`.
    pub fn write(folder: &Path, server: &Identity, clients: &Authority) -> Result<Self> {
        let files = Self(folder.to_owned());
        write_atomic(&files.path("server.pem"), server.certificate.as_bytes(), 0o600)?;
        write_atomic(&files.path("server.key"), server.key.as_bytes(), 0o600)?;
        files.trust(&clients.pem())?;
        Ok(files)
    }

    /// Replaces the authority of clients.
    pub fn trust(&self, pem: &str) -> Result<()> {
        Ok(write_atomic(&self.path("client-ca.pem"), pem.as_bytes(), 0o600)?)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// `[control]` for `address` and who may come: TOML of a text or a list.
    pub fn section(&self, address: SocketAddr, allowed: &str) -> String {
        let path = |name| toml::Value::String(self.path(name).display().to_string());
        format!(
            "[control]\naddress = \"{address}\"\nallowed_san = {allowed}\nclient_ca = {}\n\
             tls_certificate = {}\ntls_key = {}\n",
            path("client-ca.pem"),
            path("server.pem"),
            path("server.key")
        )
    }
}

/// A control plane that asks one station.
#[derive(Debug)]
pub struct Plane {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Plane {
    /// It trusts `servers`, and shows `identity`.
    pub fn new(
        address: SocketAddr,
        servers: &Authority,
        identity: Option<&Identity>,
    ) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(servers.pem().as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes())?];
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
                builder.with_client_auth_cert(chain, key)?
            }
        };
        Ok(Self { address, config: Arc::new(config) })
    }

    /// A connection that stays open.
    pub async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.config));
        let stream = tokio::time::timeout(LIMIT, connector.connect(name, stream)).await??;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        #[expect(clippy::disallowed_methods, reason = "it ends with its connection")]
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, method: Method, path: &str, bearer: &str) -> Result<Answer> {
        ask(&mut self.connect().await?, method, path, bearer).await
    }
}

/// One request on an open connection; an empty `bearer` is none.
pub async fn ask(
    sender: &mut SendRequest<Full<Bytes>>,
    method: Method,
    path: &str,
    bearer: &str,
) -> Result<Answer> {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "station");
    if !bearer.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
    }
    let request = request.body(Full::new(Bytes::new()))?;
    let answer = tokio::time::timeout(LIMIT, sender.send_request(request)).await;
    whole(answer.context("no answer in time")??).await
}
