//! The servers of others start as the tests need them.

use std::fs;
use std::process::Command;

use morsel_testkit::authority::Authority;
use morsel_testkit::nginx::Nginx;
use morsel_testkit::oci::{Compression, Layout};
use morsel_testkit::process::run;
use morsel_testkit::registry::{self, Auth, Registry, Setup, push};
use morsel_testkit::scripted::{self, Blobs, Login, Script, Scripted, Signer};
use morsel_testkit::tar::sample;
use morsel_testkit::tools::{self, Tier};

use crate::client::get;

fn layout(dir: &std::path::Path) -> Layout {
    let layout = Layout::create(dir.join("image"));
    layout.add_image("latest", Compression::Gzip, &[&sample::rich_tar()]);
    layout
}

/// Asks with curl, and returns the status.
fn curl(options: &[&str], address: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code} %{http_version}"]).args(options);
    run(curl.arg(address)).text().to_owned()
}

#[test]
fn tool_a_registry_wants_a_password_and_a_private_authority() {
    let dir = tempfile::tempdir().unwrap();
    let Some(authority) = Authority::create(Tier::Tool, dir.path()) else { return };
    if tools::host(Tier::Tool, "curl").is_none() {
        return;
    }
    let setup = Setup { auth: Auth::Basic(Login::new("ann", "secret")), ..Setup::tls(&authority) };
    let Some(registry) = Registry::start_as(Tier::Tool, dir.path(), &setup) else { return };
    let (address, ca) = (format!("https://{}/v2/", registry.host()), authority.ca_file());
    let trust = ["--cacert", ca.to_str().unwrap()];

    assert_eq!(curl(&trust, &address), "401 2");
    assert_eq!(curl(&[&trust[..], &["-u", "ann:secret"]].concat(), &address), "200 2");
    assert_eq!(curl(&[&trust[..], &["-u", "ann:wrong"]].concat(), &address), "401 2");
    push(
        Tier::Tool,
        &layout(dir.path()),
        "latest",
        &format!("{}/image", registry.host()),
        &["--dest-creds=ann:secret"],
    );
}

#[test]
fn tool_a_registry_lets_in_who_has_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let Some(authority) = Authority::create(Tier::Tool, dir.path()) else { return };
    if tools::host(Tier::Tool, "curl").is_none() {
        return;
    }
    let setup = Setup { client_ca: Some(authority.ca_file()), ..Setup::tls(&authority) };
    let Some(registry) = Registry::start_as(Tier::Tool, dir.path(), &setup) else { return };
    let (client, ca) = (authority.issue("client"), authority.ca_file());
    let options = [
        ("--cacert", ca.to_str().unwrap()),
        ("--cert", client.certificate.to_str().unwrap()),
        ("--key", client.key.to_str().unwrap()),
    ];
    let options: Vec<&str> = options.iter().flat_map(|(name, value)| [*name, *value]).collect();
    assert_eq!(curl(&options, &format!("https://{}/v2/", registry.host())), "200 2");
}

#[test]
fn tool_a_registry_takes_tokens_of_a_scripted_server() {
    let dir = tempfile::tempdir().unwrap();
    let Some(authority) = Authority::create(Tier::Tool, dir.path()) else { return };
    let tokens = Scripted::start(Script {
        auth: scripted::Auth::Bearer { login: Some(Login::new("ann", "secret")), uses: None },
        signer: Some(Signer::new(&authority.issue("signer"), 300)),
        ..Script::default()
    });
    let realm = format!("http://{}/token", tokens.host());
    let setup = Setup { auth: Auth::Token { realm, ca: authority.ca_file() }, ..Setup::default() };
    let Some(registry) = Registry::start_as(Tier::Tool, dir.path(), &setup) else { return };
    let image = format!("{}/some/image", registry.host());

    let name = push(Tier::Tool, &layout(dir.path()), "latest", &image, &["--dest-creds=ann:secret"]);

    assert_eq!(get(registry.host(), "/v2/some/image/manifests/latest", &[]).status, 401);
    assert!(name.is_none() || tokens.requests().iter().any(|r| r.path.contains("push") && r.status == 200));
}

#[test]
fn tool_nginx_has_the_blobs_of_a_scripted_registry() {
    let dir = tempfile::tempdir().unwrap();
    let image = layout(dir.path());
    let Some(nginx) = Nginx::start(Tier::Tool, dir.path(), image.dir(), None) else { return };
    let blobs = Blobs::At(format!("http://{}/blobs", nginx.host()));
    let registry = Scripted::start(Script { blobs, ..Script::default() });
    registry.add_layout("image", &image);
    let digest = image.layers("latest")[0]["digest"].as_str().unwrap().to_owned();

    let redirect = get(&registry.host(), &format!("/v2/image/blobs/{digest}"), &[]);
    assert_eq!(redirect.status, 307);
    let address = redirect.header("location").strip_prefix(&format!("http://{}", nginx.host())).unwrap();
    assert_eq!(get(nginx.host(), address, &[]).body, image.blob(&digest));
    let several = get(nginx.host(), address, &["Range: bytes=0-1,5-6"]);
    assert_eq!((several.status, &several.body[..4]), (206, b"\r\n--".as_slice()));
    assert_eq!(nginx.requests()[0].sent, image.blob(&digest).len() as u64);
}

#[test]
fn tool_nginx_speaks_http_2_with_a_private_authority() {
    let dir = tempfile::tempdir().unwrap();
    let Some(authority) = Authority::create(Tier::Tool, dir.path()) else { return };
    if tools::host(Tier::Tool, "curl").is_none() {
        return;
    }
    fs::write(dir.path().join("file"), "content").unwrap();
    let tls = authority.issue("nginx");
    let Some(nginx) = Nginx::start(Tier::Tool, dir.path(), dir.path(), Some(&tls)) else { return };
    let ca = authority.ca_file();
    let address = format!("https://{}/file", nginx.host());
    assert_eq!(curl(&["--cacert", ca.to_str().unwrap()], &address), "200 2");
}

#[test]
fn tool_two_registries_run_beside_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let image = layout(dir.path());
    for name in ["first", "second"] {
        let Some(registry) = Registry::start(Tier::Tool, &dir.path().join(name)) else { return };
        registry::push(Tier::Tool, &image, "latest", &format!("{}/image", registry.host()), &[]);
        assert_eq!(get(registry.host(), "/v2/image/tags/list", &[]).status, 200);
        assert!(registry.requests().iter().any(|access| access.method == "PUT" && access.status == 201));
    }
}
