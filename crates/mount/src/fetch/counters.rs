//! What was done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::queue::Urgency;
use crate::fuse::wire::Operation;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts what happens.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($name: AtomicU64,)*
        }

        /// What was counted since the process started.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Returns what was counted so far.
            pub fn counts(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Lookups of names by the kernel.
    lookups,
    /// Reads by the kernel.
    reads,
    /// Other requests of the kernel.
    other_requests,
    /// Reads that failed.
    failed_reads,
    /// Bytes of content that were given to the kernel.
    read_len,
    /// Chunks that were fetched because somebody waited for them.
    fault_chunks,
    /// Compressed bytes of them.
    fault_blob_len,
    /// Chunks that were fetched ahead of need.
    prefetch_chunks,
    /// Compressed bytes of them.
    prefetch_blob_len,
    /// Chunks that were filled in.
    fill_chunks,
    /// Compressed bytes of them.
    fill_blob_len,
    /// Chunks that were taken from other contents that are here.
    copied_chunks,
    /// Requests for ranges of blobs.
    requests,
    /// Requests for ranges of blobs that failed.
    failed_requests,
    /// Chunks that were not what the TOC promises.
    wrong_chunks,
    /// Contents that became objects.
    objects,
    /// Layers that were proven.
    proven_layers,
    /// Layers whose tar is another one than the image's configuration names.
    quarantined_layers,
}

impl Counts {
    /// Counts the compressed bytes of all chunks that were fetched.
    pub fn fetched_len(&self) -> u64 {
        self.fault_blob_len.saturating_add(self.prefetch_blob_len).saturating_add(self.fill_blob_len)
    }
}

impl Counters {
    /// Counts a request of the kernel.
    pub(crate) fn fuse(&self, operation: &Operation<'_>) {
        add(match operation {
            Operation::Lookup(_) => &self.lookups,
            Operation::Read { .. } => &self.reads,
            _ => &self.other_requests,
        });
    }

    pub(crate) fn read_failed(&self) {
        add(&self.failed_reads);
    }

    pub(super) fn read(&self, len: u64) {
        self.read_len.fetch_add(len, Ordering::Relaxed);
    }

    pub(super) fn chunk(&self, urgency: Urgency, blob_len: u64) {
        let (chunks, bytes) = match urgency {
            Urgency::Fault => (&self.fault_chunks, &self.fault_blob_len),
            Urgency::Prefetch => (&self.prefetch_chunks, &self.prefetch_blob_len),
            Urgency::Fill => (&self.fill_chunks, &self.fill_blob_len),
        };
        add(chunks);
        bytes.fetch_add(blob_len, Ordering::Relaxed);
    }

    pub(super) fn copied(&self) {
        add(&self.copied_chunks);
    }

    pub(super) fn request(&self, is_done: bool) {
        add(&self.requests);
        if !is_done {
            add(&self.failed_requests);
        }
    }

    pub(super) fn wrong_chunk(&self) {
        add(&self.wrong_chunks);
    }

    pub(super) fn object(&self) {
        add(&self.objects);
    }

    pub(super) fn proven(&self) {
        add(&self.proven_layers);
    }

    pub(super) fn quarantined(&self) {
        add(&self.quarantined_layers);
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
