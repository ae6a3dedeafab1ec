//! Apps other than JupyterLab under the package's units: RStudio's stand-in and a web app on a port.
//! stationd has no network and may not connect to a port, so each is reached through its attendant.

use http::Method;
use serde_json::json;
use station_proto::app::AppPhase;
use station_proto::cause::CauseKind;
use station_proto::heartbeat::Heartbeat;
use station_tests::http::Client;
use station_tests::machine::Machine;
use station_tests::process::binary;
use station_tests::rserver::session::traces;

use crate::setup::{MAIN, SOON, VERSION, fresh, install, processes, write};

const FOLDER: &str = "/usr/local/lib/station-tests";
const RSTUDIO: &str = "/var/lib/rstudio-server";
const WORK: &str = "/var/lib/stationd/workspace/Users/ada";

/// Answers with the path that it was asked for and the folder that it works in.
const SERVER: &str = r#"
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (self.path + " in " + os.getcwd()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

/// The package runs this one app for `ada`.
async fn with_app(machine: &Machine, app: &str) {
    let text = format!("[instance]\nlocal_user = \"ada\"\n[[app]]\n{app}\n");
    write(machine, "/etc/stationd/stationd.toml", &text).unwrap();
    install(machine, VERSION).await.unwrap();
}

/// The user's processes whose command line has this word: their ids.
async fn of_ada(machine: &Machine, word: &str) -> Vec<i32> {
    let all = processes(machine).await.unwrap();
    let ours = all.lines().filter(|line| line.starts_with("ada ") && line.contains(word));
    ours.map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap()).collect()
}

/// Opens RStudio's page as a browser does: its first call makes a session.
async fn open_rstudio(client: &Client) {
    let page = client.page("/apps/rstudio/").await.unwrap().expect(302).unwrap();
    let next = page.header("location").to_owned();
    assert_eq!(next, "/apps/rstudio/s/00000001/");
    let page = client.page(&next).await.unwrap().expect(200).unwrap();
    assert!(page.text().contains(&format!("<p>{WORK}")), "{}", page.text());
    let token = client.cookie("rs-csrf-token").unwrap();
    let headers = [("x-rs-csrf-token", token.as_str()), ("content-type", "application/json")];
    let body = json!({ "clientId": "", "params": [] }).to_string();
    let path = "/apps/rstudio/rpc/client_init";
    let init = client.call(Method::POST, path, &headers, body.into()).await.unwrap();
    let init = init.expect(200).unwrap().json().unwrap();
    assert!(init["result"]["clientId"].is_string(), "{init}");
}

#[tokio::test]
async fn rstudio_says_why_it_does_not_start_and_then_works_for_the_user() {
    let machine = fresh().await.unwrap();
    // RStudio's own package leaves a key to root, which a server of the user's cannot read.
    let key = format!("{RSTUDIO}/session-rpc-key");
    let trap = format!("mkdir -p {FOLDER} {RSTUDIO} && umask 077 && echo key >{key}");
    machine.must(&trap).await.unwrap();
    for name in ["rserver", "rsession"] {
        machine.copy_in(&binary(name).unwrap(), &format!("{FOLDER}/{name}")).unwrap();
    }
    let app = format!("name = \"rstudio\"\nkind = \"rstudio\"\ncommand = \"{FOLDER}/rserver\"");
    with_app(&machine, &app).await;
    let ended = |now: &Heartbeat| now.status.apps.iter().any(|app| app.last_end.is_some());
    let seen = machine.admin.wait_for("an end of rstudio", SOON, ended).await.unwrap();
    let end = seen.status.apps[0].last_end.clone().unwrap();
    assert_eq!((end.kind, end.exit_code), (CauseKind::Exit, Some(1)), "{end:?}");
    let lines = end.last_lines.join("\n");
    for part in [key.as_str(), "cannot be read", "remove that file"] {
        assert!(lines.contains(part), "{part} is missing in {lines}");
    }

    // What it said is all there is to do.
    machine.must(&format!("rm {key} && stationctl app start rstudio")).await.unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
    let client = machine.admin.login().await.unwrap();
    open_rstudio(&client).await;
    assert_eq!(of_ada(&machine, "/rsession ").await.len(), 1);
    let home = machine.path("/home/ada");
    assert_eq!(traces(&home), (false, true), "it runs");

    machine.must("stationctl app stop rstudio").await.unwrap();
    let end = machine.admin.app_in(AppPhase::Stopped).await.unwrap().last_end.unwrap();
    assert_eq!(end.kind, CauseKind::UserStop, "{end:?}");
    let left = of_ada(&machine, "").await;
    assert!(left.is_empty(), "{}", processes(&machine).await.unwrap());
    assert_eq!(traces(&home), (true, false), "suspended, in order");
}

#[tokio::test]
async fn a_web_app_on_a_port_is_reached_by_a_stationd_without_network_and_outlives_it() {
    let machine = fresh().await.unwrap();
    machine.must(&format!("mkdir -p {FOLDER}")).await.unwrap();
    write(&machine, &format!("{FOLDER}/server.py"), SERVER).unwrap();
    let command = ["/usr/bin/python3", &format!("{FOLDER}/server.py"), "{port}"];
    let app = format!(
        "name = \"mine\"\nkind = \"custom\"\ncommand = {command:?}\nports = [8501]\nprefix = \"strip\""
    );
    with_app(&machine, &app).await;
    let before = machine.admin.app_in(AppPhase::Ready).await.unwrap();
    let server = of_ada(&machine, "server.py 8501").await;
    let main = machine.main_pid(MAIN).await.unwrap();
    // The app has the machine's network, stationd one of its own with nothing in it.
    let network = async |pid: i32| machine.must(&format!("readlink /proc/{pid}/ns/net")).await;
    assert_eq!(network(server[0]).await.unwrap(), network(1).await.unwrap());
    assert_ne!(network(main).await.unwrap(), network(1).await.unwrap());

    let client = machine.admin.login().await.unwrap();
    let said = async || client.page("/apps/mine/there?x=1").await?.expect(200);
    assert_eq!(said().await.unwrap().text(), format!("/there?x=1 in {WORK}"));

    machine.must("systemctl restart stationd.service").await.unwrap();
    let after = machine.admin.app_in(AppPhase::Ready).await.unwrap();
    assert_ne!(machine.main_pid(MAIN).await.unwrap(), main);
    assert_eq!((after.pid, after.generation), (before.pid, before.generation));
    assert_eq!(of_ada(&machine, "server.py 8501").await, server);
    assert_eq!(said().await.unwrap().text(), format!("/there?x=1 in {WORK}"));
}
