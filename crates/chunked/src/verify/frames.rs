use std::fmt;
use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::tap::Tap;
use crate::range::BlobRange;

/// Log2 of the largest window a frame may ask for: 128 MiB, what the zstd tool accepts unless told otherwise.
const WINDOW_LOG_MAX: u32 = 27;

/// Bytes handed out at a time.
const PIECE_LEN: usize = 128 << 10;

/// What comes next in a blob.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Decompressed bytes.
    Content(&'a [u8]),
    /// The end of a frame, or of a gzip member: where in the blob.
    Cut(u64),
    /// A skippable frame: where in the blob its payload is. It is also a cut at its end.
    Skippable(BlobRange),
}

/// Decompresses a blob frame by frame, zstd, gzip or not compressed at all, and tells where each frame ends.
pub(super) struct Frames<R> {
    tap: Tap<R>,
    state: State,
    zstd: DCtx<'static>,
    gzip: Decompress,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the first byte of a frame, or at the end of the blob.
    Between,
    Zstd,
    Gzip,
    /// Not compressed, to the end of the blob.
    Plain,
    /// A frame has ended, which was not told yet.
    Ended,
}

impl<R: Read> Frames<R> {
    /// Starts at the first byte of a blob.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn new(tap: Tap<R>) -> io::Result<Self> {
        let mut zstd = DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        zstd.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(zstd_error)?;
        let gzip = Decompress::new_gzip(15);
        Ok(Self { tap, state: State::Between, zstd, gzip, buffer: vec![0; PIECE_LEN] })
    }

    /// Decompresses the next piece; `None` at the end of the blob.
    ///
    /// # Errors
    /// `InvalidData` or `UnexpectedEof` when the blob is damaged, or what its source answers.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        if self.state == State::Between {
            match self.start()? {
                Start::Frame(state) => self.state = state,
                Start::Skippable(range) => return Ok(Some(Piece::Skippable(range))),
                Start::End => return Ok(None),
            }
        }
        loop {
            let count = match self.state {
                State::Zstd => self.zstd()?,
                State::Gzip => self.gzip()?,
                State::Plain => match self.plain()? {
                    0 => return Ok(None),
                    count => count,
                },
                State::Ended | State::Between => {
                    self.state = State::Between;
                    return Ok(Some(Piece::Cut(self.tap.offset())));
                }
            };
            if count > 0 {
                return Ok(Some(Piece::Content(self.buffer.get(..count).unwrap_or_default())));
            }
        }
    }

    /// Returns where in the blob the bytes are that were not decompressed yet.
    pub(super) fn offset(&self) -> u64 {
        self.tap.offset()
    }

    /// Gives the blob back, at the first byte that was not decompressed.
    pub(super) fn into_inner(self) -> Tap<R> {
        self.tap
    }

    fn start(&mut self) -> io::Result<Start> {
        let first = self.tap.offset() == 0;
        let start = match self.tap.peek(8)? {
            [] => Start::End,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Start::Frame(State::Zstd),
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, len @ ..] => {
                let len = len.first_chunk().map(|len| u32::from_le_bytes(*len));
                let len = len.ok_or_else(|| truncated("skippable frame"))?;
                return self.skippable(len.into()).map(Start::Skippable);
            }
            [0x1f, 0x8b, ..] => Start::Frame(State::Gzip),
            _ if first => Start::Frame(State::Plain),
            _ => return Err(invalid("what follows is no frame")),
        };
        if let Start::Frame(State::Gzip) = start {
            // Its reset would go on without the gzip header.
            self.gzip = Decompress::new_gzip(15);
        }
        Ok(start)
    }

    fn skippable(&mut self, len: u64) -> io::Result<BlobRange> {
        self.tap.consume(8);
        let start = self.tap.offset();
        if self.tap.skip(len)? < len {
            return Err(truncated("skippable frame"));
        }
        BlobRange::with_len(start, len).ok_or_else(|| invalid("the blob is too long"))
    }

    fn zstd(&mut self) -> io::Result<usize> {
        let bytes = self.tap.peek(1)?;
        let mut input = InBuffer::around(bytes);
        let mut output = OutBuffer::around(self.buffer.as_mut_slice());
        let hint = self.zstd.decompress_stream(&mut output, &mut input).map_err(zstd_error)?;
        let (taken, given, at_end) = (input.pos, output.pos(), bytes.is_empty());
        self.tap.consume(taken);
        if hint == 0 {
            self.state = State::Ended;
        } else if at_end && given == 0 {
            return Err(truncated("zstd frame"));
        }
        Ok(given)
    }

    fn gzip(&mut self) -> io::Result<usize> {
        let bytes = self.tap.peek(1)?;
        let at_end = bytes.is_empty();
        let before = (self.gzip.total_in(), self.gzip.total_out());
        let status = self.gzip.decompress(bytes, &mut self.buffer, FlushDecompress::None);
        let status = status.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let taken = self.gzip.total_in().saturating_sub(before.0);
        let given = self.gzip.total_out().saturating_sub(before.1);
        self.tap.consume(usize::try_from(taken).unwrap_or_default());
        if status == Status::StreamEnd {
            self.state = State::Ended;
        } else if at_end && given == 0 {
            return Err(truncated("gzip member"));
        }
        Ok(usize::try_from(given).unwrap_or_default())
    }

    fn plain(&mut self) -> io::Result<usize> {
        self.tap.read(&mut self.buffer)
    }
}

enum Start {
    Frame(State),
    Skippable(BlobRange),
    End,
}

impl<R> fmt::Debug for Frames<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("tap", &self.tap).field("state", &self.state).finish_non_exhaustive()
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn truncated(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("the blob ends inside a {what}"))
}

fn zstd_error(code: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, zstd_safe::get_error_name(code))
}
