//! What each verb asks and prints.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use http::Method;
use http_body_util::BodyExt;
use serde::Serialize;
use serde_json::json;
use station_proto::api::{DownReport, LoginLink};
use station_proto::app::{App, AppActivity, AppLogs};
use station_proto::event::Event;
use station_proto::gpu::{GpuCall, Gpus};
use station_proto::heartbeat::Heartbeat;
use station_proto::node::Node;
use station_proto::time::Time;

use super::args::{AppVerb, DoctorPart, Login, Verb};
use super::screen::{gpus, node};
use super::words::printable;
use super::{ClientError, Connection, connection, doctor, mounts, screen, tokens};
use crate::base::conditions::Kind;
use crate::base::ids::AppName;
use crate::os::clock;

/// How the answers are printed, and what is known of the terminal.
#[derive(Debug)]
pub struct Printer {
    pub json: bool,
    /// `SSH_CONNECTION` of the environment: "client port server port".
    pub ssh_connection: Option<String>,
    /// The user's name, for the line that opens an SSH tunnel.
    pub user: String,
}

/// Runs a verb that talks to stationd (all but `check` and `setup`).
pub async fn run(verb: &Verb, sockets: &[PathBuf], printer: &Printer) -> Result<(), ClientError> {
    if let Verb::Explain { name } = verb {
        return explain(name.as_deref(), printer);
    }
    if let Verb::Canary { what, subject } = verb {
        return doctor::canary(*what, subject);
    }
    if let Verb::Doctor { bundle: Some(file), .. } = verb {
        return doctor::bundle::run(sockets, file, printer).await;
    }
    let station = Connection::open(sockets).await?;
    match verb {
        Verb::Status => status(&station, printer).await,
        Verb::Heartbeat => {
            let heartbeat: Heartbeat = get(&station, "/v1/heartbeat").await?;
            print_json(&heartbeat)
        }
        Verb::Login(wanted) if wanted.token => tokens::create(&station, wanted, printer).await,
        Verb::Login(wanted) => login(&station, wanted, printer).await,
        Verb::Token(verb) => tokens::run(&station, verb, printer).await,
        Verb::App(verb) => app(&station, verb, printer).await,
        Verb::Mount(verb) => mounts::run(&station, verb, printer).await,
        Verb::Node => node(&station, printer).await,
        Verb::Gpu => gpu(&station, printer).await,
        Verb::Doctor { part: None, .. } => doctor::run(&station, printer).await,
        Verb::Doctor { part: Some(DoctorPart::Gpu), .. } => doctor_gpu(&station, printer).await,
        Verb::Doctor { part: Some(DoctorPart::Mount), .. } => {
            mounts::doctor(&station, printer).await
        }
        Verb::Events { follow, after } => events(&station, *follow, *after, printer).await,
        Verb::Down => down(&station, printer).await,
        Verb::Explain { .. } | Verb::Check { .. } | Verb::Setup(_) | Verb::Canary { .. } => Ok(()),
    }
}

pub(super) async fn get<T: serde::de::DeserializeOwned>(
    station: &Connection,
    path: &str,
) -> Result<T, ClientError> {
    station.json(Method::GET, path, None).await
}

async fn status(station: &Connection, printer: &Printer) -> Result<(), ClientError> {
    let heartbeat: Heartbeat = get(station, "/v1/heartbeat").await?;
    if printer.json {
        return print_json(&heartbeat.status);
    }
    text(&screen::status(&heartbeat))
}

async fn login(station: &Connection, wanted: &Login, printer: &Printer) -> Result<(), ClientError> {
    let next = match &wanted.app {
        None => "/".to_owned(),
        Some(name) => get::<App>(station, &format!("/v1/apps/{name}")).await?.path,
    };
    let body = json!({ "next": next });
    let link: LoginLink = station.json(Method::POST, "/v1/login-links", Some(&body)).await?;
    if printer.json {
        return print_json(&link);
    }
    text(&format!("{}\n", link.url))?;
    if let Some(tunnel) = printer.tunnel(link.loopback, link.port) {
        printer.note(&format!("{tunnel}Then open the link there.\n"));
    }
    if !wanted.print {
        printer.note("The link works once, for ten minutes. Open it in a browser.");
    }
    Ok(())
}

