//! The files that the rules read, and Rust text without its comments and strings.

use std::fs;
use std::path::Path;

/// A text file of the repository; `path` is relative to its root.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text without comments, strings and character literals; the same lines. Rust files only.
    pub(crate) code: String,
    pub(crate) executable: bool,
}

#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

/// Built, fetched or kept by git: not ours to judge.
const LEFT_OUT: [&str; 3] = [".git", ".cache", "target"];

impl Tree {
    pub(crate) fn of_repository() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut files = Vec::new();
        read_folder(root, "", &mut files);
        assert!(files.len() > 50, "only {} files were read", files.len());
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { files }
    }

    pub(crate) fn planted(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| File::new(path, text, true));
        Self { files: files.collect() }
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// The daemon's library and binaries.
    pub(crate) fn agent(&self) -> impl Iterator<Item = &File> {
        self.rust().filter(|file| file.path.starts_with("agent/src/"))
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl File {
    fn new(path: &str, text: &str, executable: bool) -> Self {
        let is_rust = Path::new(path).extension().is_some_and(|end| end == "rs");
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: if is_rust { code_only(text) } else { String::new() },
            executable,
        }
    }

    pub(crate) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|end| end == "rs")
    }

    /// `agent/src/jobs/queue.rs` -> `["jobs", "queue"]`; `agent/src/lib.rs` -> `["lib"]`
    pub(crate) fn module_path(&self) -> Vec<&str> {
        self.path.trim_start_matches("agent/src/").trim_end_matches(".rs").split('/').collect()
    }

    /// The code above the file's own tests.
    pub(crate) fn code_without_tests(&self) -> &str {
        self.code
            .find("\n#[cfg(test)]\nmod ")
            .map_or(self.code.as_str(), |end| self.code.get(..end).unwrap())
    }

    pub(crate) fn at(&self, line: usize, message: &str) -> String {
        format!("{}:{line}: {message}", self.path)
    }
}

fn read_folder(folder: &Path, relative: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if relative.is_empty() { name.clone() } else { format!("{relative}/{name}") };
        let kind = entry.file_type().unwrap();
        if LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            read_folder(&entry.path(), &path, files);
        } else if kind.is_file() {
            use std::os::unix::fs::PermissionsExt;
            let executable = entry.metadata().unwrap().permissions().mode() & 0o111 != 0;
            // Pictures and the like are not text and have no rules.
            if let Ok(text) = fs::read_to_string(entry.path()) {
                files.push(File::new(&path, &text, executable));
            }
        }
    }
}

/// Blanks comments, strings and character literals, and keeps every line break.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let length = literal_length(bytes, at);
        if length == 0 {
            // Multi-byte characters outside of literals are kept out too: no rule asks for them.
            out.push(if bytes[at].is_ascii() { char::from(bytes[at]) } else { ' ' });
            at += 1;
        } else {
            for byte in &bytes[at..at + length] {
                out.push(if *byte == b'\n' { '\n' } else { ' ' });
            }
            at += length;
        }
    }
    out
}

/// The length of the comment, string or character literal that begins at `at`; 0 for code.
fn literal_length(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let follows_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment_length(rest),
        [b'"', ..] => quoted_length(rest, b'"'),
        [b'r', b'"' | b'#', ..] if !follows_word => raw_string_length(rest),
        [b'\'', b'\\', ..] => quoted_length(rest, b'\''),
        // 'x' is a character; 'x without a closing quote is a lifetime.
        [b'\'', first, ..] => {
            let width = match first {
                0xF0.. => 4,
                0xE0.. => 3,
                0xC0.. => 2,
                _ => 1,
            };
            if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
        }
        _ => 0,
    }
}

fn block_comment_length(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted_length(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#` and so on; 0 for a raw identifier such as `r#type`.
fn raw_string_length(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let mut end = vec![b'"'];
    end.extend(std::iter::repeat_n(b'#', hashes));
    let body = &rest[2 + hashes..];
    body.windows(end.len())
        .position(|window| window == end)
        .map_or(rest.len(), |at| 2 + hashes + at + end.len())
}

/// `(line number from 1, column in bytes, the text after the match)` of each place where `word`
/// stands in `code` and does not begin inside of a longer word.
pub(crate) fn places<'a>(
    code: &'a str,
    word: &'a str,
) -> impl Iterator<Item = (usize, usize, &'a str)> + 'a {
    code.match_indices(word).filter_map(move |(at, _)| {
        let before = code[..at].chars().next_back();
        let inside = before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        let starts_with_word = word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if inside && starts_with_word {
            return None;
        }
        let line = code[..at].matches('\n').count() + 1;
        Some((line, at, &code[at + word.len()..]))
    })
}

#[test]
fn comments_strings_and_characters_are_blanked_and_lines_kept() {
    let text = "let a = \"x\\\"y\n\"; // tokio::\n/* a /* b */ c */ let b = r#\"q\"q\"#; let c = '\\'';\nfn f<'a>(x: &'a str) -> char { '\"' }\n";
    let code = code_only(text);
    assert_eq!(code.matches('\n').count(), text.matches('\n').count());
    assert_eq!(code.len(), text.len());
    let words: Vec<_> = code.split_whitespace().collect();
    assert_eq!(words.join(" "), "let a = ; let b = ; let c = ; fn f<'a>(x: &'a str) -> char { }");
}

#[test]
fn a_place_is_a_whole_word() {
    let lines: Vec<_> =
        places("select!{\n my_select!{ select!{", "select!").map(|(line, ..)| line).collect();
    assert_eq!(lines, [1, 2]);
}
