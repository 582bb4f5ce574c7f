//! The tar inside a layer, whatever it is compressed with.

use std::fmt;
use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use crate::digest::{BlobDigest, Hasher};
use crate::zstd_read::ZstdReader;

/// Bytes read at a time; gunzip slows down below this (measured).
const BUFFER_LEN: usize = 256 << 10;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, any number of members.
    Gzip,
    /// zstd, any number of frames, skippable ones among them.
    Zstd,
}

impl Compression {
    /// Tells by the first bytes, 4 or all there are. What has no magic of a compression is taken as it is.
    pub fn sniff(start: &[u8]) -> Self {
        // Any of the sixteen magics of skippable frames may come first.
        let skippable = matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
        match start {
            _ if start.starts_with(&GZIP_MAGIC) => Self::Gzip,
            _ if start.starts_with(&ZSTD_MAGIC) || skippable => Self::Zstd,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Reads the tar of a layer and hashes the layer as it is compressed, in one pass.
///
/// All of the input is read: what follows the compressed data and is not more of it is an error of kind `InvalidInput` or
/// `InvalidData`, and data that ends too early one of kind `UnexpectedEof`.
pub struct Input<R: Read, F: FnMut(u64)>(Kind<Metered<R, F>>);

enum Kind<R: Read> {
    Plain(Start<R>),
    Gzip(Box<MultiGzDecoder<BufReader<Start<R>>>>),
    Zstd(Box<ZstdReader<BufReader<Start<R>>>>),
}

/// The bytes that were looked at to tell the compression, and then the rest.
type Start<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

impl<R: Read, F: FnMut(u64)> Input<R, F> {
    /// Looks at the first bytes of `reader`, and tells `progress` about all that is read.
    ///
    /// # Errors
    /// Those of `reader`.
    pub fn open(reader: R, progress: F) -> io::Result<Self> {
        let mut metered = Metered { inner: reader, progress, hasher: Hasher::new(), len: 0 };
        let mut start = Vec::new();
        metered.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut start)?;
        let compression = Compression::sniff(&start);
        let all = io::Cursor::new(start).chain(metered);
        Ok(Self(match compression {
            Compression::None => Kind::Plain(all),
            Compression::Gzip => {
                Kind::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER_LEN, all))))
            }
            Compression::Zstd => {
                Kind::Zstd(Box::new(ZstdReader::new(BufReader::with_capacity(BUFFER_LEN, all))?))
            }
        }))
    }

    /// Returns how the layer was compressed, its digest and its length, once all of it has been read.
    pub fn finish(self) -> (Compression, BlobDigest, u64) {
        let (compression, start) = match self.0 {
            Kind::Plain(start) => (Compression::None, start),
            Kind::Gzip(gzip) => (Compression::Gzip, (*gzip).into_inner().into_inner()),
            Kind::Zstd(zstd) => (Compression::Zstd, (*zstd).into_inner().into_inner()),
        };
        let (_, metered) = start.into_inner();
        (compression, BlobDigest(metered.hasher.finish()), metered.len)
    }
}

impl<R: Read, F: FnMut(u64)> Read for Input<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain(start) => start.read(buffer),
            Kind::Gzip(gzip) => gzip.read(buffer),
            Kind::Zstd(zstd) => zstd.read(buffer),
        }
    }
}

impl<R: Read, F: FnMut(u64)> fmt::Debug for Input<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").finish_non_exhaustive()
    }
}

struct Metered<R, F> {
    inner: R,
    progress: F,
    hasher: Hasher,
    len: u64,
}

impl<R: Read, F: FnMut(u64)> Read for Metered<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.len = self.len.saturating_add(count as u64);
        (self.progress)(count as u64);
        Ok(count)
    }
}
