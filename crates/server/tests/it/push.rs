//! Taking blobs and manifests in.

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use serde_json::json;
use testkit::data;
use testkit::http::{Answer, exchange, request};

use crate::served::{Document, MANIFEST, Served, digest};

/// Begins an upload, and returns where it goes on.
fn begin(served: &Served) -> String {
    let answer = served.send("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!((answer.status, answer.header("range")), (202, Some("0-0")));
    answer.header("location").unwrap().to_owned()
}

fn patch(served: &Served, place: &str, range: &str, bytes: &[u8]) -> Answer {
    let headers = [("Content-Range", range), ("Content-Type", "application/octet-stream")];
    served.send("PATCH", place, if range.is_empty() { &[] } else { &headers }, bytes)
}

fn finish(served: &Served, place: &str, digest: &str, bytes: &[u8]) -> Answer {
    served.send("PUT", &format!("{place}?digest={}", digest.replace(':', "%3A")), &[], bytes)
}

fn blob(served: &Served, digest: &str) -> Answer {
    served.get(&format!("/v2/a/blobs/{digest}"))
}

#[test]
fn a_blob_comes_in_one_piece_or_in_several() {
    let served = Served::start();
    let bytes = data::stream(1, 5_000_000);
    let digest = digest(&bytes);

    let place = begin(&served);
    let answer = finish(&served, &place, &digest, &bytes);
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), Some(&*format!("/v2/a/blobs/{digest}")));
    assert!(blob(&served, &digest).body == bytes);

    let place = begin(&served);
    let answer = patch(&served, &place, "0-2999999", &bytes[..3_000_000]);
    assert_eq!((answer.status, answer.header("range")), (202, Some("0-2999999")));
    let answer = patch(&served, &place, "", &bytes[3_000_000..4_000_000]);
    assert_eq!((answer.status, answer.header("range")), (202, Some("0-3999999")));
    let status = served.get(&place);
    assert_eq!((status.status, status.header("range")), (204, Some("0-3999999")));
    assert_eq!(finish(&served, &place, &digest, &bytes[4_000_000..]).status, 201);
    assert!(blob(&served, &digest).body == bytes);
}

#[test]
fn pieces_out_of_order_are_refused_and_the_upload_goes_on() {
    let served = Served::start();
    let place = begin(&served);
    assert_eq!(patch(&served, &place, "0-2", b"abc").status, 202);
    for range in ["0-2", "4-6", "2-4"] {
        let answer = patch(&served, &place, range, b"def");
        assert_eq!((answer.status, answer.header("range")), (416, Some("0-2")), "{range}");
        assert_eq!(answer.header("location"), Some(&*place));
    }
    for range in ["x", "5-3", "0-18446744073709551615"] {
        assert_eq!(patch(&served, &place, range, b"def").status, 416, "{range}");
    }
    assert_eq!(patch(&served, &place, "3-5", b"def").status, 202);
    assert_eq!(finish(&served, &place, &digest(b"abcdef"), b"").status, 201);
}

#[test]
fn a_piece_of_another_length_than_it_says_ends_the_upload() {
    let served = Served::start();
    for piece in ["ab", "abcd"] {
        let place = begin(&served);
        assert_eq!(patch(&served, &place, "0-2", piece.as_bytes()).error().0, "SIZE_INVALID");
        assert_eq!(served.get(&place).status, 404);
    }
}

#[test]
fn what_does_not_have_its_digest_leaves_nothing() {
    let served = Served::start();
    let wrong = digest(b"other");
    let place = begin(&served);
    assert_eq!(finish(&served, &place, &wrong, b"abc").error().0, "DIGEST_INVALID");
    assert_eq!(finish(&served, &place, &digest(b"abc"), b"").error().0, "BLOB_UPLOAD_UNKNOWN");
    let at_once = served.send("POST", &format!("/v2/a/blobs/uploads/?digest={wrong}"), &[], b"abc");
    assert_eq!((at_once.status, at_once.error().0), (400, "DIGEST_INVALID".to_owned()));
    assert_eq!(served.send("PUT", &begin(&served), &[], b"abc").error().0, "DIGEST_INVALID");
    assert_eq!(fs::read_dir(served.path("")).unwrap().count(), 0);
}

#[test]
fn an_upload_belongs_to_its_repository_and_ends_once() {
    let served = Served::start();
    let place = begin(&served);
    let elsewhere = place.replace("/v2/a/", "/v2/b/");
    assert_eq!(patch(&served, &elsewhere, "", b"x").status, 404);
    assert_eq!(patch(&served, &place, "", b"x").status, 202);
    assert_eq!(finish(&served, &place, &digest(b"x"), b"").status, 201);
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(served.send(method, &place, &[], b"").status, 404, "{method}");
    }
    let place = begin(&served);
    assert_eq!(served.send("DELETE", &place, &[], b"").status, 204);
    assert_eq!(patch(&served, &place, "", b"x").status, 404);
}

#[test]
fn two_requests_do_not_write_to_one_upload() {
    let served = Served::start();
    let place = begin(&served);
    let mut slow = TcpStream::connect(served.address).unwrap();
    let head = request("PATCH", &place, &[], b"abc");
    slow.write_all(&head[..head.len() - 1]).unwrap();
    // The first one is there when the second one is refused.
    while served.get(&place).status != 409 {}
    assert_eq!(patch(&served, &place, "", b"x").status, 409);
    assert_eq!(finish(&served, &place, &digest(b"x"), b"x").status, 409);
    assert_eq!(served.send("DELETE", &place, &[], b"").status, 409);
    slow.write_all(b"c").unwrap();
    while served.get(&place).status == 409 {}
    assert_eq!(finish(&served, &place, &digest(b"abc"), b"").status, 201);
}

