//! Remembers converted layers from run to run.
//!
//! | name | holds |
//! |---|---|
//! | `results/<hex of the key>.json` | a [`Record`]: what the layer became, and a digest over that |
//! | `blobs/<hex>` | the converted layer |
//!
//! A key is the digest of the source blob and of everything else that decides the result's bytes. Records are written
//! after their blobs, both are staged and renamed, so any number of processes may share a directory. Whatever cannot be
//! read, or is not what it should be, is as good as not there.
//!
//! What is found is verified before it is used, unless the self-check is off: the directory is trusted then.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use chunked::convert::{Converted, Counts, Level, Outcome, SelfCheck};
use chunked::digest::{BlobDigest, DiffId};
use chunked::input::Compression;
use serde::{Deserialize, Serialize};

use crate::blob::FileBlob;
use crate::descriptor::Descriptor;
use crate::directory::{Directory, read_limited};
use crate::error::{Error, at_path};
use crate::image::parse_json;
use crate::media_type::MediaType;
use crate::staged::{BUFFER_LEN, Staged};

/// Raised whenever a record changes its form, or between releases the converter gives other bytes for the same layer.
const VERSION: u32 = 1;

/// Another release may compress otherwise.
const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// Longest record in bytes; one has about a thousand.
const RECORD_LEN_MAX: u64 = 64 << 10;

/// What a layer became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ConvertedLayer {
    /// The digest of the blob.
    pub(super) digest: BlobDigest,
    /// Its length in bytes.
    pub(super) blob_len: u64,
    /// What its descriptor has to say about the TOC; nothing for a plain layer.
    pub(super) annotations: BTreeMap<String, String>,
    /// Whether it is chunked, and if not, why.
    pub(super) format: Format,
    /// The digest of the tar.
    pub(super) diff_id: DiffId,
    /// The length of the tar in bytes.
    pub(super) tar_len: u64,
    /// How the source was compressed.
    pub(super) compression: Compression,
    /// What it holds.
    pub(super) counts: Counts,
    /// Whether it was decoded again and compared when it was converted.
    pub(super) self_check: SelfCheck,
}

/// Whether a layer is chunked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// It is zstd:chunked.
    Chunked,
    /// It is plain zstd, for this reason.
    Plain(String),
}

impl From<Converted> for ConvertedLayer {
    fn from(converted: Converted) -> Self {
        Self {
            digest: converted.blob_digest,
            blob_len: converted.blob_len,
            annotations: converted.annotations(),
            format: match &converted.outcome {
                Outcome::Chunked { .. } => Format::Chunked,
                Outcome::Plain { why } => Format::Plain(why.to_string()),
            },
            diff_id: converted.diff_id,
            tar_len: converted.tar_len,
            compression: converted.source.compression,
            counts: converted.counts,
            self_check: converted.self_check,
        }
    }
}

impl ConvertedLayer {
    /// Describes the blob, without what the source's descriptor says.
    pub(super) fn descriptor(&self) -> Descriptor {
        Descriptor::new(MediaType::OCI_LAYER_ZSTD, self.digest, self.blob_len)
    }
}

/// What decides the bytes of a result.
#[derive(Debug, Serialize)]
struct Key {
    version: u32,
    release: &'static str,
    source: BlobDigest,
    level: i32,
}

/// A result as it is written down. Its own digest tells it from one that was damaged.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    result: ConvertedLayer,
    check: BlobDigest,
}

impl Record {
    fn check(result: &ConvertedLayer) -> serde_json::Result<BlobDigest> {
        serde_json::to_vec(result).map(|bytes| BlobDigest::of(&bytes))
    }
}

/// A directory of converted layers.
#[derive(Debug)]
pub(super) struct Memo {
    results: Directory,
    blobs: Directory,
    level: Level,
    self_check: SelfCheck,
}

impl Memo {
    /// Opens the directory, making it where there is none.
    pub(super) fn open(path: &Path, options: &chunked::convert::Options) -> Result<Self, Error> {
        let root = Directory::create(path)?;
        Ok(Self {
            results: root.subdirectory("results")?,
            blobs: root.subdirectory("blobs")?,
            level: options.level,
            self_check: options.self_check,
        })
    }

    /// Finds what the blob `source` became; the blob found is not verified yet.
    ///
    /// A result that nobody checked does not do where results are to be checked.
    pub(super) fn find(&self, source: &BlobDigest) -> Option<(ConvertedLayer, FileBlob)> {
        let name = self.record_name(source);
        let file = self.results.open_file(&name).ok()??;
        let bytes = read_limited(file, self.results.path(), RECORD_LEN_MAX).ok()?;
        let Record { result, check } = parse_json(&bytes, RECORD_LEN_MAX).ok()?;
        if Record::check(&result).ok()? != check {
            return None;
        }
        if self.self_check == SelfCheck::On && result.self_check == SelfCheck::Off {
            return None;
        }
        let file = self.blobs.open_file(&result.digest.0.hex()).ok()??;
        let len = file.metadata().ok()?.len();
        (len == result.blob_len).then(|| (result, FileBlob::whole(file, len)))
    }

    /// Starts a blob that is to be remembered.
    pub(super) fn start(&self) -> Result<MemoBlob, Error> {
        Ok(MemoBlob(BufWriter::with_capacity(BUFFER_LEN, self.blobs.stage()?)))
    }

    /// Remembers what the blob `source` became.
    pub(super) fn remember(
        &self,
        source: &BlobDigest,
        blob: MemoBlob,
        result: &ConvertedLayer,
    ) -> Result<(), Error> {
        let failed = || at_path("write", self.blobs.path());
        let staged = blob.0.into_inner().map_err(|error| failed()(error.into_error()))?;
        staged.publish(&self.blobs, &result.digest.0.hex()).map_err(failed())?;
        self.blobs.sync()?;
        let encode = |error: serde_json::Error| at_path("write", self.results.path())(io::Error::from(error));
        let check = Record::check(result).map_err(encode)?;
        let record = serde_json::to_vec(&Record { result: result.clone(), check }).map_err(encode)?;
        self.results.replace(&self.record_name(source), &record)
    }

    fn record_name(&self, source: &BlobDigest) -> String {
        let key = Key { version: VERSION, release: RELEASE, source: *source, level: self.level.get() };
        // A struct of numbers and strings can always be written.
        let bytes = serde_json::to_vec(&key).unwrap_or_default();
        format!("{}.json", BlobDigest::of(&bytes).0.hex())
    }
}

/// A blob on its way into the memo. Dropped, it leaves nothing.
#[derive(Debug)]
pub(super) struct MemoBlob(BufWriter<Staged>);

impl Write for MemoBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
