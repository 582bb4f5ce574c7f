//! Passwords and TLS.

use std::fs;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use morsel_server::{Error, Options, Server, Tls};
use testkit::authority::Authority;
use testkit::data;
use testkit::oci::Layout;
use testkit::process::run;
use testkit::tools::{self, Tier};

use crate::served::Served;

#[test]
fn only_who_has_a_password_comes_in() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("htpasswd");
    fs::write(&users, format!("ann:{}\n", bcrypt::hash("secret", 4).unwrap())).unwrap();
    let served = Served::start_as(|options| options.users = Some(users));
    let status = |header: Option<&str>| {
        let header = header.map(|text| format!("Basic {}", BASE64_STANDARD.encode(text)));
        let headers: Vec<_> = header.iter().map(|value| ("Authorization", value.as_str())).collect();
        served.send("GET", "/v2/", &headers, b"").status
    };
    let answer = served.get("/v2/a/tags/list");
    assert_eq!((answer.status, answer.error().0), (401, "UNAUTHORIZED".to_owned()));
    assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"morsel\", charset=\"UTF-8\""));
    assert_eq!(status(None), 401);
    assert_eq!(status(Some("ann:wrong")), 401);
    assert_eq!(status(Some("bob:secret")), 401);
    assert_eq!(status(Some("ann:secret")), 200);
    assert_eq!(status(Some("ann:secret")), 200);
    assert!(served.end().path().exists());
}

#[test]
fn files_that_hold_something_else_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "not what it should be").unwrap();
    let bind = |change: &dyn Fn(&mut Options)| {
        let mut options = Options {
            directory: dir.path().join("served"),
            listen: ([127, 0, 0, 1], 0).into(),
            index_policy: Default::default(),
            access: Default::default(),
            tls: None,
            users: None,
            log: None,
            serves: Default::default(),
        };
        change(&mut options);
        Server::bind(options).unwrap_err()
    };
    assert!(matches!(bind(&|options| options.users = Some(file.clone())), Error::Users { .. }));
    let tls = Tls { certificate: file.clone(), key: file.clone() };
    assert!(matches!(bind(&|options| options.tls = Some(tls.clone())), Error::Pem { .. }));
}

#[test]
fn tool_tls_speaks_both_versions_of_http() {
    let dir = tempfile::tempdir().unwrap();
    let (layouts, bytes) = (tempfile::tempdir().unwrap(), data::stream(1, 5_000_000));
    let blob = Layout::create(layouts.path().join("a")).add_blob("x", &bytes);
    let Some(authority) = Authority::create(Tier::Tool, dir.path()) else { return };
    let Some(mut curl) = tools::host(Tier::Tool, "curl") else { return };
    let issued = authority.issue("server");
    let tls = Tls { certificate: issued.certificate, key: issued.key };
    let served = Served::start_in(layouts, |options| options.tls = Some(tls));
    let file = dir.path().join("blob");
    curl.args(["--silent", "--show-error", "--fail", "--write-out", "%{http_version}", "--output"])
        .arg(&file);
    curl.arg("--cacert").arg(authority.ca_file());
    curl.arg(format!("https://{}/v2/a/blobs/{}", served.address, blob["digest"].as_str().unwrap()));
    for (option, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        assert_eq!(run(curl.arg(option)).text(), version);
        assert!(fs::read(&file).unwrap() == bytes);
    }
    assert_eq!(run(curl.args(["--http2", "--range", "10-19,4000000-4999999"])).text(), "2");
    let parts = fs::read(&file).unwrap();
    assert!(parts.windows(10).any(|window| window == &bytes[10..20]) && parts.len() > 1_000_010);
}
