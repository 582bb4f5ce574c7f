use std::fmt;

use serde::Serialize;

use crate::dialect::Dialect;
use crate::digest::{BlobDigest, DiffId};

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What it comes to.
    pub verdict: Verdict,
    /// The format of the layer; `None` when it has no TOC.
    pub dialect: Option<Dialect>,
    /// The digest of the blob.
    pub blob_digest: BlobDigest,
    /// Bytes of the blob.
    pub blob_len: u64,
    /// The digest of the tar; `None` when the blob cannot be decompressed to its end.
    pub diff_id: Option<DiffId>,
    /// Bytes of the tar, as far as it could be decompressed.
    pub tar_len: u64,
    /// Members of the tar.
    pub members: u64,
    /// Files with content that were compared with the TOC.
    pub files: u64,
    /// Chunks of those files.
    pub chunks: u64,
    /// Every check, in a fixed order.
    pub checks: Vec<Check>,
}

/// What a verification comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing is wrong, and the tar is the one that the image commits to.
    Proven,
    /// Nothing is wrong, but no expected diff ID was there to compare the tar with.
    Consistent,
    /// At least one check failed.
    Damaged,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: Name,
    /// How it went.
    pub outcome: Outcome,
    /// What was found, or why the check does not apply.
    pub detail: String,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All is as it should be.
    Passed,
    /// Something is wrong.
    Failed,
    /// There was nothing to check, or nothing to compare with.
    NotApplicable,
}

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// The blob has the expected digest.
    BlobDigest,
    /// Every frame can be decompressed, to the blob's end.
    Frames,
    /// What the frames hold is a tar.
    Tar,
    /// The tar has the expected digest.
    DiffId,
    /// The TOC has the expected digest.
    TocDigest,
    /// The TOC can be read.
    Toc,
    /// The TOC lists what the tar holds.
    TocAndTar,
    /// The frames of each chunk are where the TOC says, and hold nothing else.
    Ranges,
    /// Each chunk has the digest in the TOC.
    ChunkDigests,
    /// Each file has the digest in the TOC.
    FileDigests,
    /// The tar-split has the digest in the TOC.
    TarSplitDigest,
    /// The tar-split and the files give the same tar.
    TarSplit,
}

impl Report {
    /// Returns a check by its name.
    pub fn check(&self, name: Name) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }
}

impl Verdict {
    pub(super) fn of(checks: &[Check]) -> Self {
        let any = |wanted: Outcome| checks.iter().any(|check| check.outcome == wanted);
        let proof = |check: &Check| check.name == Name::DiffId && check.outcome == Outcome::Passed;
        match (any(Outcome::Failed), checks.iter().any(proof)) {
            (true, _) => Self::Damaged,
            (false, true) => Self::Proven,
            (false, false) => Self::Consistent,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proven => "proven",
            Self::Consistent => "consistent, but unproven",
            Self::Damaged => "damaged",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotApplicable => "not applicable",
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BlobDigest => "blob digest",
            Self::Frames => "frames",
            Self::Tar => "tar",
            Self::DiffId => "diff ID",
            Self::TocDigest => "TOC digest",
            Self::Toc => "TOC",
            Self::TocAndTar => "TOC and tar",
            Self::Ranges => "ranges",
            Self::ChunkDigests => "chunk digests",
            Self::FileDigests => "file digests",
            Self::TarSplitDigest => "tar-split digest",
            Self::TarSplit => "tar-split",
        })
    }
}
