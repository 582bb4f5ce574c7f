//! Requests that mean no good.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use testkit::data;
use testkit::http::{exchange, request};

use crate::served::{Document, Served, digest};

#[test]
fn names_and_digests_do_not_lead_out() {
    let served = Served::start();
    served.push_blob("a", b"abc");
    let outside = served.path("../outside-of-it");
    fs::write(&outside, "secret").unwrap();
    let name = outside.file_name().unwrap().to_str().unwrap();
    for path in [
        format!("/v2/../{name}/manifests/1"),
        format!("/v2/a/../../{name}/tags/list"),
        format!("/v2/a/blobs/sha256:../../../{name}"),
        format!("/v2/a/blobs/..%2f..%2f{name}"),
        format!("/v2/a/manifests/..%2f..%2f{name}"),
        "/v2/a/blobs/uploads/../../index.json".to_owned(),
        "/v2/a/blobs/uploads/..".to_owned(),
        "/v2/a\0/tags/list".to_owned(),
        "/v2//a/tags/list".to_owned(),
        "/v2/a/blobs/sha256/tags/list".to_owned(),
        format!("/v2/{}/tags/list", "a/".repeat(200) + "a"),
    ] {
        for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
            let answer = exchange(served.address, &request(method, &path, &[], b"x"));
            assert!((400..500).contains(&answer.status), "{method} {path}: {answer:?}");
            assert!(!answer.body.windows(6).any(|window| window == b"secret"), "{method} {path}");
        }
    }
    let begin = served.send("POST", "/v2/b/blobs/uploads/?mount=sha256:..&from=../..", &[], b"");
    assert_eq!(begin.status, 400);
    assert_eq!(fs::read_dir(served.path("")).unwrap().count(), 1, "nothing was made");
    fs::remove_file(outside).unwrap();
}

#[test]
fn a_link_does_not_lead_out() {
    let served = Served::start();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(outside.path().join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    std::os::unix::fs::symlink(outside.path(), served.path("a")).unwrap();
    assert_ne!(served.get("/v2/a/tags/list").status, 200);
    let digest = digest(b"abc");
    let answer = served.send("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], b"abc");
    assert_eq!(answer.status, 500);
    assert!(!String::from_utf8_lossy(&answer.body).contains("/tmp"), "paths of this machine are its own");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 2);
}

#[test]
fn absurd_ranges_cost_no_more_than_the_blob() {
    let served = Served::start();
    let bytes = data::stream(5, 100_000);
    served.push_blob("a", &bytes);
    let path = format!("/v2/a/blobs/{}", digest(&bytes));
    let overlapping = format!("bytes={}", "0-,".repeat(2000));
    let many = format!("bytes={}", "0-0,".repeat(6000));
    for range in [&*overlapping, &many, "bytes=0-99999999999999999999999999", "bytes=a", "bytes=-", "x"] {
        let answer = served.send("GET", &path, &[("Range", range)], b"");
        assert!(matches!(answer.status, 200 | 206), "{} for {range:.40}", answer.status);
        assert!(answer.body == bytes, "{range:.40}");
    }
    let beyond = format!("bytes={}", "100000-,".repeat(4000));
    assert_eq!(served.send("GET", &path, &[("Range", &beyond)], b"").status, 416);
}

#[test]
fn a_head_without_end_is_refused() {
    let served = Served::start();
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ").unwrap();
    let sent = (0..4096).take_while(|_| stream.write_all(&[b'x'; 4096]).is_ok()).count();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(sent < 4096, "16 MiB of a header were taken");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&answer));
    assert_eq!(served.get("/v2/").status, 200);
}

#[test]
fn a_length_that_is_claimed_takes_no_memory_and_one_without_end_is_cut_off() {
    let served = Served::start();
    let head = |length: &str| {
        format!("PUT /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}\r\n\r\n")
    };
    let claimed = exchange(served.address, head("Content-Length: 9223372036854775807").as_bytes());
    assert_eq!(claimed.status, 413);
    let mut endless = head("Transfer-Encoding: chunked").into_bytes();
    for _ in 0..5 {
        endless.extend_from_slice(format!("{:x}\r\n", 1 << 20).as_bytes());
        endless.extend_from_slice(&vec![b' '; 1 << 20]);
        endless.extend_from_slice(b"\r\n");
    }
    assert_eq!(exchange(served.address, &endless).status, 413);
}

#[test]
fn clients_that_say_nothing_hold_nobody_up() {
    let served = Served::start();
    let idle: Vec<_> = (0..200).map(|_| TcpStream::connect(served.address).unwrap()).collect();
    let half: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(served.address).unwrap();
            stream.write_all(b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Le").unwrap();
            stream
        })
        .collect();
    served.push_blob("a", b"abc");
    assert_eq!(served.get(&format!("/v2/a/blobs/{}", digest(b"abc"))).body, b"abc");
    drop((idle, half));
}

#[test]
fn methods_that_make_no_sense_are_refused() {
    let served = Served::start();
    let d = digest(b"x");
    for (method, path, allowed) in [
        ("DELETE", "/v2/", "GET, HEAD"),
        ("POST", "/v2/a/tags/list", "GET, HEAD"),
        ("POST", "/v2/a/manifests/1", "GET, HEAD, PUT, DELETE"),
        ("PUT", &*format!("/v2/a/blobs/{d}"), "GET, HEAD, DELETE"),
        ("GET", "/v2/a/blobs/uploads/", "POST"),
        ("OPTIONS", "/v2/_catalog", "GET, HEAD"),
    ] {
        let answer = served.send(method, path, &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{method} {path}");
    }
}

#[test]
fn an_index_lists_no_more_than_can_be_kept_in_mind() {
    let served = Served::sparse("none");
    let child = Document::manifest(serde_json::json!({ "schemaVersion": 2 }));
    let index = |count: usize| Document::index(&vec![("linux/amd64", &child); count]);
    let answer = served.push("a", "large", &index(10_001));
    assert_eq!((answer.status, answer.body.windows(16).any(|w| w == b"MANIFEST_INVALID")), (400, true));
    assert_eq!(served.push("a", "small", &index(100)).status, 201);
}
