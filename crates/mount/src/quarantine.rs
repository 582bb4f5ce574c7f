//! Layers whose tar turned out to be another one than an image says: no image that says so is mounted any more.
//!
//! What is wrong is a claim, not a layer: the tar is what the TOC and the tar-split make it, and which diff ID it should have
//! is only said by the config of an image, which may be anybody's. So a mark is for a layer and the diff ID that was claimed
//! of it, and images that claim another one are judged by that. A mark is the file
//! `quarantine/<hex of the TOC digest>-<first 64 digits of the diff ID's>` below the store, or without the second half where
//! no diff ID was claimed, and holds JSON; removing it lifts the quarantine. One that cannot be read counts for all that its name
//! stands for. The store's own record is as good as a mark: a layer that is proven to have one diff ID has no other.
//!
//! What is mounted stays mounted: every file of it was verified against the TOC, for which the manifest vouches. Only that the
//! TOC tells the same as the tar has turned out wrong, so another tool that reads the layer's tar sees another tree.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chunked::{DiffId, TocDigest};
use serde::{Deserialize, Serialize};
use store::{LayerRecord, LayerState, Origin};

use crate::error::{Error, at_path};
use crate::file;

const DIRECTORY: &str = "quarantine";

/// Why a layer is not mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The layer.
    pub toc_digest: TocDigest,
    /// What its tar should have hashed to.
    pub diff_id: Option<DiffId>,
    /// What was found.
    pub why: String,
}

/// Writes down that a layer is not to be mounted for images that claim the diff ID of this record.
///
/// # Errors
/// Those of the file system.
pub fn put(store: &Path, layer: &LayerRecord, why: &str) -> Result<(), Error> {
    let (toc_digest, diff_id) = (layer.toc_digest, layer.diff_id);
    let path = path_of(store, &toc_digest, diff_id.as_ref());
    file::replace_json(&path, &Quarantined { toc_digest, diff_id, why: why.to_owned() })
}

/// Fails when a layer is not to be mounted for what its record claims.
///
/// # Errors
/// Those of [`check_claim`].
pub fn check(store: &Path, layer: &LayerRecord) -> Result<(), Error> {
    check_claim(store, layer, layer.diff_id)
}

/// Fails when a layer is not to be mounted for an image that claims this diff ID of it.
///
/// # Errors
/// [`Error::Quarantined`]; those of the file system.
pub fn check_claim(store: &Path, layer: &LayerRecord, claimed: Option<DiffId>) -> Result<(), Error> {
    let toc_digest = &layer.toc_digest;
    let refused = |why: &str, path| {
        let why = crate::error::shorten(why);
        Err(Error::Quarantined { toc_digest: Box::new(*toc_digest), why, path })
    };
    // Marks of earlier versions have the shorter name, whatever was claimed.
    for named in [claimed.as_ref(), None] {
        let path = path_of(store, toc_digest, named);
        match read(&path)? {
            Some(Ok(mark)) if mark.diff_id == claimed => return refused(&mark.why, Some(path)),
            Some(Err(_)) => return refused("its mark cannot be read", Some(path)),
            Some(Ok(_)) | None => {}
        }
    }
    match (layer.diff_id, claimed) {
        (Some(found), Some(claimed)) if found != claimed && is_fact(layer) => {
            refused(&format!("its tar has the diff ID {found}, and not {claimed} as the image says"), None)
        }
        _ => Ok(()),
    }
}

/// Tells whether no other tar has the TOC. One that was made here may be that of several, as it says less than they.
fn is_fact(layer: &LayerRecord) -> bool {
    layer.state == LayerState::Proven && layer.origin == Origin::Chunked
}

fn read(path: &Path) -> Result<Option<serde_json::Result<Quarantined>>, Error> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => Ok(Some(serde_json::from_slice(&read.map_err(at_path("read", path))?))),
    }
}

/// Two SHA-512 digests are too long for the name of a file.
fn path_of(store: &Path, toc_digest: &TocDigest, diff_id: Option<&DiffId>) -> PathBuf {
    let claim = diff_id.map(|diff_id| format!("-{:.64}", diff_id.0.hex())).unwrap_or_default();
    store.join(DIRECTORY).join(format!("{}{claim}", toc_digest.0.hex()))
}

#[cfg(test)]
mod tests {
    use chunked::BlobDigest;

    use super::*;

    fn record(claimed: Option<DiffId>) -> LayerRecord {
        LayerRecord {
            toc_digest: TocDigest::of(b"toc"),
            blob: BlobDigest::of(b"blob"),
            blob_len: 1,
            payload_len: 1,
            diff_id: claimed,
            tar_len: 0,
            state: LayerState::Indexed,
            origin: Origin::Chunked,
        }
    }

    #[test]
    fn a_wrong_claim_condemns_no_other_one() {
        let dir = tempfile::tempdir().unwrap();
        let [right, wrong, worse] = [b"right", b"wrong", b"worse"].map(|tar| Some(DiffId::of(tar)));
        let is_refused = |claimed| check_claim(dir.path(), &record(right), claimed).is_err();

        put(dir.path(), &record(wrong), "another tar").unwrap();
        put(dir.path(), &record(worse), "another tar").unwrap();
        assert_eq!([right, wrong, worse, None].map(is_refused), [false, true, true, false]);
        put(dir.path(), &record(None), "no tar").unwrap();
        assert_eq!([right, wrong, worse, None].map(is_refused), [false, true, true, true]);
    }

    #[test]
    fn what_is_proven_refutes_other_claims_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let [right, wrong] = [b"right", b"wrong"].map(|tar| Some(DiffId::of(tar)));
        let proven = LayerRecord { state: LayerState::Proven, ..record(right) };
        let made_here = LayerRecord { origin: Origin::IndexedPlain, ..proven.clone() };
        assert!(check_claim(dir.path(), &proven, right).is_ok());
        assert!(check_claim(dir.path(), &proven, wrong).is_err());
        assert!(check_claim(dir.path(), &made_here, wrong).is_ok());
    }

    #[test]
    fn a_mark_of_an_earlier_version_counts_for_what_was_claimed() {
        let dir = tempfile::tempdir().unwrap();
        let [right, wrong] = [b"right", b"wrong"].map(|tar| Some(DiffId::of(tar)));
        put(dir.path(), &record(wrong), "another tar").unwrap();
        let [new, old] =
            [wrong, None].map(|claim| path_of(dir.path(), &record(wrong).toc_digest, claim.as_ref()));
        fs::rename(new, &old).unwrap();
        assert!(check(dir.path(), &record(right)).is_ok());
        assert!(check(dir.path(), &record(wrong)).is_err());
        fs::write(&old, "").unwrap();
        assert!(check(dir.path(), &record(right)).is_err(), "what cannot be read counts for all");
    }
}
