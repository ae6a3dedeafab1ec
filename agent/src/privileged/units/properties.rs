//! The properties of an app's transient unit, as far as each app has its own. Pure.
//!
//! Names and types are those of org.freedesktop.systemd1(5). What all apps have in common stands in
//! `systemd/stationd-app-.service.d/stationd.conf`. The flags of `ExecStartEx` would be handy, but
//! systemd 252 writes a unit file that it cannot read again: with the next `daemon-reload` the unit
//! would have no program any more (measured).

use crate::privileged::UnitUser;
use crate::privileged::app::recipe::Recipe;

/// What a property can be here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Texts(Vec<String>),
    Number(u64),
    /// A program, and its command line from the program's name on.
    Run(String, Vec<String>),
}

pub(super) type Properties = Vec<(&'static str, Value)>;

/// Everything that PID 1 must know of the unit of the app `name`.
pub(super) fn of_app(user: &UnitUser, recipe: &Recipe, name: &str) -> Properties {
    let environment = recipe.environment.iter().map(|(name, value)| format!("{name}={value}"));
    let program = recipe.program.display().to_string();
    let arguments = recipe.arguments.iter().map(|argument| literal(argument));
    let line = std::iter::once(program.clone()).chain(arguments).collect();
    let memory = recipe.memory_max.map(|bytes| ("MemoryMax", Value::Number(bytes)));
    let mut properties = vec![
        ("Description", Value::Text(format!("{name}, an app of stationd"))),
        ("User", Value::Text(user.name.clone())),
        ("WorkingDirectory", Value::Text(recipe.folder.display().to_string())),
        ("Environment", Value::Texts(environment.collect())),
        ("SyslogIdentifier", Value::Text(name.to_owned())),
        ("ExecStart", Value::Run(program, line)),
        // At the end of the machine apps go before the share that they write to.
        ("After", Value::Texts(vec!["stationd-mount-workspace.service".to_owned()])),
    ];
    properties.extend(memory);
    properties
}

/// Everything that PID 1 must know of the unit of the share `name`.
pub(super) fn of_warden(program: &str, folder: &str, name: &str) -> Properties {
    let words = [program, "warden", "--dir", folder];
    let line = words.map(|word| if word == folder { literal(word) } else { word.to_owned() });
    // The share goes before the network does, and after what works on it.
    let after = ["network-online.target", "remote-fs-pre.target"];
    vec![
        ("Description", Value::Text(format!("{name}, a share of stationd"))),
        ("SyslogIdentifier", Value::Text(format!("stationd-mount-{name}"))),
        ("After", Value::Texts(after.map(str::to_owned).to_vec())),
        ("ExecStart", Value::Run(program.to_owned(), line.to_vec())),
    ]
}

/// systemd.service(5), "Command lines": `$$` is a dollar sign, and a single one begins a variable.
fn literal(argument: &str) -> String {
    argument.replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_app_is_started_as_the_user_and_to_the_letter() {
        let user = UnitUser {
            name: "ada".into(),
            uid: 1000,
            gid: 1000,
            groups: vec![1000],
            home: "/home/ada".into(),
            shell: "/bin/bash".into(),
        };
        let recipe = Recipe {
            program: "/opt/lab".into(),
            arguments: vec!["--a=${HOME} %n".into()],
            environment: BTreeMap::from([("A".into(), "b c".into())]),
            folder: "/run/stationd/apps/lab".into(),
            memory_max: Some(1 << 30),
        };
        let text = |text: &str| Value::Text(text.to_owned());
        let line = ["/opt/lab", "--a=$${HOME} %n"].map(str::to_owned).to_vec();
        let expected = vec![
            ("Description", text("lab, an app of stationd")),
            ("User", text("ada")),
            ("WorkingDirectory", text("/run/stationd/apps/lab")),
            ("Environment", Value::Texts(vec!["A=b c".into()])),
            ("SyslogIdentifier", text("lab")),
            ("ExecStart", Value::Run("/opt/lab".into(), line)),
            ("After", Value::Texts(vec!["stationd-mount-workspace.service".into()])),
            ("MemoryMax", Value::Number(1 << 30)),
        ];
        assert_eq!(of_app(&user, &recipe, "lab"), expected);
    }
}
