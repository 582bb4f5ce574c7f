//! Takes chunks from objects that have them, as an image before this one had a file with the same bytes.

use chunked::ContentDigest;

use super::carry::{Carrier, SMALL_LEN_MAX};
use super::held::read_at;
use super::queue::Job;

impl Carrier<'_, '_> {
    /// Takes what is here, and leaves what has to be fetched. Files of one chunk were looked for as a whole.
    pub(super) fn copy_known(&mut self, jobs: &mut Vec<Job>) {
        jobs.retain(|job| {
            let is_copied = job.content.chunk_count > 1 && self.copy(job).is_some();
            if is_copied {
                self.fetcher.copied(job);
            }
            !is_copied
        });
    }

    /// Stores a chunk that the dedup index knows. That may be wrong: what is not there any more, or hashes to something else, is
    /// fetched.
    fn copy(&mut self, job: &Job) -> Option<()> {
        let digest = job.chunk.digest?;
        let place = self.fetcher.store.index().lookup(&digest)?;
        if place.range.len() != job.chunk.file.len() || place.range.len() > SMALL_LEN_MAX {
            return None;
        }
        let object = self.fetcher.store.objects().open(&place.object).ok()??;
        self.content.clear();
        read_at(&object, place.range, &mut self.content).ok()?;
        if ContentDigest::of(&self.content) != digest {
            return None;
        }
        self.store(job).ok()
    }
}
