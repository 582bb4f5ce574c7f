//! What holds of objects and partial files, whatever is done to them in whatever order.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;

use chunked::{ChunkKind, ContentDigest};
use morsel_store::Store;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::sample::{Place, chunks, files};

#[derive(Debug, Clone)]
enum Step {
    /// Store a content as a whole.
    Put(Vec<u8>),
    /// Store a content in two pieces, the second first.
    Stage(Vec<u8>, usize),
    /// Start a content and give it up.
    GiveUp(Vec<u8>),
    Sync,
    /// Close the store, and open it again.
    Reopen,
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    // Few of them, so that they meet again.
    (0..4_u8, 0..3_usize).prop_map(|(byte, len)| vec![byte; len * 1000])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => content().prop_map(Step::Put),
        3 => (content(), 0..1000_usize).prop_map(|(content, at)| Step::Stage(content, at)),
        1 => content().prop_map(Step::GiveUp),
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn objects_are_what_was_stored_and_nothing_else(steps in vec(step(), 0..30)) {
        let Place { dir, mut store } = Place::new();
        let root = dir.path().join("store");
        let mut model = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(content) => {
                    let digest = ContentDigest::of(&content);
                    let is_new = store.objects().put(&digest, &content).unwrap();
                    prop_assert_eq!(is_new, model.insert(digest, content).is_none());
                }
                Step::Stage(content, at) => {
                    let digest = ContentDigest::of(&content);
                    let staged = store.objects().stage().unwrap();
                    let (first, second) = content.split_at(at.min(content.len()));
                    staged.write_all_at(second, first.len() as u64).unwrap();
                    staged.write_all_at(first, 0).unwrap();
                    let is_new = staged.commit(&digest).unwrap();
                    prop_assert_eq!(is_new, model.insert(digest, content).is_none());
                }
                Step::GiveUp(content) => store.objects().stage().unwrap().write_all(&content).unwrap(),
                Step::Sync => store.sync().unwrap(),
                Step::Reopen => store = Store::open(&root).unwrap(),
            }
        }
        for (digest, content) in &model {
            let mut read = Vec::new();
            store.objects().open(digest).unwrap().unwrap().read_to_end(&mut read).unwrap();
            prop_assert_eq!(&read, content);
            prop_assert_eq!(store.objects().len_of(digest).unwrap(), Some(content.len() as u64));
        }
        prop_assert_eq!(files(&root.join("objects")).len(), model.len());
        prop_assert_eq!(files(&root.join("tmp")), [""; 0]);
    }

    #[test]
    fn chunks_of_a_partial_file_are_here_exactly_when_they_were_written(
        len in 1..200_usize,
        chunk_len in 1..40_usize,
        zeros in vec(any::<bool>(), 200),
        runs in vec(vec((0..200_usize, any::<bool>()), 0..20), 1..5),
    ) {
        let place = Place::new();
        let mut content: Vec<u8> = (0..len).map(|at| (at * 7 + 1) as u8).collect();
        let mut chunks = chunks(&content, chunk_len);
        for (chunk, _) in chunks.iter_mut().zip(&zeros).filter(|(_, is_hole)| **is_hole) {
            chunk.kind = ChunkKind::Zeros;
            content[chunk.file.start() as usize..chunk.file.end() as usize].fill(0);
        }
        let holes = (0..chunks.len()).filter(|number| zeros[*number]);
        let mut here: BTreeSet<_> = holes.collect();
        let digest = ContentDigest::of(&content);
        for run in runs {
            let partial = place.store.partials().open(&digest, &chunks).unwrap().unwrap();
            for number in 0..chunks.len() {
                prop_assert_eq!(partial.has(number), here.contains(&number));
            }
            for (number, in_pieces) in run {
                let number = number % chunks.len();
                let range = chunks[number].file;
                let bytes = &content[range.start() as usize..range.end() as usize];
                let (first, second) = bytes.split_at(if in_pieces { bytes.len() / 2 } else { 0 });
                partial.write(number, range.start(), first).unwrap();
                partial.write(number, range.start() + first.len() as u64, second).unwrap();
                here.insert(number);
            }
        }
        let partial = place.store.partials().open(&digest, &chunks).unwrap().unwrap();
        let mut read = vec![0xff; len];
        partial.file().read_exact_at(&mut read, 0).unwrap();
        for (number, chunk) in chunks.iter().enumerate() {
            let range = chunk.file.start() as usize..chunk.file.end() as usize;
            let expected = if here.contains(&number) { &content[range.clone()] } else { &vec![0; range.len()] };
            prop_assert_eq!(&read[range], expected);
        }
    }
}

#[test]
fn bytes_beside_a_chunk_are_refused() {
    let place = Place::new();
    let content = b"0123456789abcdefghij";
    let chunks = chunks(content, 10);
    let partial = place.store.partials().open(&ContentDigest::of(content), &chunks).unwrap().unwrap();
    for (chunk, at, len) in [(0, 5, 6), (1, 9, 1), (1, 15, 6), (2, 20, 0), (0, u64::MAX, 1)] {
        let error = partial.write(chunk, at, &content[..len]).unwrap_err().to_string();
        assert!(error.contains("not within chunk"), "{error}");
    }
    assert!(!partial.has(0) && !partial.has(1) && !partial.has(2));
}
