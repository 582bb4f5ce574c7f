//! What the fuzz targets do with an input. The tests of `morsel-store` include this file to replay the corpora.

use std::env::temp_dir;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process;
use std::thread;

use chunked::ContentDigest;
use morsel_store::index;
use morsel_store::seed::containers_storage::{cache::ManifestCache, records};
use morsel_store::seed::ostree::{Checksum, DirTree, root_of_commit};

/// What a target does with an input; it panics when it finds something.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 6] = [
    ("index_catalog", index_catalog),
    ("index_run", index_run),
    ("layers_json", layers_json),
    ("manifest_cache", manifest_cache),
    ("ostree_commit", ostree_commit),
    ("ostree_dirtree", ostree_dirtree),
];

/// What a seed's files look like: each has a path that is part of the file.
pub fn index_catalog(input: &[u8]) {
    let paths = with_file(input, index::read_catalog).unwrap_or_default();
    assert!(paths.iter().all(|path| path.as_os_str().len() <= input.len()));
}

/// A digest, and rows sorted by digests: what is found of it is a range, and there are no more rows than have room.
pub fn index_run(input: &[u8]) {
    const ROW_LEN: usize = 32;
    let Some((digest, run)) = input.split_first_chunk() else { return };
    let read = with_file(run, |file| index::read_run(file, &ContentDigest(*digest)));
    let Some((rows, found)) = read else { return };
    assert!(rows <= run.len() / ROW_LEN && found.len() <= 2);
    assert!(found.iter().all(|range| range.start() <= range.end()));
}

/// Does something with a file that has these bytes, and is as files of the index are.
fn with_file<T>(bytes: &[u8], work: impl FnOnce(&File) -> T) -> T {
    let name = format!("morsel-fuzz-{}-{:?}", process::id(), thread::current().id());
    let path = temp_dir().join(name);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o400).open(&path).expect("a file can be made");
    file.write_all(bytes).expect("a file can be written");
    let file = File::open(&path).expect("a file can be opened");
    fs::remove_file(&path).expect("a file can be removed");
    work(&file)
}

/// The list of a store's layers: all of them can be part of a path.
pub fn layers_json(input: &[u8]) {
    let Ok(layers) = records::parse(input) else { return };
    for layer in layers {
        assert!(
            layer.as_str().len() == 64 && layer.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric())
        );
    }
}

/// The index of a layer: it has as many places as there is room for tags, with names that are part of it.
pub fn manifest_cache(input: &[u8]) {
    const TAG_LEN: usize = 55;
    let Some(cache) = ManifestCache::parse(input) else { return };
    let places = cache.places().inspect(|place| assert!(place.name.len() <= input.len()));
    assert!(places.count() <= input.len() / TAG_LEN);
}

/// A commit: its root is part of it.
pub fn ostree_commit(input: &[u8]) {
    if let Some(root) = root_of_commit(input) {
        assert!(input.windows(32).any(|bytes| checksum(bytes) == root));
    }
}

/// A name, a line end, and a directory: what it has under that name is part of it.
pub fn ostree_dirtree(input: &[u8]) {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let (name, bytes) = (&input[..end], &input[end + 1..]);
    let Some(tree) = DirTree::parse(bytes.to_vec()) else { return };
    for found in [tree.file(name), tree.directory(name)].into_iter().flatten() {
        assert!(bytes.windows(32).any(|bytes| checksum(bytes) == found));
        assert!(bytes.windows(name.len() + 1).any(|bytes| bytes.strip_suffix(&[0]) == Some(name)));
    }
}

fn checksum(bytes: &[u8]) -> Checksum {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Checksum::from_hex(&hex).expect("32 bytes are a checksum")
}
