//! Pure: a file of the configuration for readers outside of the machine. What stationd knows to be no secret
//! is kept; comments, unknown keys and the arguments of programs are not, since anything may stand there.

use toml::{Table, Value};

use crate::base::text::scrub;
use crate::config::schema;

/// `None` if it cannot be read: then nothing of it is known to be harmless.
pub(super) fn shown(text: &str) -> Option<String> {
    let mut all: Table = toml::from_str(text).ok()?;
    table(&mut all, "");
    let shown = toml::to_string_pretty(&all).ok()?;
    Some(format!("# Comments and whatever may be a secret were taken out.\n{shown}"))
}

fn table(all: &mut Table, above: &str) {
    for (name, found) in all.iter_mut() {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        match found {
            Value::Table(inner) if above.is_empty() => table(inner, &path),
            Value::Array(items) if above.is_empty() && items.iter().all(Value::is_table) => {
                for item in items {
                    if let Value::Table(inner) = item {
                        table(inner, &path);
                    }
                }
            }
            found if schema::KEYS.iter().any(|key| key.path == path) => known(found, &path),
            found => *found = scrub::GONE.into(),
        }
    }
}

fn known(found: &mut Value, path: &str) {
    match found {
        Value::String(text) => *text = shown_text(text),
        Value::Array(items) => {
            // The first word of a command is its program.
            let arguments = if path == "app.command" { 1 } else { usize::MAX };
            for (at, item) in items.iter_mut().enumerate() {
                match item {
                    Value::String(text) if at < arguments => *text = shown_text(text),
                    Value::Integer(_) | Value::Boolean(_) => {}
                    item => *item = scrub::GONE.into(),
                }
            }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => {}
        found => *found = scrub::GONE.into(),
    }
}

/// An address may carry a key in its query.
fn shown_text(text: &str) -> String {
    let text = scrub::text(text);
    match text.split_once('?') {
        Some((before, _)) => format!("{before}?{}", scrub::GONE),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_stays_and_what_may_be_a_secret_goes() {
        let text = "# hunter2\n[instance]\nname = 'one' # hunter2\nhunter = 'hunter2'\n\
                    [[app]]\nname = 'board'\nkind = 'custom'\nports = [8501]\n\
                    command = ['/usr/bin/board', '--key', 'hunter2', 'hunter2']\n\
                    [[mount]]\nname = 'w'\ncredential = '/etc/stationd/share.key'\n\
                    endpoint = 'https://a:hunter2@b.c/d?se=1&x=hunter2'\n[other]\nx = 'hunter2'\n";
        let shown = shown(text).unwrap();
        assert!(!shown.contains("hunter2"), "{shown}");
        for kept in ["name = \"one\"", "/usr/bin/board", "8501", "/etc/stationd/share.key", "b.c/d"]
        {
            assert!(shown.contains(kept), "{kept} is not in {shown}");
        }
        assert_eq!(super::shown("password = hunter2"), None);
    }
}
