//! Copies what a seed offers, and hashes it in the same pass.
//!
//! What is hashed has to be what is written, whatever happens to the seed meanwhile. So a long file is cloned, which nobody
//! else can change, and the clone is hashed; anything else is read once, and written from the memory that was hashed.
//! `copy_file_range` without a clone would have every byte read twice.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use chunked::digest::Hasher;
use chunked::{ContentDigest, FileRange, frame};
use rustix::fs::ioctl_ficlone;

use super::Candidate;
use crate::error::{Error, at_path};
use crate::objects::{Objects, StagedObject};

/// Shortest file worth sharing: below, a copy is as fast on every file system, and takes hardly more space.
pub(crate) const CLONE_LEN: u64 = 64 << 10;
/// Bytes of a long file that are hashed and written at once.
const PIECE_LEN: usize = 256 << 10;
/// A stretch of zeros this long in a copy becomes a hole.
const HOLE_LEN: usize = 64 << 10;

/// How a content that is right got into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It shares the bytes of the seed's file.
    Cloned,
    /// Its bytes were copied.
    Copied,
}

/// A content that is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) digest: &'a ContentDigest,
    pub(crate) len: u64,
    /// Stretches of zeros that need not be written.
    pub(crate) holes: &'a [FileRange],
}

/// Makes an object of what a seed offers; `None` when it is not the content, or cannot be read. If that is at most
/// `held_max` bytes long, they are left in `held`, which is empty otherwise.
///
/// Long files share their bytes where the file system can. What is hashed then is the object, which nobody else can
/// change any more.
///
/// # Errors
/// Those of the store's file system.
pub(crate) fn file(
    objects: &Objects,
    candidate: &Candidate,
    content: &Content<'_>,
    held_max: u64,
    held: &mut Vec<u8>,
) -> Result<Option<Taken>, Error> {
    held.clear();
    let Content { digest, len, holes } = *content;
    if let Some(staged) = cloned(objects, candidate, len)? {
        let is_right = match len <= held_max {
            true => read(&mut At::start_of(staged.file()), (digest, len), held),
            false => hash(staged.file(), (digest, len)),
        };
        return match is_right {
            Some(()) => staged.commit(digest).map(|_| Some(Taken::Cloned)),
            None => Ok(None),
        };
    }
    if len <= held_max {
        return match chunk(candidate, (digest, len), held) {
            Some(()) => objects.put_sparse(digest, held, holes).map(|_| Some(Taken::Copied)),
            None => Ok(None),
        };
    }
    let staged = objects.stage()?;
    match copy(candidate, &staged, (digest, len)).map_err(at_path("write a file in", objects.path()))? {
        Some(()) => staged.commit(digest).map(|_| Some(Taken::Copied)),
        None => Ok(None),
    }
}

/// Reads the `len` bytes that a seed says hash to `digest`; `None` when they do not.
pub(crate) fn chunk(candidate: &Candidate, wanted: (&ContentDigest, u64), held: &mut Vec<u8>) -> Option<()> {
    read(&mut *reader(candidate).ok()?, wanted, held)
}

fn read(from: &mut dyn Read, (digest, len): (&ContentDigest, u64), held: &mut Vec<u8>) -> Option<()> {
    held.clear();
    held.resize(usize::try_from(len).ok()?, 0);
    from.read_exact(held).ok()?;
    (ContentDigest::of(held) == *digest).then_some(())
}

/// Shares the bytes of a long file; `None` where that is not possible, or the file has another length by now.
fn cloned<'a>(
    objects: &'a Objects,
    candidate: &Candidate,
    len: u64,
) -> Result<Option<StagedObject<'a>>, Error> {
    let Candidate::File(file) = candidate else { return Ok(None) };
    if len < CLONE_LEN {
        return Ok(None);
    }
    let staged = objects.stage()?;
    let is_cloned = ioctl_ficlone(staged.file(), file).is_ok();
    let has_len = || staged.file().metadata().is_ok_and(|metadata| metadata.len() == len);
    Ok((is_cloned && has_len()).then_some(staged))
}

fn hash(file: &File, (digest, len): (&ContentDigest, u64)) -> Option<()> {
    let mut hasher = Hasher::new();
    let hashed = pieces(&mut At::start_of(file), len, |_, piece| {
        hasher.update(piece);
        Ok(())
    });
    let is_whole = hashed.is_ok_and(|is_whole| is_whole);
    (is_whole && hasher.finish_content() == *digest).then_some(())
}

/// Copies and hashes; fails only when writing does.
fn copy(
    candidate: &Candidate,
    staged: &StagedObject<'_>,
    (digest, len): (&ContentDigest, u64),
) -> io::Result<Option<()>> {
    let Ok(mut from) = reader(candidate) else { return Ok(None) };
    staged.set_len(len)?;
    let mut hasher = Hasher::new();
    let is_whole = pieces(&mut *from, len, |mut at, piece| {
        hasher.update(piece);
        for block in piece.chunks(HOLE_LEN) {
            if block.iter().any(|byte| *byte != 0) {
                staged.write_all_at(block, at)?;
            }
            at = at.saturating_add(block.len() as u64);
        }
        Ok(())
    })?;
    Ok((is_whole && hasher.finish_content() == *digest).then_some(()))
}

/// Hands out `len` bytes, each piece with its offset; `false` when there are fewer. Fails only when `hand` does.
fn pieces(
    from: &mut dyn Read,
    len: u64,
    mut hand: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<bool> {
    let mut piece = vec![0; PIECE_LEN];
    let mut at = 0_u64;
    while at < len {
        let count = usize::try_from(len - at).unwrap_or(PIECE_LEN).min(PIECE_LEN);
        let room = piece.get_mut(..count).unwrap_or_default();
        if from.read_exact(room).is_err() {
            return Ok(false);
        }
        hand(at, room)?;
        at = at.saturating_add(count as u64);
    }
    Ok(true)
}

fn reader(candidate: &Candidate) -> io::Result<Box<dyn Read + '_>> {
    Ok(match candidate {
        Candidate::File(file) => Box::new(At::start_of(file)),
        Candidate::Part(file, start) => Box::new(At { file, at: *start, end: u64::MAX }),
        Candidate::Frames(file, range) => {
            Box::new(frame::content(At { file, at: range.start(), end: range.end() })?)
        }
    })
}

/// Reads a stretch of a file without moving its own place.
struct At<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl<'a> At<'a> {
    fn start_of(file: &'a File) -> Self {
        Self { file, at: 0, end: u64::MAX }
    }
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let room = buffer.len().min(rest);
        let count = self.file.read_at(buffer.get_mut(..room).unwrap_or_default(), self.at)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}
