//! Replays what the fuzzers start from and what they have found.

#[expect(unreachable_pub, reason = "the fuzz targets use them from another crate")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

#[test]
fn every_target_takes_its_corpus() {
    testkit::corpus::replay(env!("CARGO_MANIFEST_DIR"), &targets::TARGETS);
}
