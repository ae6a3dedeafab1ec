//! Small programs as custom apps: redirects and cookies, a stranger on the port, starts on demand, ends.

use std::time::Duration;

use futures_util::future::join_all;
use station_proto::app::AppPhase;
use station_proto::cause::CauseKind;
use station_tests::process;

use super::{app, app_in, free_port, home, program, run};

/// Listens where it is told, and knows nothing of its prefix.
const SERVER: &str = r#"#!/usr/bin/env python3
import http.server, os, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (self.path + " " + os.getcwd()).encode()
        jump = self.path == "/jump"
        self.send_response(302 if jump else 200)
        if jump:
            self.send_header("Location", "/there?x=/y")
            self.send_header("Set-Cookie", "seen=1; Path=/; HttpOnly")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
    def address_string(self): return ""
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    def get_request(self):
        request, _ = super().get_request()
        return request, ("", 0)
Server(sys.argv[1], Handler).serve_forever()
"#;

fn custom(command: &[&str], more: &str) -> String {
    format!("[[app]]\nname = \"mine\"\nkind = \"custom\"\ncommand = {command:?}\n{more}\n")
}

#[tokio::test]
async fn an_app_on_a_socket_stays_below_its_prefix() {
    let mut station = home();
    let server = program(&station, "server", SERVER);
    let toml = custom(&[server.to_str().unwrap(), "{socket}"], "prefix = \"strip\"");
    run(&mut station, &toml).await;
    app_in(&station, "mine", AppPhase::Ready).await;
    let client = station.login().await.unwrap();
    let jump = client.page("/apps/mine/jump").await.unwrap().expect(302).unwrap();
    assert_eq!(jump.header("location"), "/apps/mine/there?x=/y");
    assert_eq!(jump.header("set-cookie"), "seen=1; Path=/apps/mine/; HttpOnly");
    let there = client.get("/apps/mine/there").await.unwrap().expect(200).unwrap();
    assert!(there.text().starts_with("/there "), "{}", there.text());
    assert!(there.text().contains("/workspace/Users/"), "it works in the user's folder");
}

#[tokio::test]
async fn another_users_listener_on_the_port_gets_nothing() {
    if !nix::unistd::geteuid().is_root() {
        station_tests::skip("a listener of another user needs root").unwrap();
        return;
    }
    let mut station = home();
    let port = free_port();
    let seen = station.folder().join("seen");
    let stranger = format!(
        "import socket\ns = socket.create_server((\"127.0.0.1\", {port}))\nprint(\"listens\", flush=True)\n\
         while True:\n    c, _ = s.accept()\n    print(\"came\", flush=True)\n"
    );
    let mut command = process::command(std::path::Path::new("setpriv"));
    command.args(["--reuid=65534", "--clear-groups", "/usr/bin/python3", "-c", &stranger]);
    process::log_to(&mut command, &seen).unwrap();
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let said = || std::fs::read_to_string(&seen).unwrap_or_default();
    process::eventually("the stranger listens", Duration::from_secs(20), || {
        said().contains("listens").then_some(())
    })
    .await
    .unwrap();
    run(&mut station, &custom(&["sleep", "4321"], &format!("ports = [{port}]"))).await;
    app(&station, "mine", |app| app.phase == AppPhase::Starting && app.pid.is_some()).await;
    let client = station.login().await.unwrap();
    let page = client.page("/apps/mine/").await.unwrap().expect(503).unwrap();
    assert_eq!(page.header("x-app-state"), "starting");
    // The socket takes the connection and gives nothing.
    let socket = station.home().join("run/apps/mine/s.sock");
    for _ in 0..3 {
        let mut stream = process::eventually("the relay", Duration::from_secs(20), || {
            std::os::unix::net::UnixStream::connect(&socket).ok()
        })
        .await
        .unwrap();
        // It may be closed before, between or after the two.
        drop(std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n"));
        let mut answer = Vec::new();
        drop(std::io::Read::read_to_end(&mut stream, &mut answer));
        assert!(answer.is_empty(), "{answer:?}");
    }
    assert!(!said().contains("came"), "{}", said());
    child.kill().await.unwrap();
}

#[tokio::test]
async fn twenty_requests_start_an_app_once() {
    let mut station = home();
    let server = program(&station, "server", SERVER);
    let toml = custom(
        &[server.to_str().unwrap(), "{socket}"],
        "prefix = \"strip\"\nstart = \"on-demand\"",
    );
    run(&mut station, &toml).await;
    app_in(&station, "mine", AppPhase::Stopped).await;
    let client = station.login().await.unwrap();
    // What an open tab asks by itself wakes nobody.
    let poll = client.get("/apps/mine/api/status").await.unwrap().expect(503).unwrap();
    assert_eq!(poll.header("x-app-state"), "stopped");
    assert_eq!(app_in(&station, "mine", AppPhase::Stopped).await.generation, 0);
    let pages = join_all((0..20).map(|_| client.page("/apps/mine/"))).await;
    for page in pages {
        let page = page.unwrap();
        let waits = page.status == 503 && page.header("x-app-state") == "starting";
        assert!(waits || page.status == 200, "{} {}", page.status, page.text());
    }
    let seen = app_in(&station, "mine", AppPhase::Ready).await;
    assert_eq!(seen.generation, 1);
    client.page("/apps/mine/").await.unwrap().expect(200).unwrap();
}

#[tokio::test]
async fn a_program_that_ends_at_once_says_why() {
    let mut station = home();
    let fails = program(&station, "fails", "#!/bin/sh\necho 'no such table: runs' >&2\nexit 3\n");
    run(&mut station, &custom(&[fails.to_str().unwrap(), "{socket}"], "")).await;
    let seen = app(&station, "mine", |app| app.last_end.is_some()).await;
    let end = seen.last_end.unwrap();
    assert_eq!((end.kind, end.exit_code), (CauseKind::Exit, Some(3)), "{end:?}");
    assert!(end.last_lines.iter().any(|line| line == "no such table: runs"), "{end:?}");
}

#[tokio::test]
async fn an_app_that_is_killed_for_its_memory_is_told_so() {
    const EATS: &str = "#!/usr/bin/env python3\nimport time\nheld = []\nwhile True:\n    \
                        held.append(bytearray(16 << 20))\n    time.sleep(0.05)\n";
    let mut station = home();
    let eats = program(&station, "eats", EATS);
    let toml = custom(&[eats.to_str().unwrap(), "{socket}"], "memory_max = \"200MiB\"");
    run(&mut station, &toml).await;
    let unlimited = "memory_max is not enforced";
    let seen =
        app(&station, "mine", |app| app.last_end.is_some() || app.message.contains(unlimited))
            .await;
    let Some(end) = seen.last_end else {
        station_tests::skip("no control group with a memory limit can be made here").unwrap();
        return;
    };
    assert_eq!((end.kind, end.signal), (CauseKind::OutOfMemory, Some(9)), "{end:?}");
    assert!(end.message.contains("is 200 MiB"), "{end:?}");
}
