//! TOML files as one tree in which every value knows its file and line. Pure.
//!
//! Later files override single values and add to lists of tables (`[[app]]`). A file with a
//! syntax error gives its mistakes and what could be read of it; it hides no other file.

use std::sync::Arc;

use station_proto::api::Mistake;
use toml::de::{DeTable, DeValue};

/// Syntax errors shown of one file: one missing quote can cause hundreds.
const SYNTAX_SHOWN: usize = 5;

/// One configuration file, as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path, as it is shown.
    pub name: String,
    pub text: String,
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Spot {
    pub(in crate::config) file: Arc<str>,
    /// Counted from 1; `None` for what stands in no file line.
    pub(in crate::config) line: Option<usize>,
}

#[derive(Debug, Clone)]
pub(in crate::config) struct Node {
    pub(in crate::config) spot: Spot,
    pub(in crate::config) value: Value,
}

#[derive(Debug, Clone)]
pub(in crate::config) enum Value {
    Text(String),
    /// `None` for a number that does not fit.
    Integer(Option<i64>),
    List(Vec<Node>),
    Table(Table),
    Flag(bool),
    /// A decimal number or a date: no key takes one yet. The word for it.
    Other(&'static str),
}

/// Keys in the order of the files.
#[derive(Debug, Clone, Default)]
pub(in crate::config) struct Table(pub(in crate::config) Vec<(String, Node)>);

/// What the files say together.
#[derive(Debug, Default)]
pub(in crate::config) struct Tree {
    pub(in crate::config) root: Table,
    /// Syntax errors.
    pub(in crate::config) mistakes: Vec<Mistake>,
    /// Parts (top-level tables) that a syntax error may have damaged.
    pub(in crate::config) damaged: Vec<String>,
}

impl Table {
    pub(in crate::config) fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    fn merge(&mut self, later: Self) {
        for (key, node) in later.0 {
            match self.0.iter_mut().find(|(name, _)| *name == key) {
                Some((_, earlier)) => earlier.merge(node),
                None => self.0.push((key, node)),
            }
        }
    }
}

impl Node {
    fn merge(&mut self, later: Self) {
        match (&mut self.value, later.value) {
            (Value::Table(earlier), Value::Table(table)) => earlier.merge(table),
            (Value::List(earlier), Value::List(more)) if of_tables(earlier) && of_tables(&more) => {
                earlier.extend(more);
            }
            (_, value) => {
                self.value = value;
                self.spot = later.spot;
            }
        }
    }
}

fn of_tables(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| matches!(node.value, Value::Table(_)))
}

impl Value {
    /// How a message calls it.
    pub(in crate::config) fn word(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "a number",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Flag(_) => "true or false",
            Self::Other(word) => word,
        }
    }
}

/// Reads the files in their order into one tree.
pub(in crate::config) fn read(sources: &[Source]) -> Tree {
    let mut tree = Tree::default();
    for source in sources {
        let file = File { name: source.name.as_str().into(), text: &source.text };
        let (document, errors) = DeTable::parse_recoverable(&source.text);
        let mut table = file.table(document.get_ref());
        if !errors.is_empty() {
            let starts = errors.iter().map(|error| error.span().map_or(0, |span| span.start));
            let damaged = file.damaged(&table, starts);
            // What is left of a damaged part would be blamed for what it lost.
            table.0.retain(|(part, _)| !damaged.contains(part));
            if damaged.iter().any(String::is_empty) {
                table.0.clear();
            }
            tree.damaged.extend(damaged);
        }
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            let mistake = file.syntax_mistake(at, error.message());
            let of_file = tree.mistakes.iter().filter(|m| m.file == mistake.file);
            let same_line = of_file.clone().any(|m| m.line == mistake.line);
            if !same_line && of_file.count() < SYNTAX_SHOWN {
                tree.mistakes.push(mistake);
            }
        }
        tree.root.merge(table);
    }
    tree
}

/// The part that a line such as `[listen]` or `[[app]]` begins.
fn heading(line: &str) -> Option<&str> {
    let name = line.trim_start().strip_prefix('[')?.trim_start_matches('[');
    let name = name.trim_start();
    let end = name.find([']', '.', ' ', '#']).unwrap_or(name.len());
    name.get(..end)
}

/// A file while it is read.
struct File<'a> {
    name: Arc<str>,
    text: &'a str,
}

