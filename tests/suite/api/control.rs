//! The control plane's listener: who comes in by which certificate, and how far.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode};
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use station_proto::token::Action;
use station_tests::control::{Authority, Files, Identity, Plane, ask};
use station_tests::process::eventually_async;
use station_tests::standin;
use station_tests::station::{App, Station};
use stationd::admin::rules::RULES;

const NAME: &str = "control.example.com";
const LIMIT: Duration = Duration::from_secs(30);

/// A station with a control listener, and what is needed to come to it.
struct Bench {
    station: Station,
    address: SocketAddr,
    servers: Authority,
    clients: Authority,
    files: Files,
}

fn free_address() -> SocketAddr {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap()
}

/// Not started yet.
fn prepare(app: App, allowed: &str) -> Bench {
    let (servers, clients) = (Authority::new().unwrap(), Authority::new().unwrap());
    let (address, station) = (free_address(), Station::prepare(app, "").unwrap());
    let server = servers.issue(&["127.0.0.1"], ServerAuth).unwrap();
    let files = Files::write(station.folder(), &server, &clients).unwrap();
    let section = files.section(address, allowed);
    let toml = std::fs::read_to_string(station.home().join("stationd.toml")).unwrap();
    let none = if app == App::None { "app = []\n" } else { "" };
    station.configure(&format!("{none}{section}\n{toml}")).unwrap();
    Bench { station, address, servers, clients, files }
}

async fn start(app: App, allowed: &str) -> Bench {
    let mut bench = prepare(app, allowed);
    bench.station.launch().await.unwrap();
    bench
}

impl Bench {
    fn plane(&self, identity: Option<&Identity>) -> Plane {
        Plane::new(self.address, &self.servers, identity).unwrap()
    }

    /// A control plane with a good certificate.
    fn good(&self) -> Plane {
        let identity = self.clients.issue(&["x.example.com", NAME], ClientAuth).unwrap();
        self.plane(Some(&identity))
    }

    fn configure(&self, allowed: &str) {
        let section = self.files.section(self.address, allowed);
        self.station.configure(&format!("app = []\n{section}")).unwrap();
    }
}

#[tokio::test]
async fn a_certificate_reaches_the_api_but_for_what_is_the_users() {
    let bench = start(App::StandIn, &format!("\"{NAME}\"")).await;
    bench.station.app_in(station_proto::app::AppPhase::Ready).await.unwrap();
    let plane = bench.good();
    for rule in RULES {
        let method = Method::from_bytes(rule.method.as_bytes()).unwrap();
        let path = rule.path.replace("{name}", "nobody").replace("{id}", "0");
        let answer = plane.ask(method.clone(), &path, "").await.unwrap();
        let may = !rule.action.is_empty() && rule.action != Action::ApplicationAccess.name();
        let refused = answer.status == StatusCode::FORBIDDEN;
        assert_eq!(!may, refused, "{method} {path}: {}", answer.text());
        assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.text());
    }
    for path in ["/", "/help", "/healthz", "/login/x", "/apps/jupyterlab/head", "/apps/", "/v1"] {
        let answer = plane.ask(Method::GET, path, "").await.unwrap().expect(404).unwrap();
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
    }
    plane.ask(Method::PUT, "/v1/status", "").await.unwrap().expect(405).unwrap();
    assert_eq!(standin::seen(bench.station.folder()).unwrap(), []);
    // It acts: the app is stopped and started.
    let stop = plane.ask(Method::POST, "/v1/apps/jupyterlab/stop", "").await.unwrap();
    stop.expect(202).unwrap();
    plane.ask(Method::POST, "/v1/apps/jupyterlab/start", "").await.unwrap().expect(202).unwrap();
}