async fn app(station: &Connection, verb: &AppVerb, printer: &Printer) -> Result<(), ClientError> {
    let post = |name: &AppName, action: &str| {
        let path = format!("/v1/apps/{name}/{action}");
        async move { station.bytes(Method::POST, &path, None).await }
    };
    let (name, done) = match verb {
        AppVerb::List => {
            let apps: Vec<App> = get(station, "/v1/apps").await?;
            if printer.json {
                return print_json(&apps);
            }
            return text(&screen::apps(&apps, Time(clock::now().wall)));
        }
        AppVerb::Show { name } => {
            let app: App = get(station, &format!("/v1/apps/{name}")).await?;
            let activity: AppActivity = get(station, &format!("/v1/apps/{name}/activity")).await?;
            if printer.json {
                return print_json(&json!({ "app": app, "activity": activity }));
            }
            return text(&screen::app(&app, &activity, Time(clock::now().wall)));
        }
        AppVerb::Logs { name, lines } => {
            let logs: AppLogs =
                get(station, &format!("/v1/apps/{name}/logs?lines={lines}")).await?;
            if printer.json {
                return print_json(&logs);
            }
            let lines: String = logs.lines.iter().map(|line| printable(line) + "\n").collect();
            return text(&lines);
        }
        AppVerb::Start { name } => (name, post(name, "start").await),
        AppVerb::Stop { name } => {
            warn_of_kernels(station, name, printer).await?;
            (name, post(name, "stop").await)
        }
        AppVerb::Restart { name } => {
            warn_of_kernels(station, name, printer).await?;
            (name, post(name, "restart").await)
        }
    };
    done?;
    let app: App = get(station, &format!("/v1/apps/{name}")).await?;
    if printer.json {
        return print_json(&app);
    }
    text(&screen::apps(&[app], Time(clock::now().wall)))
}

/// Says what a stop costs before it is made.
async fn warn_of_kernels(
    station: &Connection,
    name: &AppName,
    printer: &Printer,
) -> Result<(), ClientError> {
    let app: App = get(station, &format!("/v1/apps/{name}")).await?;
    let (count, also) = (app.kernels.unwrap_or_default(), app.shares);
    match also {
        Some(server) if !printer.json => {
            let kernels = screen::kernels(count);
            text(&format!("{name} shares the server of {server}: this ends both, with {kernels}\n"))
        }
        None if count > 0 && !printer.json => {
            text(&format!("this ends {} of {name}\n", screen::kernels(count)))
        }
        _ => Ok(()),
    }
}

async fn node(station: &Connection, printer: &Printer) -> Result<(), ClientError> {
    let node: Node = get(station, "/v1/node").await?;
    if printer.json {
        return print_json(&node);
    }
    text(&node::screen(&node))
}

async fn gpu(station: &Connection, printer: &Printer) -> Result<(), ClientError> {
    let gpus: Gpus = get(station, "/v1/gpus").await?;
    if printer.json {
        return print_json(&gpus);
    }
    let node: Node = get(station, "/v1/node").await?;
    let cuda = node.cuda.as_ref().map(node::cuda).filter(|text| !text.is_empty());
    let cuda = cuda.map(|text| format!("\ninstalled:\n{text}")).unwrap_or_default();
    text(&(gpus::screen(&gpus) + &cuda))
}

/// What the GPUs say, and how long each call of the driver takes.
async fn doctor_gpu(station: &Connection, printer: &Printer) -> Result<(), ClientError> {
    let gpus: Gpus = get(station, "/v1/gpus").await?;
    let calls: Vec<GpuCall> = get(station, "/v1/gpus/calls").await?;
    if printer.json {
        return print_json(&json!({ "gpus": gpus, "calls": calls }));
    }
    text(&(gpus::screen(&gpus) + &gpus::calls(&calls)))
}

