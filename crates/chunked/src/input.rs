//! The tar inside a layer, whatever it is compressed with.

use std::fmt;
use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};

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

/// Reads the tar of a layer, and shows the layer as it is compressed to whoever wants to hash or count it, in one pass.
///
/// All of the input is read: what follows the compressed data and is not more of it is an error of kind `InvalidInput` or
/// `InvalidData`, and data that ends too early one of kind `UnexpectedEof`.
pub struct Input<R: Read, F: FnMut(&[u8])>(Kind<Watched<R, F>>);

enum Kind<R: Read> {
    Plain(Start<R>),
    Gzip(Box<MultiGzDecoder<BufReader<Start<R>>>>),
    Zstd(Box<ZstdReader<BufReader<Start<R>>>>),
}

/// The bytes that were looked at to tell the compression, and then the rest.
type Start<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

impl<R: Read, F: FnMut(&[u8])> Input<R, F> {
    /// Looks at the first bytes of `reader`, and shows `watch` all that is read.
    ///
    /// # Errors
    /// Those of `reader`.
    pub fn open(reader: R, watch: F) -> io::Result<Self> {
        let mut watched = Watched { inner: reader, watch };
        let mut start = Vec::new();
        watched.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut start)?;
        let compression = Compression::sniff(&start);
        let all = io::Cursor::new(start).chain(watched);
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

    /// Tells how the layer is compressed.
    pub fn compression(&self) -> Compression {
        match self.0 {
            Kind::Plain(_) => Compression::None,
            Kind::Gzip(_) => Compression::Gzip,
            Kind::Zstd(_) => Compression::Zstd,
        }
    }
}

impl<R: Read, F: FnMut(&[u8])> Read for Input<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain(start) => start.read(buffer),
            Kind::Gzip(gzip) => gzip.read(buffer),
            Kind::Zstd(zstd) => zstd.read(buffer),
        }
    }
}

impl<R: Read, F: FnMut(&[u8])> fmt::Debug for Input<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").finish_non_exhaustive()
    }
}

struct Watched<R, F> {
    inner: R,
    watch: F,
}

impl<R: Read, F: FnMut(&[u8])> Read for Watched<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        (self.watch)(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
