use super::Expected;
use super::metadata::{Metadata, Toc};
use super::pass::Found;
use super::place::TocPlace;
use super::report::{Check, Name, Outcome};
use super::tally::Tally;
use crate::audit::Findings;
use crate::digest::Digest;

/// Words what was found about the blob and its tar as checks.
pub(super) fn of_blob(found: &Found, expected: &Expected<'_>) -> Vec<Check> {
    let blob = expected.blob_digest.map(|digest| digest.0);
    let diff_id = expected.diff_id.map(|digest| digest.0);
    let frames = match &found.frame_failure {
        Some(why) => failed(Name::Frames, why.clone()),
        None => passed(Name::Frames, format!("{} frames", found.frames)),
    };
    let tar = match (&found.tar.failure, &found.frame_failure) {
        (Some(why), _) => failed(Name::Tar, why.clone()),
        (None, Some(_)) => not_applicable(Name::Tar, "the blob cannot be decompressed to its end"),
        (None, None) => passed(Name::Tar, format!("{} members, {} bytes", found.tar.members, found.tar.len)),
    };
    vec![
        digest(Name::BlobDigest, Some(found.blob.0), blob, "no digest of the blob was given"),
        frames,
        tar,
        digest(Name::DiffId, found.tar.diff_id.map(|id| id.0), diff_id, "no diff ID was given"),
    ]
}

/// Words what was found about the metadata as checks.
pub(super) fn of_metadata<S: ?Sized>(metadata: &Metadata<'_, S>, found: &Found) -> Vec<Check> {
    const NAMES: [Name; 8] = [
        Name::Toc,
        Name::TocDigest,
        Name::TocAndTar,
        Name::Ranges,
        Name::ChunkDigests,
        Name::FileDigests,
        Name::TarSplitDigest,
        Name::TarSplit,
    ];
    match metadata {
        Metadata::None(why) => NAMES.map(|name| not_applicable(name, why.clone())).into(),
        Metadata::Broken(why) => {
            let rest = NAMES.into_iter().skip(1).map(|name| not_applicable(name, "the TOC cannot be read"));
            std::iter::once(failed(Name::Toc, why.clone())).chain(rest).collect()
        }
        Metadata::Read(toc) => vec![
            passed(Name::Toc, toc.dialect.to_string()),
            toc_digest(toc),
            toc_and_tar(found),
            ranges(toc, found),
            digests(Name::ChunkDigests, &found.tar.contents.chunk_digests, "chunks"),
            digests(Name::FileDigests, &found.tar.contents.file_digests, "files"),
            tar_split_digest(toc),
            tar_split(toc, found),
        ],
    }
}

fn toc_digest<S: ?Sized>(toc: &Toc<'_, S>) -> Check {
    let expected = toc.place.toc_digest.map(|digest| digest.0);
    let json = toc.place.json_digest.map(|digest| digest.0);
    let compressed = digest(Name::TocDigest, toc.found.digest, expected, "no annotation holds its digest");
    match (json, compressed.outcome) {
        (Some(json), Outcome::Passed | Outcome::NotApplicable) => {
            digest(Name::TocDigest, Some(toc.found.json_digest), Some(json), "")
        }
        _ => compressed,
    }
}

fn toc_and_tar(found: &Found) -> Check {
    let name = Name::TocAndTar;
    match &found.tar.findings {
        _ if found.frame_failure.is_some() || found.tar.failure.is_some() => {
            not_applicable(name, "the tar is damaged")
        }
        Some(Findings { count: 0, members, .. }) => passed(name, format!("{members} entries")),
        Some(findings) => {
            let mut tally = Tally::default();
            findings.disagreements.iter().for_each(|one| tally.fail(|| one.to_string()));
            tally.fail_more(findings.count.saturating_sub(findings.disagreements.len() as u64));
            failed(name, tally.failures().unwrap_or_default())
        }
        None => not_applicable(name, "the TOC cannot be read"),
    }
}

fn ranges<S: ?Sized>(toc: &Toc<'_, S>, found: &Found) -> Check {
    let contents = &found.tar.contents;
    if let Some(failures) = contents.ranges.failures() {
        return failed(Name::Ranges, failures);
    }
    let documents = match toc.place.toc {
        TocPlace::Zstd(located) => {
            [Some(("TOC", located)), toc.place.tar_split.map(|place| ("tar-split", place))]
        }
        TocPlace::Gzip(_) => [None, None],
    };
    let stray = documents.into_iter().flatten().find(|(_, place)| !found.skippable.contains(&place.range));
    match stray {
        Some((what, place)) if found.frame_failure.is_none() => {
            failed(Name::Ranges, format!("no skippable frame holds just the {what}, bytes {}", place.range))
        }
        _ => passed(Name::Ranges, format!("{} chunks of {} files", contents.chunks, contents.files)),
    }
}

fn digests(name: Name, tally: &Tally, things: &str) -> Check {
    match (tally.failures(), tally.passed, tally.unchecked) {
        (Some(failures), ..) => failed(name, failures),
        (None, 0, _) => not_applicable(name, format!("the TOC has no digests of {things}")),
        (None, passes, 0) => passed(name, format!("{passes} {things}")),
        (None, passes, missing) => passed(name, format!("{passes} {things}; {missing} have no digest")),
    }
}

fn tar_split_digest<S: ?Sized>(toc: &Toc<'_, S>) -> Check {
    let name = Name::TarSplitDigest;
    match (toc.tar_split_digest, toc.found.trailer.tar_split) {
        (None, None) => not_applicable(name, "the dialect has no tar-split"),
        (None, Some(_)) => failed(name, "the TOC has the digest of a tar-split, but the blob has none"),
        (found, Some(expected)) => digest(name, found, Some(expected.0), ""),
        (found, None) => {
            let expected = toc.place.tar_split_digest.map(|digest| digest.0);
            digest(name, found, expected, "nothing vouches for the tar-split")
        }
    }
}

fn tar_split<S: ?Sized>(toc: &Toc<'_, S>, found: &Found) -> Check {
    let name = Name::TarSplit;
    match &found.tar.split_failure {
        Some(why) => failed(name, why.clone()),
        None if toc.place.tar_split.is_none() => not_applicable(name, "the dialect has no tar-split"),
        None if found.frame_failure.is_some() || found.tar.failure.is_some() => {
            not_applicable(name, "the tar is damaged")
        }
        None => passed(name, "rebuilds the tar"),
    }
}

fn digest(name: Name, found: Option<Digest>, expected: Option<Digest>, nothing: &str) -> Check {
    match (found, expected) {
        (_, None) => not_applicable(name, nothing),
        (None, Some(_)) => not_applicable(name, "it cannot be computed"),
        (Some(found), Some(expected)) if found == expected => passed(name, found.to_string()),
        (Some(found), Some(expected)) => failed(name, format!("{found}, expected {expected}")),
    }
}

fn passed(name: Name, detail: impl Into<String>) -> Check {
    Check { name, outcome: Outcome::Passed, detail: detail.into() }
}

fn failed(name: Name, detail: impl Into<String>) -> Check {
    Check { name, outcome: Outcome::Failed, detail: detail.into() }
}

fn not_applicable(name: Name, detail: impl Into<String>) -> Check {
    Check { name, outcome: Outcome::NotApplicable, detail: detail.into() }
}
