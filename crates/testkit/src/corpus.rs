//! Replays what the fuzzers of a crate start from and what they have found.

use std::fs;
use std::path::Path;

/// What a fuzz target does with an input; it panics when it finds something.
pub type Target = fn(&[u8]);

/// Runs every target of `fuzz/` in `crate_dir` on its corpus, of at least one input, and on its artifacts.
///
/// A folder of inputs that belongs to no target is a mistake as well.
pub fn replay(crate_dir: impl AsRef<Path>, targets: &[(&str, Target)]) {
    let fuzz = crate_dir.as_ref().join("fuzz");
    for (name, target) in targets {
        assert!(run(&fuzz.join("corpus").join(name), *target) > 0, "{name} has no corpus");
        run(&fuzz.join("artifacts").join(name), *target);
    }
    for folder in
        ["corpus", "artifacts"].iter().filter_map(|folder| fs::read_dir(fuzz.join(folder)).ok()).flatten()
    {
        let name = folder.expect("a folder of inputs").file_name();
        assert!(targets.iter().any(|(target, _)| name == *target), "there is no target {name:?}");
    }
}

/// Runs a target on every input in a folder; returns how many there are.
fn run(folder: &Path, target: Target) -> usize {
    let Ok(inputs) = fs::read_dir(folder) else { return 0 };
    inputs
        .map(|input| input.and_then(|input| fs::read(input.path())).expect("an input can be read"))
        .map(|input| target(&input))
        .count()
}
