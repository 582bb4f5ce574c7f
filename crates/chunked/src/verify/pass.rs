use std::io::Read;

use super::content::Contents;
use super::documents::Entries;
use super::frames::{Frames, Piece};
use super::metadata::SplitStream;
use super::split::Split;
use super::tap::Tap;
use crate::audit::{Auditor, Findings};
use crate::digest::{AnyHasher, DiffId, Digest};
use crate::entry::Entry;
use crate::error::{Class, Error};
use crate::limits::Limits;
use crate::range::BlobRange;
use crate::tar::{Event, Member, Walk};

/// Skippable frames that are remembered; a layer has three.
const MOST_SKIPPABLE: usize = 16;

/// What is compared with a blob in one pass over it.
pub(super) struct Plan<'a> {
    /// The rows of the TOC, where there is one.
    pub(super) auditor: Option<Auditor<Entry, Entries>>,
    pub(super) contents: Contents,
    /// The tar-split, where there is one.
    pub(super) split: Option<Split<SplitStream<'a>>>,
    /// Name of the member that is no entry of the layer: the TOC of eStargz.
    pub(super) hidden: Option<&'static str>,
    /// The tar is hashed with the algorithm of this digest.
    pub(super) like: Digest,
}

/// What a pass found.
#[derive(Debug)]
pub(super) struct Found {
    /// Digest and length of the blob.
    pub(super) blob: (Digest, u64),
    /// Why the blob cannot be decompressed to its end.
    pub(super) frame_failure: Option<String>,
    pub(super) frames: u64,
    /// The payloads of skippable frames.
    pub(super) skippable: Vec<BlobRange>,
    pub(super) tar: TarFound,
}

/// What a pass found about the tar.
#[derive(Debug)]
pub(super) struct TarFound {
    /// Its digest, where all of it could be decompressed.
    pub(super) diff_id: Option<DiffId>,
    pub(super) len: u64,
    /// Why what was decompressed is no tar.
    pub(super) failure: Option<String>,
    pub(super) members: u64,
    /// Why the tar-split does not rebuild the tar.
    pub(super) split_failure: Option<String>,
    pub(super) contents: Contents,
    /// How TOC and tar agree.
    pub(super) findings: Option<Findings>,
}

/// Reads a whole blob and compares it with the plan.
///
/// # Errors
/// Only those of the blob's source; what is wrong with the blob is found.
pub(super) fn run(blob: Tap<impl Read>, plan: Plan<'_>, limits: &Limits) -> Result<Found, Error> {
    let read = |source| Error::Read { what: "the blob", source };
    let mut frames = Frames::new(blob).map_err(read)?;
    let mut tar = Tar::new(plan, limits);
    let (mut count, mut skippable, mut frame_failure) = (0_u64, Vec::new(), None);
    loop {
        let before = frames.offset();
        match frames.next() {
            Ok(None) => break,
            Ok(Some(Piece::Content(bytes))) => tar.bytes(bytes)?,
            Ok(Some(Piece::Cut(offset))) => {
                count = count.saturating_add(1);
                tar.plan.contents.cut(offset);
            }
            Ok(Some(Piece::Skippable(range))) => {
                tar.plan.contents.cut(range.end());
                if skippable.len() < MOST_SKIPPABLE {
                    skippable.push(range);
                }
            }
            Err(source) => {
                let why = words(read(source))?;
                frame_failure = Some(format!("after byte {before} of the blob: {why}"));
                break;
            }
        }
    }
    let blob = frames.into_inner().finish().map_err(read)?;
    let tar = tar.finish(frame_failure.is_none())?;
    Ok(Found { blob, frame_failure, frames: count, skippable, tar })
}

/// The tar as it comes out of the frames.
struct Tar<'a> {
    plan: Plan<'a>,
    walk: Walk,
    hasher: AnyHasher,
    len: u64,
    members: u64,
    failure: Option<String>,
    split_failure: Option<String>,
}

impl<'a> Tar<'a> {
    fn new(plan: Plan<'a>, limits: &Limits) -> Self {
        let (walk, hasher) = (Walk::new(limits), AnyHasher::like(&plan.like));
        Self { plan, walk, hasher, len: 0, members: 0, failure: None, split_failure: None }
    }

    fn bytes(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        self.len = self.len.saturating_add(bytes.len() as u64);
        while self.failure.is_none() {
            match self.walk.step(&mut bytes) {
                Ok(None) => break,
                Ok(Some(Event::Raw(bytes))) => {
                    self.plan.contents.raw(bytes.len());
                    self.compare_split(|split| split.raw(bytes))?;
                }
                Ok(Some(Event::Member(member))) => self.member(&member)?,
                Ok(Some(Event::Content(bytes))) => {
                    self.plan.contents.content(bytes);
                    if let Some(split) = &mut self.plan.split {
                        split.content(bytes);
                    }
                }
                Err(invalid) => self.failure = Some(invalid.to_string()),
            }
        }
        Ok(())
    }

    fn member(&mut self, member: &Member) -> Result<(), Error> {
        self.members = self.members.saturating_add(1);
        self.compare_split(|split| split.member(member))?;
        let hidden = self.plan.hidden.is_some_and(|name| name.as_bytes() == member.name);
        let row = match &mut self.plan.auditor {
            Some(auditor) if !hidden => auditor.member(member),
            _ => None,
        };
        self.plan.contents.start(row);
        Ok(())
    }

    /// Compares with the tar-split, and gives it up when it is wrong.
    fn compare_split(
        &mut self,
        compare: impl FnOnce(&mut Split<SplitStream<'a>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if let Some(Err(error)) = self.plan.split.as_mut().map(compare) {
            self.plan.split = None;
            self.split_failure = Some(words(error)?);
        }
        Ok(())
    }

    /// Ends the tar; `whole` tells whether all of the blob could be decompressed.
    fn finish(mut self, whole: bool) -> Result<TarFound, Error> {
        self.plan.contents.end();
        if whole && self.failure.is_none() {
            self.failure = self.walk.finish().err().map(|invalid| invalid.to_string());
        }
        if whole && self.failure.is_none() {
            self.compare_split(Split::finish)?;
        }
        Ok(TarFound {
            diff_id: whole.then(|| DiffId(self.hasher.finish())),
            len: self.len,
            failure: self.failure,
            members: self.members,
            split_failure: self.split_failure,
            contents: self.plan.contents,
            findings: self.plan.auditor.map(Auditor::finish),
        })
    }
}

/// Puts into words what is wrong with the layer.
///
/// # Errors
/// `error` itself where it is about this machine or the source, and says nothing of the layer.
pub(super) fn words(error: Error) -> Result<String, Error> {
    if !matches!(error.class(), Class::Corrupt | Class::Unsupported) {
        return Err(error);
    }
    // What could not be read is clear from the check.
    Ok(match error {
        Error::Read { source, .. } => source.to_string(),
        other => other.to_string(),
    })
}
