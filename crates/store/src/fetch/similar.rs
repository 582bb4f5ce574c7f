//! Takes from other versions of a file the chunks that are the same.
//!
//! A seed that goes by paths may have a missing file in an older version. Content is cut where its bytes say so, so both
//! have all chunks in common but those that a change touches.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use chunked::chunker::{Chunker, Cut};
use chunked::{ChunkKind, ContentDigest, FileRange};

use super::Fetch;
use super::board::{Board, Piece};
use super::contents::Wanted;
use super::decode::store;
use super::failure::Failure;
use super::needs::{Frame, SMALL_LEN_MAX};
use super::pool::{Decoded, Pool};
use crate::seed::Regular;

/// Bytes that are read and cut at once.
const PIECE_LEN: usize = 1 << 20;
/// A file this much longer than what is wanted is no version of it.
const LONGER: u64 = 16 << 20;

/// A missing file of several chunks, by its place in the TOC, and a path to look for other versions at.
pub(super) type Missing = (usize, String);

/// Copies the chunks of missing files that seeds have in other versions of them.
pub(super) fn copy(
    fetch: &Fetch<'_>,
    board: &Board,
    pool: &Arc<Pool>,
    missing: Vec<Missing>,
) -> Result<(), Failure> {
    let mut paths: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    missing.into_iter().for_each(|(entry, path)| paths.entry(entry).or_default().push(path));
    let files = Mutex::new(paths.into_iter());
    thread::scope(|scope| {
        let work = || {
            loop {
                let next = files.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((entry, paths)) = next else { return Ok(()) };
                if let Some(wanted) = fetch.needs.contents().get(entry) {
                    Search::new(fetch, board, pool, wanted).run(&paths)?;
                }
            }
        };
        let workers: Vec<_> = (0..fetch.options.jobs.get()).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Err(Failure::WorkerLost)))
    })
}

/// The search for the chunks of one file.
struct Search<'p, 'a> {
    fetch: &'p Fetch<'a>,
    board: &'p Board,
    pool: &'p Arc<Pool>,
    wanted: Wanted<'p>,
    /// The frames that are missing, by the digests of their chunks.
    missing: HashMap<ContentDigest, Vec<&'p Frame>>,
    /// The lengths of those chunks: others need not be hashed.
    lens: HashSet<u64>,
}

impl<'p, 'a> Search<'p, 'a> {
    fn new(fetch: &'p Fetch<'a>, board: &'p Board, pool: &'p Arc<Pool>, wanted: Wanted<'p>) -> Self {
        let mut search = Self { fetch, board, pool, wanted, missing: HashMap::new(), lens: HashSet::new() };
        for frame in fetch.needs.frames_of(wanted.entry).iter().filter(|frame| !frame.has_come()) {
            let chunk = wanted.chunks.get(frame.id.chunk()).filter(|chunk| chunk.file.len() <= SMALL_LEN_MAX);
            if let Some((digest, len)) = chunk.and_then(|chunk| Some((chunk.digest?, chunk.file.len()))) {
                search.missing.entry(digest).or_default().push(frame);
                search.lens.insert(len);
            }
        }
        search
    }

    /// Goes through the files that the seeds have at these paths, until nothing is missing.
    fn run(mut self, paths: &[String]) -> Result<(), Failure> {
        for path in paths {
            for (place, seed) in self.fetch.seeds.asked().filter(|(_, seed)| seed.abilities().paths) {
                for file in seed.at(path) {
                    if self.missing.is_empty() {
                        return Ok(());
                    }
                    self.compare(place, &file)?;
                }
            }
        }
        Ok(())
    }

    /// Cuts a file, and takes the chunks that are missing.
    fn compare(&mut self, place: usize, file: &Regular) -> Result<(), Failure> {
        let len = file.stamp().len;
        let len_max = self.wanted.size.saturating_mul(2).saturating_add(LONGER);
        let Some(file) = file.open().filter(|_| len <= len_max) else { return Ok(()) };
        let (mut chunker, mut cuts) = (Chunker::new(), Vec::new());
        let mut piece = vec![0; PIECE_LEN];
        let (mut at, mut start, mut taken) = (0_u64, 0_u64, 0_u64);
        while let Ok(count @ 1..) = file.read_at(&mut piece, at) {
            if self.fetch.others.stop.load(Ordering::Relaxed) {
                return Err(Failure::Stopped);
            }
            at = at.saturating_add(count as u64);
            chunker.scan(piece.get(..count).unwrap_or_default(), &mut cuts);
            taken = taken.saturating_add(self.take_all(place, &file, &mut start, &mut cuts)?);
            if self.missing.is_empty() || at > len_max {
                break;
            }
        }
        chunker.finish(&mut cuts);
        taken = taken.saturating_add(self.take_all(place, &file, &mut start, &mut cuts)?);
        self.fetch.seeds.judge(place, taken > 0, if taken > 0 { taken } else { at });
        Ok(())
    }

    /// Takes those of the chunks that are missing; `start` is where the first of them starts. Returns how many bytes.
    fn take_all(
        &mut self,
        place: usize,
        file: &File,
        start: &mut u64,
        cuts: &mut Vec<Cut>,
    ) -> Result<u64, Failure> {
        let mut taken = 0_u64;
        for cut in cuts.drain(..) {
            let range = FileRange::saturating(*start, cut.end.saturating_sub(*start));
            *start = cut.end;
            if cut.kind == ChunkKind::Data && self.lens.contains(&range.len()) {
                taken = taken.saturating_add(self.take(place, file, range)?);
            }
        }
        Ok(taken)
    }

    /// Takes a chunk if it is missing.
    fn take(&mut self, place: usize, file: &File, range: FileRange) -> Result<u64, Failure> {
        let mut decoded = Decoded::with_room(self.pool, range.len());
        decoded.bytes.resize(usize::try_from(range.len()).unwrap_or(0), 0);
        if file.read_exact_at(&mut decoded.bytes, range.start()).is_err() {
            return Ok(0);
        }
        let Some(frames) = self.missing.remove(&ContentDigest::of(&decoded.bytes)) else { return Ok(0) };
        for frame in &frames {
            let chunk = frame.id.chunk();
            store(self.fetch, &self.wanted, chunk..chunk.saturating_add(1), false, &decoded.bytes)?;
            frame.came();
            self.fetch.from_seeds.chunk(place, range.len());
        }
        let len = decoded.bytes.len();
        let piece = |frame: &&Frame| Piece { id: frame.id, span: 0..len, is_object: false };
        self.board.offer(frames.iter().map(piece).collect(), decoded)?;
        Ok(range.len())
    }
}
