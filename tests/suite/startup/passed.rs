//! Listeners that somebody else holds, as PID 1 does: nobody who connects is refused, whatever
//! happens to stationd; and what does not fit is named.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use station_proto::condition::Condition;
use station_proto::heartbeat::{Heartbeat, Phase};
use station_tests::station::{App, Station};

const LIMIT: Duration = Duration::from_secs(30);
const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A station whose listeners the test holds. Nothing is started.
fn held(public: &str, toml: &str) -> Station {
    let mut station = Station::prepare(App::None, toml).unwrap();
    station.hold(public).unwrap();
    station
}

fn address(station: &Station) -> SocketAddr {
    station.held.as_ref().unwrap().address().unwrap()
}

/// A new connection that has sent its request.
fn asked(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    // One that is closed already takes none.
    stream.write_all(ASK).unwrap_or_default();
    stream
}

/// Everything up to the end of the connection.
fn answer(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    String::from_utf8(text).unwrap()
}

async fn mismatch(station: &Station) -> Option<Condition> {
    let status = station.heartbeat().await.unwrap().status;
    status.conditions.into_iter().find(|one| one.kind == "ListenMismatch")
}

#[tokio::test]
async fn both_sockets_are_taken_over_and_outlive_stationd() {
    let mut station = held("127.0.0.1:0", "app = []");
    station.launch().await.unwrap();
    let url = station.heartbeat().await.unwrap().status.public_url;
    assert_eq!(url, format!("http://{}", address(&station)));
    assert!(mismatch(&station).await.is_none());
    assert!(answer(asked(address(&station))).starts_with("HTTP/1.1 200"));
    assert!(station.terminate().await.unwrap().success());
    assert!(station.socket().exists());
    // Nobody runs, and nobody is refused: the next one answers.
    let waiting = asked(address(&station));
    let mut admin = std::os::unix::net::UnixStream::connect(station.socket()).unwrap();
    admin.write_all(b"GET /v1/lease HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    station.launch().await.unwrap();
    assert!(answer(waiting).starts_with("HTTP/1.1 200"));
    let mut lease = String::new();
    admin.read_to_string(&mut lease).unwrap();
    assert!(lease.starts_with("HTTP/1.1 200"), "{lease}");
}

/// What became of the requests of clients that never pause.
#[derive(Debug, Default)]
struct Counts {
    answered: AtomicUsize,
    refused: AtomicUsize,
    cut: AtomicUsize,
}

/// Threads that connect and ask again and again.
struct Storm {
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Storm {
    fn start(address: SocketAddr) -> Self {
        let (counts, stop) = (Arc::<Counts>::default(), Arc::<AtomicBool>::default());
        let client = || {
            let (counts, stop) = (Arc::clone(&counts), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let place = match once(address) {
                        Ok(true) => &counts.answered,
                        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                            &counts.refused
                        }
                        Ok(false) | Err(_) => &counts.cut,
                    };
                    place.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let threads = (0..2).map(|_| client()).collect();
        Self { counts, stop, threads }
    }

    /// Waits until so many more have been answered.
    async fn answers(&self, more: usize) {
        let goal = self.counts.answered.load(Ordering::Relaxed) + more;
        let reached = || (self.counts.answered.load(Ordering::Relaxed) >= goal).then_some(());
        station_tests::process::eventually("answers", LIMIT, reached).await.unwrap();
    }

    /// Answered, refused, cut.
    fn end(self) -> (usize, usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (of(&self.counts.answered), of(&self.counts.refused), of(&self.counts.cut))
    }
}

fn once(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(ASK)?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    Ok(text.starts_with(b"HTTP/1.1 200"))
}

#[tokio::test]
async fn twenty_kills_refuse_nobody() {
    let mut station = held("127.0.0.1:0", "app = []");
    station.launch().await.unwrap();
    let storm = Storm::start(address(&station));
    for _ in 0..20 {
        storm.answers(20).await;
        station.kill().await.unwrap();
        station.launch().await.unwrap();
    }
    storm.answers(20).await;
    let (answered, refused, cut) = storm.end();
    // What was being answered when the process was killed is lost: two clients, so two at a time.
    assert!(refused == 0 && cut <= 40, "{answered} answered, {refused} refused, {cut} cut");
}

#[tokio::test]
async fn twenty_restarts_lose_no_request() {
    let mut station = held("127.0.0.1:0", "app = []");
    station.launch().await.unwrap();
    let storm = Storm::start(address(&station));
    for _ in 0..20 {
        storm.answers(20).await;
        assert!(station.terminate().await.unwrap().success());
        station.launch().await.unwrap();
    }
    storm.answers(20).await;
    let (answered, refused, cut) = storm.end();
    assert_eq!((refused, cut), (0, 0), "{answered} answered");
}

#[tokio::test]
async fn another_address_than_the_configured_one_is_served_and_named() {
    let mut station = held("127.0.0.1:0", "app = []\n[listen]\naddress = \"127.0.0.1:9\"");
    station.environment.push(("STATIOND_LISTEN".to_owned(), String::new()));
    station.launch().await.unwrap();
    let found = mismatch(&station).await.unwrap();
    let served = address(&station).to_string();
    for part in ["127.0.0.1:9", &served] {
        assert!(found.message.contains(part), "{found:?}");
    }
    for part in
        ["systemctl edit stationd.socket", "systemctl stop stationd.socket stationd.service"]
    {
        assert!(found.action.contains(part), "{found:?}");
    }
    let ready = |heartbeat: &Heartbeat| heartbeat.status.phase == Phase::Ready;
    let status = station.wait_for("ready", LIMIT, ready).await.unwrap().status;
    assert!(status.ready);
    assert_eq!(status.public_url, format!("http://{served}"));
    let link = station.ctl(&["login", "--print"]).await.unwrap();
    assert!(link.stdout.contains(&served), "{}", link.all());
    assert!(answer(asked(address(&station))).starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn other_machines_get_nothing_in_plain_text() {
    let mut station = held("0.0.0.0:0", "app = []");
    station.environment.push(("STATIOND_LISTEN".to_owned(), String::new()));
    station.launch().await.unwrap();
    let found = mismatch(&station).await.unwrap();
    assert_eq!(found.reason, "NoTls");
    let status = station.heartbeat().await.unwrap().status;
    assert_eq!((status.phase, status.ready), (Phase::Degraded, false));
    // It is closed at once, not left to wait.
    let port = address(&station).port();
    assert_eq!(answer(asked(SocketAddr::from(([127, 0, 0, 1], port)))), "");
}

#[tokio::test]
async fn a_passed_listener_speaks_tls_as_configured() {
    let mut station = held("0.0.0.0:0", "app = []\n[listen]\ntls = \"self-signed\"");
    station.launch().await.unwrap();
    assert!(mismatch(&station).await.is_none());
    let port = address(&station).port();
    let client = station_tests::http::Client::new(&format!("https://127.0.0.1:{port}")).unwrap();
    client.get("/healthz").await.unwrap().expect(200).unwrap();
}

#[tokio::test]
async fn with_a_broken_configuration_nobody_waits() {
    let mut station = held("127.0.0.1:0", "listen = 3");
    station.launch().await.unwrap();
    assert_eq!(station.heartbeat().await.unwrap().status.phase, Phase::ConfigError);
    let refused = answer(asked(address(&station)));
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("stationctl"), "{refused}");
    station.configure("app = []\n").unwrap();
    let ready = |heartbeat: &Heartbeat| heartbeat.status.phase == Phase::Ready;
    station.wait_for("the mended configuration", LIMIT, ready).await.unwrap();
    assert!(answer(asked(address(&station))).starts_with("HTTP/1.1 200"));
}
