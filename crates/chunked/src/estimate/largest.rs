//! The files that take the most.

use std::cmp::Reverse;

use serde::Serialize;

use super::kind::Kind;

/// Most files that are listed.
pub const LARGEST_MAX: usize = 10;

/// The files that take the most bytes to fetch, at most [`LARGEST_MAX`] of them, the largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Largest(Vec<Missing>);

/// A file that has to be fetched, all of it or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The name in the TOC.
    pub path: String,
    /// Why.
    pub kind: Kind,
    /// Compressed bytes of what is missing.
    pub fetch_len: u64,
}

impl Largest {
    /// Lists the files.
    pub fn files(&self) -> &[Missing] {
        &self.0
    }

    pub(super) fn offer(&mut self, path: &str, kind: Kind, fetch_len: u64) {
        let least = self.0.get(LARGEST_MAX - 1).map_or(0, |last| last.fetch_len);
        if fetch_len > least {
            self.add(Missing { path: path.to_owned(), kind, fetch_len });
        }
    }

    /// Adds those of another layer.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().cloned().for_each(|file| self.add(file));
    }

    /// Puts a file after those that take as much.
    fn add(&mut self, file: Missing) {
        let place = self.0.partition_point(|other| Reverse(other.fetch_len) <= Reverse(file.fetch_len));
        self.0.insert(place, file);
        self.0.truncate(LARGEST_MAX);
    }
}
