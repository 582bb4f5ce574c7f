//! What the fuzz targets do with an input. The tests of `morsel-registry` include this file to replay the corpora.

use std::fmt::Debug;
use std::io::{self, Read};

use chunked::BlobRange;
use chunked::digest::BlobDigest;
use morsel_registry::byteranges::{Byteranges, ContentRange};
use morsel_registry::challenge::{self, Challenge};
use morsel_registry::config::{hosts, registries};
use morsel_registry::descriptor::Descriptor;
use morsel_registry::image::{Config, Document, Exact, Parsed};
use morsel_registry::media_type::MediaType;
use morsel_registry::mirror::Intent;
use morsel_registry::mirror::list::{self, Images};
use morsel_registry::name::Name;
use morsel_registry::platform::Selector;
use morsel_registry::reference::{ArchiveImage, Operand, Reference};

/// What a target does with an input; it panics when it finds something.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 9] = [
    ("challenge", challenge),
    ("hosts_toml", hosts_toml),
    ("index", index),
    ("intent", intent),
    ("manifest", manifest),
    ("mirror_list", mirror_list),
    ("multipart", multipart),
    ("reference", reference),
    ("registries_conf", registries_conf),
];

/// A `WWW-Authenticate` header; what it says, written anew, says the same.
pub fn challenge(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(challenges) = challenge::parse(text) else { return };
    let written = challenges.iter().map(challenge_text).collect::<Vec<_>>().join(", ");
    // Escapes may make it longer than any server's.
    if written.len() <= text.len() {
        assert_eq!(challenge::parse(&written), Ok(challenges));
    }
}

/// A `hosts.toml`.
pub fn hosts_toml(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let _hosts = hosts::parse(text, "/etc/containerd/certs.d/host".as_ref());
}

/// The JSON of an index.
pub fn index(input: &[u8]) {
    match document(MediaType::OCI_INDEX, input) {
        Some(Document::Index(index)) => encoded_again(&index),
        Some(other) => panic!("{other:?}"),
        None => {}
    }
}

/// The record beside a sparse index; written anew, it says the same.
pub fn intent(input: &[u8]) {
    let Ok(intent) = Intent::parse(input) else { return };
    let again = serde_json::to_vec(&intent).expect("a record is JSON");
    assert_eq!(Intent::parse(&again), Ok(intent));
}

/// A list of images to mirror, and one of platforms.
pub fn mirror_list(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let _platforms = list::parse_platforms(text);
    for line in list::parse(text).into_iter().flatten() {
        match line.images {
            Images::One(Reference::Registry(name)) => drop(list::place("localhost:5000/hub", &name)),
            Images::One(_) => {}
            Images::Tags(name, glob) => {
                let _fits = glob.matches(name.tag().unwrap_or_default());
                assert!(glob.matches(&glob.to_string()));
            }
        }
    }
}

/// The JSON of a manifest, or of a configuration.
pub fn manifest(input: &[u8]) {
    let _config = Config::parse(input);
    match document(MediaType::OCI_MANIFEST, input) {
        Some(Document::Manifest(manifest)) => encoded_again(&manifest),
        Some(other) => panic!("{other:?}"),
        None => {}
    }
}

/// A content type, a line end, and an answer of several parts; how its bytes arrive makes no difference.
pub fn multipart(input: &[u8]) {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let (content_type, body) = (String::from_utf8_lossy(&input[..end]), &input[end + 1..]);
    let _range = ContentRange::parse(&content_type);
    let parts = parts(&content_type, body);
    let bytes = |parts: &[(BlobRange, Vec<u8>)]| parts.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    assert!(parts.0.len() <= PARTS_MAX && bytes(&parts.0) <= body.len(), "{parts:?}");
    assert_eq!(self::parts(&content_type, OneByOne(body)), parts);
}

/// What is written on the command line: images, their names, operands and platforms. What is printed means the same.
pub fn reference(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string().parse(), Ok(reference));
    }
    if let Ok(name) = text.parse::<Name>() {
        assert_eq!(name.to_string().parse(), Ok(name));
    }
    if let Ok(image) = text.parse::<ArchiveImage>() {
        assert_eq!(image.to_string().parse(), Ok(image));
    }
    if let Ok(selector) = text.parse::<Selector>() {
        assert_eq!(selector.to_string().parse(), Ok(selector));
    }
    let _operand = text.parse::<Operand>();
}

/// Ranges asked for, and bytes of the blob that they are of.
const PARTS_MAX: usize = 4;
const BLOB_LEN: u64 = 1000;

/// Reads parts until something is wrong, and says what.
fn parts(content_type: &str, body: impl Read) -> (Vec<(BlobRange, Vec<u8>)>, Option<String>) {
    let mut parts = Vec::new();
    let read = || -> io::Result<()> {
        let mut input = Byteranges::new(body, content_type, BLOB_LEN, PARTS_MAX)?;
        while let Some(range) = input.next_part()? {
            assert!(!range.is_empty() && range.end() <= BLOB_LEN);
            let mut bytes = Vec::new();
            input.read_to_end(&mut bytes)?;
            assert_eq!(bytes.len() as u64, range.len());
            parts.push((range, bytes));
        }
        Ok(())
    };
    let error = read().err().map(|error| error.to_string());
    (parts, error)
}

/// A body whose bytes arrive one by one.
struct OneByOne<'a>(&'a [u8]);

impl Read for OneByOne<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = out.len().min(1);
        self.0.read(&mut out[..len])
    }
}

fn challenge_text(challenge: &Challenge) -> String {
    let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
    let parameters = challenge.parameters.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value)));
    format!("{} {}", challenge.scheme, parameters.collect::<Vec<_>>().join(", "))
}

/// A `registries.conf`; read twice, it says the same.
pub fn registries_conf(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(once) = registries::parse(text) else { return };
    let mut twice = once.clone();
    twice.merge(once.clone());
    assert_eq!(twice, once);
}

/// Parses a document under the type given; its bytes must be kept as they are.
fn document(media_type: MediaType, input: &[u8]) -> Option<Document> {
    let descriptor = Descriptor::new(media_type, BlobDigest::of(input), input.len() as u64);
    let document = Document::parse(&descriptor, input.to_vec()).ok()?;
    assert_eq!((document.bytes(), document.descriptor()), (input, descriptor));
    Some(document)
}

/// Writes what a document says, which must mean the same and be as unambiguous.
fn encoded_again<T: Parsed + Clone + PartialEq + Debug>(document: &Exact<T>) {
    let again = Exact::encode(document.media_type().clone(), document.value().clone());
    // Escapes may make a document longer than anybody reads.
    let Ok(again) = again else { return };
    let parsed = Exact::<T>::parse(&again.descriptor(), again.bytes().to_vec()).expect("it was just written");
    assert_eq!(Exact::encode(parsed.media_type().clone(), parsed.value().clone()), Ok(again));
}
