//! Pure: of a tree of folders, those worth naming. "/home" says little when everything lies in one
//! folder below it; so a folder gives way to those in it as long as one of these holds most of it.

use std::collections::BinaryHeap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::By;

/// A folder gives way if one folder in it holds this share of it, in percent.
const MOST: u64 = 60;

/// The folder that the others are in.
pub(super) const ROOT: usize = 0;

#[derive(Debug)]
struct Folder {
    parent: usize,
    name: OsString,
    /// What lies in it directly.
    own: u64,
}

/// The folders, each after the one that it lies in.
#[derive(Debug)]
pub(super) struct Tree {
    by: By,
    folders: Vec<Folder>,
}

impl Tree {
    pub(super) fn new(by: By) -> Self {
        Self { by, folders: vec![Folder { parent: 0, name: OsString::new(), own: 0 }] }
    }

    pub(super) fn len(&self) -> usize {
        self.folders.len()
    }

    /// A folder in `parent`.
    pub(super) fn folder(&mut self, parent: usize, name: OsString) -> usize {
        self.folders.push(Folder { parent, name, own: 0 });
        self.folders.len() - 1
    }

    /// Something of so many bytes lies in `folder`.
    pub(super) fn add(&mut self, folder: usize, bytes: u64) {
        let amount = if self.by == By::Bytes { bytes } else { 1 };
        if let Some(folder) = self.folders.get_mut(folder) {
            folder.own = folder.own.saturating_add(amount);
        }
    }

    /// At most `most`, the largest first, as paths below `base`.
    pub(super) fn largest(&self, most: usize, base: &Path) -> Vec<(PathBuf, u64)> {
        let (whole, inside) = self.sums();
        let mut heap = BinaryHeap::from([(whole.first().copied().unwrap_or_default(), 0)]);
        let mut found = Vec::new();
        while let Some((amount, folder)) = heap.pop()
            && found.len() < most
        {
            let children = inside.get(folder).map(Vec::as_slice).unwrap_or_default();
            let sized = |child: &usize| whole.get(*child).copied().unwrap_or_default();
            let largest = children.iter().map(sized).max().unwrap_or_default();
            let gives_way = folder == 0 || largest.saturating_mul(100) >= amount * MOST;
            if gives_way && !children.is_empty() {
                heap.extend(children.iter().map(|child| (sized(child), *child)));
            } else if amount > 0 {
                found.push((self.path(folder, base), amount));
            }
        }
        found
    }

    /// What each holds with everything below it, and the folders in it.
    fn sums(&self) -> (Vec<u64>, Vec<Vec<usize>>) {
        let mut whole: Vec<u64> = self.folders.iter().map(|folder| folder.own).collect();
        let mut inside = vec![Vec::new(); self.folders.len()];
        for (place, folder) in self.folders.iter().enumerate().skip(1).rev() {
            let amount = whole.get(place).copied().unwrap_or_default();
            if let Some(parent) = whole.get_mut(folder.parent) {
                *parent = parent.saturating_add(amount);
            }
            if let Some(parent) = inside.get_mut(folder.parent) {
                parent.push(place);
            }
        }
        (whole, inside)
    }

    fn path(&self, mut folder: usize, base: &Path) -> PathBuf {
        let mut names = Vec::new();
        while let Some(one) = self.folders.get(folder).filter(|_| folder != 0) {
            names.push(&one.name);
            folder = one.parent;
        }
        names.into_iter().rev().fold(base.to_owned(), |path, name| path.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(by: By, folders: &[(usize, &str, u64)]) -> Tree {
        let mut tree = Tree::new(by);
        for (parent, name, bytes) in folders {
            let folder = tree.folder(*parent, (*name).into());
            tree.add(folder, *bytes);
        }
        tree
    }

    #[test]
    fn a_folder_gives_way_to_the_one_that_holds_most_of_it() {
        // /home/ada/data, /home/ada/.cache, /var with two halves.
        let tree = tree(
            By::Bytes,
            &[(0, "home", 1), (1, "ada", 2), (2, "data", 900), (2, ".cache", 90), (0, "var", 10)],
        );
        let with_halves = tree.largest(5, Path::new("/"));
        let expected = [("/home/ada/data", 900), ("/home/ada/.cache", 90), ("/var", 10)];
        let expected = expected.map(|(path, amount)| (PathBuf::from(path), amount));
        assert_eq!(with_halves, expected);
        assert_eq!(tree.largest(1, Path::new("/")), expected[..1]);
    }

    #[test]
    fn halves_are_named_by_their_folder() {
        let tree = tree(By::Bytes, &[(0, "var", 0), (1, "log", 50), (1, "lib", 50)]);
        assert_eq!(tree.largest(5, Path::new("/")), [(PathBuf::from("/var"), 100)]);
    }

    #[test]
    fn files_may_be_counted_instead_and_nothing_is_nothing() {
        let tree = tree(By::Entries, &[(0, "a", 9000), (0, "b", 0)]);
        assert_eq!(tree.largest(5, Path::new("/x"))[0], (PathBuf::from("/x/b"), 1));
        assert!(Tree::new(By::Bytes).largest(5, Path::new("/")).is_empty());
    }
}
