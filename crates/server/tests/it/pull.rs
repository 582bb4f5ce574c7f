//! What is served, and how.

use std::fs;
use std::os::unix::fs::FileExt;

use morsel_server::Serves;
use registry::byteranges::Byteranges;
use testkit::data;
use testkit::oci::{Compression, Layout};

use crate::served::{MANIFEST, Served, digest};

#[test]
fn a_blob_is_served_whole() {
    let served = Served::start();
    let bytes = data::stream(1, 700_000);
    let digest = digest(&bytes);
    served.push_blob("team/app", &bytes);
    let path = format!("/v2/team/app/blobs/{digest}");

    let answer = served.get(&path);
    assert_eq!(answer.status, 200);
    assert!(answer.body == bytes);
    assert_eq!(answer.header("docker-content-digest"), Some(&*digest));
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));

    let head = served.send("HEAD", &path, &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("700000")));
    assert!(head.body.is_empty());
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let served = Served::start();
    let digest = digest(b"abc");
    served.push_blob("a", b"abc");
    let image = served.push_image("a", "1", "amd64");
    for (path, digest) in
        [(format!("/v2/a/blobs/{digest}"), digest), ("/v2/a/manifests/1".to_owned(), image.digest())]
    {
        let etag = served.get(&path).header("etag").unwrap().to_owned();
        assert_eq!(etag, format!("\"{digest}\""));
        for known in [&*etag, "\"x\", W/\"y\", *", &format!("\"x\", W/{etag}")] {
            let answer = served.send("GET", &path, &[("If-None-Match", known)], b"");
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        }
        assert_eq!(served.send("GET", &path, &[("If-None-Match", "\"x\"")], b"").status, 200);
    }
}

#[test]
fn one_range_is_served_by_itself() {
    let served = Served::start();
    served.push_blob("a", b"0123456789");
    let path = format!("/v2/a/blobs/{}", digest(b"0123456789"));
    for (range, body, place) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-1", "9", "bytes 9-9/10"),
        ("bytes=0-99", "0123456789", "bytes 0-9/10"),
        ("bytes=20-, 0-0", "0", "bytes 0-0/10"),
    ] {
        let answer = served.send("GET", &path, &[("Range", range)], b"");
        assert_eq!((answer.status, answer.header("content-range")), (206, Some(place)), "{range}");
        assert_eq!(answer.body, body.as_bytes(), "{range}");
    }
    let beyond = served.send("GET", &path, &[("Range", "bytes=10-")], b"");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10")));
    let other = [("Range", "bytes=0-0"), ("If-Range", "\"another blob\"")];
    assert_eq!(served.send("GET", &path, &other, b"").status, 200);
}

#[test]
fn many_ranges_are_served_in_the_order_they_are_asked_for() {
    let served = Served::start();
    let bytes = data::stream(2, 3_000_000);
    served.push_blob("a", &bytes);
    let mut wanted: Vec<(usize, usize)> = (0..1024).map(|n| (n * 2900, n * 2900 + 1 + n % 700)).collect();
    wanted.reverse();
    wanted.push((5, 1_000_000));
    let specs: Vec<_> = wanted.iter().map(|(start, end)| format!("{start}-{}", end - 1)).collect();

    let path = format!("/v2/a/blobs/{}", digest(&bytes));
    let answer = served.send("GET", &path, &[("Range", &format!("bytes={}", specs.join(",")))], b"");

    assert_eq!(answer.status, 206);
    assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
    let media_type = answer.header("content-type").unwrap();
    let mut parts = Byteranges::new(&*answer.body, media_type, bytes.len() as u64, wanted.len()).unwrap();
    for (start, end) in wanted {
        let range = parts.next_part().unwrap().unwrap();
        assert_eq!((range.start(), range.end()), (start as u64, end as u64));
        let mut part = Vec::new();
        std::io::Read::read_to_end(&mut parts, &mut part).unwrap();
        assert!(part == bytes[start..end]);
    }
    assert_eq!(parts.next_part().unwrap(), None);
    drop(answer);
    assert!(served.end().path().exists());
}

#[test]
fn the_log_counts_ranges_and_bytes() {
    let served = Served::start();
    served.push_blob("a", b"0123456789");
    let path = format!("/v2/a/blobs/{}", digest(b"0123456789"));
    served.send("GET", &path, &[("Range", "bytes=0-1,4-5,9-9"), ("User-Agent", "a \"b\"")], b"");
    served.send("GET", "/v2/a/blobs/%22x", &[], b"");
    let log = loop {
        let log = served.log();
        if log.len() == 3 {
            break log;
        }
    };
    let line = log.iter().find(|line| line.contains("ranges=3")).unwrap();
    assert!(line.starts_with("127.0.0.1 - - [") && line.contains(&format!("\"GET {path} HTTP/1.1\" 206 ")));
    assert!(line.contains("\"-\" \"a 'b'\" ranges=3 ms="), "{line}");
}

