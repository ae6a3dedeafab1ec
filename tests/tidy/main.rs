//! Rules about the source itself, read from its text: who may import whom, what pure files contain,
//! sizes, documents, wording.
//!
//! One file per kind of rule. A rule is a function from the tree to its violations, so that each
//! has two tests: the repository keeps it, and a planted violation is found. All violations are
//! printed at once, as `path:line: what is wrong and what to do`.
//! What the compiler, clippy or rustfmt already holds is not repeated here.
#![cfg(test)]

mod dependencies;
mod documents;
mod floors;
mod purity;
mod seams;
mod shape;
mod tree;
mod wording;

use tree::Tree;

/// `path:line: message`
type Violations = Vec<String>;

/// Fails with every violation of `rule` in this repository.
fn hold(rule: fn(&Tree) -> Violations) {
    let violations = rule(&Tree::of_repository());
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

/// Fails unless `rule` finds exactly the violations at these places (`path:line`) in planted files.
fn finds(rule: fn(&Tree) -> Violations, files: &[(&str, &str)], places: &[&str]) {
    let violations = rule(&Tree::planted(files));
    let found: Vec<_> = violations
        .iter()
        .map(|violation| violation.split_once(": ").map_or(violation.as_str(), |(place, _)| place))
        .collect();
    assert_eq!(found, places, "{violations:#?}");
}
