//! Chunks that several layers have: what one does not give is taken from another.

use super::queue::Job;
use super::{Failure, Fetcher, Layer};

impl Fetcher<'_> {
    /// Says how a chunk is taken from the blob of a layer; `None` when that does not have it, or says something else of it.
    pub(super) fn job_from(&self, source: u32, job: &Job) -> Result<Option<Job>, Failure> {
        let Some(table) = self.tables.table(source) else { return Ok(None) };
        let Some(row) = table.find(&job.content.digest)? else { return Ok(None) };
        let Some(content) = table.content(row)? else { return Ok(None) };
        if (content.len, content.chunk_count) != (job.content.len, job.content.chunk_count) {
            return Ok(None);
        }
        let place = content.first_chunk.saturating_add(job.key.chunk);
        let chunk = table.chunks(place, 1)?.first().map(|row| row.chunk).filter(|chunk| {
            let is_known = content.chunk_count == 1 || chunk.digest == job.chunk.digest;
            is_known && (chunk.file, chunk.kind) == (job.chunk.file, job.chunk.kind)
        });
        Ok(chunk.map(|chunk| Job { chunk, source, ..*job }))
    }

    /// Has a chunk that a layer did not give taken from another one; `false` if there is none left.
    pub(super) fn try_elsewhere(&self, job: &Job) -> bool {
        let Some(failed) = self.queue().failed(job) else { return false };
        let other = self.elsewhere(job, |layer| !failed.contains(&layer.number));
        self.put_back(other.as_slice());
        other.is_some()
    }

    /// Has chunks that another layer can be asked for taken from there, as the one they are to come from was not to be had.
    pub(super) fn go_elsewhere(&self, jobs: &mut Vec<Job>) {
        jobs.retain(|job| {
            let other = self.elsewhere(job, |layer| layer.number != job.source && !layer.is_resting());
            self.put_back(other.as_slice());
            other.is_none()
        });
    }

    /// Finds another layer that a chunk can be taken from. What cannot be read is not found.
    fn elsewhere(&self, job: &Job, may_be: impl Fn(&Layer) -> bool) -> Option<Job> {
        let layers = self.layers();
        let mut others = layers.iter().filter(|layer| !layer.places().is_empty() && may_be(layer));
        others.find_map(|layer| self.job_from(layer.number, job).ok().flatten())
    }
}
