//! Making the index anew, or without some of its rows.

use chunked::toc::Toc;
use chunked::{ChunkKind, ContentDigest, TocDigest};

use super::row::{Owner, Row};
use super::{DedupIndex, Place, Runs, SeedNumber, Shape, run_name};
use crate::error::Error;
use crate::layers::LayerState;
use crate::store::Store;

/// Makes the rows of objects anew of the layers whose content is complete; those of seeds stay. Layers that are damaged are
/// left out. Returns what the index consists of then.
pub(crate) fn rebuild(store: &Store) -> Result<Shape, Error> {
    let index = store.index();
    if !index.is_sound() {
        index.forget_files()?;
    }
    index.keep(|row| row.owner() != Owner::Objects)?;
    for toc_digest in store.layers().list()? {
        index.add(rows_of(store, &toc_digest))?;
    }
    Ok(index.shape())
}

impl DedupIndex {
    /// Removes the rows of a seed.
    pub(super) fn remove_rows(&self, seed: SeedNumber) -> Result<(), Error> {
        self.keep(|row| row.owner() != Owner::Seed(seed))
    }

    /// Keeps the rows that `is_kept` is true for.
    fn keep(&self, is_kept: impl Fn(&Row) -> bool) -> Result<(), Error> {
        self.change(|runs| {
            let old = Runs { usable: std::mem::take(&mut runs.usable), unusable: Vec::new() };
            let mut number = old.next_number();
            let mut is_changed = false;
            for (old_number, run) in old.usable {
                // Those after a changed one are written again as well, as the newest has the highest number.
                is_changed |= !run.is_sound() || !run.rows().all(|row| is_kept(&row));
                if !is_changed {
                    runs.usable.push((old_number, run));
                    continue;
                }
                let kept = || run.rows().filter(|row| is_kept(row));
                let count = u32::try_from(kept().count()).unwrap_or(u32::MAX);
                if count > 0 {
                    let has_objects = kept().any(|row| row.owner() == Owner::Objects);
                    let objects = if has_objects { run.objects() } else { &[] };
                    runs.usable.push((number, self.write(number, count, kept(), &[objects])?));
                    number = number.saturating_add(1);
                }
                self.directory.remove(&run_name(old_number))?;
            }
            self.merge(runs)
        })
    }
}

fn rows_of(store: &Store, toc_digest: &TocDigest) -> Vec<(ContentDigest, Place)> {
    let record = store.layers().get(toc_digest).ok().flatten();
    let toc = record
        .filter(|record| record.state >= LayerState::Complete)
        .and_then(|record| store.layers().toc(&record).ok());
    toc.map(|toc| chunks(&toc).collect()).unwrap_or_default()
}

/// Lists the chunks of a layer whose content is complete, and where they are: pieces of files, as a file in one piece
/// is an object by itself.
pub fn chunks(toc: &Toc) -> impl Iterator<Item = (ContentDigest, Place)> + '_ {
    let contents = toc.entries.iter().filter_map(|entry| entry.content.as_ref());
    contents.filter(|content| content.chunks.len() > 1).flat_map(|content| {
        let object = content.digest;
        let data = content.chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Data);
        data.filter_map(move |chunk| Some((chunk.digest?, Place { object: object?, range: chunk.file })))
    })
}
