//! Takes chunks from objects that the dedup index knows, and from seeds.

use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use chunked::ContentDigest;

use super::Fetch;
use super::board::{Board, Piece};
use super::decode::store;
use super::failure::Failure;
use super::needs::{Frame, SMALL_LEN_MAX, place_of};
use super::pool::{Decoded, Pool};
use super::report::Fetched;
use crate::index::Place;
use crate::seed::take;

/// Copies every missing chunk that is said to be somewhere. That may be wrong: what is not there any more, or hashes to
/// something else, stays missing.
pub(super) fn copy(
    fetch: &Fetch<'_>,
    board: &Board,
    pool: &Arc<Pool>,
    fetched: &mut Fetched,
) -> Result<(), Failure> {
    let seeded = fetch.seeds.asked().any(|(_, seed)| seed.abilities().chunks);
    let is_worth_it = |frame: &&Frame| !frame.has_come() && (frame.is_known || seeded);
    let frames = Mutex::new(fetch.needs.frames.iter().filter(is_worth_it));
    let copied = thread::scope(|scope| {
        let work = || {
            let mut copied = Vec::new();
            loop {
                let frame = frames.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(frame) = frame else { return Ok(copied) };
                if fetch.others.stop.load(Ordering::Relaxed) {
                    return Err(Failure::Stopped);
                }
                copied.extend(copy_one(fetch, frame, board, pool)?);
            }
        };
        let workers: Vec<_> = (0..fetch.options.jobs.get()).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| worker.join().unwrap_or(Err(Failure::WorkerLost)));
        joined.collect::<Result<Vec<Vec<u64>>, Failure>>()
    })?;
    copied.into_iter().flatten().for_each(|len| fetched.reused.chunk(len));
    Ok(())
}

/// Copies one chunk; returns the length of what was copied from an object, if it was.
fn copy_one(
    fetch: &Fetch<'_>,
    frame: &Frame,
    board: &Board,
    pool: &Arc<Pool>,
) -> Result<Option<u64>, Failure> {
    let wanted = fetch.wanted(frame.id)?;
    let chunk = fetch.chunk(frame.id)?;
    // Of a small file nothing but its own digest is checked afterwards.
    let digest = chunk.digest.filter(|_| !wanted.is_small()).unwrap_or(wanted.digest);
    let mut decoded = Decoded::with_room(pool, chunk.file.len());
    let place = place_of(fetch.store, chunk, &wanted.digest, wanted.chunks.len());
    let found = place.and_then(|place| read(fetch, &place, &digest, &mut decoded.bytes));
    // Whole files were asked for before.
    let seeded = match found {
        None if wanted.chunks.len() > 1 => from_seeds(fetch, (&digest, chunk.file.len()), &mut decoded.bytes),
        _ => None,
    };
    if found.or(seeded).is_none() {
        return Ok(None);
    }
    let (index, is_object) = (frame.id.chunk(), wanted.is_small());
    store(fetch, &wanted, index..index.saturating_add(1), is_object, &decoded.bytes)?;
    frame.came();
    let len = decoded.bytes.len();
    board.offer(vec![Piece { id: frame.id, span: 0..len, is_object }], decoded)?;
    Ok(found.map(|()| len as u64))
}

/// Reads what a seed offers into `bytes`, if it is what was asked for.
fn from_seeds(fetch: &Fetch<'_>, content: (&ContentDigest, u64), bytes: &mut Vec<u8>) -> Option<()> {
    let (digest, len) = content;
    if len > SMALL_LEN_MAX {
        return None;
    }
    fetch.seeds.asked().find_map(|(place, seed)| {
        let candidate = seed.chunk(digest, len).filter(|_| seed.abilities().chunks)?;
        let taken = take::chunk(&candidate, content, bytes);
        fetch.seeds.judge(place, taken.is_some(), len);
        match taken {
            Some(()) => fetch.from_seeds.chunk(place, len),
            None => fetch.from_seeds.wrong(place, len),
        }
        taken
    })
}

/// Reads what the index promises into `bytes`, if it is there.
fn read(fetch: &Fetch<'_>, place: &Place, digest: &ContentDigest, bytes: &mut Vec<u8>) -> Option<()> {
    let len = usize::try_from(place.range.len()).ok().filter(|len| *len as u64 <= SMALL_LEN_MAX)?;
    let object = fetch.store.objects().open(&place.object).ok()??;
    bytes.resize(len, 0);
    object.read_exact_at(bytes, place.range.start()).ok()?;
    (ContentDigest::of(bytes) == *digest).then_some(())
}
