//! Mirrors between registries, layouts and archives, and interrupted ones.

use morsel_registry::mirror::completeness::{Expected, Verdict, examine};
use morsel_registry::mirror::{BlobFate, Options, Placed};
use testkit::oci::{Compression, Layout};
use testkit::scripted::{Fault, Indexes, Misdeed, Script, Scripted, Target};

use super::sample::{AMD64, S390X, Sample, has, layout, mirror, mirror_from, only, open, root_bytes, tag_of};
use crate::made::tar;

fn verdict(place: &str) -> Verdict {
    let jobs = Options::default().jobs;
    examine(&*open(place), &Expected { allowed: Vec::new(), required: Vec::new(), jobs }).unwrap().verdict
}

#[test]
fn an_index_and_what_is_said_about_it_travel_through_every_transport() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Scripted::start(Script { indexes: Indexes::None, ..Script::default() });
    let origin = layout(dir.path(), "origin");
    let sample = Sample::put(&origin);
    let archive = format!("oci-archive:{}:1", dir.path().join("archive.tar").display());
    let mut source = origin.clone();
    for place in [archive, format!("docker://{}/app:1", registry.host()), layout(dir.path(), "end")] {
        let platforms: &[&str] = if source == origin { &["linux/amd64", "linux/s390x"] } else { &[] };
        mirror(&source, &place, platforms).unwrap();
        assert_eq!(root_bytes(&place), root_bytes(&origin), "{place}");
        assert_eq!(verdict(&place), Verdict::Sparse, "{place}");
        let there: Vec<bool> = sample.about_images.iter().map(|one| has(&place, one)).collect();
        assert_eq!(there, [true, true, false, false, true, true], "{place}");
        assert!(open(&place).tagged(&tag_of(&sample.root.digest)).unwrap().is_some());
        source = place;
    }
    // Without its tag, the image is still the only one there.
    let end = format!("oci:{}", dir.path().join("end").display());
    assert_eq!(open(&end).root().digest, sample.root.digest);
}

#[test]
fn a_single_image_is_a_mirror_too() {
    let dir = tempfile::tempdir().unwrap();
    let single = Layout::create(dir.path().join("single"));
    single.add_image("1", Compression::Gzip, &[&tar(&[("file", b"content")])]);
    let (from, to) = (single.reference("1"), layout(dir.path(), "to"));
    let (plan, _) = mirror(&from, &to, &["linux/amd64"]).unwrap();
    assert_eq!(root_bytes(&to), root_bytes(&from));
    assert!(plan.intent.is_none() && !plan.is_sparse());
    assert!(mirror(&from, &to, &["linux/arm64"]).is_err());
    assert_eq!(verdict(&to), Verdict::Complete);
}

#[test]
fn blobs_are_taken_from_the_repository_next_door() {
    let registry = Scripted::start(Script { indexes: Indexes::None, ..Script::default() });
    let at = |name: &str| format!("docker://{}/{name}:1", registry.host());
    Sample::put(&at("origin"));
    let elsewhere = Scripted::start(Script { indexes: Indexes::None, ..Script::default() });
    let (plan, done) = mirror(&at("origin"), &at("team/app"), &["linux/amd64"]).unwrap();
    // Only the record is new.
    assert!(done.mounted.count > 0 && done.mounted == plan.totals.mount);
    assert_eq!(done.copied.count, 1, "only the record is new");

    let placed = Placed::default();
    for name in ["one", "two"] {
        let place = format!("docker://{}/{name}:1", elsewhere.host());
        let (plan, done) =
            mirror_from(&*open(&at("origin")), &place, &only(&["linux/amd64"]), &placed).unwrap();
        let mounted = plan.blobs.iter().filter(|step| matches!(step.fate, BlobFate::Mount(_))).count() as u64;
        assert_eq!(done.mounted.count, mounted);
        assert_eq!(mounted > 0, name == "two");
    }
}

#[test]
fn an_interrupted_mirror_goes_on_where_it_stopped() {
    let from = Scripted::start(Script::default());
    let sample = Sample::put(&format!("docker://{}/app:1", from.host()));
    // Every fifth request that would change something fails, until all is there.
    let refuse = Misdeed::Status { status: 400, retry_after: None };
    let faults = (0..20).map(|n| Fault::new(Target::Uploads, refuse.clone()).after(n * 3)).collect();
    let to = Scripted::start(Script { indexes: Indexes::None, faults, ..Script::default() });
    let run = || {
        mirror(
            &format!("docker://{}/app:1", from.host()),
            &format!("docker://{}/app:1", to.host()),
            &["linux/amd64"],
        )
    };
    let mut runs = 1;
    while run().is_err() {
        runs += 1;
        assert!(runs < 100);
        assert!(to.manifest("app", "1").is_none());
    }
    assert!(runs > 1);
    assert!(has(&format!("docker://{}/app:1", to.host()), &sample.images[AMD64]));
    let mut complete: Vec<String> = to
        .requests()
        .into_iter()
        .filter(|one| one.method == "PUT" && one.path.contains("digest=") && one.status == 201)
        .map(|one| one.path.split("digest=").nth(1).unwrap().to_owned())
        .collect();
    let all = complete.len();
    complete.sort();
    complete.dedup();
    assert_eq!(complete.len(), all, "no blob is sent after it was complete");
}

#[test]
fn damaged_layouts_are_mended_by_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (layout(dir.path(), "from"), layout(dir.path(), "to"));
    let sample = Sample::put(&from);
    mirror(&from, &to, &["linux/s390x"]).unwrap();
    let manifest = crate::made::manifest_of(&*open(&to), &sample.images[S390X]);
    let blob = dir.path().join("to/blobs/sha256").join(manifest.layers[0].digest.0.hex());
    let len = std::fs::metadata(&blob).unwrap().len();
    std::fs::write(&blob, vec![0; len as usize]).unwrap();
    let (plan, _) = mirror(&from, &to, &["linux/s390x"]).unwrap();
    assert_eq!(plan.totals.copy.count, 1);
    assert_eq!(crate::made::blob_of(&*open(&to), &manifest.layers[0]).len() as u64, len);
}
