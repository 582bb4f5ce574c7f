use std::borrow::Borrow;
use std::collections::HashMap;

use super::compare::{Rules, compare};
use super::findings::{Field, Findings};
use crate::entry::Entry;
use crate::tar::Member;
use crate::tar_split::Paths;

/// Most rows that are remembered because their member has not come yet. Every known writer keeps the tar's order; a TOC in
/// wild disorder costs a wrong "absent" rather than memory without bound.
const MOST_AHEAD: usize = 1 << 18;

/// Compares members of a tar, as they come, with the rows of a TOC, as they come.
#[derive(Debug)]
pub struct Auditor<E, I> {
    rows: I,
    rules: Rules,
    /// Rows whose member has not come yet, with their place in the TOC.
    ahead: HashMap<String, (u64, E)>,
    taken: u64,
    paths: Paths,
    findings: Findings,
}

impl<E: Borrow<Entry>, I: Iterator<Item = E>> Auditor<E, I> {
    /// Starts at the first row and the first member.
    pub fn new(rows: impl IntoIterator<IntoIter = I>, rules: Rules) -> Self {
        Self {
            rows: rows.into_iter(),
            rules,
            ahead: HashMap::new(),
            taken: 0,
            paths: Paths::new(),
            findings: Findings::default(),
        }
    }

    /// Compares the next member with its row, and returns the row.
    pub fn member(&mut self, member: &Member) -> Option<E> {
        self.findings.members = self.findings.members.saturating_add(1);
        if !self.paths.insert(&member.name) {
            self.findings.add(&member.name, Field::Entry, "one path".into(), "named twice".into());
        }
        let row = self.row(&member.name);
        match &row {
            Some(row) => compare(row.borrow(), member, self.rules, &mut self.findings),
            None => self.findings.add(&member.name, Field::Entry, "absent".into(), "present".into()),
        }
        row
    }

    /// Ends both: rows without a member disagree.
    pub fn finish(mut self) -> Findings {
        let mut left: Vec<(u64, String)> =
            self.ahead.drain().map(|(name, (place, _))| (place, name)).collect();
        left.sort_unstable();
        for (_, name) in left {
            self.orphan(&name);
        }
        while let Some(row) = self.rows.next() {
            self.orphan(&row.borrow().name);
        }
        self.findings
    }

    fn orphan(&mut self, name: &str) {
        let (toc, tar) = match self.paths.insert(name.as_bytes()) {
            true => ("present", "absent"),
            false => ("named twice", "one path"),
        };
        self.findings.add(name.as_bytes(), Field::Entry, toc.into(), tar.into());
    }

    /// Finds the row of a name: nearly always the next one.
    fn row(&mut self, name: &[u8]) -> Option<E> {
        let known = str::from_utf8(name).ok().and_then(|name| self.ahead.remove(name));
        if let Some((_, row)) = known {
            return Some(row);
        }
        while self.ahead.len() < MOST_AHEAD {
            let row = self.rows.next()?;
            if row.borrow().name.as_bytes() == name {
                return Some(row);
            }
            self.set_aside(row);
        }
        None
    }

    fn set_aside(&mut self, row: E) {
        let name = row.borrow().name.clone();
        self.taken = self.taken.saturating_add(1);
        if self.ahead.contains_key(&name) {
            self.findings.add(name.as_bytes(), Field::Entry, "named twice".into(), "one path".into());
        } else {
            self.ahead.insert(name, (self.taken, row));
        }
    }
}
