//! What the scanner asks of the workers, and what they answer: the layer in tar order, a batch at a time.

use crossbeam_channel::Receiver;

use super::reason::PlainReason;
use super::slab::Stretch;
use crate::digest::ContentDigest;
use crate::entry::{ChunkKind, Entry};

/// One thing to do, in tar order.
#[derive(Debug)]
pub(super) enum Step {
    /// Tar bytes that are no payload, for the tar-split.
    Segment(Stretch),
    /// A member without payload.
    Member(Box<Entry>),
    /// Tar bytes that make a frame and are no chunk: headers and padding, or the rest of a tar that gets no TOC.
    Frame(Stretch),
    /// A member with its whole payload, still to be cut.
    File(Box<Entry>, Stretch),
    /// A member whose payload follows in chunks.
    Open(Box<Entry>),
    /// The next chunk of the open member.
    Chunk(Stretch, ChunkKind),
    /// The open member is one chunk after all, as its chunks would be too small.
    Uncut,
    /// The end of the open member, and where its digest will come from.
    Close { digest: Receiver<ContentDigest>, crc64: u64 },
    /// Bytes of a frame that the scanner had to compress itself.
    Encoded(Vec<u8>),
    /// The end of such a frame.
    EncodedFrame(Framed),
    /// From here on the layer gets no TOC.
    Plain(PlainReason),
    /// From here on the layer gets no tar-split, and the order of its rows matters.
    Irregular(PlainReason),
    /// The tar is done.
    End,
}

/// The same when it is done. Ends of frames are offsets in the batch's `frames`.
#[derive(Debug)]
pub(super) enum Encoded {
    Segment(Stretch),
    Member(Box<Entry>),
    Frame(Framed, FrameEnd),
    File(Box<Entry>, Vec<(Framed, FrameEnd)>, FileSums),
    /// A frame that is no chunk, because from here on the layer gets no TOC.
    PlainFrame(Framed, FrameEnd, PlainReason),
    Open(Box<Entry>),
    Uncut,
    Close {
        digest: Receiver<ContentDigest>,
        crc64: u64,
    },
    Plain(PlainReason),
    Irregular(PlainReason),
    End,
}

/// Offset after a frame in the batch's `frames`.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameEnd(pub(super) usize);

/// What a finished frame holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Framed {
    /// Bytes of tar in it.
    pub(super) len: u64,
    /// The chunk it is, if it is one.
    pub(super) chunk: Option<(ChunkKind, ContentDigest)>,
}

/// The sums over one file's whole content.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileSums {
    pub(super) digest: ContentDigest,
    pub(super) crc64: u64,
}

/// Steps that one worker does in one go, about a megabyte of tar.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) steps: Vec<Step>,
}

/// A batch done.
#[derive(Debug, Default)]
pub(crate) struct EncodedBatch {
    pub(super) steps: Vec<Encoded>,
    /// The frames of all steps, one after another.
    pub(crate) frames: Vec<u8>,
}
