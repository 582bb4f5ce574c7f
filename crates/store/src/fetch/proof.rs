//! Follows the tar that a tar-split describes, hashes it, and completes the chunked files on the way.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::thread;

use chunked::audit::{Piece, Rules, replay};
use chunked::digest::{DiffId, Hasher, update_both};
use chunked::{ChunkKind, FileRange};
use crossbeam_channel::bounded;

use super::board::{Board, Came, Stretch};
use super::complete::complete;
use super::contents::Wanted;
use super::failure::Failure;
use super::needs::{FrameId, Want};
use super::readahead::Readahead;
use super::rows::{self, Row, Rows};
use super::{Fetch, Verification};

/// Bytes that are read from the store at once.
const PIECE_LEN: usize = 256 << 10;

/// What is needed to prove a layer.
#[derive(Debug)]
pub(super) struct Proof<'p, 'a> {
    fetch: &'p Fetch<'a>,
    board: &'p Board,
    readahead: RefCell<Readahead>,
}

/// What the proof found.
#[derive(Debug)]
pub(super) struct Proven {
    /// The digest of the tar, unless nobody wanted to know.
    pub(super) diff_id: Option<DiffId>,
    /// Bytes of the tar.
    pub(super) tar_len: u64,
}

impl<'p, 'a> Proof<'p, 'a> {
    /// Goes through the tar, waiting for what is still to come.
    ///
    /// # Errors
    /// Those of the tar-split and of the store; [`Failure::Content`] when a chunked file is not what the TOC promises.
    pub(super) fn run(fetch: &'p Fetch<'a>, board: &'p Board) -> Result<Proven, Failure> {
        let (batches, rows) = bounded(4);
        thread::scope(|scope| {
            scope.spawn(move || rows::read(fetch.layer, &fetch.options.limits, &batches));
            let is_read = fetch.options.verification == Verification::DiffId;
            let readahead = if is_read { Readahead::start(scope, fetch) } else { Readahead::none() };
            let failure = RefCell::new(None);
            let proof = Self { fetch, board, readahead: readahead.into() };
            let proven = proof.follow(Rows::new(rows, &failure));
            // Nobody reads ahead any more.
            drop(proof);
            // What cannot be read looks as if it were not there.
            failure.into_inner().map_or(proven, |error| Err(Failure::Layer(error)))
        })
    }

    fn follow(&self, rows: Rows<'_>) -> Result<Proven, Failure> {
        let limits = &self.fetch.options.limits;
        let tar_split = self.fetch.layer.tar_split.as_ref().ok_or(Failure::Stopped)?;
        let mut records = tar_split.records(limits).map_err(Failure::Layer)?;
        let mut tar = Tar { hasher: self.hasher(), len: 0 };
        let mut next = 0;
        // Once TOC and tar contradict each other, only what else they do is of interest.
        let mut is_consistent = true;
        let mut failure = None;
        let findings = replay(&mut records, rows, Rules::Exact, limits, |piece| {
            let done = match piece {
                _ if !is_consistent => Ok(()),
                Piece::Raw(bytes) => {
                    tar.bytes(bytes);
                    Ok(())
                }
                Piece::Content { row: Some(row), .. } if row.index < next => Err(Failure::Order),
                Piece::Content { row, len } => match row.and_then(|row| self.wanted(&row, len)) {
                    Some(wanted) => {
                        next = wanted.entry.saturating_add(1);
                        self.content(&wanted, &mut tar)
                    }
                    None => {
                        is_consistent = false;
                        Ok(())
                    }
                },
            };
            done.map_err(|error| {
                failure = Some(error);
                chunked::Error::WorkerLost
            })
        });
        if let Some(error) = failure {
            return Err(error);
        }
        findings.and_then(|findings| Ok(findings.into_result()?)).map_err(Failure::Layer)?;
        let diff_id = tar.hasher.map(|hasher| DiffId(hasher.finish()));
        if is_consistent { Ok(Proven { diff_id, tar_len: tar.len }) } else { Err(Failure::WorkerLost) }
    }

