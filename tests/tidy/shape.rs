//! Sizes, file names and the opening comment: what keeps a file readable in one sitting.

use std::collections::BTreeMap;

use crate::tree::Tree;
use crate::{Violations, finds, hold};

const LINES_MAX: usize = 500;
const BIN_LINES_MAX: usize = 120;
const FOLDER_FILES_MAX: usize = 9;
const COVER_LINES_MAX: usize = 60;

/// The roots of the packages: their lists of modules are the table of contents.
const ROOTS: &[&str] = &["agent/src", "proto/src", "tests/src"];

/// One small file for each producer and consumer: the list itself is what is read.
const LISTS: &[&str] = &["agent/src/wiring/edges"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "manager", "helper", "helpers", "misc"];

fn files_are_short(tree: &Tree) -> Violations {
    let mut violations = Vec::new();
    for file in tree.rust() {
        let lines = file.text.lines().count();
        let max = if file.path.starts_with("agent/src/bin/") { BIN_LINES_MAX } else { LINES_MAX };
        if lines > max {
            violations.push(file.at(
                max + 1,
                &format!(
                    "{lines} lines, {max} at most: move a part (or the tests) to its own file"
                ),
            ));
        }
    }
    violations
}

fn folders_fit_on_a_screen(tree: &Tree) -> Violations {
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for file in tree.rust() {
        if let Some((folder, _)) = file.path.rsplit_once('/') {
            *folders.entry(folder).or_default() += 1;
        }
    }
    folders
        .into_iter()
        .filter(|(folder, files)| {
            *files > FOLDER_FILES_MAX && !ROOTS.contains(folder) && !LISTS.contains(folder)
        })
        .map(|(folder, files)| {
            format!("{folder}:1: {files} files, {FOLDER_FILES_MAX} at most: group some in a folder")
        })
        .collect()
}

fn files_open_with_a_cover(tree: &Tree) -> Violations {
    let mut violations = Vec::new();
    for file in tree.rust() {
        let cover: Vec<_> = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
        let says_something =
            cover.first().is_some_and(|line| line.trim_start_matches("//!").trim().len() >= 10);
        if !says_something {
            violations.push(file.at(1, "open the file with //!: what it is, why, what it is not"));
        }
        if cover.len() > COVER_LINES_MAX {
            violations.push(file.at(
                COVER_LINES_MAX + 1,
                "the opening comment is longer than a screen: move a part to ARCHITECTURE.md",
            ));
        }
    }
    violations
}

fn names_say_what_is_inside(tree: &Tree) -> Violations {
    let mut violations = Vec::new();
    for file in tree.rust() {
        let stem = file.path.rsplit('/').next().unwrap_or_default();
        let stem = stem.trim_end_matches(".rs");
        if stem == "mod" {
            violations.push(file.at(1, "no mod.rs: foo.rs stands beside the folder foo"));
        }
        if file.path.split(['/', '.']).any(|part| EMPTY_NAMES.contains(&part)) {
            violations.push(file.at(1, "the name says nothing: name what is inside"));
        }
    }
    violations
}

#[test]
fn files_are_short_enough() {
    hold(files_are_short);
}

#[test]
fn a_long_file_is_found() {
    let long = "x\n".repeat(LINES_MAX + 1);
    let long_bin = "x\n".repeat(BIN_LINES_MAX + 1);
    finds(
        files_are_short,
        &[
            ("agent/src/a.rs", &long),
            ("agent/src/bin/b.rs", &long_bin),
            ("agent/src/c.rs", &long_bin),
        ],
        &["agent/src/a.rs:501", "agent/src/bin/b.rs:121"],
    );
}

#[test]
fn folders_have_few_enough_files() {
    hold(folders_fit_on_a_screen);
}

#[test]
fn a_crowded_folder_is_found() {
    let names: Vec<_> = (0..=FOLDER_FILES_MAX).map(|n| format!("agent/src/apps/f{n}.rs")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    finds(folders_fit_on_a_screen, &files, &["agent/src/apps:1"]);
    finds(folders_fit_on_a_screen, &files[1..], &[]);
}

#[test]
fn every_file_says_what_it_is() {
    hold(files_open_with_a_cover);
}

#[test]
fn a_file_without_an_opening_comment_is_found() {
    finds(
        files_open_with_a_cover,
        &[
            ("agent/src/a.rs", "use std::fs;\n"),
            ("agent/src/b.rs", "//! x\n"),
            ("agent/src/c.rs", "//! What the kernel says about memory.\n"),
        ],
        &["agent/src/a.rs:1", "agent/src/b.rs:1"],
    );
}

#[test]
fn files_have_telling_names() {
    hold(names_say_what_is_inside);
}

#[test]
fn an_empty_name_and_a_mod_rs_are_found() {
    finds(
        names_say_what_is_inside,
        &[
            ("agent/src/apps/mod.rs", ""),
            ("agent/src/utils.rs", ""),
            ("tests/src/common/x.rs", ""),
            ("agent/src/model.rs", ""),
        ],
        &["agent/src/apps/mod.rs:1", "agent/src/utils.rs:1", "tests/src/common/x.rs:1"],
    );
}
