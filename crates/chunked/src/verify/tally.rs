/// Failures of one check that are told in words; the others are counted.
const KEPT: usize = 3;

/// Counts how often a check went well, failed, or had nothing to compare with.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) unchecked: u64,
    failed: u64,
    first: Vec<String>,
}

impl Tally {
    pub(super) fn pass(&mut self) {
        self.passed = self.passed.saturating_add(1);
    }

    pub(super) fn skip(&mut self) {
        self.unchecked = self.unchecked.saturating_add(1);
    }

    pub(super) fn fail(&mut self, detail: impl FnOnce() -> String) {
        self.failed = self.failed.saturating_add(1);
        if self.first.len() < KEPT {
            self.first.push(detail());
        }
    }

    /// Counts failures that nothing more is known about.
    pub(super) fn fail_more(&mut self, count: u64) {
        self.failed = self.failed.saturating_add(count);
    }

    /// Says what failed: the first few, and how many more; `None` when nothing did.
    pub(super) fn failures(&self) -> Option<String> {
        let told = self.first.join("; ");
        match self.failed.saturating_sub(self.first.len() as u64) {
            _ if self.failed == 0 => None,
            0 => Some(told),
            more => Some(format!("{told}; and {more} more")),
        }
    }
}