    /// Returns what the TOC has of a row's content; `None` when the tar has another length.
    fn wanted(&self, row: &Row, len: u64) -> Option<Wanted<'_>> {
        self.fetch.needs.contents().get(row.index).filter(|wanted| wanted.size == len)
    }

    fn hasher(&self) -> Option<Hasher> {
        (self.fetch.options.verification == Verification::DiffId).then(Hasher::new)
    }

    fn content(&self, wanted: &Wanted<'_>, tar: &mut Tar) -> Result<(), Failure> {
        match self.fetch.needs.want(wanted.entry) {
            Want::Gather => self.gathered(wanted, tar),
            Want::Elsewhere => {
                let Fetch { store, others, .. } = self.fetch;
                let wait = || others.elsewhere.wait(store, &wanted.digest, || self.board.has_failed());
                self.board.while_away(wait)?;
                self.stored(wanted, tar)
            }
            Want::Stored | Want::Nothing => self.stored(wanted, tar),
        }
    }

    /// Takes a content that came whole, or completes one whose chunks come one by one.
    fn gathered(&self, wanted: &Wanted<'_>, tar: &mut Tar) -> Result<(), Failure> {
        let first = FrameId::new(wanted.entry, wanted.first_data());
        let came = self.fetch.needs.is_awaited(first).then(|| self.board.take(first)).transpose()?;
        match came {
            Some(Came { is_object: true, stretch }) => self.whole(wanted, stretch, tar),
            Some(Came { stretch, .. }) => self.chunked(wanted, stretch, tar),
            None => self.chunked(wanted, None, tar),
        }
    }

    fn whole(&self, wanted: &Wanted<'_>, stretch: Option<Stretch>, tar: &mut Tar) -> Result<(), Failure> {
        if self.fetch.needs.has_partials {
            // One in which nothing was is not needed any more, and goes.
            self.fetch.store.partials().find(&wanted.digest, wanted.chunks)?;
        }
        match stretch {
            Some(stretch) => tar.bytes(stretch.bytes()),
            None => self.stored(wanted, tar)?,
        }
        Ok(())
    }

    fn stored(&self, wanted: &Wanted<'_>, tar: &mut Tar) -> Result<(), Failure> {
        if tar.hasher.is_none() {
            tar.len = tar.len.saturating_add(wanted.size);
            return Ok(());
        }
        if self.readahead.borrow_mut().content(wanted.entry, |bytes| tar.bytes(bytes))? {
            return Ok(());
        }
        let lost = || Failure::Lost { digest: wanted.digest };
        let object = self.fetch.store.objects().open(&wanted.digest)?.ok_or_else(lost)?;
        let all = FileRange::saturating(0, wanted.size);
        let read = pieces(&object, all, &mut |bytes| tar.bytes(bytes));
        read.map_err(|source| Failure::ReadStore { digest: wanted.digest, source })
    }

    /// Gathers a file of several chunks, of which the bytes of the first may be here, checks it as a whole, and makes it an
    /// object.
    fn chunked(&self, wanted: &Wanted<'_>, mut first: Option<Stretch>, tar: &mut Tar) -> Result<(), Failure> {
        let mut file = Hasher::new();
        for (chunk, part) in wanted.chunks.iter().enumerate() {
            let id = FrameId::new(wanted.entry, chunk);
            let stretch = match part.kind {
                ChunkKind::Zeros => {
                    tar.zeros(&mut file, part.file.len());
                    continue;
                }
                ChunkKind::Data if chunk == wanted.first_data() => first.take(),
                ChunkKind::Data if self.fetch.needs.is_awaited(id) => self.board.take(id)?.stretch,
                ChunkKind::Data => None,
            };
            match stretch {
                Some(stretch) => tar.bytes_of(&mut file, stretch.bytes()),
                None => self.read(wanted, part.file, &mut |bytes| tar.bytes_of(&mut file, bytes))?,
            }
        }
        complete(self.fetch, wanted, file.finish_content())
    }

    /// Reads a chunk that is in the store: in the partial file or, when another process was faster, in the object.
    fn read(
        &self,
        wanted: &Wanted<'_>,
        range: FileRange,
        hand: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Failure> {
        let failed = |source| Failure::ReadStore { digest: wanted.digest, source };
        if let Some(partial) = self.fetch.partials.open(self.fetch.store, wanted)? {
            return pieces(partial.file(), range, hand).map_err(failed);
        }
        let lost = || Failure::Lost { digest: wanted.digest };
        let object = self.fetch.store.objects().open(&wanted.digest)?.ok_or_else(lost)?;
        pieces(&object, range, hand).map_err(failed)
    }
}

/// Hands out a stretch of a file.
pub(super) fn pieces(file: &File, range: FileRange, hand: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut piece = vec![0; PIECE_LEN.min(usize::try_from(range.len()).unwrap_or(PIECE_LEN))];
    let mut at = range.start();
    while at < range.end() {
        let count = usize::try_from(range.end() - at).unwrap_or(PIECE_LEN).min(PIECE_LEN);
        let room = piece.get_mut(..count).unwrap_or_default();
        file.read_exact_at(room, at)?;
        hand(room);
        at = at.saturating_add(count as u64);
    }
    Ok(())
}

/// The tar as far as it has been met.
#[derive(Debug)]
struct Tar {
    hasher: Option<Hasher>,
    len: u64,
}

impl Tar {
    fn bytes(&mut self, bytes: &[u8]) {
        self.len = self.len.saturating_add(bytes.len() as u64);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
    }

    /// Takes bytes of a file whose own digest is wanted as well.
    fn bytes_of(&mut self, file: &mut Hasher, bytes: &[u8]) {
        self.len = self.len.saturating_add(bytes.len() as u64);
        match &mut self.hasher {
            Some(hasher) => update_both(hasher, file, bytes),
            None => file.update(bytes),
        }
    }

    fn zeros(&mut self, file: &mut Hasher, mut len: u64) {
        const ZEROS: &[u8] = &[0; 64 << 10];
        while len > 0 {
            let count = len.min(ZEROS.len() as u64);
            let bytes = ZEROS.get(..usize::try_from(count).unwrap_or(0)).unwrap_or_default();
            self.bytes_of(file, bytes);
            len = len.saturating_sub(count);
        }
    }
}
