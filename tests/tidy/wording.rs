//! Words that may not stand in the repository, and what a script says in its first lines.

use crate::tree::{File, Tree};
use crate::{Violations, finds, hold};

/// Marks of unfinished work: finish it, or write it down where work is planned.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Paths that are true on one machine only.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// The file that cargo writes.
const GENERATED: &[&str] = &["Cargo.lock"];

fn left_overs(tree: &Tree) -> Violations {
    let mut violations = Vec::new();
    for file in &tree.files {
        if GENERATED.contains(&file.path.as_str()) {
            continue;
        }
        for (index, line) in file.text.lines().enumerate() {
            for word in UNFINISHED {
                if has_word(line, word) {
                    violations.push(file.at(index + 1, &format!("`{word}`: finish it or plan it")));
                }
            }
            for path in MACHINE_PATHS {
                if has_word(line, path) {
                    let message = format!("`{path}` is a path of one machine");
                    violations.push(file.at(index + 1, &message));
                }
            }
        }
    }
    violations
}

/// Whether `word` stands in `line` with no letter or digit right before or after it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let ends_open = word.ends_with('/');
        !before.is_some_and(|c| c.is_alphanumeric() || c == '}')
            && (ends_open || !after.is_some_and(char::is_alphanumeric))
    })
}

fn is_script(file: &File) -> bool {
    match file.path.rsplit_once('/') {
        Some(("scripts" | ".ci", name)) => !name.contains('.'),
        _ => false,
    }
}

fn scripts_say_how_to_use_them(tree: &Tree) -> Violations {
    let mut violations = Vec::new();
    for file in tree.files.iter().filter(|file| is_script(file)) {
        let head: Vec<_> = file.text.lines().take(25).collect();
        let comment = |word: &str| head.iter().any(|line| line.starts_with(word));
        if !head.first().is_some_and(|line| line.starts_with("#!")) {
            violations.push(file.at(1, "begin with #!, the interpreter"));
        }
        if !head.get(1).is_some_and(|line| line.starts_with("# ")) {
            violations.push(file.at(2, "say in the second line what the script does"));
        }
        if !comment("# usage: ") {
            violations.push(file.at(2, "say `# usage: ...` in the first lines"));
        }
        if !comment("# exits: ") {
            violations.push(file.at(2, "say `# exits: ...` in the first lines"));
        }
        if !file.executable {
            violations.push(file.at(1, "make it executable: chmod +x"));
        }
    }
    violations
}

#[test]
fn nothing_unfinished_and_no_machine_paths() {
    hold(left_overs);
}

#[test]
fn an_unfinished_mark_and_a_machine_path_are_found() {
    let marks = format!(
        "a {}: b\nnot{}s\nsee {}x and the frame{}y\n",
        UNFINISHED[0], UNFINISHED[0], MACHINE_PATHS[0], MACHINE_PATHS[0]
    );
    finds(
        left_overs,
        &[("README.md", &marks), ("Cargo.lock", &marks)],
        &["README.md:1", "README.md:3"],
    );
}

#[test]
fn every_script_says_how_to_use_it() {
    hold(scripts_say_how_to_use_them);
}

#[test]
fn a_script_without_usage_is_found() {
    finds(
        scripts_say_how_to_use_them,
        &[
            ("scripts/good", "#!/bin/bash\n# Does it.\n# usage: x\n# exits: 0\n"),
            ("scripts/bad", "#!/bin/bash\nset -e\n"),
            ("scripts/lib/part.sh", "x\n"),
        ],
        &["scripts/bad:2", "scripts/bad:2", "scripts/bad:2"],
    );
}
