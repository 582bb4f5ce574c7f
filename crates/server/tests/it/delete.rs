//! Deleting tags, manifests and blobs.

use serde_json::json;

use crate::served::{Document, Served, digest};

fn status(served: &Served, method: &str, path: &str) -> u16 {
    served.send(method, &format!("/v2/a/{path}"), &[], b"").status
}

#[test]
fn what_loses_its_tag_stays() {
    let served = Served::start();
    let image = served.push_image("a", "1", "amd64");
    let by_digest = format!("manifests/{}", image.digest());
    served.push_image("a", "1", "arm64");
    assert_eq!(status(&served, "GET", &by_digest), 200, "another image took its tag");
    served.push("a", "2", &image);
    assert_eq!(status(&served, "DELETE", "manifests/2"), 202);
    assert_eq!(status(&served, "DELETE", "manifests/2"), 404);
    assert_eq!(status(&served, "GET", "manifests/2"), 404);
    assert_eq!(status(&served, "GET", &by_digest), 200);
    assert_eq!(served.get("/v2/a/tags/list").json()["tags"], json!(["1"]));
}

#[test]
fn a_manifest_goes_with_its_tags() {
    let served = Served::start();
    let image = served.push_image("a", "1", "amd64");
    let by_digest = format!("manifests/{}", image.digest());
    served.push("a", "2", &image);
    assert_eq!(status(&served, "DELETE", &by_digest), 202);
    for path in ["manifests/1", "manifests/2", &by_digest] {
        assert_eq!(status(&served, "GET", path), 404, "{path}");
    }
    assert_eq!(status(&served, "DELETE", &by_digest), 404);
    assert_eq!(served.get("/v2/a/tags/list").json()["tags"], json!([]));
}

#[test]
fn an_index_becomes_sparse_when_its_child_goes() {
    let served = Served::start();
    let (amd64, arm64) = (served.push_image("a", "", "amd64"), served.push_image("a", "", "arm64"));
    let index = Document::index(&[("linux/amd64", &amd64), ("linux/arm64", &arm64)]);
    served.push("a", "1", &index);
    assert_eq!(status(&served, "DELETE", &format!("manifests/{}", arm64.digest())), 202);
    assert_eq!(served.get("/v2/a/manifests/1").body, index.bytes);
    let message = served.get(&format!("/v2/a/manifests/{}", arm64.digest())).error().1;
    assert!(message.contains("sparse here; present: linux/amd64"), "{message}");
    // The index can go as well, and what it listed stays until it is deleted itself.
    assert_eq!(status(&served, "DELETE", &format!("manifests/{}", index.digest())), 202);
    let amd64 = format!("manifests/{}", amd64.digest());
    assert_eq!(status(&served, "GET", &amd64), 200);
    let served = Served::start_in(served.end(), |_| {});
    assert_eq!(status(&served, "GET", &amd64), 200);
    assert_eq!(status(&served, "DELETE", &amd64), 202);
    assert_eq!(status(&served, "GET", &amd64), 404);
}

#[test]
fn a_blob_goes_when_nothing_needs_it() {
    let served = Served::start();
    let image = served.push_image("a", "1", "amd64");
    let blob = format!("blobs/{}", digest(b"amd64"));
    let refused = served.send("DELETE", &format!("/v2/a/{blob}"), &[], b"");
    assert_eq!((refused.status, refused.error().0), (405, "UNSUPPORTED".to_owned()));
    assert!(refused.error().1.contains(&image.digest()));
    assert_eq!(status(&served, "DELETE", &format!("blobs/{}", image.digest())), 405);
    status(&served, "DELETE", &format!("manifests/{}", image.digest()));
    assert_eq!(status(&served, "DELETE", &blob), 202);
    assert_eq!(status(&served, "HEAD", &blob), 404);
    assert_eq!(status(&served, "DELETE", &blob), 404);
}
