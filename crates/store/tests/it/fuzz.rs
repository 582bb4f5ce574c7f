//! Replays what the fuzzers start from and what they have found.

use std::fs;
use std::path::Path;

use chunked::ContentDigest;
use morsel_store::index;

#[expect(unreachable_pub, reason = "the fuzz targets use them from another crate")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

#[test]
fn every_target_takes_its_corpus() {
    testkit::corpus::replay(env!("CARGO_MANIFEST_DIR"), &targets::TARGETS);
}

/// What the corpora start from is used, so that the fuzzers come past the first checks.
#[test]
fn the_corpora_of_the_index_are_read() {
    let corpus = |target: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        fs::read_dir(folder).unwrap().map(|input| fs::read(input.unwrap().path()).unwrap())
    };
    let file = |bytes: &[u8]| {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        file.into_file()
    };
    for input in corpus("index_run") {
        let (digest, run) = input.split_first_chunk().unwrap();
        let (rows, found) = index::read_run(&file(run), &ContentDigest(*digest)).unwrap();
        assert_eq!((rows, found.len()), (3, 2));
    }
    for input in corpus("index_catalog") {
        assert_eq!(index::read_catalog(&file(&input)).unwrap(), [Path::new("bin/env")]);
    }
}
