//! Pulls from the servers people run: docker-registry, and nginx as the host of its blobs.

use std::fs;

use testkit::access_log::Access;
use testkit::authority::Authority;
use testkit::nginx::Nginx;
use testkit::registry::{Registry, push};
use testkit::scripted::{Blobs, Script, Scripted};
use testkit::tools::Tier;

use crate::harness::digest;
use crate::update::{Pulled, Update};

/// Compares a receipt with the log of the server; its last line may take a moment.
fn assert_counted(update: &Update, pulled: &Pulled, redirects: u64, log: impl Fn() -> Vec<Access>) {
    assert_eq!(update.incomplete(pulled), None);
    let layers = update.after.target.layers("latest");
    let is_layer = |access: &Access| {
        let digests = layers.iter().filter_map(|layer| digest(layer).strip_prefix("sha256:"));
        access.method == "GET" && digests.into_iter().any(|hex| access.path.contains(hex))
    };
    let known = (pulled.traffic("requests"), pulled.traffic("bytes"));
    let mut seen = (0, 0);
    for _ in 0..100 {
        let accesses: Vec<_> = log().into_iter().filter(is_layer).collect();
        seen = (accesses.len() as u64 + redirects, accesses.iter().map(|access| access.sent).sum());
        if seen == known {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(known, seen, "requests and bytes: the receipt, and the log");
}

#[test]
fn tool_docker_registry_serves_an_update() {
    let dir = tempfile::tempdir().unwrap();
    let Some(registry) = Registry::start(Tier::Tool, dir.path()) else { return };
    let update = Update::new(10, 100_000);
    let image = format!("{}/image", registry.host());
    if push(Tier::Tool, &update.after.target, "latest", &image, &[]).is_none() {
        return;
    }
    let before = registry.requests().len();
    let pulled = update.pull("docker-registry", registry.host());
    assert_counted(&update, &pulled, 0, || registry.requests().split_off(before));
}

#[test]
fn tool_nginx_serves_an_update() {
    let dir = tempfile::tempdir().unwrap();
    let update = Update::new(10, 100_000);
    let Some(nginx) = Nginx::start(Tier::Tool, dir.path(), update.after.target.dir(), None) else { return };
    let blobs = Blobs::At(format!("http://{}/blobs", nginx.host()));
    let front = Scripted::start(Script { blobs, ..Script::default() });
    front.add_layout("image", &update.after.target);
    let pulled = update.pull("nginx", &front.host());
    let redirects = update.layer_requests(&front).len() as u64;
    assert_counted(&update, &pulled, redirects, || nginx.requests());
}

#[test]
fn tool_nginx_serves_an_update_over_http_2() {
    let dir = tempfile::tempdir().unwrap();
    let Some(authority) = Authority::create(Tier::Tool, dir.path()) else { return };
    let certificates = dir.path().join("certificates");
    fs::create_dir(&certificates).unwrap();
    fs::copy(authority.ca_file(), certificates.join("ca.crt")).unwrap();
    let update = Update::new(10, 100_000);
    let (root, tls) = (update.after.target.dir(), authority.issue("nginx"));
    let Some(nginx) = Nginx::start(Tier::Tool, dir.path(), root, Some(&tls)) else { return };
    let blobs = Blobs::At(format!("https://{}/blobs", nginx.host()));
    let front = Scripted::start(Script { blobs, ..Script::default() });
    front.add_layout("image", &update.after.target);
    let trust = format!("--cert-dir={}", certificates.display());
    let pulled = update.pull_with("nginx", &front.host(), &[&trust]);
    let redirects = update.layer_requests(&front).len() as u64;
    assert_counted(&update, &pulled, redirects, || nginx.requests());
    assert!(nginx.requests().iter().all(|access| access.protocol == "HTTP/2.0"));
}
