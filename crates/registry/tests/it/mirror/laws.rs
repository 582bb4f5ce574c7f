//! What holds for every index and every choice.

use std::collections::BTreeSet;

use chunked::BlobDigest;
use morsel_registry::Document;
use morsel_registry::descriptor::Descriptor;
use morsel_registry::media_type::MediaType;
use morsel_registry::mirror::completeness::{Expected, Verdict, examine};
use morsel_registry::mirror::{ChildFate, Options};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::sample::{create, has, layout, mirror, open, root_bytes};
use crate::made::put_image;

const PLATFORMS: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/s390x", "windows/amd64"];

/// Puts an index of four images whose bytes no program would write so again.
fn put_index(place: &str, spaces: usize, unknown: &Value) -> (Descriptor, Vec<Descriptor>) {
    let mut sink = create(place);
    let images: Vec<Descriptor> =
        PLATFORMS.iter().map(|platform| put_image(&mut *sink, platform, &[])).collect();
    let listed: Vec<Value> = images.iter().map(|image| serde_json::to_value(image).unwrap()).collect();
    let index = json!({"x-unknown": unknown, "schemaVersion": 2, "manifests": listed});
    let text = format!("{}{}\n", " ".repeat(spaces), serde_json::to_string_pretty(&index).unwrap());
    let root = Descriptor::new(MediaType::OCI_INDEX, BlobDigest::of(text.as_bytes()), text.len() as u64);
    sink.put_document(&Document::parse(&root, text.into_bytes()).unwrap()).unwrap();
    sink.commit(&root).unwrap();
    (root, images)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn the_index_is_the_same_and_what_is_there_is_what_was_chosen(
        spaces in 0_usize..9,
        unknown in "\\PC{0,9}",
        runs in proptest::collection::vec(proptest::collection::btree_set(0_usize..4, 1..4), 1..3),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (layout(dir.path(), "from"), layout(dir.path(), "to"));
        let (root, images) = put_index(&from, spaces, &json!({ "text": unknown }));
        let mut chosen = BTreeSet::new();
        for run in &runs {
            let platforms: Vec<&str> = run.iter().map(|number| PLATFORMS[*number]).collect();
            let (plan, done) = mirror(&from, &to, &platforms).unwrap();
            prop_assert_eq!(done.copied, plan.totals.copy);
            let mirrored = plan.children.iter().filter(|child| child.fate == ChildFate::Mirrored).count();
            prop_assert_eq!(mirrored, run.len());
            chosen.extend(run.iter().copied());
        }
        prop_assert_eq!(root_bytes(&to), root_bytes(&from));
        prop_assert_eq!(open(&to).root().digest, root.digest);
        for (number, image) in images.iter().enumerate() {
            prop_assert_eq!(has(&to, image), chosen.contains(&number));
        }
        let jobs = Options::default().jobs;
        let expected = Expected { allowed: Vec::new(), required: Vec::new(), jobs };
        let verdict = if chosen.len() == images.len() { Verdict::Complete } else { Verdict::Sparse };
        prop_assert_eq!(examine(&*open(&to), &expected).unwrap().verdict, verdict);
    }
}