#[tokio::test]
async fn a_wrong_certificate_or_none_does_not_come_in() {
    let uri = "spiffe://example.com/control";
    let bench = start(App::None, &format!("[\"{NAME}\", \"{uri}\"]")).await;
    let stranger = Authority::new().unwrap();
    let of = |authority: &Authority, names: &[&str]| authority.issue(names, ClientAuth).unwrap();
    let expired = bench.clients.issue_until(&[NAME], ClientAuth, 2020).unwrap();
    let server = bench.clients.issue(&[NAME], ServerAuth).unwrap();
    for (what, identity) in [
        ("none", None),
        ("of another authority", Some(of(&stranger, &[NAME]))),
        ("expired", Some(expired)),
        ("a server's", Some(server)),
    ] {
        let answer = bench.plane(identity.as_ref()).ask(Method::GET, "/v1/lease", "").await;
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
    for names in [&["other.example.com"][..], &["*.example.com"], &["control.example.com.x"], &[]] {
        let plane = bench.plane(Some(&of(&bench.clients, names)));
        for path in ["/v1/lease", "/nothing", "/"] {
            let answer = plane.ask(Method::GET, path, "").await.unwrap().expect(403).unwrap();
            assert!(answer.text().contains("control.allowed_san"), "{names:?} {}", answer.text());
        }
    }
    for names in [&[NAME][..], &["CONTROL.example.com"], &[uri], &["other.example.com", uri]] {
        let plane = bench.plane(Some(&of(&bench.clients, names)));
        plane.ask(Method::GET, "/v1/lease", "").await.unwrap().expect(200).unwrap();
    }
    let near = bench.plane(Some(&of(&bench.clients, &["spiffe://example.com/control/x"])));
    near.ask(Method::GET, "/v1/lease", "").await.unwrap().expect(403).unwrap();
    // Nor does anybody without TLS.
    let plain = station_tests::http::Client::new(&format!("http://{}", bench.address)).unwrap();
    assert!(plain.get("/v1/lease").await.is_err());
}

#[tokio::test]
async fn a_token_that_comes_along_decides_alone() {
    let bench = start(App::None, &format!("\"{NAME}\"")).await;
    let mint = async |action: Action| {
        let made = ["token", "create", "--ttl", "1h", "--action", action.name()];
        bench.station.ctl(&made).await.unwrap().stdout.trim_end().to_owned()
    };
    let (read, access) = (mint(Action::Read).await, mint(Action::ApplicationAccess).await);
    let plane = bench.good();
    let status = async |method: Method, path: &str, bearer: &str| {
        plane.ask(method, path, bearer).await.unwrap().status.as_u16()
    };
    let stop = "/v1/apps/nobody/stop";
    assert_eq!(status(Method::POST, stop, "").await, 404);
    assert_eq!(status(Method::POST, stop, &read).await, 403);
    assert_eq!(status(Method::GET, "/v1/lease", &read).await, 200);
    assert_eq!(status(Method::GET, "/v1/lease", &access).await, 403);
    assert_eq!(status(Method::GET, "/v1/apps/nobody/logs", "").await, 403);
    assert_eq!(status(Method::GET, "/v1/apps/nobody/logs", &access).await, 404);
    assert_eq!(status(Method::GET, "/v1/lease", "stn_nonsense").await, 401);
    let in_address = format!("/v1/lease?token={read}");
    assert_eq!(status(Method::GET, &in_address, "").await, 401);
    // Without a name that may come, a token is of no use.
    let other = bench.clients.issue(&["other.example.com"], ClientAuth).unwrap();
    let other = bench.plane(Some(&other));
    other.ask(Method::GET, "/v1/lease", &read).await.unwrap().expect(403).unwrap();
}

#[tokio::test]
async fn authorities_certificates_and_names_change_without_a_restart() {
    let bench = start(App::None, &format!("\"{NAME}\"")).await;
    let plane = bench.good();
    let mut open = plane.connect().await.unwrap();
    ask(&mut open, Method::GET, "/v1/lease", "").await.unwrap().expect(200).unwrap();
    // Another name: the open connection is refused too.
    bench.configure("\"other.example.com\"");
    let refused = eventually_async("the new name", LIMIT, || async {
        let answer = plane.ask(Method::GET, "/v1/lease", "").await.ok()?;
        (answer.status == StatusCode::FORBIDDEN).then_some(())
    });
    refused.await.unwrap();
    ask(&mut open, Method::GET, "/v1/lease", "").await.unwrap().expect(403).unwrap();
    bench.configure(&format!("\"{NAME}\""));
    let again = eventually_async("the old name", LIMIT, || async {
        let answer = plane.ask(Method::GET, "/v1/lease", "").await.ok()?;
        (answer.status == StatusCode::OK).then_some(())
    });
    again.await.unwrap();
    ask(&mut open, Method::GET, "/v1/lease", "").await.unwrap().expect(200).unwrap();
    // A file that is no certificate: the former stays in force, and the status says so.
    bench.files.trust("nonsense").unwrap();
    let says = bench.station.wait_for("the condition", LIMIT, |now| {
        now.status.conditions.iter().any(|one| one.kind == "ConfigRejected" && one.subject == "tls")
    });
    let says = says.await.unwrap();
    let message = &says.status.conditions.iter().find(|one| one.subject == "tls").unwrap().message;
    assert!(message.contains("client-ca.pem"), "{message}");
    plane.ask(Method::GET, "/v1/lease", "").await.unwrap().expect(200).unwrap();
    // Another authority: new and open connections of the former are refused.
    let others = Authority::new().unwrap();
    bench.files.trust(&others.pem()).unwrap();
    let refused = eventually_async("the new authority", LIMIT, || async {
        plane.ask(Method::GET, "/v1/lease", "").await.is_err().then_some(())
    });
    refused.await.unwrap();
    let answer = ask(&mut open, Method::GET, "/v1/lease", "").await.unwrap().expect(403).unwrap();
    assert!(answer.text().contains("control.client_ca"), "{}", answer.text());
    let theirs = others.issue(&[NAME], ClientAuth).unwrap();
    let theirs = bench.plane(Some(&theirs));
    theirs.ask(Method::GET, "/v1/lease", "").await.unwrap().expect(200).unwrap();
    let gone = bench.station.wait_for("no condition", LIMIT, |now| {
        !now.status.conditions.iter().any(|one| one.subject == "tls")
    });
    gone.await.unwrap();
}

#[tokio::test]
async fn mistakes_name_their_key() {
    let bench = prepare(App::None, "\"10.0.0.1\"");
    std::fs::remove_file(bench.files.path("client-ca.pem")).unwrap();
    let check = bench.station.ctl(&["check"]).await.unwrap();
    assert_eq!(check.status.code(), Some(1), "{}", check.all());
    for key in ["control.allowed_san", "control.client_ca"] {
        assert!(check.all().contains(key), "{}", check.all());
    }
}

#[tokio::test]
async fn a_socket_that_was_passed_on_is_served_and_outlives_stationd() {
    let mut bench = prepare(App::None, &format!("\"{NAME}\""));
    bench.station.hold("127.0.0.1:0").unwrap();
    let held = bench.station.held.as_mut().unwrap();
    held.hold_control(&bench.address.to_string()).unwrap();
    bench.station.launch().await.unwrap();
    let plane = bench.good();
    plane.ask(Method::GET, "/v1/lease", "").await.unwrap().expect(200).unwrap();
    assert!(
        bench
            .station
            .heartbeat()
            .await
            .unwrap()
            .status
            .conditions
            .iter()
            .all(|one| { one.kind != "ListenMismatch" })
    );
    bench.station.terminate().await.unwrap();
    let waiting = plane.ask(Method::GET, "/v1/lease", "");
    let (answer, launched) = futures_util::future::join(waiting, bench.station.launch()).await;
    launched.unwrap();
    answer.unwrap().expect(200).unwrap();
    // At another address than the configured one it is served too, and that is told.
    bench.station.terminate().await.unwrap();
    let other = free_address();
    let section = bench.files.section(other, &format!("\"{NAME}\""));
    bench.station.configure(&format!("app = []\n{section}")).unwrap();
    bench.station.launch().await.unwrap();
    plane.ask(Method::GET, "/v1/lease", "").await.unwrap().expect(200).unwrap();
    let told = bench.station.wait_for("the condition", LIMIT, |now| {
        now.status.conditions.iter().any(|one| one.subject == "control")
    });
    let told = told.await.unwrap();
    let condition = told.status.conditions.iter().find(|one| one.subject == "control").unwrap();
    assert_eq!(condition.kind, "ListenMismatch");
    assert!(condition.action.contains("systemctl edit stationd-control.socket"), "{condition:?}");
    // Without [control] nobody is left waiting.
    bench.station.terminate().await.unwrap();
    bench.station.configure("app = []\n").unwrap();
    bench.station.launch().await.unwrap();
    assert!(plane.ask(Method::GET, "/v1/lease", "").await.is_err());
}
