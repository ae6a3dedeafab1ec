//! Reads and checks `[[app]]`. Pure.

pub(super) mod keys;

use crate::base::ids::AppName;
use crate::config::model::{App, AppKind, Prefix, Server, Start};
use crate::config::reader::{Found, Reader};
use crate::config::schema::default_text;

use super::refuse_duplicate;

/// Apps in one configuration.
const APPS_MAX: usize = 32;
/// `/apps/jupyter/` leads to the classic view of JupyterLab; only an app of that kind may take its
/// place.
const CLASSIC: &str = "jupyter";
/// What a custom app is asked where nothing is configured.
const HEALTH: &str = "/";
const KINDS: [(&str, AppKind); 4] = [
    ("jupyterlab", AppKind::JupyterLab),
    ("jupyter", AppKind::Jupyter),
    ("rstudio", AppKind::RStudio),
    ("custom", AppKind::Custom),
];

/// Without any `[[app]]` there is JupyterLab; `app = []` is none at all.
pub(in crate::config) fn apps(root: &Reader<'_>) -> Vec<App> {
    let Some(tables) = root.tables("app") else {
        let name = AppName::parse(default_text("app.name"));
        return name.map(default_app).into_iter().collect();
    };
    let mut taken = Taken::default();
    let mut apps = Vec::new();
    let mut sharing = Vec::new();
    for table in &tables {
        let Some((app, server)) = app(table, &mut taken) else { continue };
        if app.kind == AppKind::Jupyter {
            sharing.push((app.name.clone(), server));
        }
        apps.push(app);
    }
    for (name, server) in sharing {
        share(&mut apps, &name, &server);
    }
    if let Some(over) = taken.names.get(APPS_MAX) {
        over.wrong(
            format!("is one of more than {APPS_MAX} apps"),
            format!("keep {APPS_MAX} at most"),
        );
    }
    apps
}

fn default_app(name: AppName) -> App {
    App {
        name,
        kind: AppKind::JupyterLab,
        command: Vec::new(),
        start: Start::Boot,
        port: None,
        prefix: Prefix::Keep,
        health: HEALTH.to_owned(),
        memory_max: None,
        idle_stop: None,
        shares: None,
    }
}

/// What only one app may have.
#[derive(Default)]
struct Taken<'a> {
    names: Vec<Found<'a, AppName>>,
    ports: Vec<Found<'a, u16>>,
}

type Sharing<'a> = Option<Found<'a, Server>>;

/// Every key is read, so that all mistakes are told at once.
fn app<'a>(table: &Reader<'a>, taken: &mut Taken<'a>) -> Option<(App, Sharing<'a>)> {
    let kind = kind(table);
    let command = keys::command(table, kind);
    let starts = [("boot", Start::Boot), ("on-demand", Start::OnDemand)];
    let start = table.word("start", &starts);
    let memory_max = table.text("memory_max").and_then(|found| keys::bytes(&found));
    let idle_stop = keys::idle_stop(table);
    let port = keys::port(table, kind);
    let number = port.as_ref().map(|port| port.value);
    if let Some(port) = port {
        refuse_duplicate(&port, &taken.ports);
        taken.ports.push(port);
    }
    let prefixes = [("keep", Prefix::Keep), ("strip", Prefix::Strip)];
    let prefix = table.word("prefix", &prefixes);
    let health = table.text("health").and_then(|found| keys::health(&found));
    let servers = [("shared", Server::Shared), ("own", Server::Own)];
    let server = table.word("server", &servers);
    let name = table.text_required("name", "add name = \"…\"; it appears in the URL");
    let name = name.and_then(|found| app_name(&found))?;
    refuse_duplicate(&name, &taken.names);
    taken.names.push(name.with(name.value.clone()));
    let kind = kind?;
    if name.value.as_str() == CLASSIC && kind != AppKind::Jupyter {
        name.wrong(
            "\"jupyter\" is kept for the classic view of JupyterLab, at /apps/jupyter/",
            "give the app another name, such as \"jupyterlab\"",
        );
    }
    keys::refuse_of_other_kinds(table, kind);
    let app = App {
        kind,
        command,
        start: start.map_or(Start::Boot, |found| found.value),
        port: number,
        prefix: prefix.map_or(Prefix::Keep, |found| found.value),
        health: health.unwrap_or_else(|| HEALTH.to_owned()),
        memory_max,
        idle_stop,
        ..default_app(name.value.clone())
    };
    Some((app, server))
}

/// The classic notebook shares the server of JupyterLab where there is one.
fn share(apps: &mut [App], name: &AppName, server: &Sharing<'_>) {
    let lab = apps.iter().find(|app| app.kind == AppKind::JupyterLab).map(|app| app.name.clone());
    match (server, lab) {
        (Some(found), _) if found.value == Server::Own => {}
        (Some(found), None) => found.wrong(
            "there is no app of kind \"jupyterlab\" whose server could be shared",
            "add one, or write server = \"own\"",
        ),
        (_, shares) => {
            if let Some(app) = apps.iter_mut().find(|app| app.name == *name) {
                app.shares = shares;
            }
        }
    }
}

pub(super) fn app_name<'a>(found: &Found<'a, String>) -> Option<Found<'a, AppName>> {
    if let Ok(name) = AppName::parse(&found.value) {
        return Some(found.with(name));
    }
    found.wrong(
        format!("{:?} is not a name", found.value),
        "use a lower-case letter, then lower-case letters, digits or '-', 32 at most",
    );
    None
}

fn kind(table: &Reader<'_>) -> Option<AppKind> {
    let found = table.text_required("kind", "add kind = \"jupyterlab\"")?;
    let known = KINDS.iter().find(|(word, _)| *word == found.value);
    if known.is_none() {
        found.wrong(
            format!("{:?} is not a kind of app", found.value),
            "use \"jupyterlab\", \"jupyter\", \"rstudio\" or \"custom\"",
        );
    }
    known.map(|(_, kind)| *kind)
}
