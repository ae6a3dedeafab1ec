//! Takes typed values out of the tree and collects every mistake instead of stopping at the
//! first. Pure.

pub(super) mod tree;

use std::cell::RefCell;

use station_proto::api::Mistake;

use super::schema;
use tree::{Node, Spot, Table, Value};

/// All mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Mistakes {
    found: RefCell<Vec<Mistake>>,
    /// The keys that were asked for: a test compares them with the schema.
    asked: RefCell<Vec<String>>,
}

impl Mistakes {
    pub(super) fn add(&self, at: &Spot, field: &str, problem: String, remedy: String) {
        self.found.borrow_mut().push(Mistake {
            file: at.file.to_string(),
            line: at.line,
            field: field.to_owned(),
            problem,
            remedy,
        });
    }

    pub(super) fn into_vec(self) -> Vec<Mistake> {
        self.found.into_inner()
    }

    #[cfg(test)]
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }
}

/// A value with the place it was found at, for checks that come later.
#[derive(Debug, Clone)]
pub(super) struct Found<'a, T> {
    pub(super) value: T,
    pub(super) at: Spot,
    pub(super) field: String,
    mistakes: &'a Mistakes,
}

impl<'a, T> Found<'a, T> {
    /// A value that stands in no file.
    pub(super) fn new(value: T, at: Spot, field: &str, mistakes: &'a Mistakes) -> Self {
        Self { value, at, field: field.to_owned(), mistakes }
    }

    /// Says what is wrong with the value, and what to do.
    pub(super) fn wrong(&self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.add(&self.at, &self.field, problem.into(), remedy.into());
    }

    pub(super) fn with<U>(&self, value: U) -> Found<'a, U> {
        Found { value, at: self.at.clone(), field: self.field.clone(), mistakes: self.mistakes }
    }
}

/// Reads one table.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    table: Option<&'a Table>,
    path: String,
    /// Where the table begins; `None` if there is none.
    at: Option<Spot>,
    mistakes: &'a Mistakes,
}

impl<'a> Reader<'a> {
    pub(super) fn root(table: &'a Table, mistakes: &'a Mistakes) -> Self {
        Self { table: Some(table), path: String::new(), at: None, mistakes }
    }

    /// The table `name`, or an empty one.
    pub(super) fn part(&self, name: &str) -> Self {
        let node = self.node(name);
        let table = node.and_then(|(node, field)| match &node.value {
            Value::Table(table) => Some(table),
            other => {
                self.wrong_type(node, &field, other, &format!("a table: write [{field}]"));
                None
            }
        });
        Self {
            table,
            path: self.field(name),
            at: node_spot(self.table, name),
            mistakes: self.mistakes,
        }
    }

    /// The tables `[[name]]`; `None` if the key is absent.
    pub(super) fn tables(&self, name: &str) -> Option<Vec<Self>> {
        let (node, field) = self.node(name)?;
        let Value::List(items) = &node.value else {
            let wanted = format!("a list of tables: write [[{field}]]");
            self.wrong_type(node, &field, &node.value, &wanted);
            return Some(Vec::new());
        };
        let mut readers = Vec::new();
        for item in items {
            if let Value::Table(table) = &item.value {
                readers.push(Self {
                    table: Some(table),
                    path: field.clone(),
                    at: Some(item.spot.clone()),
                    mistakes: self.mistakes,
                });
            } else {
                let wanted = format!("a table: write [[{field}]]");
                self.wrong_type(item, &field, &item.value, &wanted);
            }
        }
        Some(readers)
    }

