//! Who may import whom in `agent/src`: only what stands on a lower floor (ARCHITECTURE.md, Floors).

use crate::tree::{File, Tree, places};
use crate::{Violations, finds, hold};

/// Floor and place on the floor. A module may import only modules with a lower pair; features share
/// one pair, so they never import each other.
const FLOORS: &[(&str, (u8, u8))] = &[
    ("base", (0, 0)),
    ("os", (1, 0)),
    ("store", (1, 1)),
    ("attend", (1, 2)),
    ("probe", (1, 2)),
    ("warden", (1, 3)),
    ("privileged", (1, 4)),
    ("front", (2, 0)),
    ("identity", (2, 0)),
    ("host", (2, 0)),
    ("gpu", (2, 0)),
    ("mount", (2, 0)),
    ("apps", (2, 0)),
    ("proxy", (2, 0)),
    ("jobs", (2, 0)),
    ("deployments", (2, 0)),
    ("idle", (2, 0)),
    ("ssh", (2, 0)),
    ("inventory", (2, 0)),
    ("config", (3, 0)),
    ("heartbeat", (3, 1)),
    ("metrics", (3, 1)),
    ("web", (3, 1)),
    ("lifecycle", (3, 1)),
    ("diagnose", (3, 1)),
    ("admin", (3, 2)),
    ("wiring", (4, 0)),
    ("bin", (5, 0)),
];

fn floor(module: &str) -> Option<(u8, u8)> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn imports_go_down(tree: &Tree) -> Violations {
    let mut violations = Vec::new();
    for file in tree.agent().filter(|file| file.path != "agent/src/lib.rs") {
        let module = file.module_path()[0];
        let Some(own) = floor(module) else {
            violations.push(file.at(
                1,
                &format!("module {module} has no floor: add it to FLOORS in tests/tidy/floors.rs"),
            ));
            continue;
        };
        for (line, imported) in imports(file) {
            let Some(other) = floor(&imported) else {
                continue;
            };
            if imported != module && other >= own {
                violations.push(file.at(
                    line,
                    &format!(
                        "{module} may not import {imported}: it is not on a lower floor; \
                         define an input type or trait here and map it in wiring/edges"
                    ),
                ));
            }
        }
    }
    violations
}

/// Every top-level module that the file names through `crate::`, `stationd::` or a chain of
/// `super::` that reaches the root, with its line.
fn imports(file: &File) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let roots: &[&str] =
        if file.module_path()[0] == "bin" { &["crate::", "stationd::"] } else { &["crate::"] };
    for root in roots {
        for (line, _, after) in places(&file.code, root) {
            found.extend(names(after).into_iter().map(|name| (line, name)));
        }
    }
    let to_root = "super::".repeat(file.module_path().len());
    for (line, at, after) in places(&file.code, &to_root) {
        let longer = file.code[..at].ends_with("super::") || after.starts_with("super::");
        if !longer {
            found.extend(names(after).into_iter().map(|name| (line, name)));
        }
    }
    found
}

/// The first names of what follows `crate::`: one, or those of a group `{a::x, b::{y, z}}`.
fn names(after: &str) -> Vec<String> {
    let Some(group) = after.strip_prefix('{') else {
        return vec![word(after)];
    };
    let mut names = Vec::new();
    let mut depth = 1;
    let mut expects_name = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expects_name = true,
            c if depth == 1 && expects_name && !c.is_whitespace() => {
                names.push(word(&group[at..]));
                expects_name = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

#[test]
fn imports_go_to_lower_floors_only() {
    hold(imports_go_down);
}

#[test]
fn an_import_sideways_or_upwards_is_found() {
    finds(
        imports_go_down,
        &[
            ("agent/src/lib.rs", "pub mod base;\n"),
            ("agent/src/base/ids.rs", "use crate::os::clock;\n"),
            (
                "agent/src/proxy/task.rs",
                "use crate::{\n    base::{ids, apps},\n    apps::Seen,\n};\nuse crate::proxy::route;\n",
            ),
            ("agent/src/store.rs", "// crate::jobs\nuse crate::os::file;\n"),
            ("agent/src/front.rs", "use super::identity::Session;\n"),
            ("agent/src/config.rs", "fn f(x: crate::admin::Api) {}\n"),
            ("agent/src/web.rs", "use crate::apps;\nuse crate::heartbeat;\n"),
            ("agent/src/bin/stationd.rs", "use stationd::wiring;\n"),
            ("agent/src/surprise.rs", "//! x\n"),
        ],
        &[
            "agent/src/base/ids.rs:1",
            "agent/src/proxy/task.rs:1",
            "agent/src/front.rs:1",
            "agent/src/config.rs:1",
            "agent/src/web.rs:2",
            "agent/src/surprise.rs:1",
        ],
    );
}
