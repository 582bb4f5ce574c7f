//! Replays what the fuzzers start from and what they have found.

use std::fs;
use std::path::Path;

#[expect(unreachable_pub, reason = "the fuzz targets use them from another crate")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// Runs a target on every input in a folder; returns how many there are.
fn replay(folder: &Path, target: targets::Target) -> usize {
    let Ok(inputs) = fs::read_dir(folder) else { return 0 };
    inputs.map(|input| target(&fs::read(input.unwrap().path()).unwrap())).count()
}

#[test]
fn every_target_takes_its_corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, target) in targets::TARGETS {
        assert!(replay(&fuzz.join("corpus").join(name), target) > 0, "{name} has no corpus");
        replay(&fuzz.join("artifacts").join(name), target);
    }
}

#[test]
fn no_corpus_is_without_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for folder in
        ["corpus", "artifacts"].iter().filter_map(|folder| fs::read_dir(fuzz.join(folder)).ok()).flatten()
    {
        let name = folder.unwrap().file_name();
        assert!(targets::TARGETS.iter().any(|(target, _)| name == *target), "{name:?}");
    }
}
