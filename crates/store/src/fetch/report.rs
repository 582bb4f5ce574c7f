//! What bringing in a layer took.

use chunked::digest::DiffId;
use chunked::plan::{FetchPlan, Strategy};
use serde::Serialize;

use super::Needs;
use super::failure::Failure;
use super::proof::Proven;

/// A number of things and the bytes of content in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many.
    pub count: u64,
    /// Bytes of content, not compressed.
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// What did not have to be fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reused {
    /// Files that were in the store.
    pub objects: Count,
    /// Files with the content of another file of the layer.
    pub same: Count,
    /// Files that a lower layer of the same pull brought.
    pub other_layers: Count,
    /// Chunks that an earlier, interrupted pull left.
    pub resumed: Count,
    /// Chunks that were part of other files in the store.
    pub chunks: Count,
}

impl Reused {
    pub(super) fn object(&mut self, bytes: u64) -> super::needs::Want {
        self.objects.add(bytes);
        super::needs::Want::Stored
    }

    pub(super) fn same(&mut self, bytes: u64) -> super::needs::Want {
        self.same.add(bytes);
        super::needs::Want::Stored
    }

    pub(super) fn elsewhere(&mut self, bytes: u64) -> super::needs::Want {
        self.other_layers.add(bytes);
        super::needs::Want::Elsewhere
    }

    pub(super) fn resumed(&mut self, bytes: u64) {
        self.resumed.add(bytes);
    }

    pub(super) fn chunk(&mut self, bytes: u64) {
        self.chunks.add(bytes);
    }

    /// Counts all bytes that were not fetched.
    pub fn bytes(&self) -> u64 {
        let parts = [self.objects, self.same, self.other_layers, self.resumed, self.chunks];
        parts.iter().fold(0, |sum, part| sum.saturating_add(part.bytes))
    }
}

/// What bringing in a layer took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fetched {
    /// How the missing bytes were asked for first; `None` when nothing was missing.
    pub strategy: Option<Strategy>,
    /// Compressed bytes of what was missing.
    pub needed: u64,
    /// Compressed bytes that came although nobody needs them, because asking around them takes longer.
    pub wasted: u64,
    /// Why the missing bytes were planned anew, as often as they were.
    pub replans: Vec<String>,
    /// What did not have to be fetched.
    pub reused: Reused,
    /// Bytes of the tar.
    pub tar_len: u64,
    /// The tar's digest, unless nobody wanted to know.
    pub diff_id: Option<DiffId>,
}

impl Fetched {
    pub(super) fn of(needs: &Needs<'_>) -> Self {
        Self {
            strategy: None,
            needed: 0,
            wasted: 0,
            replans: Vec::new(),
            reused: needs.reused,
            tar_len: 0,
            diff_id: None,
        }
    }

    pub(super) fn planned(&mut self, plan: &FetchPlan) {
        if self.strategy.is_none() {
            (self.strategy, self.needed) = (Some(plan.strategy), plan.needed);
        }
    }

    pub(super) fn replanned(&mut self, why: &Failure) {
        self.replans.push(why.reason());
    }

    pub(super) fn prove(&mut self, proven: Proven, expected: Option<&DiffId>) -> Result<(), Failure> {
        match (proven.diff_id, expected) {
            (Some(found), Some(expected)) if found != *expected => {
                return Err(Failure::DiffId { expected: *expected, found });
            }
            _ => {}
        }
        (self.tar_len, self.diff_id) = (proven.tar_len, proven.diff_id);
        Ok(())
    }
}