#[test]
fn a_registry_can_be_like_others() {
    let answers = |serves| {
        let served = Served::start_in(tempfile::tempdir().unwrap(), |options| options.serves = serves);
        served.push_blob("a", b"0123456789");
        let path = format!("/v2/a/blobs/{}", digest(b"0123456789"));
        ["bytes=2-3", "bytes=0-1,4-5"].map(|ranges| {
            let answer = served.send("GET", &path, &[("Range", ranges)], b"");
            (answer.status, answer.body.len())
        })
    };
    assert_eq!(answers(Serves::One), [(206, 2), (200, 10)]);
    assert_eq!(answers(Serves::OneOrNothing).map(|(status, _)| status), [206, 501]);
    assert_eq!(answers(Serves::Whole), [(200, 10); 2]);
}

#[test]
fn layouts_of_others_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path().join("team/app"));
    layout.add_image("v1", Compression::Gzip, &[b"tar"]);
    let served = Served::start_in(dir, |_| {});

    let answer = served.get("/v2/team/app/manifests/v1");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(MANIFEST)));
    assert_eq!(answer.json(), layout.manifest("v1"));
    let layer = layout.layers("v1")[0]["digest"].as_str().unwrap().to_owned();
    assert_eq!(served.get(&format!("/v2/team/app/blobs/{layer}")).body, layout.blob(&layer));

    // What they add later is seen at once.
    layout.add_image("v2", Compression::Zstd, &[b"other"]);
    assert_eq!(served.get("/v2/team/app/manifests/v2").json(), layout.manifest("v2"));
    assert_eq!(served.get("/v2/_catalog").json()["repositories"][0], "team/app");
}

#[test]
fn a_damaged_blob_is_not_served_and_can_be_pushed_again() {
    let served = Served::start();
    let image = served.push_image("a", "1", "amd64");
    let bytes = data::stream(3, 100_000);
    served.push_blob("a", &bytes);
    let digest = digest(&bytes);
    let path = format!("/v2/a/blobs/{digest}");
    let file = |digest: &str| served.path("a/blobs/sha256").join(digest.trim_start_matches("sha256:"));
    assert_eq!(served.get(&path).status, 200);

    for damage in [(50_000, Some(b"x")), (70_000, None)] {
        let blob = fs::File::options().write(true).open(file(&digest)).unwrap();
        match damage {
            (at, Some(byte)) => drop(blob.write_at(byte, at).unwrap()),
            (len, None) => blob.set_len(len).unwrap(),
        }
        assert_eq!(served.get(&path).error().0, "BLOB_UNKNOWN");
        assert_eq!(served.send("HEAD", &path, &[], b"").status, 404);
        assert_eq!(served.send("GET", &path, &[("Range", "bytes=0-0")], b"").status, 404);
        served.push_blob("a", &bytes);
        assert!(served.get(&path).body == bytes);
    }

    fs::write(file(&image.digest()), "{}").unwrap();
    assert_eq!(served.get("/v2/a/manifests/1").status, 404);
    served.push("a", "1", &image);
    assert_eq!(served.get("/v2/a/manifests/1").body, image.bytes);
}

#[test]
fn what_there_is_not_is_named() {
    let served = Served::start();
    served.push_image("a", "1", "amd64");
    let error = |path: &str| {
        let answer = served.get(path);
        let (code, message) = answer.error();
        format!("{} {code}: {message}", answer.status)
    };
    let none = digest(b"none");
    insta::assert_snapshot!(error("/v2/b/manifests/1"), @"404 NAME_UNKNOWN: there is no repository `b`");
    insta::assert_snapshot!(error("/v2/a/manifests/2"), @"404 MANIFEST_UNKNOWN: `a` has no tag `2`");
    insta::assert_snapshot!(error(&format!("/v2/a/manifests/{none}")), @"404 MANIFEST_UNKNOWN: `a` has no manifest sha256:140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe");
    insta::assert_snapshot!(error(&format!("/v2/a/blobs/{none}")), @"404 BLOB_UNKNOWN: `a` does not have the blob sha256:140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe");
    insta::assert_snapshot!(error("/v2/a/nothing"), @"404 UNSUPPORTED: there is no such path");
}
