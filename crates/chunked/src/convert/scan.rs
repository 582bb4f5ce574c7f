//! Walks the tar and decides: where frames are cut, what is a member, and whether there can be a TOC at all.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::encode::Job;
use super::giant::{GIANT_LEN, Giant};
use super::report::PlainReason;
use super::slab::{Slab, Stretch};
use super::steps::{Batch, EncodedBatch, FileSums, Framed, Step};
use super::{Options, SelfCheck};
use crate::chunker::{Chunker, Cut};
use crate::digest::Hasher;
use crate::entry::{ChunkKind, Entry};
use crate::error::Error;
use crate::frame::Level;
use crate::limits::Limits;
use crate::tar::{self, BLOCK_LEN, Member};
use crate::tar_split::{Crc64, Paths};

/// Tar bytes that make a batch worth sending: enough to keep the queues' cost small, few enough for a core's cache.
const BATCH_LEN: usize = 1 << 20;

/// Longest payload that an encoder cuts by itself; the scanner cuts what is longer and shares its chunks out.
const FILE_LEN: usize = 1 << 20;

/// Frames of a layer that gets no TOC: long enough to compress well, short enough for several cores to share.
const PLAIN_FRAME_LEN: usize = 4 << 20;

/// Tar-split segments after the end of the tar are no longer than this, as the reference's are.
const TRAILING_SEGMENT_LEN: usize = 1 << 20;

/// What the intake says: the next slab, or that the tar ended. A channel that closes without it means failure.
pub(super) enum Intake {
    Slab(Arc<Slab>),
    End,
}

