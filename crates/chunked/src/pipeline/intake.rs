//! Reads and decompresses the input into slabs, and hashes the tar.

use std::io::Read;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::scan::Intake;
use super::slab::{Pool, Slab};
use crate::digest::{DiffId, Hasher};
use crate::error::Error;
use crate::input::{Compression, Input};

/// Fills slabs until the input ends, and tells how it was compressed. A receiver that is gone has failed and says so
/// itself.
pub(super) fn run(
    input: impl Read,
    watch: impl FnMut(&[u8]),
    mut pool: Pool,
    scan: Sender<Intake>,
    hash: Sender<Arc<Slab>>,
) -> Result<Compression, Error> {
    let failed = |source| Error::Read { what: "the layer", source };
    let mut input = Input::open(input, watch).map_err(failed)?;
    loop {
        let mut slab = pool.take();
        if slab.fill(|room| read_full(&mut input, room)).map_err(failed)? == 0 {
            break;
        }
        let slab = Arc::new(slab);
        if hash.send(Arc::clone(&slab)).is_err() || scan.send(Intake::Slab(slab)).is_err() {
            break;
        }
    }
    let _ = scan.send(Intake::End);
    Ok(input.compression())
}

/// Hashes slabs until there are no more, and returns the digest and length of the tar.
pub(super) fn hash(slabs: Receiver<Arc<Slab>>) -> (DiffId, u64) {
    let (mut hasher, mut len) = (Hasher::new(), 0u64);
    for slab in slabs {
        hasher.update(&slab);
        len = len.saturating_add(slab.len() as u64);
    }
    (DiffId(hasher.finish()), len)
}

/// Reads until `room` is full or the input ends.
fn read_full(input: &mut impl Read, room: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0usize;
    while let Some(free) = room.get_mut(filled..).filter(|free| !free.is_empty()) {
        match input.read(free) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
