//! All tables that a file system serves, with numbers that outlive the process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chunked::{ContentDigest, TocDigest};

use super::dispute::disputed;
use super::row::ContentRow;
use super::table::Table;
use crate::error::Error;

/// A content by the number of its table and its row there: what the kernel knows a file by.
///
/// Whoever takes the file system over knows the same tables by the same numbers, and so what each node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// The number of the table.
    pub table: u32,
    /// The row in it.
    pub row: u32,
}

/// The tables of all layers that are served, in the order in which they were added. None is ever taken away: the kernel may
/// remember any name for as long as the file system is mounted. What two of them have, they have to agree on.
#[derive(Debug, Default)]
pub struct Tables {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tables: Vec<Arc<Table>>,
    numbers: HashMap<TocDigest, u32>,
}

impl Inner {
    fn numbered(&self, toc_digest: &TocDigest) -> Option<(u32, Arc<Table>)> {
        let number = *self.numbers.get(toc_digest)?;
        Some((number, Arc::clone(self.tables.get(number as usize)?)))
    }
}

impl Tables {
    /// Adds the table of a layer, and returns its number and the table. One that was added before stays, with its number.
    pub fn add(&self, toc_digest: &TocDigest, table: Table) -> (u32, Arc<Table>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, known)) = inner.numbered(toc_digest) {
            return (number, known);
        }
        let number = u32::try_from(inner.tables.len()).unwrap_or(u32::MAX);
        let table = Arc::new(table);
        inner.tables.push(Arc::clone(&table));
        inner.numbers.insert(*toc_digest, number);
        (number, table)
    }

    /// Returns the number of a layer's table.
    pub fn number(&self, toc_digest: &TocDigest) -> Option<u32> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).numbers.get(toc_digest).copied()
    }

    /// Returns a table by its number.
    pub fn table(&self, number: u32) -> Option<Arc<Table>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.tables.get(number as usize).cloned()
    }

    /// Finds a content: in the first table that has it, so that it is always the same node.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn find(&self, digest: &ContentDigest) -> Result<Option<Node>, Error> {
        let count = self.inner.read().unwrap_or_else(PoisonError::into_inner).tables.len();
        for number in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            let Some(table) = self.table(number) else { break };
            if let Some(row) = table.find(digest)? {
                return Ok(Some(Node { table: number, row }));
            }
        }
        Ok(None)
    }

    /// Finds a content of which a table says something else than one of these does.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn dispute(&self, table: &Table) -> Result<Option<ContentDigest>, Error> {
        let known = self.inner.read().unwrap_or_else(PoisonError::into_inner).tables.clone();
        for other in known {
            if let Some(digest) = disputed(table, &other)? {
                return Ok(Some(digest));
            }
        }
        Ok(None)
    }

    /// Returns the content of a node; `None` when there is no such node.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn content(&self, node: Node) -> Result<Option<ContentRow>, Error> {
        match self.table(node.table) {
            Some(table) => table.content(node.row),
            None => Ok(None),
        }
    }
}
