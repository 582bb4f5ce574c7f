//! Layers made by the converter, and such that lie.

use std::collections::BTreeMap;

use chunked::convert::{Options, Outcome, convert};
use chunked::testing::{skippable_frame, zstd_frame};
use chunked::{
    BlobDigest, BlobRange, ChunkKind, ChunkedLayer, ContentDigest, DiffId, Layer, Limits, Located, Location,
    TocDigest, annotations,
};
use morsel_store::pull::Task;
use serde_json::Value;
use testkit::tar::{Member, Tar};

use crate::source::Source;

/// A zstd:chunked layer.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) blob: Vec<u8>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) diff_id: DiffId,
    pub(crate) location: Location,
}

impl Made {
    pub(crate) fn of(tar: &[u8]) -> Self {
        let mut blob = Vec::new();
        let converted = convert(tar, &mut blob, &Options::default(), &chunked::convert::NoProgress).unwrap();
        let Outcome::Chunked { location, .. } = converted.outcome else { panic!("the layer has no TOC") };
        Self { blob, annotations: converted.annotations(), diff_id: converted.diff_id, location }
    }

    /// A layer of files.
    pub(crate) fn files<N: AsRef<[u8]>, C: AsRef<[u8]>>(files: impl IntoIterator<Item = (N, C)>) -> Self {
        Self::of(
            &Tar::new()
                .members(files.into_iter().map(|(name, content)| Member::file(name, content)))
                .finish(),
        )
    }

    /// Changes what the TOC says, and the annotations with it.
    pub(crate) fn with_toc(&self, change: impl FnOnce(&mut Value)) -> Self {
        let Located { range, len } = self.location.toc;
        let mut json = vec![0; len as usize];
        chunked::frame::Decoder::new().frame_into(self.bytes(range), &mut json).unwrap();
        let mut toc = serde_json::from_slice(&json).unwrap();
        change(&mut toc);
        self.assemble(&toc.to_string().into_bytes(), self.location.tar_split.unwrap().len, self.tar_split())
    }

    /// Takes the tar-split of another layer, and its diff ID.
    pub(crate) fn with_tar_split_of(&self, other: &Self) -> Self {
        let digest = BlobDigest::of(other.tar_split()).to_string();
        let changed = self.with_toc(|toc| toc["tarSplitDigest"] = digest.into());
        let Located { range, len } = changed.location.toc;
        let mut json = vec![0; len as usize];
        chunked::frame::Decoder::new().frame_into(changed.bytes(range), &mut json).unwrap();
        let split_len = other.location.tar_split.unwrap().len;
        Self { diff_id: other.diff_id, ..self.assemble(&json, split_len, other.tar_split()) }
    }

    fn assemble(&self, json: &[u8], split_len: u64, split: &[u8]) -> Self {
        let toc = zstd_frame(json);
        let mut blob = self.blob[..self.location.payload_len() as usize].to_vec();
        let mut put = |bytes: &[u8], len: u64| {
            let range = BlobRange::with_len(blob.len() as u64 + 8, bytes.len() as u64).unwrap();
            blob.extend(skippable_frame(bytes));
            Located { range, len }
        };
        let (placed, split) = (put(&toc, json.len() as u64), put(split, split_len));
        let location = Location { toc: placed, tar_split: Some(split) };
        let annotations = annotations::encode(&TocDigest::of(&toc), &location);
        Self { blob, annotations, diff_id: self.diff_id, location }
    }

    fn tar_split(&self) -> &[u8] {
        self.bytes(self.location.tar_split.unwrap().range)
    }

    fn bytes(&self, range: BlobRange) -> &[u8] {
        &self.blob[range.start() as usize..range.end() as usize]
    }

    pub(crate) fn digest(&self) -> BlobDigest {
        BlobDigest::of(&self.blob)
    }

    /// The part of the blob with the frames.
    pub(crate) fn payload(&self) -> BlobRange {
        BlobRange::new(0, self.location.payload_len()).unwrap()
    }

    pub(crate) fn task<'a>(&self, source: &'a Source) -> Task<'a> {
        Task {
            blob: self.digest(),
            source: Box::new(source),
            annotations: self.annotations.clone(),
            diff_id: Some(self.diff_id),
        }
    }

    pub(crate) fn open(&self) -> ChunkedLayer {
        let lookup = |key: &str| self.annotations.get(key).map(String::as_str);
        match Layer::open(&self.blob.as_slice(), lookup, &Limits::default()).unwrap() {
            Layer::Chunked(layer) => *layer,
            Layer::Plain { why } => panic!("{why}"),
        }
    }

    /// Lists the contents of the layer, each once, with the frames that a client without any of it has to fetch.
    pub(crate) fn frames(&self) -> BTreeMap<ContentDigest, Vec<BlobRange>> {
        let mut frames = BTreeMap::new();
        for content in self.open().toc.entries.into_iter().filter_map(|entry| entry.content) {
            let data = content.chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Data);
            frames.entry(content.digest.unwrap()).or_insert_with(|| data.map(|chunk| chunk.blob).collect());
        }
        frames
    }
}
