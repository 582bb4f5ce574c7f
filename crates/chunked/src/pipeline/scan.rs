//! Walks the tar and decides: where frames are cut, what is a member, and whether there can be a TOC at all.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Setup;
use super::giant::{GIANT_LEN, Giant};
use super::purpose::Purpose;
use super::reason::PlainReason;
use super::sink::Staged;
use super::slab::{Slab, Stretch};
use super::steps::{Batch, EncodedBatch, FileSums, Framed, Step};
use super::tree::Tree;
use super::work::Job;
use crate::chunker::{self, Chunker, Cut};
use crate::digest::Hasher;
use crate::entry::{ChunkKind, Entry};
use crate::error::Error;
use crate::limits::Limits;
use crate::tar::{self, BLOCK_LEN, Member, Unfaithful};
use crate::tar_split::Crc64;

/// Tar bytes that make a batch worth sending: enough to keep the queues' cost small, few enough for a core's cache.
const BATCH_LEN: usize = 1 << 20;

/// Longest payload that a worker cuts by itself; the scanner cuts what is longer and shares its chunks out.
const FILE_LEN: usize = 1 << 20;

/// Frames of a layer that gets no TOC: long enough to compress well, short enough for several cores to share.
const PLAIN_FRAME_LEN: usize = 4 << 20;

/// Chunks of one file, which are held until it ends: enough for 64 GiB of anything but hostile data.
const MOST_CHUNKS: usize = 1 << 20;

/// Tar-split segments after the end of the tar are no longer than this, as the reference's are.
const TRAILING_SEGMENT_LEN: usize = 1 << 20;

/// What the intake says: the next slab, or that the tar ended. A channel that closes without it means failure.
pub(super) enum Intake {
    Slab(Arc<Slab>),
    End,
}

/// Why the scanner does not go on.
enum Stop {
    /// There can be no TOC.
    Plain(PlainReason),
    /// Another stage has ended, and reports why.
    OtherStage,
    /// The scanner itself has failed.
    Failed(Error),
}

