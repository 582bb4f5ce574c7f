//! The self-check of the metadata: what was written as TOC and tar-split is read back and must tell one story.

use std::io::{BufReader, Read};
use std::thread;

use crossbeam_channel::{Receiver, bounded};

use crate::audit::{self, Rules};
use crate::entry::Entry;
use crate::error::Error;
use crate::limits::Limits;
use crate::pipeline::Compressed;
use crate::zstd_read::ZstdReader;
use crate::{tar_split, toc};

/// Entries between the two readers.
const QUEUE_LEN: usize = 1024;

/// Reads both documents side by side, without ever holding them, and compares every row with its tar header.
pub(super) fn metadata(
    toc: &Compressed,
    tar_split: &Compressed,
    payload_len: u64,
    limits: &Limits,
) -> Result<(), Error> {
    let (send, entries) = bounded(QUEUE_LEN);
    let result = thread::scope(|scope| {
        let rows = scope.spawn(move || {
            // The auditor stops listening only when it has failed.
            let visitor = |entry| drop(send.send(entry));
            toc::visit(open(toc)?, payload_len, limits, visitor)
        });
        let audited = audit(tar_split, entries, limits);
        rows.join().unwrap_or(Err(Error::WorkerLost)).and(audited)
    });
    let differs = |source| Error::SelfCheck { what: "TOC or tar-split", source: Some(Box::new(source)) };
    result.map_err(differs)
}

fn audit(tar_split: &Compressed, entries: Receiver<Entry>, limits: &Limits) -> Result<(), Error> {
    let mut reader = tar_split::Reader::new(BufReader::new(open(tar_split)?), limits);
    audit::tar_split(&mut reader, entries, Rules::Exact, limits)?.into_result()?;
    Ok(())
}

fn open(document: &Compressed) -> Result<impl Read, Error> {
    ZstdReader::new(document.blob.as_slice())
        .map_err(|source| Error::Read { what: "compressed metadata", source })
}
