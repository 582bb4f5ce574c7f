//! Takes whole files from seeds.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Fetch;
use super::absent::Absent;
use super::board::{Board, Piece};
use super::contents::Wanted;
use super::failure::Failure;
use super::needs::{Frame, FrameId, SMALL_LEN_MAX};
use super::pool::{Decoded, Pool};
use super::similar::Missing;
use crate::seed::table::Table;
use crate::seed::{Candidate, Regular, take};

/// Files that are handed to a worker at once.
const BATCH: usize = 64;

/// A file that is missing, by its place among those, and a path to look for it at.
type Item<'p> = (usize, Option<&'p str>);

/// Puts every missing file into the store that a seed has. What no seed has, or has wrong, stays missing; returns the files
/// of several chunks among it.
pub(super) fn copy(fetch: &Fetch<'_>, board: &Board, pool: &Arc<Pool>) -> Result<Vec<Missing>, Failure> {
    let abilities = fetch.seeds.asked().map(|(_, seed)| seed.abilities());
    let (digests, paths) = abilities.fold((false, false), |(digests, paths), abilities| {
        (digests || abilities.digests, paths || abilities.paths)
    });
    if fetch.needs.frames.is_empty() || !(digests || paths) {
        return Ok(Vec::new());
    }
    let missing: Vec<_> =
        fetch.needs.frames.chunk_by(|one, next| one.id.entry() == next.id.entry()).collect();
    let search = Search { fetch, board, pool, missing, changed: Mutex::default() };
    let (items, taken) = bounded(fetch.options.jobs.get().saturating_mul(2));
    thread::scope(|scope| {
        let work = || search.work(&taken);
        let workers: Vec<_> = (0..fetch.options.jobs.get()).map(|_| scope.spawn(work)).collect();
        let mut batches = Batches { items, batch: Vec::with_capacity(BATCH) };
        match paths {
            true => search.list_paths(&mut batches),
            false => search.list_digests(&mut batches),
        }
        batches.finish();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Err(Failure::WorkerLost)))
    })?;
    Ok(search.changed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

struct Search<'p, 'a> {
    fetch: &'p Fetch<'a>,
    board: &'p Board,
    pool: &'p Arc<Pool>,
    /// The frames of each file.
    missing: Vec<&'p [Frame]>,
    /// Files of several chunks that no seed has as they should be.
    changed: Mutex<Vec<Missing>>,
}

impl<'p, 'a: 'p> Search<'p, 'a> {
    /// Lists the files, until nobody works any more.
    fn list_digests(&self, batches: &mut Batches<'p>) {
        (0..self.missing.len()).all(|place| batches.add((place, None)));
    }

    /// Lists every path that one of the files has in the layer, until nobody works any more.
    fn list_paths(&self, batches: &mut Batches<'p>) {
        let places = self.by_digest();
        self.fetch.needs.contents().named().all(|(wanted, name)| {
            let place = places.get(&wanted.digest);
            place.is_none_or(|place| batches.add((place as usize, Some(name))))
        });
    }

    /// Finds the places of files by their digests.
    fn by_digest(&self) -> Table<u32> {
        let places = (0..).zip(&self.missing).filter_map(|(place, frames)| {
            let wanted = self.fetch.needs.contents().get(frames.first()?.id.entry())?;
            Some((wanted.digest, place))
        });
        Table::new(places)
    }

    fn work(&self, items: &Receiver<Vec<Item<'p>>>) -> Result<(), Failure> {
        let mut absent = Absent::new(self.fetch.seeds.names().count());
        for (place, path) in items.iter().flatten() {
            if self.fetch.others.stop.load(Ordering::Relaxed) {
                return Err(Failure::Stopped);
            }
            if let Some(frames) = self.missing.get(place) {
                self.one(frames, path, &mut absent)?;
            }
        }
        Ok(())
    }

    /// Asks the seeds for a file, by its digest and by a path, until one has it.
    fn one(&self, frames: &'p [Frame], path: Option<&str>, absent: &mut Absent) -> Result<(), Failure> {
        let Some(first) = frames.first().filter(|first| !first.has_come()) else { return Ok(()) };
        let wanted = self.fetch.wanted(first.id)?;
        for (place, seed) in self.fetch.seeds.asked() {
            let abilities = seed.abilities();
            let by_digest = abilities.digests.then(|| seed.file(&wanted.digest, wanted.size)).flatten();
            if let Some(candidate) = by_digest
                && self.take(place, candidate, &wanted, frames)?
            {
                return Ok(());
            }
            let Some(path) = path.filter(|_| abilities.paths) else { continue };
            let found = absent.at(place, seed, path);
            let likely = found.iter().filter(|file| file.stamp().len == wanted.size);
            for file in likely.filter_map(Regular::open) {
                if self.take(place, Candidate::File(file), &wanted, frames)? {
                    return Ok(());
                }
            }
        }
        if let Some(path) = path.filter(|_| wanted.chunks.len() > 1) {
            let changed = (wanted.entry, path.to_owned());
            self.changed.lock().unwrap_or_else(PoisonError::into_inner).push(changed);
        }
        Ok(())
    }

    /// Takes what a seed offers; `false` when it is not what was asked for.
    fn take(
        &self,
        place: usize,
        candidate: Candidate,
        wanted: &Wanted<'_>,
        frames: &[Frame],
    ) -> Result<bool, Failure> {
        let mut decoded = Decoded::with_room(self.pool, wanted.size);
        let holes = wanted.holes();
        let content = take::Content { digest: &wanted.digest, len: wanted.size, holes: &holes };
        let objects = self.fetch.store.objects();
        let taken = take::file(objects, &candidate, &content, SMALL_LEN_MAX, &mut decoded.bytes)?;
        // Another version of a file of several chunks may still have most of them: who compares these judges it.
        if taken.is_some() || wanted.chunks.len() <= 1 {
            self.fetch.seeds.judge(place, taken.is_some(), wanted.size);
        }
        let Some(taken) = taken else {
            self.fetch.from_seeds.wrong(place, wanted.size);
            return Ok(false);
        };
        // Another name of the content may have led another worker to it.
        if frames.first().is_some_and(Frame::came_first) {
            frames.iter().for_each(Frame::came);
            self.fetch.from_seeds.file(place, wanted.size, taken);
            self.offer(wanted, frames, decoded)?;
        }
        Ok(true)
    }

    /// Leaves a content for the proof, which asks for it by its first chunk; or, if that was here before, for every other.
    fn offer(&self, wanted: &Wanted<'_>, frames: &[Frame], decoded: Decoded) -> Result<(), Failure> {
        let first = FrameId::new(wanted.entry, wanted.first_data());
        if self.fetch.needs.is_awaited(first) {
            let span = 0..decoded.bytes.len();
            return match span.is_empty() {
                true => self.board.stored(first, true),
                false => self.board.offer(vec![Piece { id: first, span, is_object: true }], decoded),
            };
        }
        frames.iter().try_for_each(|frame| self.board.stored(frame.id, false))
    }
}

/// Gathers what workers are to do.
struct Batches<'p> {
    items: Sender<Vec<Item<'p>>>,
    batch: Vec<Item<'p>>,
}

impl<'p> Batches<'p> {
    /// Adds a file; `false` when nobody works any more.
    fn add(&mut self, item: Item<'p>) -> bool {
        self.batch.push(item);
        if self.batch.len() < BATCH {
            return true;
        }
        self.items.send(std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH))).is_ok()
    }

    /// Sends what is left.
    fn finish(self) {
        // Workers that have ended say why.
        let _ = self.items.send(self.batch);
    }
}
