//! Whether a layer is what it says it is: everything is decompressed, hashed, and compared with everything else.

mod checks;
mod content;
mod cuts;
mod documents;
mod frames;
mod metadata;
mod pass;
mod place;
mod report;
mod split;
mod tally;
mod tap;

use std::thread::{self, Scope};

use crossbeam_channel::bounded;

pub use report::{Check, Name, Outcome, Report, Verdict};

use crate::annotations::Annotations;
use crate::audit::{Auditor, Rules};
use crate::dialect::Dialect;
use crate::digest::{BlobDigest, DiffId, Digest};
use crate::error::Error;
use crate::limits::Limits;
use crate::range::BlobRange;
use crate::source::RangeSource;
use crate::toc::TOC_NAME;
use content::Contents;
use documents::Entries;
use metadata::{Metadata, Toc};
use pass::Plan;

/// Batches of TOC entries between the parser and the walk over the tar.
const BATCHES: usize = 4;

/// What is known about a layer beforehand. The more, the more a verification proves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected<'a> {
    /// What the layer's descriptor says about its TOC; without it the footer leads to the TOC.
    pub annotations: Option<&'a Annotations>,
    /// The digest of the blob, from the layer's descriptor.
    pub blob_digest: Option<BlobDigest>,
    /// The digest of the tar, from the image's config.
    pub diff_id: Option<DiffId>,
}

/// Verifies a whole layer, of any dialect or of none.
///
/// Reads the blob once from start to end and, beside it, its TOC and its tar-split twice. Memory does not depend on the
/// layer but for some bytes for each path, as long as the TOC is in the order of the tar, as all known ones are.
///
/// # Errors
/// Those of `blob` as a source only. Whatever is wrong with the layer is in the report.
pub fn verify<S: RangeSource + Sync + ?Sized>(
    blob: &S,
    expected: &Expected<'_>,
    limits: &Limits,
) -> Result<Report, Error> {
    let metadata = Metadata::read(blob, expected.annotations, limits)?;
    let toc = match &metadata {
        Metadata::Read(toc) => Some(&**toc),
        Metadata::None(_) | Metadata::Broken(_) => None,
    };
    let found = thread::scope(|scope| {
        let read = |source| Error::Read { what: "the blob", source };
        let whole = BlobRange::saturating(0, blob.blob_len());
        let like = expected.blob_digest.map_or(Digest::of(b""), |digest| digest.0);
        let plan = plan(scope, toc, expected)?;
        pass::run(documents::part(blob, whole, &like).map_err(read)?, plan, limits)
    })?;
    let mut checks = checks::of_blob(&found, expected);
    checks.extend(checks::of_metadata(&metadata, &found));
    Ok(Report {
        verdict: Verdict::of(&checks),
        dialect: toc.map(|toc| toc.dialect),
        blob_digest: BlobDigest(found.blob.0),
        blob_len: found.blob.1,
        diff_id: found.tar.diff_id,
        tar_len: found.tar.len,
        members: found.tar.members,
        files: found.tar.contents.files,
        chunks: found.tar.contents.chunks,
        checks,
    })
}

/// Plans the pass over the blob; the TOC is parsed by a thread of its own.
fn plan<'scope, 'env, S: RangeSource + Sync + ?Sized>(
    scope: &'scope Scope<'scope, 'env>,
    toc: Option<&'env Toc<'env, S>>,
    expected: &Expected<'_>,
) -> Result<Plan<'env>, Error> {
    let auditor = toc.map(|toc| {
        let (sender, receiver) = bounded(BATCHES);
        scope.spawn(move || toc.source.send(&sender));
        Auditor::new(Entries::new(receiver), rules(toc.dialect))
    });
    Ok(Plan {
        auditor,
        contents: Contents::new(toc.is_some_and(|toc| toc.dialect.frames_go_on())),
        split: toc.map(Toc::open_tar_split).transpose()?.flatten(),
        hidden: toc.filter(|toc| toc.dialect.is_gzip()).map(|_| TOC_NAME),
        like: expected.diff_id.map_or(Digest::of(b""), |digest| digest.0),
    })
}

fn rules(dialect: Dialect) -> Rules {
    if dialect.is_containers_storage() { Rules::Exact } else { Rules::Stargz }
}

#[cfg(test)]
mod tests;
