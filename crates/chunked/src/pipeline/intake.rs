//! Reads and decompresses the input into slabs.

use std::io::Read;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::scan::Intake;
use super::slab::Pool;
use crate::error::Error;
use crate::input::{Compression, Input};

/// Fills slabs until the input ends, and tells how it was compressed. A receiver that is gone has failed and says so
/// itself.
pub(super) fn run(
    input: impl Read,
    watch: impl FnMut(&[u8]),
    mut pool: Pool,
    scan: Sender<Intake>,
) -> Result<Compression, Error> {
    let failed = |source| Error::Read { what: "the layer", source };
    let mut input = Input::open(input, watch).map_err(failed)?;
    // Without a slab, another stage has failed, and without an end the next one stops.
    while let Some(mut slab) = pool.take() {
        if slab.fill(|room| read_full(&mut input, room)).map_err(failed)? == 0 {
            let _ = scan.send(Intake::End);
            break;
        }
        if scan.send(Intake::Slab(Arc::new(slab))).is_err() {
            break;
        }
    }
    Ok(input.compression())
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
