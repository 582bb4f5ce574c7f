//! A large file of which a seed has another version. This takes minutes: CI runs it with a release build, by
//! `cargo test --release -p morsel-cli --test it -- --ignored large`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;
use testkit::data;
use testkit::oci::{Compression, Layout};
use testkit::tar::Tar;

use crate::sandbox::Sandbox;

const LEN: usize = 500_000_000;
const CHANGES: usize = 10;

/// Adds an image with one file, and converts it.
fn add_image(sandbox: &Sandbox, tag: &str, content: &[u8]) {
    let source = Layout::create(sandbox.path(&format!("source-{tag}")));
    source.add_image(tag, Compression::None, &[&Tar::new().file("model", content).finish()]);
    sandbox.stdout(&format!("morsel convert --quiet oci:source-{tag}:{tag} oci:image:{tag}"));
    fs::remove_dir_all(source.dir()).unwrap();
}

/// Lists the chunks of an image's only file, by digest, with the offsets of their frames.
fn chunks(sandbox: &Sandbox, tag: &str) -> BTreeMap<String, u64> {
    let tocs: Value =
        serde_json::from_slice(&sandbox.stdout(&format!("morsel inspect --toc --json oci:image:{tag}")))
            .unwrap();
    let mut found = BTreeMap::new();
    add_chunks(&tocs, &mut found);
    found
}

fn add_chunks(value: &Value, found: &mut BTreeMap<String, u64>) {
    if let (Some(digest), Some(offset)) = (value["chunkDigest"].as_str(), value["offset"].as_u64()) {
        found.insert(digest.to_owned(), offset);
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| add_chunks(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| add_chunks(field, found)),
        _ => {}
    }
}

#[test]
#[ignore = "takes minutes unless optimized; `.ci/run` runs it in a release build"]
fn large_files_cost_their_changed_chunks_and_at_most_a_neighbor_each() {
    let sandbox = Sandbox::new();
    let mut content = data::stream(1, LEN);
    add_image(&sandbox, "old", &content);
    fs::create_dir(sandbox.path("host")).unwrap();
    fs::write(sandbox.path("host/model"), &content).unwrap();
    for change in 0..CHANGES {
        content[change * LEN / CHANGES + LEN / 27] ^= 0xff;
    }
    add_image(&sandbox, "new", &content);
    drop(content);

    let (old, new) = (chunks(&sandbox, "old"), chunks(&sandbox, "new"));
    let changed: BTreeSet<_> = new.iter().filter(|(digest, _)| !old.contains_key(*digest)).collect();
    assert!((CHANGES..=2 * CHANGES).contains(&changed.len()), "{} chunks changed", changed.len());
    // A frame ends where the next one begins.
    let ends: Vec<u64> = new.values().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let len_of = |offset: u64| ends.iter().find(|end| **end > offset).map(|end| end - offset);
    let frames_len: u64 = changed.iter().map(|(_, offset)| len_of(**offset).unwrap()).sum();

    sandbox.stdout("morsel index add --quiet --root indexed host");
    for (line, way) in [("--root by-path --seed host", "by path"), ("--root indexed", "by digest")] {
        if way == "by digest" {
            fs::rename(sandbox.path("host/model"), sandbox.path("host/renamed")).unwrap();
            sandbox.stdout("morsel index update --quiet --root indexed");
        }
        let receipt = sandbox.stdout(&format!("morsel pull --json {line} oci:image:new"));
        let receipt: Value = serde_json::from_slice(&receipt).unwrap();
        let total = &receipt["total"];
        assert_eq!(total["needed"], frames_len, "{way}: {total}");
        let reused = total["seeds"][0]["chunks"]["count"].as_u64().unwrap();
        assert_eq!(reused as usize, new.len() - changed.len(), "{way}: {total}");
    }
}