/// Why the scanner stops early: another stage has ended, which reports the reason itself, or it failed.
enum Stop {
    OtherStage,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

type Flow<T> = Result<T, Stop>;

/// Scans the whole tar and sends its batches to the encoders, and their order to the assembler.
pub(super) fn run(
    slabs: Receiver<Intake>,
    jobs: Sender<Job>,
    order: Sender<Receiver<EncodedBatch>>,
    options: &Options,
) -> Result<(), Error> {
    let batches = Batches { batch: Batch::default(), weight: 0, jobs, order };
    let mut scanner = Scanner {
        tar: Cursor { slabs, buffered: Stretch::default(), offset: 0, ended: false },
        batches,
        headers: Open::default(),
        paths: Paths::new(),
        members: 0,
        level: options.level,
        self_check: options.self_check,
        limits: options.limits,
    };
    match scanner.scan() {
        Ok(()) | Err(Stop::OtherStage) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// The tar, read ahead as far as a decision needs.
struct Cursor {
    slabs: Receiver<Intake>,
    buffered: Stretch,
    offset: u64,
    ended: bool,
}

impl Cursor {
    /// Reads ahead until `len` bytes are buffered or the tar ends, and returns how many of them there are.
    fn fill(&mut self, len: usize) -> Flow<usize> {
        while self.buffered.len() < len && !self.ended {
            match self.slabs.recv().map_err(|_| Stop::OtherStage)? {
                Intake::Slab(slab) => self.buffered.push_slab(slab),
                Intake::End => self.ended = true,
            }
        }
        Ok(self.buffered.len().min(len))
    }

    fn take(&mut self, len: usize) -> Stretch {
        let taken = self.buffered.take(len);
        self.offset = self.offset.saturating_add(taken.len() as u64);
        taken
    }
}

/// Steps on their way to the encoders.
struct Batches {
    batch: Batch,
    weight: usize,
    jobs: Sender<Job>,
    order: Sender<Receiver<EncodedBatch>>,
}

impl Batches {
    fn push(&mut self, step: Step, weight: usize) -> Flow<()> {
        self.batch.steps.push(step);
        self.weight = self.weight.saturating_add(weight);
        if self.weight < BATCH_LEN { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Flow<()> {
        self.weight = 0;
        let (reply, encoded) = bounded(1);
        let job = Job { batch: std::mem::take(&mut self.batch), reply };
        self.jobs.send(job).map_err(|_| Stop::OtherStage)?;
        self.order.send(encoded).map_err(|_| Stop::OtherStage)
    }
}

/// A frame that is still growing: its bytes, or if it became giant those that are not compressed yet.
#[derive(Default)]
struct Open {
    bytes: Stretch,
    giant: Option<Box<Giant>>,
}

/// What stands at a member boundary.
enum Head {
    Member { header_len: usize, member: Box<Member> },
    End,
    Plain(PlainReason),
}

struct Scanner {
    tar: Cursor,
    batches: Batches,
    /// Headers and padding since the last payload.
    headers: Open,
    paths: Paths,
    members: u64,
    level: Level,
    self_check: SelfCheck,
    limits: Limits,
}

impl Scanner {
    fn scan(&mut self) -> Flow<()> {
        match self.members()? {
            Ok(padding) => self.trailer(padding)?,
            Err(why) => self.plain(why)?,
        }
        self.batches.push(Step::End, 0)?;
        self.batches.flush()
    }

    /// Scans members up to the end of the tar, and returns the padding left before it; or why there can be no TOC.
    fn members(&mut self) -> Flow<Result<usize, PlainReason>> {
        let mut padding = 0;
        loop {
            let (header_len, member) = match self.head(padding)? {
                Head::Member { header_len, member } => (header_len, member),
                Head::End if self.members == 0 => return Ok(Err(PlainReason::NoEntries)),
                Head::End => return Ok(Ok(padding)),
                Head::Plain(why) => return Ok(Err(why)),
            };
            let entry = match self.entry(&member) {
                Ok(entry) => Box::new(entry),
                Err(why) => return Ok(Err(why)),
            };
            let headers = self.tar.take(padding.saturating_add(header_len));
            self.segment(headers)?;
            if let Err(why) = self.payload(entry, member.payload_len())? {
                return Ok(Err(why));
            }
            padding = member.padding_len();
        }
    }

    /// Looks at what follows `padding` bytes of padding.
    fn head(&mut self, padding: usize) -> Flow<Head> {
        let mut wanted = padding.saturating_add(BLOCK_LEN);
        let mut scratch = Vec::new();
        loop {
            let found = self.tar.fill(wanted)?;
            let bytes = self.tar.buffered.front(wanted, &mut scratch);
            let bytes = bytes.get(..found).unwrap_or(bytes);
            if found < wanted {
                return Ok(match bytes.get(padding..) {
                    Some(rest) if rest.is_empty() || rest == [0; BLOCK_LEN] => Head::End,
                    _ => Head::Plain(PlainReason::Truncated { offset: self.tar.offset }),
                });
            }
            match tar::parse(bytes.get(padding..).unwrap_or_default(), &self.limits) {
                Ok(tar::Step::NeedMore(more)) => wanted = padding.saturating_add(more),
                Ok(tar::Step::Member { header_len, member }) => {
                    return Ok(Head::Member { header_len, member });
                }
                Ok(tar::Step::End) => return Ok(Head::End),
                Err(source) => {
                    let offset = self.tar.offset.saturating_add(padding as u64);
                    return Ok(Head::Plain(PlainReason::Damaged { offset, source }));
                }
            }
        }
    }

    fn entry(&mut self, member: &Member) -> Result<Entry, PlainReason> {
        let entry = member.to_entry()?;
        self.members = self.members.saturating_add(1);
        if self.paths.insert(&member.name) {
            Ok(entry)
        } else {
            Err(PlainReason::Duplicate { name: entry.name })
        }
    }

    /// Notes tar bytes that are no payload: for the tar-split, and for the frame of headers they lie in.
    fn segment(&mut self, bytes: Stretch) -> Flow<()> {
        self.headers.bytes.append(&bytes);
        let weight = bytes.len();
        self.batches.push(Step::Segment(bytes), weight)?;
        if self.headers.giant.is_some() || self.headers.bytes.len() > GIANT_LEN {
            let settled = self.headers.bytes.len();
            self.grow_headers(settled)?;
        }
        Ok(())
    }

    fn grow_headers(&mut self, settled: usize) -> Flow<()> {
        let Self { headers: Open { bytes, giant }, batches, level, self_check, .. } = self;
        let giant = giant.get_or_insert_with(|| Box::new(Giant::new(*level, *self_check)));
        let encoded = giant.grow(bytes, settled)?;
        let weight = encoded.len();
        batches.push(Step::Encoded(encoded), weight)
    }

    /// Ends the frame of headers, if there is one.
    fn end_headers(&mut self) -> Flow<()> {
        let Open { bytes, giant } = std::mem::take(&mut self.headers);
        match giant {
            Some(giant) => self.end_giant(*giant, bytes, None),
            None if bytes.is_empty() => Ok(()),
            None => self.batches.push(Step::Frame(bytes), 0),
        }
    }

    fn end_giant(&mut self, giant: Giant, rest: Stretch, kind: Option<ChunkKind>) -> Flow<()> {
        let (encoded, len, digest) = giant.finish(rest)?;
        let weight = encoded.len();
        self.batches.push(Step::Encoded(encoded), weight)?;
        self.batches.push(Step::EncodedFrame(Framed { len, chunk: kind.map(|kind| (kind, digest)) }), 0)
    }

    fn payload(&mut self, entry: Box<Entry>, len: u64) -> Flow<Result<(), PlainReason>> {
        if len == 0 {
            self.batches.push(Step::Member(entry), 0)?;
            return Ok(Ok(()));
        }
        let truncated = PlainReason::TruncatedFile { name: entry.name.clone() };
        let short = usize::try_from(len).ok().filter(|len| *len <= FILE_LEN);
        match short {
            Some(len) if self.tar.fill(len)? < len => return Ok(Err(truncated)),
            Some(len) => {
                self.end_headers()?;
                let content = self.tar.take(len);
                self.batches.push(Step::File(entry, content), len)?;
            }
            None => {
                self.end_headers()?;
                if !self.long_file(entry, len)? {
                    return Ok(Err(truncated));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Cuts a payload as it comes, and tells whether all of it came.
    fn long_file(&mut self, entry: Box<Entry>, len: u64) -> Flow<bool> {
        self.batches.push(Step::Open(entry), 0)?;
        let mut chunks = Chunks::default();
        let (mut digest, mut crc64, mut left) = (Hasher::new(), Crc64::new(), len);
        while left > 0 && self.tar.fill(1)? > 0 {
            let bytes = self.tar.take(usize::try_from(left).unwrap_or(usize::MAX).min(FILE_LEN));
            left = left.saturating_sub(bytes.len() as u64);
            for slice in bytes.slices() {
                digest.update(slice);
                crc64.update(slice);
                chunks.chunker.scan(slice, &mut chunks.cuts);
            }
            chunks.open.bytes.append(&bytes);
            self.cut_chunks(&mut chunks)?;
        }
        std::mem::take(&mut chunks.chunker).finish(&mut chunks.cuts);
        self.cut_chunks(&mut chunks)?;
        let sums = FileSums { digest: digest.finish_content(), crc64: crc64.finish() };
        self.batches.push(Step::Close(sums), 0)?;
        Ok(left == 0)
    }

    fn cut_chunks(&mut self, chunks: &mut Chunks) -> Flow<()> {
        for Cut { end, kind } in std::mem::take(&mut chunks.cuts) {
            let len = usize::try_from(end.saturating_sub(chunks.start)).unwrap_or(usize::MAX);
            let Open { bytes, giant } = &mut chunks.open;
            let left = giant.as_ref().map_or(0, |giant| giant.len());
            let rest = bytes.take(usize::try_from((len as u64).saturating_sub(left)).unwrap_or(usize::MAX));
            chunks.start = end;
            match giant.take() {
                Some(giant) => self.end_giant(*giant, rest, Some(kind))?,
                None if rest.len() > GIANT_LEN => {
                    self.end_giant(Giant::new(self.level, self.self_check), rest, Some(kind))?;
                }
                None => self.batches.push(Step::Chunk(rest, kind), len)?,
            }
        }
        self.grow_chunk(chunks)
    }

    /// Compresses what is settled of a chunk that has become giant.
    fn grow_chunk(&mut self, chunks: &mut Chunks) -> Flow<()> {
        let Open { bytes, giant } = &mut chunks.open;
        let unsettled = chunks.chunker.undecided();
        let settled = bytes.len().saturating_sub(unsettled);
        if giant.is_none() && settled <= GIANT_LEN {
            return Ok(());
        }
        let giant = giant.get_or_insert_with(|| Box::new(Giant::new(self.level, self.self_check)));
        let encoded = giant.grow(bytes, settled)?;
        let weight = encoded.len();
        self.batches.push(Step::Encoded(encoded), weight)
    }

    /// Takes what follows the last member: padding, the two zero blocks, and whatever the tar has after them.
    fn trailer(&mut self, padding: usize) -> Flow<()> {
        let mut len = padding.saturating_add(2 * BLOCK_LEN);
        while self.tar.fill(len)? > 0 {
            let bytes = self.tar.take(len);
            self.segment(bytes)?;
            len = TRAILING_SEGMENT_LEN;
        }
        self.end_headers()
    }

    /// Takes the rest of a tar that gets no TOC.
    fn plain(&mut self, why: PlainReason) -> Flow<()> {
        self.end_headers()?;
        self.batches.push(Step::Plain(why), 0)?;
        while self.tar.fill(PLAIN_FRAME_LEN)? > 0 {
            let bytes = self.tar.take(PLAIN_FRAME_LEN);
            let weight = bytes.len();
            self.batches.push(Step::Frame(bytes), weight)?;
        }
        Ok(())
    }
}

/// A long file on its way into chunks.
#[derive(Default)]
struct Chunks {
    chunker: Chunker,
    cuts: Vec<Cut>,
    /// Where the current chunk starts in the file.
    start: u64,
    /// The bytes since then.
    open: Open,
}