async fn events(
    station: &Connection,
    follow: bool,
    after: u64,
    printer: &Printer,
) -> Result<(), ClientError> {
    let path = format!("/v1/events?after={after}&follow={follow}");
    let response = station.stream(&path).await?;
    if !response.status().is_success() {
        // Ask again for the problem document: it is short.
        station.bytes(Method::GET, &path, None).await?;
    }
    let mut body = response.into_body();
    let mut pending = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| connection::broken(&error))?;
        pending.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let line_text = String::from_utf8_lossy(&line);
            match serde_json::from_slice::<Event>(&line) {
                Ok(event) if !printer.json => {
                    text(&(screen::event(&event) + "\n"))?;
                }
                _ => text(&line_text)?,
            }
        }
    }
    Ok(())
}

async fn down(station: &Connection, printer: &Printer) -> Result<(), ClientError> {
    let report: DownReport = station.json(Method::POST, "/v1/down", None).await?;
    if printer.json {
        return print_json(&report);
    }
    let stopped =
        if report.stopped.is_empty() { "nothing".into() } else { report.stopped.join(", ") };
    text(&format!("stopped {stopped}, and stationd\n"))?;
    if report.left.is_empty() {
        return Ok(());
    }
    Err(ClientError::Unknown(format!("still running: {}", report.left.join("; "))))
}

fn explain(name: Option<&str>, printer: &Printer) -> Result<(), ClientError> {
    let kind = match name {
        None => None,
        Some(name) => Some(Kind::parse(name).ok_or_else(|| {
            let names: Vec<_> = Kind::ALL.into_iter().map(Kind::name).collect();
            ClientError::Unknown(format!(
                "no condition is called {name:?}; there are {}",
                names.join(", ")
            ))
        })?),
    };
    if !printer.json {
        return text(&screen::explain(kind));
    }
    let kinds = kind.map_or_else(|| Kind::ALL.to_vec(), |kind| vec![kind]);
    let one = |kind: &Kind| {
        let text = kind.explained();
        json!({ "name": text.name, "degrades": text.degrades, "meaning": text.meaning, "remedy": text.remedy })
    };
    print_json(&kinds.iter().map(one).collect::<Vec<_>>())
}

/// Standard output. A reader that closed its end (`| head`) is not an error.
pub(super) fn text(text: &str) -> Result<(), ClientError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(ClientError::Unknown(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn print_json<T: Serialize>(value: &T) -> Result<(), ClientError> {
    let json = serde_json::to_string_pretty(value)
        .map_err(|error| ClientError::Answer(error.to_string()))?;
    text(&(json + "\n"))
}

impl Printer {
    /// The answer as JSON or as text, as the user wants it.
    pub fn answer(&self, value: &serde_json::Value, plain: &str) -> Result<(), ClientError> {
        if self.json { print_json(value) } else { text(plain) }
    }

    /// A remark for a person at a terminal; it never mixes with the output.
    pub(super) fn note(&self, text: &str) {
        let mut error = std::io::stderr().lock();
        if error.is_terminal() || self.ssh_connection.is_some() {
            writeln!(error, "{text}").unwrap_or_default();
        }
    }

    /// The line that brings the port to the user's own machine, in an SSH session.
    pub(super) fn tunnel(&self, loopback: bool, port: u16) -> Option<String> {
        if !loopback {
            return None;
        }
        let host = self.ssh_connection.as_deref()?.split(' ').nth(2)?;
        let user = &self.user;
        Some(format!(
            "You are here over SSH. On your own machine run this first, and leave it open:\n\
             \n    ssh -N -L {port}:127.0.0.1:{port} {user}@{host}\n"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tunnel_line_names_port_user_and_host() {
        let ssh_connection = Some("10.0.0.9 51000 10.0.0.4 22".to_owned());
        let printer = Printer { json: false, ssh_connection, user: "ada".to_owned() };
        let text = printer.tunnel(true, 8710).unwrap();
        assert!(text.contains("ssh -N -L 8710:127.0.0.1:8710 ada@10.0.0.4"), "{text}");
        assert_eq!(printer.tunnel(false, 8710), None);
    }
}