    /// Whether the key is there, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    pub(super) fn is_list(&self, key: &str) -> bool {
        self.node(key).is_some_and(|(node, _)| matches!(node.value, Value::List(_)))
    }

    /// Something is wrong with a key as a whole.
    pub(super) fn wrong(&self, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        if let Some((node, field)) = self.node(key) {
            self.mistakes.add(&node.spot, &field, problem.into(), remedy.into());
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<Found<'a, String>> {
        let (node, field) = self.node(key)?;
        self.as_text(node, &field)
    }

    /// A text that must be there.
    pub(super) fn text_required(&self, key: &str, remedy: &str) -> Option<Found<'a, String>> {
        if self.table.is_some_and(|table| table.get(key).is_none())
            && let Some(at) = &self.at
        {
            let field = self.field(key);
            self.mistakes.add(at, &field, "is missing".into(), remedy.into());
        }
        self.text(key)
    }

    pub(super) fn texts(&self, key: &str) -> Option<Vec<Found<'a, String>>> {
        let (node, field) = self.node(key)?;
        let Value::List(items) = &node.value else {
            self.wrong_type(node, &field, &node.value, "a list of texts: [\"…\"]");
            return None;
        };
        let texts = items.iter().filter_map(|item| self.as_text(item, &field));
        Some(texts.collect())
    }

    pub(super) fn integer(&self, key: &str, from: i64, to: i64) -> Option<Found<'a, i64>> {
        let (node, field) = self.node(key)?;
        let Value::Integer(number) = node.value else {
            let wanted = format!("a whole number from {from} to {to}");
            self.wrong_type(node, &field, &node.value, &wanted);
            return None;
        };
        let found = self.found(node, &field, number);
        if let Some(number) = number.filter(|number| (from..=to).contains(number)) {
            return Some(found.with(number));
        }
        let remedy = format!("use a whole number from {from} to {to}");
        found.wrong("is out of range", remedy);
        None
    }

    /// Several of them.
    pub(super) fn integers(&self, key: &str, from: i64, to: i64) -> Option<Vec<Found<'a, i64>>> {
        let (node, field) = self.node(key)?;
        let Value::List(items) = &node.value else {
            self.wrong_type(node, &field, &node.value, "a list of whole numbers: [1, 2]");
            return None;
        };
        let mut numbers = Vec::new();
        for item in items {
            match item.value {
                Value::Integer(Some(number)) if (from..=to).contains(&number) => {
                    numbers.push(self.found(item, &field, number));
                }
                _ => {
                    let remedy = format!("use whole numbers from {from} to {to}");
                    self.mistakes.add(&item.spot, &field, "holds no such number".into(), remedy);
                    return None;
                }
            }
        }
        Some(numbers)
    }

    pub(super) fn flag(&self, key: &str) -> Option<Found<'a, bool>> {
        let (node, field) = self.node(key)?;
        let Value::Flag(flag) = node.value else {
            self.wrong_type(node, &field, &node.value, "true or false, without quotes");
            return None;
        };
        Some(self.found(node, &field, flag))
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<Found<'a, T>> {
        let found = self.text(key)?;
        let choice = words.iter().find(|(word, _)| *word == found.value);
        if let Some((_, value)) = choice {
            return Some(found.with(*value));
        }
        let list: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let use_one = if list.len() == 1 { "use" } else { "use one of" };
        found.wrong(
            format!("{:?} is not a known word", found.value),
            format!("{use_one} {}", list.join(", ")),
        );
        None
    }

    fn as_text(&self, node: &Node, field: &str) -> Option<Found<'a, String>> {
        match &node.value {
            Value::Text(text) => Some(self.found(node, field, text.clone())),
            other => {
                self.wrong_type(node, field, other, "text in quotes");
                None
            }
        }
    }

    fn found<T>(&self, node: &Node, field: &str, value: T) -> Found<'a, T> {
        Found { value, at: node.spot.clone(), field: field.to_owned(), mistakes: self.mistakes }
    }

    fn wrong_type(&self, node: &Node, field: &str, seen: &Value, wanted: &str) {
        let problem = format!("is {}", seen.word());
        self.mistakes.add(&node.spot, field, problem, format!("it must be {wanted}"));
    }

    fn field(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn node(&self, key: &str) -> Option<(&'a Node, String)> {
        let field = self.field(key);
        debug_assert!(schema::known(&field), "{field} is not in the schema");
        self.mistakes.asked.borrow_mut().push(field.clone());
        Some((self.table?.get(key)?, field))
    }
}

fn node_spot(table: Option<&Table>, key: &str) -> Option<Spot> {
    Some(table?.get(key)?.spot.clone())
}
