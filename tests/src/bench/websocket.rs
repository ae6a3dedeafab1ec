//! Websocket load: round trips on busy connections, and many idle ones.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::process::to_f64;
use super::targets::Target;

/// No answer takes as long as this on a machine that still works.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

type Socket = WebSocketStream<Box<dyn Stream>>;

/// Round trips of small messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Echo {
    pub p50_us: f64,
    pub(super) per_second: f64,
}

/// Sends 128 bytes and waits for their return, over and over, on each of `connections`.
pub(super) async fn echo(
    target: &Target,
    path: &str,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Echo> {
    let mut sockets = Vec::new();
    for _ in 0..connections {
        sockets.push(connect(target, path).await?);
    }
    let end = Instant::now() + time;
    let runs = sockets.into_iter().map(|socket| round_trips(socket, end));
    let mut times = Vec::new();
    for run in futures_util::future::join_all(runs).await {
        times.extend(run?);
    }
    times.sort_unstable();
    let middle = times.get(times.len() / 2).context("no message came back")?;
    Ok(Echo {
        p50_us: middle.as_secs_f64() * 1e6,
        per_second: to_f64(times.len() as u64) / time.as_secs_f64(),
    })
}

async fn round_trips(mut socket: Socket, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut begun = Instant::now();
    while begun < end {
        there_and_back(&mut socket, 128).await?;
        let now = Instant::now();
        times.push(now - begun);
        begun = now;
    }
    Ok(times)
}

async fn there_and_back(socket: &mut Socket, bytes: usize) -> anyhow::Result<()> {
    socket.send(Message::binary(vec![b'x'; bytes])).await?;
    let answer = tokio::time::timeout(ANSWER_LIMIT, socket.next())
        .await
        .context("the message did not come back")?
        .context("the connection was closed")??;
    anyhow::ensure!(answer.len() == bytes, "another message came back");
    Ok(())
}

/// Open connections that were used once, 64 KiB each way, and are quiet since.
pub(super) struct Idle {
    sockets: Vec<Socket>,
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Idle({})", self.sockets.len())
    }
}

impl Idle {
    pub(super) async fn open(target: &Target, path: &str, count: usize) -> anyhow::Result<Self> {
        let mut sockets = Vec::new();
        for number in 0..count {
            let open = async {
                let mut socket = connect(target, path).await?;
                there_and_back(&mut socket, 64 * 1024).await?;
                anyhow::Ok(socket)
            };
            sockets.push(open.await.with_context(|| format!("websocket {number}"))?);
        }
        Ok(Self { sockets })
    }

    /// How many of them do not answer any more.
    pub(super) async fn dropped(&mut self) -> usize {
        let answers = self.sockets.iter_mut().map(|socket| there_and_back(socket, 128));
        let answers = futures_util::future::join_all(answers).await;
        answers.iter().filter(|answer| answer.is_err()).count()
    }
}

async fn connect(target: &Target, path: &str) -> anyhow::Result<Socket> {
    let address = format!("127.0.0.1:{}", target.port);
    let connecting = async {
        let tcp = TcpStream::connect(&address).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = if target.tls {
            let name = ServerName::try_from("localhost")?;
            Box::new(connector()?.connect(name, tcp).await?)
        } else {
            Box::new(tcp)
        };
        let url = format!("{}{path}", target.http_url()).replacen("http", "ws", 1);
        let mut request = url.into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("origin", target.http_url().parse()?);
        if let Some(cookie) = &target.cookie {
            headers.insert("cookie", cookie.parse()?);
        }
        let (socket, _response) = client_async(request, stream).await?;
        anyhow::Ok(socket)
    };
    tokio::time::timeout(ANSWER_LIMIT, connecting)
        .await
        .context("the websocket was not opened in time")?
        .with_context(|| format!("{}: cannot open a websocket", target.name))
}

/// Takes every certificate: they were made for this run, on this machine.
fn connector() -> anyhow::Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
