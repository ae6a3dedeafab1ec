//! The stand-in for RStudio Server is as strict as it says: what passes with it was not let through.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use serde_json::{Value, json};
use station_tests::process::{self, Output, eventually};
use station_tests::rserver::session::{FORCED, traces};
use stationd::os::process::signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

const LIMIT: Duration = Duration::from_secs(30);

/// A folder with all that a server of one test needs.
struct Place(TempDir);

impl Drop for Place {
    fn drop(&mut self) {
        process::end_all(self.0.path());
    }
}

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::Builder::new().prefix("r").tempdir_in("/tmp").unwrap());
        for folder in ["home", "var"] {
            std::fs::create_dir(place.at(folder)).unwrap();
        }
        let database = format!("provider=sqlite\ndirectory={}\n", place.at("db").display());
        place.write("database.conf", &database);
        place.write("rsession.conf", "session-default-working-dir=~/work\n");
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        stationd::os::file::write_atomic(&self.at(name), text.as_bytes(), 0o600).unwrap();
    }

    /// A server as a supervisor has to start it.
    fn server(&self) -> Command {
        let mut server = self.files();
        server.arg("--auth-none=1").arg("--www-verify-user-agent").arg("0");
        server
    }

    /// The same without what lets everybody in.
    fn files(&self) -> Command {
        let mut command = process::command(&process::binary("rserver").unwrap());
        command.env("HOME", self.at("home")).env("FAKE_RSERVER_VAR", self.at("var"));
        command.env("FAKE_RSERVER_POLL_MS", "200").kill_on_drop(true);
        for (name, file) in [
            ("www-socket", "s"),
            ("server-data-dir", "data"),
            ("secure-cookie-key-file", "key"),
            ("database-config-file", "database.conf"),
            ("rsession-config-file", "rsession.conf"),
        ] {
            command.arg(format!("--{name}={}", self.at(file).display()));
        }
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut server = self.server();
        server.args(arguments);
        process::run(server, LIMIT).await.unwrap()
    }

    async fn start(&self) -> Child {
        self.started(self.server()).await
    }

    async fn started(&self, mut server: Command) -> Child {
        let server = server.arg("--server-daemonize=0").spawn().unwrap();
        self.listens().await;
        server
    }

    async fn listens(&self) {
        let socket = self.at("s");
        let open = || std::os::unix::net::UnixStream::connect(&socket).ok();
        eventually("the socket", LIMIT, open).await.unwrap();
    }

    async fn ask(&self, head: &str, body: &str) -> String {
        let mut stream = UnixStream::connect(self.at("s")).await.unwrap();
        let length = body.len();
        let text = format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }

    async fn get(&self, path: &str, fields: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: own\r\n{fields}"), "").await
    }

    /// Calls a method of the session as the page does.
    async fn call(&self, path: &str, client: &str, params: &Value) -> Value {
        let body = json!({ "params": params, "clientId": client }).to_string();
        let token = "Cookie: rs-csrf-token=t\r\nX-RS-CSRF-Token: t\r\n";
        let head = format!("POST {path} HTTP/1.1\r\nHost: own\r\n{token}");
        let answer = self.ask(&head, &body).await;
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    async fn client(&self) -> Value {
        self.call("/rpc/client_init", "", &json!([])).await["result"].clone()
    }

    fn session(&self) -> Option<i32> {
        let word = self.at("data").join("rstudio-rsession").display().to_string();
        process::of_home_with(self.0.path(), &word).into_iter().next()
    }

    async fn session_ends(&self) {
        let gone = || self.session().is_none().then_some(());
        eventually("the end of the session", LIMIT, gone).await.unwrap();
    }

    /// What whoever looks for idleness reads.
    fn executing(&self) -> String {
        let sessions = self.at("home/.local/share/rstudio/sessions");
        let file = sessions.join("active/session-00000001/properites/executing");
        std::fs::read_to_string(file).unwrap()
    }

    fn traces(&self) -> (bool, bool) {
        traces(&self.at("home"))
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

fn refused(output: &Output, word: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", output.all());
    assert!(output.stderr.contains(word), "{word:?} is missing in: {}", output.stderr);
}

#[tokio::test]
async fn what_the_real_one_does_not_take_is_refused() {
    let place = Place::new();
    refused(&place.run(&["--no-such-thing=1"]).await, "'--no-such-thing' is not recognised");
    refused(&place.run(&["--www-socket=/s"]).await, "twice");
    let mut server = process::command(&process::binary("rserver").unwrap());
    server.args(["--server-daemonize=0", "--www-port=8787"]);
    refused(&process::run(server, LIMIT).await.unwrap(), "does not listen on 0.0.0.0:8787");
    place.write("database.conf", "provider=postgresql\n");
    refused(&place.run(&["--server-daemonize=0"]).await, "provider=sqlite");
    place.write("key", "secret");
    std::fs::set_permissions(place.at("key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    refused(&place.run(&["--server-daemonize=0"]).await, "others may use it");
    let help = place.run(&["--help"]).await;
    assert!(help.status.success() && help.stdout.contains("--www-root-path"), "{}", help.all());
}

#[tokio::test]
async fn an_unreadable_key_of_the_system_ends_it_without_a_word() {
    let place = Place::new();
    // Root can read everything, but an empty key is none for anybody.
    place.write("var/session-rpc-key", if geteuid().is_root() { "" } else { "key" });
    let key = place.at("var/session-rpc-key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o000)).unwrap();
    let output = place.run(&["--server-daemonize=0"]).await;
    assert_eq!((output.status.code(), output.all().as_str()), (Some(1), ""));
    std::fs::remove_file(key).unwrap();
    drop(place.start().await);
}

#[tokio::test]
async fn redirects_are_absolute_and_follow_what_the_proxy_says() {
    let place = Place::new();
    let _server = place.start().await;
    for (file, expect) in [("data", 0o1777), ("key", 0o600), ("s", 0o700)] {
        assert_eq!(mode(&place.at(file)), expect, "{file}");
    }
    let plain = place.get("/", "").await;
    assert!(plain.contains("location: http://own/s/00000001/\r\n"), "{plain}");
    let said =
        "X-RStudio-Request: https://node.example/apps/r/\r\nX-RStudio-Root-Path: /apps/r\r\n";
    let answer = place.get("/", said).await;
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    assert!(answer.contains("location: https://node.example/apps/r/s/00000001/\r\n"), "{answer}");
    assert_eq!(answer.matches("; path=/apps/r; HttpOnly; secure\r\n").count(), 3, "{answer}");
    let two = place.get("/", "X-Forwarded-Proto: https,http\r\n").await;
    assert!(two.contains("location: https,http://own/"), "{two}");
    let kept = place.get("/apps/r/", said).await;
    assert!(kept.starts_with("HTTP/1.1 404"), "{kept}");
    assert_eq!(place.session(), None, "nothing has needed a session yet");
    let page = place.get("/s/00000001/", said).await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("~/work"), "{page}");
    assert!(place.session().is_some());
}

#[tokio::test]
async fn strangers_meet_a_sign_in_page_or_nothing() {
    let place = Place::new();
    let mut server = place.files();
    server.args(["--auth-none=0", "--www-enable-origin-check=1", "--www-root-path=/r/"]);
    server.args(["--www-allow-origin", "friend.example"]);
    let _server = place.started(server).await;
    let answer = place.get("/", "").await;
    assert!(answer.contains("location: http://own/r/unsupported_browser.htm\r\n"), "{answer}");
    let agent = "User-Agent: Mozilla/5.0\r\n";
    let answer = place.get("/", agent).await;
    assert!(answer.contains("location: http://own/r/auth-sign-in?appUri=%2F\r\n"), "{answer}");
    let page = place.get("/auth-sign-in", agent).await;
    assert!(page.contains("Sign In") && page.contains("; path=/r; HttpOnly\r\n"), "{page}");
    let refused = place.call("/rpc/client_init", "", &json!([])).await;
    assert_eq!(refused["error"]["message"], "Unauthorized");
    for (origin, expect) in
        [("https://evil.example", "400"), ("https://own", "302"), ("https://friend.example", "302")]
    {
        let answer = place.get("/", &format!("{agent}Origin: {origin}\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expect}")), "{origin}: {answer}");
    }
    assert_eq!(place.session(), None);
}

#[tokio::test]
async fn a_slow_start_answers_503_to_everything() {
    let place = Place::new();
    let mut server = place.server();
    server.env("FAKE_RSERVER_SLOW_MS", "3600000");
    let _server = place.started(server).await;
    assert!(place.get("/", "").await.starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn a_call_needs_the_token_twice_and_the_last_client() {
    let place = Place::new();
    let _server = place.start().await;
    let head = "POST /rpc/client_init HTTP/1.1\r\nHost: own\r\nCookie: rs-csrf-token=t\r\n";
    for more in ["", "X-RS-CSRF-Token: other\r\n"] {
        let answer = place.ask(&format!("{head}{more}"), "{}").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Unauthorized"), "{answer}");
    }
    let first = place.client().await;
    assert_eq!((&first["working_dir"], &first["resumed"]), (&json!("~/work"), &json!(false)));
    let first = first["clientId"].as_str().unwrap();
    assert_eq!(place.call("/events/get_events", first, &json!([])).await, json!({"result": []}));
    place.client().await;
    let late = place.call("/events/get_events", first, &json!([])).await;
    assert_eq!(late["error"]["message"], "Invalid client id");
}

#[tokio::test]
async fn a_session_suspends_when_its_work_is_done_and_comes_back() {
    let place = Place::new();
    let _server = place.start().await;
    let client = place.client().await["clientId"].as_str().unwrap().to_owned();
    place.call("/rpc/console_input", &client, &json!([2_000])).await;
    let busy = place.call("/events/get_events", &client, &json!([])).await;
    assert_eq!(busy["result"][0]["data"]["value"], true, "{busy}");
    assert_eq!(place.executing(), "1");
    let session = place.session().unwrap();
    signal(session, Signal::SIGUSR1).unwrap();
    // It answers while it works, so it has not gone at the signal.
    place.call("/events/get_events", &client, &json!([])).await;
    assert_eq!(place.traces(), (false, true));
    place.session_ends().await;
    assert_eq!((place.traces(), place.executing().as_str()), ((true, false), "0"));
    let back = place.client().await;
    assert_eq!((&back["resumed"], &back["had_abend"]), (&json!(true), &json!(false)));
    // A forced one does not wait for the work.
    let client = back["clientId"].as_str().unwrap();
    place.call("/rpc/console_input", client, &json!([3_600_000])).await;
    signal(place.session().unwrap(), Signal::SIGUSR2).unwrap();
    place.session_ends().await;
    assert_eq!(place.traces(), (true, false));
    place.client().await;
    signal(place.session().unwrap(), Signal::SIGTERM).unwrap();
    place.session_ends().await;
    assert_eq!(place.traces(), (false, true));
    assert_eq!(place.client().await["had_abend"], json!(true));
}

#[tokio::test]
async fn a_session_outlives_its_server_and_says_how_it_ended() {
    let place = Place::new();
    let mut server = place.start().await;
    let before = place.client().await;
    let session = place.session().unwrap();
    signal(server.id().unwrap().try_into().unwrap(), Signal::SIGTERM).unwrap();
    let end = tokio::time::timeout(LIMIT, server.wait()).await.unwrap().unwrap();
    assert_eq!(end.signal(), Some(Signal::SIGTERM as i32));
    assert!(process::is_alive(session));
    // The next server finds it.
    let _server = place.start().await;
    let client = before["clientId"].as_str().unwrap();
    let events = place.call("/events/get_events", client, &json!([])).await;
    assert_eq!(events, json!({"result": []}));
    assert_eq!(place.session(), Some(session));
    let mut alone = process::command(&process::binary("rsession").unwrap());
    alone.env("HOME", place.at("home")).arg("--stream").arg(place.at("alone"));
    let mut alone = alone.spawn().unwrap();
    eventually("the stream", LIMIT, || place.at("alone").exists().then_some(())).await.unwrap();
    signal(alone.id().unwrap().try_into().unwrap(), Signal::SIGUSR2).unwrap();
    let end = tokio::time::timeout(LIMIT, alone.wait()).await.unwrap().unwrap();
    assert_eq!(end.code(), Some(FORCED));
}

#[tokio::test]
async fn without_the_flag_root_sees_exit_0_at_once() {
    let place = Place::new();
    let argument: &[&str] = if geteuid().is_root() { &[] } else { &["--server-daemonize=1"] };
    let output = place.run(argument).await;
    assert!(output.status.success(), "{}", output.all());
    place.listens().await;
}