impl From<PlainReason> for Stop {
    fn from(why: PlainReason) -> Self {
        Self::Plain(why)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

type Flow<T> = Result<T, Stop>;

/// Scans the whole tar and sends its batches to the workers, and their order to whoever puts them together.
pub(super) fn run(
    slabs: Receiver<Intake>,
    jobs: Sender<Job>,
    order: Sender<Receiver<EncodedBatch>>,
    setup: &Setup<'_>,
) -> Result<(), Error> {
    let batches = Batches { batch: Batch::default(), weight: 0, jobs, order };
    let mut scanner = Scanner {
        tar: Cursor { slabs, buffered: Stretch::default(), offset: 0, ended: false },
        batches,
        headers: Open::default(),
        tree: Tree::default(),
        members: 0,
        irregular: false,
        purpose: setup.purpose,
        limits: *setup.limits,
    };
    match scanner.scan() {
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::Plain(why)) => Err(Error::Unindexable(why)),
        Err(Stop::OtherStage) | Ok(()) => Ok(()),
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

/// Steps on their way to the workers.
struct Batches {
    batch: Batch,
    weight: usize,
    jobs: Sender<Job>,
    order: Sender<Receiver<EncodedBatch>>,
}

impl Batches {
    /// Adds a step that used up `weight` bytes of tar. Weighing anything else could keep slabs from coming home.
    fn push(&mut self, step: Step, weight: usize) -> Flow<()> {
        self.batch.steps.push(step);
        self.weight = self.weight.saturating_add(weight);
        if self.weight < BATCH_LEN { Ok(()) } else { self.flush() }
    }

    /// Compresses what is settled of a frame that has become too long to hold.
    fn grow(&mut self, open: &mut Open, settled: usize, purpose: &Purpose<'_>) -> Flow<()> {
        if open.giant.is_none() && settled <= GIANT_LEN {
            return Ok(());
        }
        let giant = open.giant.get_or_insert_with(|| Box::new(Giant::new(purpose)));
        let before = open.bytes.len();
        let encoded = giant.grow(&mut open.bytes, settled)?;
        self.push(Step::Encoded(encoded), before.saturating_sub(open.bytes.len()))
    }

    /// Ends a frame, which is a chunk if it has a kind.
    fn end(&mut self, open: Open, kind: Option<ChunkKind>, purpose: &Purpose<'_>) -> Flow<()> {
        let Open { bytes, giant } = open;
        let weight = bytes.len();
        let giant = match giant {
            None if weight <= GIANT_LEN => {
                let step = match kind {
                    Some(kind) => Step::Chunk(bytes, kind),
                    None => Step::Frame(bytes),
                };
                return self.push(step, weight);
            }
            None => Giant::new(purpose),
            Some(giant) => *giant,
        };
        let (encoded, len, digest) = giant.finish(bytes)?;
        self.push(Step::Encoded(encoded), weight)?;
        self.push(Step::EncodedFrame(Framed { len, chunk: kind.map(|kind| (kind, digest)) }), 0)
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
}

struct Scanner<'s> {
    tar: Cursor,
    batches: Batches,
    /// Headers and padding since the last payload.
    headers: Open,
    tree: Tree,
    members: u64,
    /// Whether something was met that no TOC says.
    irregular: bool,
    purpose: Purpose<'s>,
    limits: Limits,
}

impl Scanner<'_> {
    fn scan(&mut self) -> Flow<()> {
        match (self.members(), self.purpose) {
            (Err(Stop::Plain(why)), Purpose::Blob { .. }) => self.plain(why)?,
            (done, _) => done?,
        }
        self.batches.push(Step::End, 0)?;
        self.batches.flush()
    }

    /// Scans the whole tar, as long as it can have a TOC.
    fn members(&mut self) -> Flow<()> {
        let mut padding = 0;
        while let Head::Member { header_len, mut member } = self.head(padding)? {
            let entry = self.entry(&mut member)?;
            let headers = self.tar.take(padding.saturating_add(header_len));
            match entry {
                Some(entry) => {
                    self.segment(headers)?;
                    self.payload(Box::new(entry), member.payload_len())?;
                }
                None => self.skip(&member)?,
            }
            padding = member.padding_len();
        }
        if self.members == 0 && self.purpose.sink().is_none() {
            return Err(PlainReason::NoEntries.into());
        }
        self.trailer(padding)
    }

    /// Goes on although a TOC does not say what the tar says, if what it says is enough to unpack the layer.
    fn depart(&mut self, why: PlainReason) -> Flow<()> {
        match self.purpose {
            Purpose::Blob { .. } => Err(why.into()),
            Purpose::Store(_) if std::mem::replace(&mut self.irregular, true) => Ok(()),
            Purpose::Store(_) => self.batches.push(Step::Irregular(why), 0),
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
                return match bytes.get(padding..) {
                    Some(rest) if rest.is_empty() || rest == [0; BLOCK_LEN] => Ok(Head::End),
                    _ => Err(PlainReason::Truncated { offset: self.tar.offset }.into()),
                };
            }
            match tar::parse(bytes.get(padding..).unwrap_or_default(), &self.limits) {
                Ok(tar::Step::NeedMore(more)) => wanted = padding.saturating_add(more),
                Ok(tar::Step::Member { header_len, member }) => {
                    return Ok(Head::Member { header_len, member });
                }
                Ok(tar::Step::End) => return Ok(Head::End),
                Err(source) => {
                    let offset = self.tar.offset.saturating_add(padding as u64);
                    return Err(PlainReason::Damaged { offset, source }.into());
                }
            }
        }
    }

    /// Returns the entry that the member is; `None` for one that unpackers ignore.
    fn entry(&mut self, member: &mut Member) -> Flow<Option<Entry>> {
        let entry = match member.to_entry() {
            Ok(entry) => entry,
            Err(why @ Unfaithful::GlobalHeader) => {
                self.depart(why.into())?;
                return Ok(None);
            }
            Err(why) => {
                member.relax();
                let entry = member.to_entry().map_err(|_| PlainReason::from(why.clone()))?;
                self.depart(why.into())?;
                entry
            }
        };
        self.members = self.members.saturating_add(1);
        if let Err(source) = self.tree.add(&entry) {
            let can_unpack = source.can_unpack();
            let why = PlainReason::Misplaced { name: entry.name.clone(), source };
            if !can_unpack {
                return Err(why.into());
            }
            self.depart(why)?;
        }
        Ok(Some(entry))
    }

    /// Passes over the payload of a member that unpackers ignore.
    fn skip(&mut self, member: &Member) -> Flow<()> {
        let mut left = member.payload_len();
        while left > 0 {
            if self.tar.fill(1)? == 0 {
                return Err(PlainReason::Truncated { offset: self.tar.offset }.into());
            }
            let skipped = self.tar.take(usize::try_from(left).unwrap_or(usize::MAX).min(FILE_LEN));
            left = left.saturating_sub(skipped.len() as u64);
        }
        Ok(())
    }

    /// Notes tar bytes that are no payload: for the tar-split, and for the frame of headers they lie in.
    fn segment(&mut self, bytes: Stretch) -> Flow<()> {
        let weight = bytes.len();
        if self.purpose.sink().is_some() {
            return self.batches.push(Step::Segment(bytes), weight);
        }
        self.headers.bytes.append(&bytes);
        self.batches.push(Step::Segment(bytes), weight)?;
        let settled = self.headers.bytes.len();
        self.batches.grow(&mut self.headers, settled, &self.purpose)
    }

    /// Ends the frame of headers, if there is one.
    fn end_headers(&mut self) -> Flow<()> {
        let headers = std::mem::take(&mut self.headers);
        if headers.bytes.is_empty() && headers.giant.is_none() {
            return Ok(());
        }
        self.batches.end(headers, None, &self.purpose)
    }

    fn payload(&mut self, entry: Box<Entry>, len: u64) -> Flow<()> {
        if len == 0 {
            return self.batches.push(Step::Member(entry), 0);
        }
        match usize::try_from(len).ok().filter(|len| *len <= FILE_LEN) {
            Some(len) if self.tar.fill(len)? < len => {
                Err(PlainReason::TruncatedFile { name: entry.name }.into())
            }
            Some(len) => {
                self.end_headers()?;
                let content = self.tar.take(len);
                self.batches.push(Step::File(entry, content), len)
            }
            None => {
                self.end_headers()?;
                self.long_file(entry, len)
            }
        }
    }

    /// Cuts a payload as it comes.
    fn long_file(&mut self, entry: Box<Entry>, len: u64) -> Flow<()> {
        let name = entry.name.clone();
        self.batches.push(Step::Open(entry), 0)?;
        let mut staged = self.purpose.sink().map(|sink| Staged::start(sink, len)).transpose()?;
        let mut chunks = Chunks::default();
        let (mut digest, mut crc64, mut left) = (Hasher::new(), Crc64::new(), len);
        while left > 0 && self.tar.fill(1)? > 0 {
            let bytes = self.tar.take(usize::try_from(left).unwrap_or(usize::MAX).min(FILE_LEN));
            left = left.saturating_sub(bytes.len() as u64);
            for slice in bytes.slices() {
                digest.update(slice);
                crc64.update(slice);
                staged.as_mut().map_or(Ok(()), |staged| staged.write(slice))?;
            }
            self.chunks(&mut chunks, &bytes, &name)?;
        }
        if !chunks.uncut {
            std::mem::take(&mut chunks.chunker).finish(&mut chunks.cuts);
            self.cut_chunks(&mut chunks)?;
        }
        let sums = FileSums { digest: digest.finish_content(), crc64: crc64.finish() };
        self.batches.push(Step::Close(sums), 0)?;
        if left > 0 {
            return Err(PlainReason::TruncatedFile { name }.into());
        }
        Ok(staged.map_or(Ok(()), |staged| staged.commit(sums.digest))?)
    }

    /// Cuts the next bytes of a long file.
    fn chunks(&mut self, chunks: &mut Chunks, bytes: &Stretch, name: &str) -> Flow<()> {
        if chunks.uncut {
            return Ok(());
        }
        bytes.slices().for_each(|slice| chunks.chunker.scan(slice, &mut chunks.cuts));
        chunks.open.bytes.append(bytes);
        if !chunks.are_too_small() {
            return self.cut_chunks(chunks);
        }
        if self.purpose.sink().is_none() {
            self.batches.end(std::mem::take(&mut chunks.open), None, &self.purpose)?;
            return Err(PlainReason::TinyChunks { name: name.to_owned() }.into());
        }
        *chunks = Chunks { uncut: true, ..Chunks::default() };
        self.batches.push(Step::Uncut, 0)
    }

    fn cut_chunks(&mut self, chunks: &mut Chunks) -> Flow<()> {
        for Cut { end, kind } in std::mem::take(&mut chunks.cuts) {
            let Open { bytes, giant } = std::mem::take(&mut chunks.open);
            let compressed = giant.as_ref().map_or(0, |giant| giant.len());
            let left = end.saturating_sub(chunks.start).saturating_sub(compressed);
            let mut rest = bytes;
            let bytes = rest.take(usize::try_from(left).unwrap_or(usize::MAX));
            self.batches.end(Open { bytes, giant }, Some(kind), &self.purpose)?;
            chunks.open.bytes = rest;
            chunks.start = end;
            chunks.made = chunks.made.saturating_add(1);
        }
        let settled = chunks.open.bytes.len().saturating_sub(chunks.chunker.undecided());
        self.batches.grow(&mut chunks.open, settled, &self.purpose)
    }

    /// Takes what follows the last member: padding, the two zero blocks, and any more zero blocks.
    fn trailer(&mut self, padding: usize) -> Flow<()> {
        let mut len = padding.saturating_add(2 * BLOCK_LEN);
        loop {
            let found = self.tar.fill(len)?;
            // Readers of a tar-split expect a header in every segment that has more than zeros.
            let mut scratch = Vec::new();
            let bytes = self.tar.buffered.front(found, &mut scratch).get(..found).unwrap_or_default();
            if len == TRAILING_SEGMENT_LEN && (found % BLOCK_LEN != 0 || bytes.iter().any(|byte| *byte != 0))
            {
                self.depart(PlainReason::TrailingBytes { offset: self.tar.offset })?;
            }
            if found == 0 {
                return self.end_headers();
            }
            let bytes = self.tar.take(found);
            self.segment(bytes)?;
            len = TRAILING_SEGMENT_LEN;
        }
    }

    /// Takes the rest of a tar that gets no TOC.
    fn plain(&mut self, why: PlainReason) -> Flow<()> {
        self.end_headers()?;
        self.batches.push(Step::Plain(why), 0)?;
        while self.tar.fill(PLAIN_FRAME_LEN)? > 0 {
            let bytes = self.tar.take(PLAIN_FRAME_LEN);
            self.batches.end(Open { bytes, giant: None }, None, &self.purpose)?;
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
    made: usize,
    /// The bytes since then.
    open: Open,
    /// Whether it stays in one piece.
    uncut: bool,
}

impl Chunks {
    /// Tells whether the file is cut into more chunks than is of use to anyone.
    fn are_too_small(&self) -> bool {
        let chunks = self.made.saturating_add(self.cuts.len());
        let len = self.start.saturating_add(self.open.bytes.len() as u64);
        chunks > MOST_CHUNKS || chunker::too_small(chunks, len)
    }
}