impl File<'_> {
    fn before(&self, offset: usize) -> &str {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.get(..end).unwrap_or_default()
    }

    fn line(&self, offset: usize) -> usize {
        self.before(offset).matches('\n').count() + 1
    }

    fn spot(&self, offset: usize) -> Spot {
        Spot { file: Arc::clone(&self.name), line: Some(self.line(offset)) }
    }

    fn syntax_mistake(&self, offset: usize, message: &str) -> Mistake {
        let before = self.before(offset);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let part = self.part_at(offset);
        Mistake {
            file: self.name.to_string(),
            line: Some(self.line(offset)),
            field: part,
            problem: format!("not valid TOML at column {column}: {}", message.replace('\n', ", ")),
            remedy: "correct the line; https://toml.io shows the form".into(),
        }
    }

    /// The part whose heading stands last before `offset`; empty before the first heading.
    fn part_at(&self, offset: usize) -> String {
        let headings = self.text.lines().take(self.line(offset)).filter_map(heading);
        headings.last().unwrap_or_default().to_owned()
    }

    /// The parts that syntax errors at `starts` stand in, and those they have swallowed.
    fn damaged(&self, table: &Table, starts: impl Iterator<Item = usize>) -> Vec<String> {
        let mut damaged: Vec<String> = starts.map(|at| self.part_at(at)).collect();
        let headings = self.text.lines().filter_map(heading);
        let swallowed = headings.filter(|part| table.get(part).is_none());
        damaged.extend(swallowed.map(str::to_owned));
        damaged
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        let entries = table.iter().map(|(key, value)| {
            let node =
                Node { spot: self.spot(key.span().start), value: self.value(value.get_ref()) };
            (key.get_ref().clone().into_owned(), node)
        });
        Table(entries.collect())
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Integer(number) => {
                Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Array(items) => {
                let items = items.iter().map(|item| Node {
                    spot: self.spot(item.span().start),
                    value: self.value(item.get_ref()),
                });
                Value::List(items.collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
            DeValue::Float(_) => Value::Other("a decimal number"),
            DeValue::Datetime(_) => Value::Other("a date"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(texts: &[&str]) -> Tree {
        let sources: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(at, text)| Source { name: format!("{at}.toml"), text: (*text).to_owned() })
            .collect();
        read(&sources)
    }

    fn shown(table: &Table) -> String {
        let entries = table.0.iter().map(|(key, node)| format!("{key}={}", show(node)));
        entries.collect::<Vec<_>>().join(" ")
    }

    fn show(node: &Node) -> String {
        let value = match &node.value {
            Value::Text(text) => text.clone(),
            Value::Integer(number) => format!("{number:?}"),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(show).collect();
                format!("[{}]", items.join(","))
            }
            Value::Table(table) => format!("{{{}}}", shown(table)),
            Value::Flag(_) => "true or false".to_owned(),
            Value::Other(word) => (*word).to_owned(),
        };
        let file = node.spot.file.trim_end_matches(".toml");
        format!("{value}@{file}:{}", node.spot.line.unwrap_or_default())
    }

    #[test]
    fn every_value_knows_its_line() {
        let text = "a = 1\n[listen]\n# comment\nhosts = [\n  'x',\n  'y' ]\n\n\
                    [[app]]\nname = 'n'\n[[app]]\nb = true\n";
        assert_eq!(
            shown(&tree(&[text]).root),
            "a=Some(1)@0:1 app=[{name=n@0:9}@0:8,{b=true or false@0:11}@0:10]@0:8 \
             listen={hosts=[x@0:5,y@0:6]@0:4}@0:2"
        );
    }

    #[test]
    fn later_files_override_values_and_add_tables() {
        let first = "[listen]\naddress = 'a'\nhosts = ['h']\n[[app]]\nname = 'one'";
        let second = "[[app]]\nname = 'two'\n[listen]\nhosts = ['i']\ntls = 't'";
        assert_eq!(
            shown(&tree(&[first, second]).root),
            "app=[{name=one@0:5}@0:4,{name=two@1:2}@1:1]@0:4 \
             listen={address=a@0:2 hosts=[i@1:4]@1:4 tls=t@1:5}@0:1"
        );
    }

    #[test]
    fn a_syntax_error_names_line_column_and_part_and_hides_no_other_file() {
        let both = tree(&["[log]\nlevel = 'info'\n[listen]\naddress = = 1\n", "[log]\nx = 1"]);
        let mistake = both.mistakes.first().unwrap();
        assert_eq!((mistake.file.as_str(), mistake.line), ("0.toml", Some(4)));
        assert_eq!(mistake.field, "listen");
        assert!(mistake.problem.contains("column"), "{}", mistake.problem);
        assert_eq!(both.damaged.first().unwrap(), "listen");
        assert!(shown(&both.root).contains("x=Some(1)@1:2"));
    }

    #[test]
    fn many_syntax_errors_are_cut() {
        assert_eq!(tree(&[&"= 1\n".repeat(100)]).mistakes.len(), SYNTAX_SHOWN);
    }

    #[test]
    fn numbers_that_do_not_fit_are_kept_as_such() {
        assert_eq!(
            shown(&tree(&["a = 99999999999999999999\nb = 1.5\nc = 0x1F"]).root),
            "a=None@0:1 b=a decimal number@0:2 c=Some(31)@0:3"
        );
    }
}
