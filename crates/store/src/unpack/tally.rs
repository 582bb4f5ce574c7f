//! What one thread has done; all together are the report.

use std::collections::BTreeMap;

use super::report::{Amount, Reason, Report, Skipped};
use crate::tree::{Kind, Tree};

/// Things left out that are named, for each reason.
const MOST_NAMED: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) cloned: Amount,
    pub(super) copied: Amount,
    skipped: BTreeMap<Reason, (u64, Vec<String>)>,
    skipped_devices: u64,
}

impl Tally {
    /// Notes that something was left out; `what` is only called if it will be named.
    pub(super) fn skip(&mut self, reason: Reason, what: impl FnOnce() -> String) {
        let (count, first) = self.skipped.entry(reason).or_default();
        *count = count.saturating_add(1);
        if first.len() < MOST_NAMED {
            first.push(what());
        }
        self.skipped_devices += u64::from(reason == Reason::DeviceNotPermitted);
    }

    pub(super) fn merge(mut self, other: Self) -> Self {
        self.cloned.merge(other.cloned);
        self.copied.merge(other.copied);
        self.skipped_devices += other.skipped_devices;
        for (reason, (count, named)) in other.skipped {
            let (sum, first) = self.skipped.entry(reason).or_default();
            *sum = sum.saturating_add(count);
            first.extend(named);
            // Threads meet files in any order; the report does not.
            first.sort();
            first.truncate(MOST_NAMED);
        }
        self
    }

    /// Says what was made of a tree.
    pub(super) fn report(mut self, tree: &Tree) -> Report {
        let dropped = tree.dropped();
        for (path, name) in &dropped.first {
            self.skip(Reason::OverlayAttribute, || format!("{path} {name}"));
        }
        if let Some((count, _)) = self.skipped.get_mut(&Reason::OverlayAttribute) {
            *count = dropped.count;
        }
        let mut report = Report { cloned: self.cloned, copied: self.copied, ..Report::default() };
        for (_, node) in tree.nodes() {
            match node.kind {
                Kind::Directory(_) => report.directories += 1,
                Kind::File(content) => {
                    report.files += 1;
                    report.bytes = report.bytes.saturating_add(content.map_or(0, |content| content.len));
                }
                Kind::Symlink(_) => report.symlinks += 1,
                Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => report.special += 1,
            }
            report.hardlinks += u64::from(node.links.saturating_sub(1));
        }
        report.special = report.special.saturating_sub(self.skipped_devices);
        let skipped = self.skipped.into_iter();
        report.skipped = skipped.map(|(reason, (count, first))| Skipped { reason, count, first }).collect();
        report
    }
}

impl Amount {
    pub(super) fn add(&mut self, bytes: u64) {
        self.merge(Self { files: 1, bytes });
    }

    fn merge(&mut self, other: Self) {
        self.files = self.files.saturating_add(other.files);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}
