//! An image as a descriptor in the list of images.

use std::str::FromStr;

use chunked::{BlobDigest, TocDigest};
use serde_json::{Value, json};

use super::{Document, Image};

/// Names an image in an image layout (OCI image-spec, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The digest of the manifest that was chosen.
const MANIFEST: &str = "sh.morsel.manifest";
/// The digest of its config.
const CONFIG: &str = "sh.morsel.config";
/// What it runs on.
const PLATFORM: &str = "sh.morsel.platform";
/// The digests of the TOCs of its layers, the lowest first, with blanks in between.
const LAYERS: &str = "sh.morsel.layers";

/// Returns the name that a descriptor has.
pub(super) fn name(descriptor: &Value) -> Option<&str> {
    annotation(descriptor, REF_NAME)
}

pub(super) fn encode(image: &Image) -> Value {
    let layers: Vec<_> = image.layers.iter().map(ToString::to_string).collect();
    json!({
        "mediaType": image.root.media_type,
        "digest": image.root.digest,
        "size": image.root.len,
        "annotations": {
            REF_NAME: image.name,
            MANIFEST: image.manifest,
            CONFIG: image.config,
            PLATFORM: image.platform,
            LAYERS: layers.join(" "),
        },
    })
}

/// Reads a descriptor; `None` when it is not one of ours.
pub(super) fn decode(descriptor: &Value) -> Option<Image> {
    Some(Image {
        name: name(descriptor)?.to_owned(),
        root: Document {
            media_type: descriptor.get("mediaType")?.as_str()?.to_owned(),
            digest: parse(descriptor.get("digest")?.as_str()?)?,
            len: descriptor.get("size")?.as_u64()?,
        },
        manifest: parse(annotation(descriptor, MANIFEST)?)?,
        config: parse(annotation(descriptor, CONFIG)?)?,
        platform: annotation(descriptor, PLATFORM)?.to_owned(),
        layers: layers(annotation(descriptor, LAYERS)?)?,
    })
}

/// Tells whether a descriptor is one of ours, readable or not.
pub(super) fn is_ours(descriptor: &Value) -> bool {
    [MANIFEST, CONFIG, PLATFORM, LAYERS].iter().any(|key| annotation(descriptor, key).is_some())
}

/// Lists the digests that a document or descriptor names anywhere in it. JSON is at most 128 levels deep for the parser, so
/// this is too.
pub(super) fn digests(value: &Value) -> Vec<BlobDigest> {
    match value {
        Value::String(text) => parse(text).into_iter().collect(),
        Value::Array(values) => values.iter().flat_map(digests).collect(),
        Value::Object(fields) => fields.values().flat_map(digests).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

fn layers(text: &str) -> Option<Vec<TocDigest>> {
    text.split_ascii_whitespace().map(parse).collect()
}

fn annotation<'a>(descriptor: &'a Value, key: &str) -> Option<&'a str> {
    descriptor.get("annotations")?.get(key)?.as_str()
}

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}
