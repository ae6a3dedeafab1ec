//! The same listener with TLS in front.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use stationd::front::tls::{Source, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::rig::{Rig, status, until, within};

async fn rig(folder: &std::path::Path) -> Rig {
    let source = Source::SelfSigned { folder: folder.to_owned(), names: vec!["localhost".into()] };
    let tls = Tls::load(source).unwrap();
    Rig::with(|config| config.tls = Some(tls)).await
}

async fn connect(rig: &Rig, folder: &std::path::Path) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(folder.join("tls.crt")).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = within(connector.connect(name, rig.connect().await)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_websockets_go_through_tls() {
    let folder = tempfile::tempdir().unwrap();
    let rig = rig(folder.path()).await;
    let mut stream = connect(&rig, folder.path()).await;
    let host = "Host: localhost:8443\r\nCookie: st=good\r\n";
    let get = format!("GET /apps/lab/x HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
    stream.write_all(get.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains("x-forwarded-proto: https\n"), "{answer}");
    assert!(answer.contains("x-forwarded-port: 8443\n"), "{answer}");
    // A certificate that browsers doubt must not pin them to TLS.
    assert!(!answer.contains("strict-transport-security"), "{answer}");
    let mut stream = connect(&rig, folder.path()).await;
    let get = format!(
        "GET /apps/lab/do/ws HTTP/1.1\r\n{host}Origin: https://localhost:8443\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    );
    stream.write_all(get.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    assert_eq!(status(&String::from_utf8_lossy(&head)), 101);
    let frame = vec![0x5a; 200_000];
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut back = vec![0; frame.len()];
    let (sent, received) =
        within(async { tokio::join!(writer.write_all(&frame), reader.read_exact(&mut back)) })
            .await;
    sent.unwrap();
    received.unwrap();
    assert!(back == frame);
    drop((reader, writer));
    until(|| rig.proxy.open_tunnels() == 0).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_tls_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let rig = rig(folder.path()).await;
    let plain = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(!rig.send(plain).await.contains("HTTP/1.1"));
    // A TLS 1.1 hello: version 3.2, one old cipher, no extensions.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    let mut stream = rig.connect().await;
    stream.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    drop(within(stream.read_to_end(&mut answer)).await);
    assert_eq!(answer.first(), Some(&0x15), "an alert, not a hello: {answer:?}");
    assert!(rig.record.saw_nothing());
    rig.stop().await;
}
