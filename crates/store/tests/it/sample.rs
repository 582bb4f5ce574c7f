//! Stores, and things to put into them.

use std::path::Path;

use morsel_store::images::Document;
use morsel_store::{Image, LayerRecord, LayerState, Origin, Store};

use chunked::testing::zstd_frame;
use chunked::{
    BlobDigest, BlobRange, Chunk, ChunkKind, Content, ContentDigest, DiffId, Entry, EntryKind, FileRange,
    TocDigest, toc,
};

/// A store in a directory of its own.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { dir, store }
    }

    pub(crate) fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("store")
    }
}

/// Lists the files below a directory.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() && !path.is_symlink() {
                true => waiting.push(path),
                false => names.push(path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    names.sort();
    names
}

/// Cuts content into chunks of `len` bytes.
pub(crate) fn chunks(content: &[u8], len: usize) -> Vec<Chunk> {
    let mut at = 0;
    let chunk = |bytes: &[u8]| {
        let file = FileRange::with_len(at, bytes.len() as u64).unwrap();
        at += bytes.len() as u64;
        let blob = BlobRange::with_len(file.start(), file.len()).unwrap();
        Chunk { file, blob, inner_offset: 0, digest: Some(ContentDigest::of(bytes)), kind: ChunkKind::Data }
    };
    content.chunks(len).map(chunk).collect()
}

/// A layer of files with these contents, cut into chunks of 10 bytes: its record and its TOC, compressed.
pub(crate) fn layer(contents: &[&[u8]]) -> (LayerRecord, Vec<u8>) {
    // A TOC takes 0 for no offset.
    let mut at = 4;
    let mut entries = Vec::new();
    for (index, content) in contents.iter().enumerate() {
        let mut chunks = chunks(content, 10);
        for chunk in &mut chunks {
            chunk.blob = BlobRange::with_len(at, chunk.file.len()).unwrap();
            at += chunk.file.len();
        }
        if let [only] = chunks.as_mut_slice() {
            only.digest = None;
        }
        let mut entry = Entry::new(EntryKind::Regular, format!("file-{index}"));
        entry.size = content.len() as u64;
        if let (Some(first), Some(last)) = (chunks.first(), chunks.last()) {
            let range = BlobRange::new(first.blob.start(), last.blob.end()).unwrap();
            entry.content = Some(Content { digest: Some(ContentDigest::of(content)), range, chunks });
        }
        entries.push(entry);
    }
    let mut json = Vec::new();
    let mut writer = toc::Writer::new(&mut json).unwrap();
    for entry in &entries {
        writer.entry(entry).unwrap();
    }
    writer.finish(None).unwrap();
    let toc = zstd_frame(&json);
    let record = LayerRecord {
        toc_digest: TocDigest::of(&toc),
        blob: BlobDigest::of(&json),
        blob_len: at + 1000,
        payload_len: at,
        diff_id: Some(DiffId::of(b"diff ID")),
        tar_len: 10_240,
        state: LayerState::Indexed,
        origin: Origin::Chunked,
    };
    (record, toc)
}

/// An image of these layers, and its documents.
pub(crate) fn image(name: &str, layers: &[TocDigest]) -> (Image, Vec<(BlobDigest, Vec<u8>)>) {
    let config = format!(r#"{{"config of":"{name}"}}"#).into_bytes();
    let config_digest = BlobDigest::of(&config);
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"digest":"{config_digest}","size":{}}},"layers":[]}}"#,
        config.len()
    );
    let manifest = manifest.into_bytes();
    let digest = BlobDigest::of(&manifest);
    let image = Image {
        name: name.to_owned(),
        root: Document {
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            digest,
            len: manifest.len() as u64,
        },
        manifest: digest,
        config: config_digest,
        platform: "linux/amd64".to_owned(),
        layers: layers.to_vec(),
    };
    (image, vec![(digest, manifest), (config_digest, config)])
}

/// Borrows documents as they are stored.
pub(crate) fn borrowed(documents: &[(BlobDigest, Vec<u8>)]) -> Vec<(BlobDigest, &[u8])> {
    documents.iter().map(|(digest, bytes)| (*digest, bytes.as_slice())).collect()
}

/// Stores a layer of these contents and all of its content, as a pull does.
pub(crate) fn pull_layer(store: &Store, contents: &[&[u8]]) -> LayerRecord {
    let (record, toc) = layer(contents);
    let _lock = store.layers().lock(&record.blob).unwrap();
    store.layers().save(&record, &toc, Some(b"tar-split")).unwrap();
    for content in contents.iter().filter(|content| !content.is_empty()) {
        store.objects().put(&ContentDigest::of(content), content).unwrap();
    }
    let toc = store.layers().toc(&record).unwrap();
    store.index().add(morsel_store::index::chunks(&toc)).unwrap();
    store.layers().set_state(&record, LayerState::Complete).unwrap()
}

/// Stores an image of these layers, as a pull does.
pub(crate) fn pull(store: &Store, name: &str, layers: &[&[&[u8]]]) -> Image {
    let layers: Vec<_> = layers.iter().map(|contents| pull_layer(store, contents).toc_digest).collect();
    let (image, documents) = image(name, &layers);
    store.images().put(&image, &borrowed(&documents)).unwrap();
    store.sync().unwrap();
    image
}

/// Tells whether an object is here.
pub(crate) fn has(store: &Store, content: &[u8]) -> bool {
    store.objects().len_of(&ContentDigest::of(content)).unwrap().is_some()
}

/// Tells whether the object of some content is here, and is that content.
pub(crate) fn is(root: &Path, content: &[u8]) -> bool {
    std::fs::read(object_path(root, content)).is_ok_and(|bytes| bytes == content)
}

/// Returns where the object of some content is.
pub(crate) fn object_path(root: &Path, content: &[u8]) -> std::path::PathBuf {
    let text = ContentDigest::of(content).to_string();
    let hex = text.strip_prefix("sha256:").unwrap();
    root.join("objects").join(&hex[..2]).join(&hex[2..])
}

/// Replaces the bytes of an object.
pub(crate) fn spoil(root: &Path, content: &[u8], bytes: &[u8]) {
    let path = object_path(root, content);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
}
