//! Walks the tar and decides: where frames are cut, what is a member, and whether there can be a TOC at all.

mod batches;
mod cursor;
mod long;
mod sparse;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Setup;
use super::purpose::Purpose;
use super::reason::PlainReason;
use super::serial::Serial;
use super::sink::Staged;
use super::slab::Stretch;
use super::steps::{EncodedBatch, Step};
use super::tree::Tree;
use super::work::Job;
use crate::entry::Entry;
use crate::error::Error;
use crate::limits::Limits;
use crate::tar::{self, BLOCK_LEN, Member, Unfaithful};
use batches::{Batches, Open};
use cursor::Cursor;
pub(super) use cursor::Intake;
use long::Long;

/// Longest payload that a worker cuts by itself; the scanner cuts what is longer and shares its chunks out.
const FILE_LEN: usize = 1 << 20;

/// Frames of a layer that gets no TOC: long enough to compress well, short enough for several cores to share.
const PLAIN_FRAME_LEN: usize = 4 << 20;

/// Tar-split segments after the end of the tar are no longer than this, as the reference's are.
const TRAILING_SEGMENT_LEN: usize = 1 << 20;

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
pub(super) fn run<'s>(
    slabs: Receiver<Intake>,
    serial: Sender<Serial<'s>>,
    jobs: Sender<Job>,
    order: Sender<Receiver<EncodedBatch>>,
    setup: &Setup<'s>,
) -> Result<(), Error> {
    let mut scanner = Scanner {
        tar: Cursor::new(slabs, serial),
        batches: Batches::new(jobs, order),
        headers: Open::default(),
        tree: Tree::new(setup.limits),
        members: 0,
        irregular: false,
        holes_len: 0,
        purpose: setup.purpose,
        limits: *setup.limits,
    };
    match scanner.scan() {
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::Plain(why)) => Err(Error::Unindexable(why)),
        Err(Stop::OtherStage) | Ok(()) => Ok(()),
    }
}

/// What stands at a member boundary.
enum Head {
    Member { header_len: usize, member: Box<Member> },
    End,
}

struct Scanner<'s> {
    tar: Cursor<'s>,
    batches: Batches,
    /// Headers and padding since the last payload.
    headers: Open,
    tree: Tree,
    members: u64,
    /// Whether something was met that no TOC says.
    irregular: bool,
    /// Zeros between the data of sparse files so far.
    holes_len: u64,
    purpose: Purpose<'s>,
    limits: Limits,
}

impl<'s> Scanner<'s> {
    fn scan(&mut self) -> Flow<()> {
        match (self.members(), self.purpose) {
            (Err(Stop::Plain(why)), Purpose::Blob { .. }) => self.plain(why)?,
            (done, _) => done?,
        }
        self.tar.flush()?;
        self.batches.push(Step::End, 0)?;
        self.batches.flush()
    }

    /// Scans the whole tar, as long as it can have a TOC.
    fn members(&mut self) -> Flow<()> {
        let mut padding = 0;
        while let Head::Member { header_len, mut member } = self.head(padding)? {
            let entry = self.entry(&mut member)?;
            let headers = self.tar.take(padding.saturating_add(header_len))?;
            match (entry, member.sparse.take()) {
                (Some(entry), None) => {
                    self.segment(headers)?;
                    self.payload(entry, member.payload_len())?;
                }
                (Some(entry), Some(sparse)) => self.sparse_file(entry, sparse, member.payload_len())?,
                (None, _) => self.skip(&member)?,
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
                let sparse = member.sparse.take();
                member.relax();
                let entry = member.to_entry().map_err(|_| PlainReason::from(why.clone()))?;
                member.sparse = sparse;
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
            let skipped = self.tar.take(usize::try_from(left).unwrap_or(usize::MAX).min(FILE_LEN))?;
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

    fn payload(&mut self, entry: Entry, len: u64) -> Flow<()> {
        if len == 0 {
            return self.batches.push(Step::Member(Box::new(entry)), 0);
        }
        match usize::try_from(len).ok().filter(|len| *len <= FILE_LEN) {
            Some(len) if self.tar.fill(len)? < len => {
                Err(PlainReason::TruncatedFile { name: entry.name }.into())
            }
            Some(len) => {
                self.end_headers()?;
                let content = self.tar.take(len)?;
                self.batches.push(Step::File(Box::new(entry), content), len)
            }
            None => {
                self.end_headers()?;
                self.long_file(entry, len)
            }
        }
    }

    /// Cuts a payload as it comes.
    fn long_file(&mut self, entry: Entry, len: u64) -> Flow<()> {
        let mut file = self.open(entry)?;
        let whole = self.copy(&mut file, len)?;
        self.close(file, whole)
    }

    /// Starts a long file with as many bytes as `entry` says.
    fn open(&mut self, entry: Entry) -> Flow<Long<'s>> {
        let staged = self.purpose.sink().map(|sink| Staged::start(sink, entry.size)).transpose()?;
        self.tar.send(Serial::Open(staged))?;
        let name = entry.name.clone();
        self.batches.push(Step::Open(Box::new(entry)), 0)?;
        Ok(Long::new(name, self.purpose))
    }

    /// Adds the next `len` bytes to a file; tells whether there were as many.
    fn copy(&mut self, file: &mut Long<'s>, mut len: u64) -> Flow<bool> {
        while len > 0 {
            if self.tar.fill(1)? == 0 {
                return Ok(false);
            }
            let bytes = self.tar.take_content(usize::try_from(len).unwrap_or(usize::MAX).min(FILE_LEN))?;
            len = len.saturating_sub(bytes.len() as u64);
            file.add(&bytes, &mut self.batches)?;
        }
        Ok(true)
    }

    /// Ends a long file, which is whole unless the tar ended inside it.
    fn close(&mut self, file: Long<'s>, whole: bool) -> Flow<()> {
        let truncated = PlainReason::TruncatedFile { name: file.name.clone() };
        if !whole && self.purpose.sink().is_some() {
            return Err(truncated.into());
        }
        let (reply, digest) = bounded(1);
        self.tar.send(Serial::Close(reply))?;
        file.close(digest, &mut self.batches)?;
        if whole { Ok(()) } else { Err(truncated.into()) }
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
            let bytes = self.tar.take(found)?;
            self.segment(bytes)?;
            len = TRAILING_SEGMENT_LEN;
        }
    }

    /// Takes the rest of a tar that gets no TOC.
    fn plain(&mut self, why: PlainReason) -> Flow<()> {
        self.end_headers()?;
        self.batches.push(Step::Plain(why), 0)?;
        while self.tar.fill(PLAIN_FRAME_LEN)? > 0 {
            let bytes = self.tar.take(PLAIN_FRAME_LEN)?;
            self.batches.end(Open { bytes, giant: None }, None, &self.purpose)?;
        }
        Ok(())
    }
}
