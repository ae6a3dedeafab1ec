//! `scripts/poll`, the poller to copy from, against stations and against what is none.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use serde_json::Value;
use station_proto::heartbeat::Phase;
use station_proto::token::Action;
use station_tests::control::{Authority, Files};
use station_tests::process::{self, Output};
use station_tests::standin::{self, Behaviour};
use station_tests::station::{App, Station};

const LIMIT: Duration = Duration::from_secs(60);

async fn poll(arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/poll");
    let mut command = process::command(&script);
    command.args(arguments);
    process::run(command, LIMIT).await.unwrap()
}

/// The words behind the host in the line of a host.
fn state<'a>(output: &'a Output, host: &str) -> &'a str {
    let line = output.stdout.lines().find(|line| line.starts_with(host));
    let line = line.unwrap_or_else(|| panic!("{host}: {}", output.all()));
    line[host.len()..].trim_start()
}

async fn at_rest(station: &Station) {
    let ready = |now: &station_proto::heartbeat::Heartbeat| now.status.phase == Phase::Ready;
    station.wait_for("ready", LIMIT, ready).await.unwrap();
}

#[tokio::test]
async fn it_tells_the_states_apart() {
    let ready = Station::start(App::None, "app = []").await.unwrap();
    at_rest(&ready).await;
    let degraded = Station::with_app(App::StandIn).await.unwrap();
    standin::behave(degraded.folder(), Behaviour::Hang).unwrap();
    degraded.app_in(station_proto::app::AppPhase::Degraded).await.unwrap();
    let broken = Station::start(App::None, "[listen]\nnonsense = 1").await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_tcp = silent.local_addr().unwrap().to_string();
    let silent_path = ready.folder().join("silent.sock");
    let _silent_unix = UnixListener::bind(&silent_path).unwrap();
    let closed = {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let (hole, _kept) = black_hole();
    let text = |path: &Path| path.display().to_string();
    let hosts = [
        text(ready.socket()),
        text(degraded.socket()),
        text(broken.socket()),
        silent_tcp,
        text(&silent_path),
        closed,
        text(&ready.folder().join("none.sock")),
        hole,
    ];
    let arguments: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let output = poll(&arguments).await;
    assert_eq!(output.status.code(), Some(1), "{}", output.all());
    let expected = [
        "ready",
        "degraded",
        "config-error",
        "agent-down",
        "agent-down",
        "no-agent",
        "no-agent",
        "unreachable",
    ];
    for (host, expected) in hosts.iter().zip(expected) {
        let found = state(&output, host);
        assert!(found.starts_with(expected), "{host}: {found} instead of {expected}");
    }
    assert!(state(&output, &hosts[1]).contains("AppNotAnswering/jupyterlab"), "{}", output.all());
    assert!(state(&output, &hosts[2]).contains("ConfigInvalid"), "{}", output.all());
    let good = poll(&[&hosts[0]]).await;
    assert_eq!((good.status.code(), state(&good, &hosts[0])), (Some(0), state(&output, &hosts[0])));
    for wrong in [&[][..], &["--interval", "0", "x"], &["--cert", "c", "x"], &["ftp://x"]] {
        assert_eq!(poll(wrong).await.status.code(), Some(2), "{wrong:?}");
    }
}

/// An address whose queue of connections is full, so that the next one hears nothing.
fn black_hole() -> (String, (TcpListener, Vec<std::net::TcpStream>)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut kept = Vec::new();
    let short = Duration::from_millis(300);
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, short) {
        kept.push(stream);
    }
    (address.to_string(), (listener, kept))
}

