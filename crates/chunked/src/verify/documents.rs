use std::io::{self, Read};
use std::vec;

use crossbeam_channel::{Receiver, Sender};
use flate2::bufread::MultiGzDecoder;

use super::place::TocPlace;
use super::tap::Tap;
use crate::digest::{Digest, Hasher};
use crate::entry::Entry;
use crate::error::Error;
use crate::limits::Limits;
use crate::range::BlobRange;
use crate::source::RangeSource;
use crate::tar::{BLOCK_LEN, Event, Walk};
use crate::toc::{TOC_NAME, Trailer, visit};
use crate::zstd_read::ZstdReader;

/// Entries that travel from the parser of the TOC to the walk over the tar at once.
const BATCH_LEN: usize = 256;

/// Part of a blob, hashed as it is read.
pub(super) type Part<'a> = Tap<Box<dyn Read + Send + 'a>>;

/// Opens part of a blob; hashes with the algorithm of `like`.
pub(super) fn part<'a, S: RangeSource + ?Sized>(
    blob: &'a S,
    range: BlobRange,
    like: &Digest,
) -> io::Result<Part<'a>> {
    Ok(Tap::new(blob.read_range(range)?, like))
}

/// A TOC that can be read any number of times.
#[derive(Debug)]
pub(super) struct TocSource<'a, S: ?Sized> {
    pub(super) blob: &'a S,
    pub(super) place: TocPlace,
    pub(super) limits: &'a Limits,
}

/// What reading a TOC once found.
#[derive(Debug)]
pub(super) struct TocFound {
    /// The digest of its compressed bytes, where they are there alone.
    pub(super) digest: Option<Digest>,
    /// The digest of its JSON.
    pub(super) json_digest: Digest,
    pub(super) trailer: Trailer,
}

impl<S: RangeSource + ?Sized> TocSource<'_, S> {
    /// Reads the TOC, hashing its compressed bytes with the algorithm of `like`.
    pub(super) fn check(&self, like: &Digest) -> Result<TocFound, Error> {
        let mut json = Hashing { inner: self.open(like).map_err(read)?, hasher: Hasher::new() };
        let trailer = self.visit(&mut json, drop)?;
        let digest = match json.inner {
            Json::Zstd(zstd) => Some(zstd.into_inner().finish().map_err(read)?.0),
            Json::Gzip(_) => None,
        };
        Ok(TocFound { digest, json_digest: json.hasher.finish(), trailer })
    }

    /// Reads the TOC again, and sends its entries. Errors end it early, for they were found before.
    pub(super) fn send(&self, entries: &Sender<Vec<Entry>>) {
        let mut batch = Vec::with_capacity(BATCH_LEN);
        let Ok(json) = self.open(&Digest::of(b"")) else { return };
        let visited = self.visit(json, |entry| {
            batch.push(entry);
            if batch.len() == BATCH_LEN {
                // A receiver that is gone has seen enough.
                let _ = entries.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH_LEN)));
            }
        });
        if visited.is_ok() {
            let _ = entries.send(batch);
        }
    }

    fn visit(&self, json: impl Read, visitor: impl FnMut(Entry)) -> Result<Trailer, Error> {
        visit(json, self.place.payload_len(), self.limits, visitor)
    }

    fn open(&self, like: &Digest) -> io::Result<Json<'_>> {
        match self.place {
            TocPlace::Zstd(located) => {
                ZstdReader::new(part(self.blob, located.range, like)?).map(Box::new).map(Json::Zstd)
            }
            TocPlace::Gzip(range) => {
                let tar = MultiGzDecoder::new(part(self.blob, range, like)?);
                stargz_member(tar, self.limits).map(Box::new).map(Json::Gzip)
            }
        }
    }
}

/// The JSON of a TOC, decompressed.
enum Json<'a> {
    Zstd(Box<ZstdReader<Part<'a>>>),
    Gzip(Box<io::Take<MultiGzDecoder<Part<'a>>>>),
}

impl Read for Json<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Zstd(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
        }
    }
}

/// Reads the header of the tar member that holds a TOC, and returns the member's content.
fn stargz_member<R: Read>(mut tar: R, limits: &Limits) -> io::Result<io::Take<R>> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut walk = Walk::new(limits);
    loop {
        let mut block = [0; BLOCK_LEN];
        tar.read_exact(&mut block)?;
        let mut bytes = block.as_slice();
        while let Some(event) = walk.step(&mut bytes).map_err(|error| invalid(error.to_string()))? {
            match event {
                Event::Member(member) if member.name == TOC_NAME.as_bytes() => {
                    return Ok(tar.take(member.payload_len()));
                }
                Event::Raw(_) => {}
                _ => return Err(invalid(format!("no tar member `{TOC_NAME}` where it should be"))),
            }
        }
    }
}

/// The entries that [`TocSource::send`] sends.
#[derive(Debug)]
pub(super) struct Entries {
    batches: Receiver<Vec<Entry>>,
    batch: vec::IntoIter<Entry>,
}

impl Entries {
    pub(super) fn new(batches: Receiver<Vec<Entry>>) -> Self {
        Self { batches, batch: Vec::new().into_iter() }
    }
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            match self.batch.next() {
                None => self.batch = self.batches.recv().ok()?.into_iter(),
                entry => return entry,
            }
        }
    }
}

struct Hashing<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

fn read(source: io::Error) -> Error {
    Error::Read { what: "the TOC", source }
}
