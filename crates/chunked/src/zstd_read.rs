//! Decompresses a stream of zstd frames.

use std::fmt;
use std::io::{self, BufRead, Read};

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// Log2 of the largest window a frame may ask for: 128 MiB, what the zstd tool accepts unless told otherwise.
const WINDOW_LOG_MAX: u32 = 27;

/// Decompresses all frames of `inner`, one after the other; skippable and empty frames yield nothing.
///
/// Nothing is bounded but the window: whoever does not trust the input wraps this in [`Read::take`]. Errors are those of
/// `inner`, `InvalidData` for bytes that are not zstd, and `UnexpectedEof` for an input that ends inside a frame.
pub(crate) struct ZstdReader<R> {
    inner: R,
    context: DCtx<'static>,
    in_frame: bool,
}

impl<R: BufRead> ZstdReader<R> {
    /// Starts at a frame boundary of `inner`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new(inner: R) -> io::Result<Self> {
        let mut context = DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(invalid_data)?;
        Ok(Self { inner, context, in_frame: false })
    }

    /// Gives the input back, at the first byte that was not needed.
    pub(crate) fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let bytes = self.inner.fill_buf()?;
            let at_end = bytes.is_empty();
            if at_end && !self.in_frame {
                return Ok(0);
            }
            let mut input = InBuffer::around(bytes);
            let mut output = OutBuffer::around(&mut *buffer);
            // Without input this drains what the context still holds.
            let hint = self.context.decompress_stream(&mut output, &mut input).map_err(invalid_data)?;
            let (taken, given) = (input.pos, output.pos());
            self.inner.consume(taken);
            self.in_frame = hint != 0;
            if given > 0 {
                return Ok(given);
            }
            if at_end {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "zstd stream ends inside a frame"));
            }
        }
    }
}

impl<R> fmt::Debug for ZstdReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZstdReader").field("in_frame", &self.in_frame).finish_non_exhaustive()
    }
}

fn invalid_data(code: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, zstd_safe::get_error_name(code))
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;
    use crate::testing::{skippable_frame as skippable, zstd_frame as frame};

    fn read(blob: &[u8], buffered: usize, step: usize) -> io::Result<Vec<u8>> {
        let mut reader = ZstdReader::new(BufReader::with_capacity(buffered, blob))?;
        let (mut out, mut piece) = (Vec::new(), vec![0; step]);
        loop {
            match reader.read(&mut piece)? {
                0 => return Ok(out),
                count => out.extend_from_slice(&piece[..count]),
            }
        }
    }

    #[test]
    fn frames_follow_each_other_and_skippable_ones_are_skipped() {
        let long = b"0123456789abcdef".repeat(40_000);
        let blob =
            [frame(b"head"), skippable(b"x"), frame(&long), frame(b""), skippable(b""), frame(b"tail")]
                .concat();
        let expected = [b"head", long.as_slice(), b"tail"].concat();
        for (buffered, step) in [(1, 1), (7, 1000), (8192, 3), (1 << 20, 1 << 20)] {
            assert!(read(&blob, buffered, step).unwrap() == expected, "{buffered} {step}");
        }
        assert_eq!(read(b"", 10, 10).unwrap(), b"");
    }

    #[test]
    fn every_truncation_is_noticed() {
        let blob = [frame(b"some content"), skippable(b"some more")].concat();
        let boundary = blob.len() - 17;
        for len in (1..blob.len()).filter(|len| *len != boundary) {
            let error = read(&blob[..len], 100, 100).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{len}");
        }
    }

    #[test]
    fn damage_and_enormous_windows_are_errors() {
        assert_eq!(read(b"not zstd at all", 100, 100).unwrap_err().kind(), io::ErrorKind::InvalidData);
        // A frame header that asks for a window of 2^28 bytes, and the start of a block.
        let header = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (28 - 10) << 3, 0x01, 0x00, 0x00];
        let error = read(&header, 100, 100).unwrap_err();
        assert_eq!(error.to_string(), "Frame requires too much memory for decoding");
    }
}
