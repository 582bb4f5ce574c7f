//! zstd frames: one for each chunk and each stretch of tar headers, and skippable ones around the metadata.

use std::fmt;
use std::io;

use zstd_safe::{CCtx, CParameter, DCtx, InBuffer, OutBuffer, zstd_sys::ZSTD_EndDirective};

use crate::zstd_read::ZstdReader;

/// Bytes before the payload of a skippable frame: magic and length.
pub const SKIPPABLE_HEADER_LEN: u64 = 8;

/// The skippable magic that zstd:chunked uses, 0x184D2A50 in little endian.
pub(crate) const SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

/// Largest window of a frame, 8 MiB as the reference writes: every decoder in the field takes it.
const WINDOW_LOG: u32 = 23;

/// How hard zstd tries: 1 (fast) to 22 (small).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Level(i32);

impl Level {
    /// Takes a level between 1 and 22.
    pub fn new(level: i32) -> Option<Self> {
        (1..=22).contains(&level).then_some(Self(level))
    }

    /// Returns the number.
    pub fn get(self) -> i32 {
        self.0
    }
}

impl Default for Level {
    /// Level 3, zstd's own default.
    fn default() -> Self {
        Self(3)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Writes the 8 bytes before `len` bytes that plain zstd decoders skip; `None` when they are 4 GiB or more.
pub fn skippable_header(len: usize) -> Option<[u8; 8]> {
    let len = u32::try_from(len).ok()?.to_le_bytes();
    let mut header = [0; 8];
    header[..4].copy_from_slice(&SKIPPABLE_MAGIC);
    header[4..].copy_from_slice(&len);
    Some(header)
}

/// Compresses frames one after another with one context, which costs 20 us to make anew (measured).
///
/// Frames carry their content's length where it is known, and no checksum: the digests of the TOC cover the content.
pub struct Encoder {
    context: CCtx<'static>,
}

impl Encoder {
    /// Makes an encoder for one level.
    pub fn new(level: Level) -> Self {
        let mut context = CCtx::create();
        let window = (level.0 > 15).then_some(CParameter::WindowLog(WINDOW_LOG));
        for parameter in [Some(CParameter::CompressionLevel(level.0)), window].into_iter().flatten() {
            // Both values lie within libzstd's documented bounds, for which setting a parameter cannot fail.
            let _ = context.set_parameter(parameter);
        }
        Self { context }
    }

    /// Appends one frame that holds `content`.
    ///
    /// # Errors
    /// When libzstd cannot get memory.
    pub fn frame(&mut self, content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        out.reserve(zstd_safe::compress_bound(content.len()));
        let mut sink = io::Cursor::new(&mut *out);
        sink.set_position(start as u64);
        self.context.compress2(&mut sink, content).map(drop).map_err(zstd_error)
    }

    /// Appends what libzstd releases of a frame whose length is not known beforehand; `last` ends the frame.
    ///
    /// The same pieces give the same bytes; cut them where only the content decides.
    ///
    /// # Errors
    /// When libzstd cannot get memory.
    pub fn piece(&mut self, content: &[u8], last: bool, out: &mut Vec<u8>) -> io::Result<()> {
        let directive = if last { ZSTD_EndDirective::ZSTD_e_end } else { ZSTD_EndDirective::ZSTD_e_continue };
        let mut input = InBuffer::around(content);
        loop {
            out.reserve(zstd_safe::CCtx::out_size());
            let start = out.len();
            let mut sink = OutBuffer::around_pos(&mut *out, start);
            let left = self.context.compress_stream2(&mut sink, &mut input, directive).map_err(zstd_error)?;
            let done = if last { left == 0 } else { input.pos() == content.len() };
            if done {
                return Ok(());
            }
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

/// Decompresses what `frames` holds, one frame after another, while it is read.
///
/// # Errors
/// `OutOfMemory`; reading answers `InvalidData` for bytes that are not zstd.
pub fn content<R: io::Read>(frames: R) -> io::Result<impl io::Read> {
    ZstdReader::new(io::BufReader::with_capacity(DCtx::in_size(), frames))
}

/// Decompresses frames one after another with one context.
pub struct Decoder {
    context: DCtx<'static>,
    content: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Makes a decoder.
    pub fn new() -> Self {
        Self { context: DCtx::create(), content: Vec::new() }
    }

    /// Decodes whole frames, which must hold at most `len` bytes, and returns what they hold.
    ///
    /// # Errors
    /// `InvalidData` when the frames are damaged or hold more.
    pub fn frames(&mut self, frames: &[u8], len: usize) -> io::Result<&[u8]> {
        if self.content.len() < len {
            self.content.resize(len, 0);
        }
        let room = self.content.get_mut(..len).unwrap_or_default();
        let found = self.context.decompress(room, frames).map_err(zstd_error)?;
        Ok(self.content.get(..found).unwrap_or_default())
    }

    /// Decodes the first frame of `bytes`, which must fill `room` exactly; what follows the frame is left alone.
    ///
    /// # Errors
    /// `InvalidData` when the frame is damaged, or holds more or less.
    pub fn frame_into(&mut self, bytes: &[u8], room: &mut [u8]) -> io::Result<()> {
        let len = zstd_safe::find_frame_compressed_size(bytes).map_err(zstd_error)?;
        let frame = bytes.get(..len).unwrap_or_default();
        match self.context.decompress(room, frame).map_err(zstd_error)? {
            found if found == room.len() => Ok(()),
            found => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the frame holds {found} bytes, expected {}", room.len()),
            )),
        }
    }

    /// Decodes the next bytes of a frame and hands out what they hold, a buffer at a time; tells whether the frame ended.
    ///
    /// # Errors
    /// `InvalidData` when the frame is damaged, or what `hand` answers.
    pub fn piece(&mut self, bytes: &[u8], mut hand: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<bool> {
        let mut input = InBuffer::around(bytes);
        let mut buffer = Vec::with_capacity(DCtx::out_size());
        loop {
            buffer.clear();
            let mut sink = OutBuffer::around(&mut buffer);
            let left = self.context.decompress_stream(&mut sink, &mut input).map_err(zstd_error)?;
            let full = sink.pos() == sink.capacity();
            hand(&buffer)?;
            if input.pos() == bytes.len() && (left == 0 || !full) {
                return Ok(left == 0);
            }
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

fn zstd_error(code: zstd_safe::ErrorCode) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, zstd_safe::get_error_name(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_decodes_to_its_content_and_knows_its_length() {
        let mut frame = b"before".to_vec();
        let content = vec![7; 100_000];
        Encoder::new(Level::default()).frame(&content, &mut frame).unwrap();
        let frame = &frame[6..];
        assert_eq!(zstd_safe::get_frame_content_size(frame).unwrap(), Some(100_000));
        assert_eq!(Decoder::new().frames(frame, content.len()).unwrap(), content);
        let error = Decoder::new().frames(frame, content.len() - 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn pieces_make_one_frame_that_decodes_piece_by_piece() {
        let (mut encoder, mut frame) = (Encoder::new(Level::default()), Vec::new());
        let content: Vec<u8> = (0..3_000_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let mut pieces = content.chunks(1 << 20).peekable();
        while let Some(piece) = pieces.next() {
            encoder.piece(piece, pieces.peek().is_none(), &mut frame).unwrap();
        }
        let (mut decoder, mut back, mut ended) = (Decoder::new(), Vec::new(), false);
        for piece in frame.chunks(1000) {
            assert!(!ended);
            let mut keep = |bytes: &[u8]| {
                back.extend_from_slice(bytes);
                Ok(())
            };
            ended = decoder.piece(piece, &mut keep).unwrap();
        }
        assert!(ended && back == content);
    }

    #[test]
    fn the_highest_level_keeps_its_window_small() {
        let (mut encoder, mut frame) = (Encoder::new(Level::new(22).unwrap()), Vec::new());
        encoder.piece(&[1; 4096], false, &mut frame).unwrap();
        encoder.piece(&[2; 4096], true, &mut frame).unwrap();
        let mut decoder = DCtx::create();
        decoder.set_parameter(zstd_safe::DParameter::WindowLogMax(WINDOW_LOG)).unwrap();
        assert!(decoder.decompress(&mut Vec::with_capacity(8192), &frame).is_ok());
    }
}