#[test]
fn an_upload_that_broke_off_goes_on_where_it_stopped() {
    let served = Served::start();
    let bytes = data::stream(4, 3_000_000);
    let place = begin(&served);
    let head = request("PATCH", &place, &[], &bytes);
    let cut = head.len() - 1_000_000;
    drop(TcpStream::connect(served.address).unwrap().write_all(&head[..cut]));
    let range = loop {
        let status = served.get(&place);
        if status.status == 204 && status.header("range") != Some("0-0") {
            break status.header("range").unwrap().to_owned();
        }
    };
    let next = range.trim_start_matches("0-").parse::<usize>().unwrap() + 1;
    assert_eq!(next, 2_000_000);
    assert_eq!(finish(&served, &place, &digest(&bytes), &bytes[next..]).status, 201);
}

#[test]
fn a_blob_is_taken_from_another_repository() {
    let served = Served::start();
    served.push_blob("a", b"abc");
    let digest = digest(b"abc");
    let mount =
        |from: &str| served.send("POST", &format!("/v2/b/c/blobs/uploads/?mount={digest}{from}"), &[], b"");
    for from in ["", "&from=none"] {
        assert_eq!(mount(from).status, 202, "{from}");
    }
    let answer = mount("&from=a");
    assert_eq!((answer.status, answer.header("docker-content-digest")), (201, Some(&*digest)));
    assert_eq!(served.get(&format!("/v2/b/c/blobs/{digest}")).body, b"abc");
    assert_eq!(mount("&from=a").status, 201);
}

#[test]
fn a_manifest_needs_its_blobs() {
    let served = Served::start();
    let config = served.push_blob("a", b"{}");
    let missing = json!({ "mediaType": config["mediaType"], "digest": digest(b"layer"), "size": 5 });
    let foreign = json!({
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": digest(b"f"), "size": 1,
    });
    let image = |layer| Document::manifest(json!({ "config": config, "layers": [layer] }));

    let refused = served.push("a", "1", &image(missing));
    assert_eq!((refused.status, refused.error().0), (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));
    assert_eq!(refused.json()["errors"][0]["detail"]["digest"], digest(b"layer"));
    let mut other_len = served.push_blob("a", b"abc");
    other_len["size"] = 4.into();
    assert_eq!(served.push("a", "1", &image(other_len)).status, 400);
    assert_eq!(served.get("/v2/a/manifests/1").status, 404);
    assert_eq!(served.push("a", "1", &image(foreign)).status, 201);
}

#[test]
fn a_manifest_is_kept_byte_for_byte_under_every_name() {
    let served = Served::start();
    let mut image = served.image("a", "amd64");
    image.bytes.extend_from_slice(b"\n \n");
    let digest = image.digest();
    for name in ["1", "1", &digest, "latest"] {
        let answer = served.push("a", name, &image);
        assert_eq!((answer.status, answer.header("docker-content-digest")), (201, Some(&*digest)));
    }
    for name in ["1", &digest, "latest"] {
        let answer = served.get(&format!("/v2/a/manifests/{name}"));
        assert_eq!((answer.body, answer.status), (image.bytes.clone(), 200));
    }
    let wrong = crate::served::digest(b"x");
    assert_eq!(served.push("a", &wrong, &image).error().0, "DIGEST_INVALID");
    let list = fs::read_to_string(served.path("a/index.json")).unwrap();
    assert_eq!(list.matches(&digest).count(), 2, "a tagged manifest is not listed without its tags: {list}");
}

#[test]
fn what_is_no_manifest_is_refused() {
    let served = Served::start();
    let push = |media_type: &str, bytes: &[u8]| {
        let headers = [("Content-Type", media_type)];
        let answer = served.send("PUT", "/v2/a/manifests/1", &headers, bytes);
        let (code, message) = answer.error();
        format!("{} {code}: {message}", answer.status)
    };
    insta::assert_snapshot!(push(MANIFEST, b"{}"), @"400 MANIFEST_INVALID: the manifest is not valid: missing field `schemaVersion` at line 1 column 2");
    insta::assert_snapshot!(push("text/plain", b"{}"), @"400 MANIFEST_INVALID: the manifest is not valid: media type `text/plain` is not that of an image manifest or index");
    insta::assert_snapshot!(push(MANIFEST, br#"{"schemaVersion":2,"mediaType":"a/b","config":{}}"#), @"400 MANIFEST_INVALID: the manifest is not valid: missing field `mediaType` at line 1 column 48");
    insta::assert_snapshot!(push(MANIFEST, &vec![b' '; (4 << 20) + 1]), @"413 SIZE_INVALID: a manifest has 4194304 bytes at most");
    assert_eq!(exchange(served.address, &request("PUT", "/v2/a/manifests/1", &[], b"{}")).status, 400);
}

#[test]
fn a_read_only_registry_takes_nothing() {
    let served = Served::start_as(|options| options.access = morsel_server::Access::ReadOnly);
    for (method, path) in [("POST", "blobs/uploads/"), ("PUT", "manifests/1"), ("DELETE", "manifests/1")] {
        let answer = served.send(method, &format!("/v2/a/{path}"), &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
}
