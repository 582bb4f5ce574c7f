use std::io::Read;
use std::process::Command;

use chunked::BlobDigest;
use testkit::authority::Authority;
use testkit::oci::{Compression, Layout};
use testkit::process::run;
use testkit::registry::{Registry, Setup};
use testkit::tools::{self, Tier};

use super::*;

fn pushed(dir: &std::path::Path, registry: &Registry) -> Option<(Name, Layout)> {
    let mut skopeo: Command = tools::host(Tier::Tool, "skopeo")?;
    let layout = Layout::create(dir.join("layout"));
    layout.add_image("1", Compression::Gzip, &[b"not really a tar, but nobody looks"]);
    let name = format!("{}/team/app:1", registry.host());
    let to = format!("docker://{name}");
    run(skopeo.args(["copy", "-q", "--dest-tls-verify=false", &layout.reference("1"), &to]));
    Some((name.parse().unwrap(), layout))
}

#[test]
fn tool_blobs_are_read_whole_and_in_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let Some(registry) = Registry::start(Tier::Tool, dir.path()) else { return };
    let Some((name, layout)) = pushed(dir.path(), &registry) else { return };
    let digest = layout.layers("1")[0]["digest"].as_str().unwrap().to_owned();
    let repository = Registries::new(Options::default()).repository(&name).unwrap();
    let get = |digest: &str, range| {
        let mut answer = repository.get_blob(&digest.parse().unwrap(), range).unwrap();
        let mut bytes = Vec::new();
        answer.body.read_to_end(&mut bytes).unwrap();
        (answer.status.as_u16(), bytes, answer.sent, answer.host)
    };
    let blob = layout.blob(&digest);
    assert_eq!(get(&digest, None), (200, blob.clone(), 1, registry.host().to_owned()));
    assert_eq!(get(&digest, Some("bytes=1-3")), (206, blob[1..4].to_vec(), 1, registry.host().to_owned()));
    let missing = format!("sha256:{}", "0".repeat(64));
    assert_eq!(get(&missing, None).0, 404);
}

#[test]
fn tool_registries_with_tls_are_spoken_with_in_http_2() {
    let dir = tempfile::tempdir().unwrap();
    let Some(authority) = Authority::create(Tier::Tool, dir.path()) else { return };
    let Some(registry) = Registry::start_as(Tier::Tool, dir.path(), &Setup::tls(&authority)) else { return };
    let certs = dir.path().join("certs");
    std::fs::create_dir(&certs).unwrap();
    std::fs::copy(authority.ca_file(), certs.join("ca.crt")).unwrap();
    let registries = Registries::new(Options { cert_dir: Some(certs), ..Options::default() });
    let repository = registries.repository(&format!("{}/app", registry.host()).parse().unwrap()).unwrap();
    let missing = BlobDigest::of(b"missing");
    let answer = repository.get_blob(&missing, None).unwrap();
    assert_eq!((answer.status.as_u16(), answer.version), (404, reqwest::Version::HTTP_2));
}
