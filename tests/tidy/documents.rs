//! The documents agree with the tree: links lead somewhere, promises name a test that exists.

use crate::tree::{File, Tree};
use crate::{Violations, finds, hold};

const SPECIFICATION: &str = "SPECIFICATION.md";

fn links_lead_somewhere(tree: &Tree) -> Violations {
    let mut violations = Vec::new();
    for file in tree.files.iter().filter(|file| is_markdown(file)) {
        for (line, target) in links(&file.text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = resolve(&file.path, path);
            if !exists(tree, &path) {
                violations.push(file.at(line, &format!("nothing is at {target}")));
            } else if let Some(linked) = tree.file(&path)
                && !anchor.is_empty()
                && is_markdown(linked)
                && !anchors(&linked.text).contains(&anchor.to_owned())
            {
                violations.push(file.at(line, &format!("{path} has no heading #{anchor}")));
            }
        }
    }
    violations
}

fn is_markdown(file: &File) -> bool {
    file.path.to_lowercase().ends_with(".md")
}

fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{path}/");
    path.is_empty()
        || tree.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
}

/// `[text](target)`, outside of code blocks.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if in_block {
            continue;
        }
        for part in line.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                found.push((index + 1, target));
            }
        }
    }
    found
}

/// `path` as seen from the file `from`; an empty one is the file itself.
fn resolve(from: &str, path: &str) -> String {
    if path.is_empty() {
        return from.to_owned();
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors that a page gives its headings: lower case, blanks as hyphens, no punctuation.
fn anchors(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter_map(|c| match c {
                    ' ' => Some('-'),
                    c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                    _ => None,
                })
                .collect()
        })
        .collect()
}

/// Each row of the specification, `| number | promise | held by |`, names in its last cell what
/// holds the promise: `path::test`, `path` or `script argument`, or says `[pending]`.
fn promises_are_held(tree: &Tree) -> Violations {
    let Some(file) = tree.file(SPECIFICATION) else {
        return vec![format!("{SPECIFICATION}:1: the specification is missing")];
    };
    let mut violations = Vec::new();
    let mut last_number = 0;
    for (index, line) in file.text.lines().enumerate() {
        let cells: Vec<_> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let Some(Ok(number)) = cells.first().map(|cell| cell.parse::<u32>()) else {
            continue;
        };
        if number <= last_number {
            violations.push(file.at(index + 1, "the numbers must rise"));
        }
        last_number = number;
        let held_by = cells.last().copied().unwrap_or_default();
        let names: Vec<_> = held_by.split('`').skip(1).step_by(2).collect();
        if names.is_empty() && !held_by.contains("[pending]") {
            violations.push(file.at(index + 1, "name the test that holds this, or [pending]"));
        }
        for name in names {
            if let Some(problem) = missing_test(tree, name) {
                violations.push(file.at(index + 1, &problem));
            }
        }
    }
    if last_number == 0 {
        violations.push(file.at(1, "no numbered promise was found"));
    }
    violations
}

/// Why `name` holds nothing: no such file, or no such test in it.
fn missing_test(tree: &Tree, name: &str) -> Option<String> {
    let path = name.split([':', ' ']).next().unwrap_or_default();
    let Some(file) = tree.file(path) else {
        return Some(format!("there is no file {path}"));
    };
    let (_, test) = name.split_once("::")?;
    let signature = format!("fn {test}(");
    let is_test =
        file.text.split_once(&signature).is_some_and(|(before, _)| attributes_name_a_test(before));
    (!is_test).then(|| format!("{path} has no test called {test}"))
}

/// Whether the attributes at the end of `before` (the text up to a function) mark a test.
/// Functions inside of `proptest!` have the attribute too.
fn attributes_name_a_test(before: &str) -> bool {
    before
        .lines()
        .rev()
        .take(6)
        .any(|line| line.trim().starts_with("#[test]") || line.trim().starts_with("#[tokio::test"))
}

#[test]
fn every_link_leads_somewhere() {
    hold(links_lead_somewhere);
}

#[test]
fn a_broken_link_is_found() {
    finds(
        links_lead_somewhere,
        &[
            (
                "README.md",
                "# Top\n[a](ARCHITECTURE.md#a-b-c) [b](gone.md)\n[c](#nowhere) [d](agent/src)\n```\n[e](code)\n```\n",
            ),
            ("ARCHITECTURE.md", "## A `b`, c\n[up](../x)\n"),
            ("agent/src/lib.rs", ""),
        ],
        &["README.md:2", "README.md:3", "ARCHITECTURE.md:2"],
    );
}

#[test]
fn every_promise_names_its_test() {
    hold(promises_are_held);
}

#[test]
fn a_promise_without_a_test_is_found() {
    finds(
        promises_are_held,
        &[
            (
                "SPECIFICATION.md",
                "| n | promise | held by |\n|---|---|---|\n| 1 | a | `agent/src/a.rs::holds` |\n| 2 | b | `agent/src/a.rs::gone` |\n| 3 | c | [pending] |\n| 4 | d | hope |\n| 5 | e | `scripts/bench footprint` |\n| 5 | f | `agent/src/a.rs::not_a_test` |\n",
            ),
            ("agent/src/a.rs", "#[test]\nfn holds() {}\n\n\n\n\n\n\nfn not_a_test() {}\n"),
            ("scripts/bench", ""),
        ],
        &["SPECIFICATION.md:4", "SPECIFICATION.md:6", "SPECIFICATION.md:8", "SPECIFICATION.md:8"],
    );
}
