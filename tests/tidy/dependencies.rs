//! Dependencies are listed once, each with the reason why it is there, and each is used.

use std::collections::BTreeSet;

use crate::tree::{File, Tree, places};
use crate::{Violations, finds, hold};

const WORKSPACE: &str = "Cargo.toml";

/// `(line from 1, name, the line above)` of every entry in the sections whose name ends in
/// `dependencies`.
fn entries(manifest: &File) -> Vec<(usize, &str, &str)> {
    let mut found = Vec::new();
    let mut inside = false;
    let mut above = "";
    for (index, line) in manifest.text.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.trim_end().ends_with("dependencies]");
        } else if inside && line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let name = line.split([' ', '=', '.']).next().unwrap_or_default();
            found.push((index + 1, name, above));
        }
        above = line;
    }
    found
}

fn members(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml"))
}

fn dependencies_have_a_reason(tree: &Tree) -> Violations {
    let mut violations = Vec::new();
    let Some(workspace) = tree.file(WORKSPACE) else {
        return vec!["Cargo.toml:1: the workspace manifest is missing".to_owned()];
    };
    let used: BTreeSet<_> = members(tree).flat_map(entries).map(|(_, name, _)| name).collect();
    for (line, name, above) in entries(workspace) {
        let is_reason = above.starts_with("# ") && !above.contains("---");
        if !is_reason {
            violations.push(workspace.at(line, &format!("say above {name} why it is there")));
        }
        if !used.contains(name) {
            violations.push(workspace.at(line, &format!("no package uses {name}: remove it")));
        }
    }
    for manifest in members(tree) {
        for (line, name, _) in entries(manifest) {
            let text = manifest.text.lines().nth(line - 1).unwrap_or_default();
            if !text.contains("workspace = true") && !text.contains(".workspace") {
                let message = format!("{name}: write the version in the workspace manifest");
                violations.push(manifest.at(line, &message));
            }
        }
    }
    violations
}

/// Every dependency that a package names appears in its code.
fn dependencies_are_used(tree: &Tree) -> Violations {
    let mut violations = Vec::new();
    for manifest in members(tree) {
        let folder = manifest.path.trim_end_matches("Cargo.toml");
        for (line, name, _) in entries(manifest) {
            let word = name.replace('-', "_");
            let used = tree.rust().any(|file| {
                file.path.starts_with(folder) && places(&file.code, &word).next().is_some()
            });
            if !used {
                violations.push(manifest.at(line, &format!("{name} is not used here: remove it")));
            }
        }
    }
    violations
}

#[test]
fn every_dependency_has_a_reason_and_one_version() {
    hold(dependencies_have_a_reason);
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    finds(
        dependencies_have_a_reason,
        &[
            (
                "Cargo.toml",
                "[workspace.dependencies]\n# the runtime\ntokio = \"1\"\nserde = \"1\"\n# for nobody\nlost = \"1\"\n[profile.dev]\ndebug = 1\n",
            ),
            (
                "agent/Cargo.toml",
                "[dependencies]\ntokio.workspace = true\nserde = { workspace = true }\nown = \"2\"\n",
            ),
        ],
        &["Cargo.toml:4", "Cargo.toml:6", "agent/Cargo.toml:4"],
    );
}

#[test]
fn every_dependency_is_used() {
    hold(dependencies_are_used);
}

#[test]
fn an_unused_dependency_is_found() {
    finds(
        dependencies_are_used,
        &[
            (
                "agent/Cargo.toml",
                "[dependencies]\nhttp-body.workspace = true\nbytes.workspace = true\n",
            ),
            ("agent/src/lib.rs", "use http_body::Body; // bytes\n"),
        ],
        &["agent/Cargo.toml:3"],
    );
}