#[tokio::test]
async fn it_comes_by_token_and_by_certificate_and_says_why_it_is_not_let_in() {
    let (servers, clients) = (Authority::new().unwrap(), Authority::new().unwrap());
    let station = Station::prepare(App::None, "").unwrap();
    let server = servers.issue(&["127.0.0.1"], ServerAuth).unwrap();
    let files = Files::write(station.folder(), &server, &clients).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let section = files.section(free, "\"control.example\"");
    station.configure(&format!("app = []\n{section}")).unwrap();
    let mut station = station;
    station.launch().await.unwrap();
    at_rest(&station).await;
    let put = |name: &str, text: &str| {
        let path = files.path(name);
        std::fs::File::create(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .unwrap();
        path.display().to_string()
    };
    let ca = put("server-ca.pem", &servers.pem());
    let good = clients.issue(&["control.example"], ClientAuth).unwrap();
    let wrong = clients.issue(&["other.example"], ClientAuth).unwrap();
    let host = free.to_string();
    let with = async |identity: &station_tests::control::Identity, name: &str| {
        let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
        let (cert, key) = (put(&cert, &identity.certificate), put(&key, &identity.key));
        poll(&["--ca", &ca, "--cert", &cert, "--key", &key, &host]).await
    };
    let output = with(&good, "good").await;
    assert_eq!(output.status.code(), Some(0), "{}", output.all());
    let output = with(&wrong, "wrong").await;
    assert!(state(&output, &host).starts_with("unreachable not let in: 403"), "{}", output.all());
    let output = poll(&["--ca", &ca, &host]).await;
    assert!(state(&output, &host).starts_with("unreachable TLS"), "{}", output.all());
    let made = ["token", "create", "--ttl", "1h", "--action", Action::Read.name()];
    let secret = station.ctl(&made).await.unwrap().stdout;
    let url = station.heartbeat().await.unwrap().status.public_url;
    let token = put("token", &secret);
    let output = poll(&["--token-file", &token, &url]).await;
    assert_eq!(output.status.code(), Some(0), "{}", output.all());
    let output = poll(&[&url]).await;
    assert!(state(&output, &url).starts_with("unreachable not let in: 401"), "{}", output.all());
}

#[tokio::test]
async fn it_goes_on_with_what_changed_over_a_restart_of_the_station() {
    let mut station = Station::with_app(App::StandIn).await.unwrap();
    let socket = station.socket().display().to_string();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/poll");
    let mut command = process::command(&script);
    command.args(["--json", "--interval", "0.1", &socket]).kill_on_drop(true);
    command.stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = tokio::io::BufReader::new(child.stdout.take().unwrap());
    let mut lines = tokio::io::AsyncBufReadExt::lines(lines);
    let mut next = async |wanted: &str| -> Value {
        let found = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it goes on");
                let value: Value = serde_json::from_str(&line).unwrap();
                if value["state"] == wanted {
                    return value;
                }
            }
        };
        tokio::time::timeout(LIMIT, found).await.unwrap()
    };
    next("ready").await;
    station.admin(http::Method::POST, "/v1/apps/jupyterlab/restart", "").await.unwrap();
    let changed = next("degraded").await;
    assert!(changed["detail"].as_str().unwrap().starts_with("starting"), "{changed}");
    next("ready").await;
    // A condition that comes is told, in its place among those that there are.
    let toml = std::fs::read_to_string(station.home().join("stationd.toml")).unwrap();
    station.configure(&format!("[log]\nformat = \"json\"\n{toml}")).unwrap();
    let told = next("ready").await;
    let status = station.heartbeat().await.unwrap().status;
    assert!(told["detail"].as_str().unwrap().contains("RestartRequired"), "{told}");
    assert_eq!(told["conditions"], serde_json::to_value(status.conditions).unwrap());
    // The next stationd does not know what was held: 410, and everything anew.
    station.terminate().await.unwrap();
    next("no-agent").await;
    station.launch().await.unwrap();
    let again = next("ready").await;
    let status = station.heartbeat().await.unwrap().status;
    assert_eq!(again["seq"], status.seq);
    assert_eq!(again["conditions"], serde_json::to_value(status.conditions).unwrap());
}
