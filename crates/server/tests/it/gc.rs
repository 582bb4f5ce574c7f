//! Removing what nothing needs, and finding what is damaged.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use morsel_server::gc::{self, Summary, Untagged};
use morsel_server::scrub::scrub;
use morsel_server::{Error, Purpose, Repositories};
use serde_json::json;

use crate::served::{Document, Served, digest};

fn collect(dir: &Path, untagged: Untagged) -> Summary {
    let repositories = Repositories::open(dir, Purpose::Collect).unwrap();
    let plan = gc::plan(&repositories, untagged).unwrap();
    let done = plan.run(&repositories).unwrap();
    assert_eq!(done, *plan.summary());
    assert!(gc::plan(&repositories, untagged).unwrap().summary().is_empty(), "nothing is left to do");
    done
}

#[test]
fn what_a_tag_leads_to_stays_and_what_nothing_leads_to_goes() {
    let served = Served::sparse("none");
    let (amd64, arm64) = (served.push_image("a", "", "amd64"), Document::manifest(json!({})));
    let index = Document::index(&[("linux/amd64", &amd64), ("linux/arm64", &arm64)]);
    served.push("a", "1", &index);
    served.push_blob("a", b"garbage");
    let old = served.push_image("a", "old", "s390x");
    served.push_image("a", "old", "riscv64");
    fs::write(served.path("a/.morsel-1-1"), "left by a crash").unwrap();
    fs::write(served.path(".morsel-1-1"), "left by a crash").unwrap();

    let served = {
        let dir = served.end();
        let summary = collect(dir.path(), Untagged::Keep);
        assert_eq!(summary, Summary { blobs: 1, bytes: 7, leftovers: 2, ..Summary::default() });
        Served::sparse_in(dir)
    };
    let status = |digest: &str| served.get(&format!("/v2/a/manifests/{digest}")).status;
    assert_eq!((status("1"), status(&amd64.digest()), status(&old.digest())), (200, 200, 200));

    let dir = served.end();
    let summary = collect(dir.path(), Untagged::Remove);
    assert_eq!((summary.manifests, summary.blobs), (1, 2), "{summary:?}");
    let served = Served::sparse_in(dir);
    let status = |digest: &str| served.get(&format!("/v2/a/manifests/{digest}")).status;
    assert_eq!((status("1"), status(&amd64.digest()), status(&old.digest())), (200, 200, 404));
    assert_eq!(served.get("/v2/a/manifests/1").body, index.bytes);
}

#[test]
fn referrers_stay_with_what_they_refer_to() {
    let served = Served::start();
    let config = served.push_blob("a", b"{}");
    let refer = |to: &Document| {
        let document = Document::manifest(json!({ "config": config, "subject": to.descriptor() }));
        served.push("a", &document.digest(), &document);
        document
    };
    let (tagged, untagged) = (served.push_image("a", "1", "amd64"), served.push_image("a", "", "arm64"));
    let signature = refer(&tagged);
    let (of_signature, of_untagged) = (refer(&signature), refer(&untagged));
    let dir = served.end();
    assert_eq!(collect(dir.path(), Untagged::Remove).manifests, 2);
    let served = Served::start_in(dir, |_| {});
    let status = |document: &Document| served.get(&format!("/v2/a/manifests/{}", document.digest())).status;
    assert_eq!([&tagged, &signature, &of_signature].map(status), [200; 3]);
    assert_eq!([&untagged, &of_untagged].map(status), [404; 2]);
}

#[test]
fn repositories_with_nothing_in_them_go_and_shared_bytes_are_counted_once() {
    let served = Served::start();
    served.push_image("a", "1", "amd64");
    served.push_blob("b/c", b"abcd");
    let mount = |digest: &str, from: &str| {
        let path = format!("/v2/b/d/blobs/uploads/?mount={digest}&from={from}");
        assert_eq!(served.send("POST", &path, &[], b"").status, 201);
    };
    mount(&digest(b"abcd"), "b/c");
    mount(&digest(b"amd64"), "a");
    let dir = served.end();
    let expected = Summary { repositories: 2, blobs: 3, bytes: 4, ..Summary::default() };
    assert_eq!(collect(dir.path(), Untagged::Keep), expected);
    assert!(!dir.path().join("b/c").exists() && !dir.path().join("b/d").exists());
    assert_eq!(Served::start_in(dir, |_| {}).get("/v2/_catalog").json()["repositories"], json!(["a"]));
}

#[test]
fn nothing_goes_when_it_is_not_known_what_is_needed() {
    let served = Served::start();
    let image = served.push_image("a", "1", "amd64");
    served.push_blob("a", b"garbage");
    let dir = served.end();
    fs::write(dir.path().join("a/blobs/sha256").join(&image.digest()[7..]), "damaged").unwrap();
    let repositories = Repositories::open(dir.path(), Purpose::Collect).unwrap();
    assert!(matches!(gc::plan(&repositories, Untagged::Keep), Err(Error::Damaged { .. })));
}

#[test]
fn damage_is_found_and_named() {
    let served = Served::start();
    served.push_image("a", "1", "amd64");
    served.push_blob("b/c", b"abcd");
    fs::write(served.path("b/c/blobs/sha256").join(&digest(b"abcd")[7..]), "abce").unwrap();
    let repositories = Repositories::open(&served.path(""), Purpose::Serve).unwrap();
    let report = scrub(&repositories, NonZeroUsize::new(2).unwrap()).unwrap();
    assert_eq!((report.repositories, report.blobs, report.damaged.len()), (2, 4, 1));
    assert_eq!(report.damaged[0].repository, "b/c");
    assert_eq!(report.damaged[0].digest.to_string(), digest(b"abcd"));
}
