//! The numbers by which the kernel names paths. Pure.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) struct Names {
    by_path: HashMap<PathBuf, u64>,
    by_number: HashMap<u64, PathBuf>,
    last: u64,
}

impl Names {
    /// With the root, whose number is 1.
    pub(crate) fn new() -> Self {
        let mut names = Self { by_path: HashMap::new(), by_number: HashMap::new(), last: 0 };
        names.number(Path::new(""));
        names
    }

    pub(crate) fn path(&self, number: u64) -> Option<PathBuf> {
        self.by_number.get(&number).cloned()
    }

    pub(crate) fn number(&mut self, path: &Path) -> u64 {
        if let Some(number) = self.by_path.get(path) {
            return *number;
        }
        self.last += 1;
        self.by_path.insert(path.to_owned(), self.last);
        self.by_number.insert(self.last, path.to_owned());
        self.last
    }

    /// A file has another name now. One that is below a folder is looked up anew.
    pub(crate) fn rename(&mut self, from: &Path, to: &Path) {
        if let Some(number) = self.by_path.remove(from) {
            self.by_path.insert(to.to_owned(), number);
            self.by_number.insert(number, to.to_owned());
        }
    }
}
