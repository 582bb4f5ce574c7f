//! Images as `docker save` writes them, presented as OCI images.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use chunked::digest::{BlobDigest, DiffId, Hasher};
use chunked::input::Compression;
use chunked::{BlobRange, RangeSource};
use serde::Deserialize;

use super::{Invalid, Members};
use crate::blob::{Blob, FileBlob};
use crate::descriptor::{Annotations, Descriptor, null_is_empty};
use crate::error::{Error, at_path};
use crate::image::{Config, DOCUMENT_LEN_MAX, Document, Exact, Manifest, parse_json};
use crate::layout::Files;
use crate::media_type::MediaType;
use crate::reference::{ArchiveImage, Reference};
use crate::source::ImageSource;

/// Name of the file that lists the images.
const LIST: &str = "manifest.json";
/// Longest such list in bytes.
const LIST_LEN_MAX: u64 = 16 << 20;

/// One image of the list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    layers: Vec<String>,
}

/// An image of a Docker archive.
///
/// Its manifest is made up here. A plain layer is a blob named by its DiffID, which whoever reads it checks; a compressed
/// one, as some tools write, is hashed when the archive is opened.
#[derive(Debug)]
pub(crate) struct DockerArchive {
    reference: Reference,
    root: Descriptor,
    manifest: Arc<Exact<Manifest>>,
    blobs: HashMap<BlobDigest, FileBlob>,
}

impl DockerArchive {
    /// Opens one image of the archive, or without `image` the only one.
    pub(crate) fn open(
        members: &Members,
        reference: Reference,
        image: Option<&ArchiveImage>,
    ) -> Result<Self, Error> {
        let missing = || Error::NotImages {
            path: members.path().to_owned(),
            expected: "a Docker archive",
            missing: LIST,
        };
        let bytes = members.read(LIST, LIST_LEN_MAX)?.ok_or_else(missing)?;
        let list: Vec<Listed> = parse_json(&bytes, LIST_LEN_MAX)
            .map_err(|source| Error::LayoutFile { path: members.path().join(LIST), source })?;
        let position = choose(&list, &reference, image)?;
        let Some(listed) = list.get(position) else { return Err(no_such_image(&reference, &list)) };
        Self::present(members, reference, position, listed)
    }

    fn present(
        members: &Members,
        reference: Reference,
        position: usize,
        listed: &Listed,
    ) -> Result<Self, Error> {
        let path = members.path().join(&listed.config);
        let missing = |name: &str| Error::NoMember { path: members.path().to_owned(), name: name.to_owned() };
        let bytes = members.read(&listed.config, DOCUMENT_LEN_MAX)?.ok_or_else(|| missing(&listed.config))?;
        let config = Config::parse(&bytes).map_err(|source| Error::LayoutFile { path, source })?;
        let diff_ids = config.rootfs.diff_ids;
        if diff_ids.len() != listed.layers.len() {
            let (layers, diff_ids) = (listed.layers.len(), diff_ids.len());
            let source = Invalid::LayerCount { position, layers, diff_ids };
            return Err(Error::Archive { path: members.path().to_owned(), source });
        }
        let mut blobs = HashMap::new();
        let mut layers = Vec::new();
        for (name, diff_id) in listed.layers.iter().zip(diff_ids) {
            let blob = members.open(name)?.ok_or_else(|| missing(name))?;
            let layer = describe(&blob, diff_id).map_err(at_path("read", &members.path().join(name)))?;
            blobs.insert(layer.digest, blob);
            layers.push(layer);
        }
        let digest = BlobDigest::of(&bytes);
        let blob = members.open(&listed.config)?.ok_or_else(|| missing(&listed.config))?;
        blobs.insert(digest, blob);
        let manifest = compose(Descriptor::new(MediaType::OCI_CONFIG, digest, bytes.len() as u64), layers);
        let manifest = Exact::encode(MediaType::OCI_MANIFEST, manifest)
            .map_err(|source| Error::LayoutFile { path: members.path().join(LIST), source })?;
        Ok(Self { reference, root: manifest.descriptor(), manifest: Arc::new(manifest), blobs })
    }
}

impl ImageSource for DockerArchive {
    fn reference(&self) -> &Reference {
        &self.reference
    }

    fn root(&self) -> &Descriptor {
        &self.root
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Option<Document>, Error> {
        let same = descriptor.digest == self.root.digest;
        Ok(same.then(|| Document::Manifest(self.manifest.clone())))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Blob + '_>>, Error> {
        let Some(blob) = self.blobs.get(&descriptor.digest) else { return Ok(None) };
        blob.check_len(&self.reference, descriptor)?;
        Ok(Some(Box::new(blob)))
    }
}

fn choose(list: &[Listed], reference: &Reference, image: Option<&ArchiveImage>) -> Result<usize, Error> {
    match image {
        Some(ArchiveImage::Position(position)) => Ok(*position),
        Some(ArchiveImage::Name(wanted)) => {
            let named = |tag: &String| tag.parse().as_ref() == Ok(wanted);
            let found = list.iter().position(|listed| listed.repo_tags.iter().any(named));
            found.ok_or_else(|| no_such_image(reference, list))
        }
        None if list.len() == 1 => Ok(0),
        None => Err(Error::SeveralImages { reference: Box::new(reference.clone()), present: names(list) }),
    }
}

fn no_such_image(reference: &Reference, list: &[Listed]) -> Error {
    Error::NoSuchImage { reference: Box::new(reference.clone()), present: names(list) }
}

fn names(list: &[Listed]) -> Vec<String> {
    list.iter().flat_map(|listed| &listed.repo_tags).map(|tag| crate::error::shorten(tag)).collect()
}

fn describe(blob: &FileBlob, diff_id: DiffId) -> io::Result<Descriptor> {
    let media_type = match Compression::sniff(&blob.read_start(4)?) {
        Compression::None => {
            return Ok(Descriptor::new(MediaType::OCI_LAYER, BlobDigest(diff_id.0), blob.blob_len()));
        }
        Compression::Gzip => MediaType::OCI_LAYER_GZIP,
        Compression::Zstd => MediaType::OCI_LAYER_ZSTD,
    };
    Ok(Descriptor::new(media_type, hash(blob)?, blob.blob_len()))
}

fn hash(blob: &FileBlob) -> io::Result<BlobDigest> {
    struct Hashing(Hasher);
    impl io::Write for Hashing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let whole = BlobRange::with_len(0, blob.blob_len()).ok_or(io::ErrorKind::InvalidData)?;
    let mut hashing = Hashing(Hasher::new());
    io::copy(&mut io::BufReader::with_capacity(256 << 10, blob.read_range(whole)?), &mut hashing)?;
    Ok(BlobDigest(hashing.0.finish()))
}

fn compose(config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
    Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST),
        artifact_type: None,
        config,
        layers,
        subject: None,
        annotations: Annotations::new(),
        other: serde_json::Map::new(),
    }
}
