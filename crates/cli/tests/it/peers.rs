//! Other tools read what `morsel` writes, and `morsel` reads what they write.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use testkit::oci::Layout;
use testkit::process::{run, run_with};
use testkit::tar::sample;
use testkit::toc;
use testkit::tools::{self, PeerRoot, Tier};
use zstd_chunked::{MetadataReferences, Stream};

use crate::harness::Converted;

#[test]
fn tool_zstd_decodes_a_blob_to_the_tar() {
    if tools::host(Tier::Tool, "zstd").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (_, blob, tar) in Converted::sample(dir.path()).layers() {
        let mut zstd = tools::host(Tier::Tool, "zstd").unwrap();
        assert!(run_with(zstd.arg("-dc"), &blob).stdout == tar, "the tars differ");
    }
}

#[test]
fn tool_the_zstd_chunked_crate_rebuilds_the_tar() {
    let dir = tempfile::tempdir().unwrap();
    for (descriptor, blob, tar) in Converted::sample(dir.path()).layers() {
        let annotations: BTreeMap<String, String> =
            serde_json::from_value(descriptor["annotations"].clone()).unwrap();
        let by_annotations = MetadataReferences::from_oci(|key| annotations.get(key));
        for found in [by_annotations, MetadataReferences::from_footer(&blob)] {
            let found = found.expect("the crate finds the TOC and the tar-split");
            let part = |range: &Range<u64>| &blob[range.start as usize..range.end as usize];
            let stream =
                Stream::new_from_frames(part(&found.manifest.range), part(&found.tarsplit.range)).unwrap();
            let mut rebuilt = Vec::new();
            let decode = |content: &zstd_chunked::ContentReference| {
                Ok(run_with(Command::new("zstd").arg("-dc"), part(&content.range)).stdout)
            };
            stream.write_to(&mut rebuilt, decode).unwrap();
            assert!(rebuilt == tar, "the tars differ");
        }
    }
}

#[test]
fn tool_skopeo_of_this_machine_copies_it_and_keeps_every_digest() {
    let Some(mut skopeo) = tools::host(Tier::Tool, "skopeo") else { return };
    let dir = tempfile::tempdir().unwrap();
    let image = Converted::sample(dir.path());
    let copy = Layout::open(dir.path().join("copy"));

    skopeo.args(["copy", "--insecure-policy", "--preserve-digests"]);
    run(skopeo.args([image.target.reference("latest"), copy.reference("latest")]));

    assert_eq!(copy.manifest("latest"), image.target.manifest("latest"));
}

/// Unpacks an image with umoci and returns its description of the tree: kinds, modes, owners, times, digests.
///
/// Attributes are sorted, and a directory's time is left out: the tar does not have every directory.
fn umoci_unpack(umoci: &mut Command, image: &Layout, bundle: &Path) -> Vec<String> {
    let reference = format!("{}:latest", image.dir().display());
    run(umoci.args(["unpack", "--image", &reference]).arg(bundle));
    let mut files = fs::read_dir(bundle).unwrap().map(|file| file.unwrap().path());
    let mtree = files.find(|path| path.extension().is_some_and(|end| end == "mtree")).unwrap();
    let text = fs::read_to_string(mtree).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        words.retain(|word| !(word.starts_with("tar_time=") && line.contains("type=dir")));
        words.sort_unstable();
        words.join(" ")
    });
    lines.collect()
}

/// umoci knows zstd layers since 0.6; Debian 12 and 13 have 0.4.
#[test]
fn root_umoci_unpacks_the_same_tree_from_it_as_from_the_original() {
    let Some(root) = PeerRoot::find(Tier::Root, "sid", "umoci") else { return };
    let dir = tempfile::tempdir().unwrap();
    let image = Converted::sample(dir.path());

    let umoci = || root.command("umoci", &[dir.path()]);
    let before = umoci_unpack(&mut umoci(), &image.source, &dir.path().join("before"));
    let after = umoci_unpack(&mut umoci(), &image.target, &dir.path().join("after"));

    assert!(before.len() > 20, "{before:?}");
    assert_eq!(before, after);
}

#[test]
fn root_the_toc_has_the_rows_that_skopeo_1_22_writes() {
    let Some(root) = PeerRoot::find(Tier::Root, "sid", "skopeo") else { return };
    let dir = tempfile::tempdir().unwrap();
    let image = Converted::sample(dir.path());
    let theirs = Layout::open(dir.path().join("theirs"));
    let mut skopeo = root.command("skopeo", &[dir.path()]);
    skopeo.args(["copy", "--insecure-policy", "--dest-compress-format=zstd:chunked"]);
    run(skopeo.args([image.source.reference("latest"), theirs.reference("latest")]));

    for ((our, blob, _), their) in image.layers().zip(theirs.layers("latest")) {
        let their_blob = theirs.blob(crate::harness::digest(&their));
        toc::assert_same_rows(toc::rows(&blob, &our), toc::rows(&their_blob, &their));
    }
}

#[test]
fn the_sample_is_what_the_golden_blobs_were_made_from() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/sample/layer.tar.gz");
    let unzipped = run(Command::new("gzip").args(["-dc", golden])).stdout;
    assert!(unzipped == sample::rich_tar(), "run scripts/fixtures");
}
