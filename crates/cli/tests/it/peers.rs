//! Other tools read what `morsel` writes, and `morsel` reads what they write.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use testkit::oci::{self, Layout};
use testkit::process::{run, run_with};
use testkit::tar::sample;
use testkit::toc;
use testkit::tools::{self, PeerRoot, Tier};
use zstd_chunked::{MetadataReferences, Stream};

use crate::harness::{Converted, digest, morsel};

const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata");

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
    if tools::host(Tier::Tool, "zstd").is_none() {
        return;
    }
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

/// Debian 12 and 13 have umoci 0.4, which knows no zstd layers; 0.6 does.
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
        let their_blob = theirs.blob(digest(&their));
        toc::assert_same_rows(toc::rows(&blob, &our), toc::rows(&their_blob, &their));
    }
}

/// Verifies a golden blob, and returns the verdict, the dialect and the exit code.
fn verify(folder: &str, diff_id: Option<&str>) -> (String, String, Option<i32>) {
    let folder = Path::new(TESTDATA).join(folder);
    let mut verify = morsel();
    verify.arg("verify").arg(folder.join("blob")).arg("--descriptor").arg(folder.join("descriptor.json"));
    let output = verify.args(diff_id.map(|id| format!("--diff-id={id}"))).arg("--json").output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let word = |key: &str| report[key].as_str().unwrap_or_default().to_owned();
    (word("verdict"), word("dialect"), output.status.code())
}

#[test]
fn golden_blobs_of_every_dialect_are_verified() {
    let sample = oci::digest(&sample::rich_tar());
    for (folder, diff_id, verdict, dialect, code) in [
        ("skopeo-1.22.0", Some(&sample), "proven", "current", 0),
        ("skopeo-1.18.0", Some(&sample), "proven", "current", 0),
        ("skopeo-1.9.3", None, "consistent", "without-tar-split", 8),
        // Writers of that time dropped the zeros at the tar's end: the blob is not the layer it was made from.
        ("skopeo-1.9.3", Some(&sample), "damaged", "without-tar-split", 3),
        // ctr-remote writes another tar.
        ("ctr-remote-0.14.3-zstdchunked", None, "consistent", "stargz-zstd", 8),
        ("ctr-remote-0.14.3-estargz", None, "consistent", "estargz", 8),
    ] {
        let expected = (verdict.to_owned(), dialect.to_owned(), Some(code));
        assert_eq!(verify(folder, diff_id.map(String::as_str)), expected, "{folder}");
    }
}

#[test]
fn the_sample_is_what_the_golden_blobs_were_made_from() {
    let layer = Path::new(TESTDATA).join("sample/layer.tar.gz");
    let unzipped = run(Command::new("gzip").arg("-dc").arg(layer)).stdout;
    assert!(unzipped == sample::rich_tar(), "run scripts/fixtures");
}
