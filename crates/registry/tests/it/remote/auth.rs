//! Registries that do not let everybody in.

use std::fs;

use morsel_registry::client::Options;
use morsel_registry::http::Verification;
use testkit::authority::Authority;
use testkit::registry::{self, Registry, Setup, push};
use testkit::scripted::{Auth, Blobs, Fault, Login, Misdeed, Script, Scripted, Signer, Target};
use testkit::tools::Tier;

use super::{auth_file, failure, layout, open, options, read_all, write_auths};

fn login() -> Login {
    Login::new("ann", "secret")
}

#[test]
fn tool_a_private_authority_and_a_password_are_needed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(authority) = Authority::create(Tier::Tool, dir.path()) else { return };
    let setup = Setup { auth: registry::Auth::Basic(login()), ..Setup::tls(&authority) };
    let Some(registry) = Registry::start_as(Tier::Tool, dir.path(), &setup) else { return };
    let (host, image) = (registry.host().to_owned(), format!("{}/team/app", registry.host()));
    let creds = ["--dest-creds=ann:secret"];
    if push(Tier::Tool, &layout(dir.path()), "latest", &image, &creds).is_none() {
        return;
    }
    let certs = dir.path().join("certs.d").join(&host);
    fs::create_dir_all(&certs).unwrap();
    fs::copy(authority.ca_file(), certs.join("ca.crt")).unwrap();
    let trusting = Options { certs: vec![dir.path().join("certs.d")], ..options() };
    let knowing =
        |password| Options { auth_files: auth_file(dir.path(), &host, "ann", password), ..trusting.clone() };
    let hosts = [(host.as_str(), "HOST")];

    assert_eq!(read_all(&*open(&image, knowing("secret")).unwrap()).unwrap(), 4);
    let anyone = Options { verification: Verification::Off, certs: Vec::new(), ..knowing("secret") };
    assert_eq!(read_all(&*open(&image, anyone).unwrap()).unwrap(), 4);
    insta::assert_snapshot!(failure(open(&image, options()), &hosts), @"cannot access `docker://HOST/team/app:latest`: the certificate of `https://HOST/v2/team/app/manifests/latest` is not trusted: invalid peer certificate: UnknownIssuer");
    insta::assert_snapshot!(failure(open(&image, trusting.clone()), &hosts), @"cannot access `docker://HOST/team/app:latest`: `https://HOST/v2/team/app/manifests/latest` refuses: 401 Unauthorized: authentication required (there are no credentials for it)");
    insta::assert_snapshot!(failure(open(&image, knowing("wrong")), &hosts), @"cannot access `docker://HOST/team/app:latest`: `https://HOST/v2/team/app/manifests/latest` refuses: 401 Unauthorized: authentication required");
}

#[test]
fn tool_a_client_shows_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let Some(authority) = Authority::create(Tier::Tool, dir.path()) else { return };
    let setup = Setup { client_ca: Some(authority.ca_file()), ..Setup::tls(&authority) };
    let Some(registry) = Registry::start_as(Tier::Tool, dir.path(), &setup) else { return };
    let image = format!("{}/team/app", registry.host());
    let certs = dir.path().join("certs");
    fs::create_dir(&certs).unwrap();
    fs::copy(authority.ca_file(), certs.join("ca.crt")).unwrap();
    let with_certs = Options { cert_dir: Some(certs.clone()), ..options() };
    let hosts = [(registry.host(), "HOST")];
    let refused = failure(open(&image, with_certs.clone()), &hosts);
    assert!(!refused.contains("no such image"), "{refused}");

    let own = authority.issue("client");
    fs::copy(own.certificate, certs.join("client.cert")).unwrap();
    fs::copy(own.key, certs.join("client.key")).unwrap();
    insta::assert_snapshot!(failure(open(&image, with_certs), &hosts), @"cannot access `docker://HOST/team/app:latest`: there is no such image at HOST");
}

#[test]
fn tool_tokens_open_a_registry_that_trusts_their_signer() {
    let dir = tempfile::tempdir().unwrap();
    let Some(authority) = Authority::create(Tier::Tool, dir.path()) else { return };
    let tokens = Scripted::start(Script {
        auth: Auth::Bearer { login: Some(login()), uses: None },
        signer: Some(Signer::new(&authority.issue("signer"), 300)),
        ..Script::default()
    });
    let realm = format!("http://{}/token", tokens.host());
    let setup = Setup { auth: registry::Auth::Token { realm, ca: authority.ca_file() }, ..Setup::default() };
    let Some(registry) = Registry::start_as(Tier::Tool, dir.path(), &setup) else { return };
    let image = format!("{}/team/app", registry.host());
    let layout = layout(dir.path());
    if push(Tier::Tool, &layout, "latest", &image, &["--dest-creds=ann:secret"]).is_none() {
        return;
    }
    let auth_files = auth_file(dir.path(), registry.host(), "ann", "secret");
    tokens.forget_requests();
    let source = open(&image, Options { auth_files, ..options() }).unwrap();
    assert_eq!(read_all(&*source).unwrap(), 4);
    assert_eq!(tokens.counters().requests, 1);
}

#[test]
fn tokens_are_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Scripted::start(Script {
        auth: Auth::Bearer { login: Some(login()), uses: Some(2) },
        ..Script::default()
    });
    registry.add_layout("app", &layout(dir.path()));
    let image = format!("{}/app", registry.host());
    let by_password = auth_file(dir.path(), &registry.host(), "ann", "secret");
    let source = open(&image, Options { auth_files: by_password, ..options() }).unwrap();
    assert_eq!(read_all(&*source).unwrap(), 4);
    let tokens = registry.requests().iter().filter(|request| request.path.starts_with("/token")).count();
    assert_eq!(tokens, 2);

    let identity = format!(r#"{{"{}":{{"identitytoken":"secret"}}}}"#, registry.host());
    let by_identity = write_auths(dir.path(), &identity);
    registry.forget_requests();
    open(&image, Options { auth_files: by_identity, ..options() }).unwrap();
    let posts: Vec<_> = registry.requests().into_iter().filter(|request| request.method == "POST").collect();
    assert!(posts.iter().all(|request| request.path == "/token" && request.status == 200), "{posts:?}");
    assert_eq!(posts.len(), 1);
}

#[test]
fn tokens_that_are_refused_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let auth = Auth::Bearer { login: Some(login()), uses: None };
    let registry = Scripted::start(Script { auth, ..Script::default() });
    registry.add_layout("app", &layout(dir.path()));
    let (host, image) = (registry.host(), format!("{}/app", registry.host()));
    let hosts = [(host.as_str(), "HOST")];
    insta::assert_snapshot!(failure(open(&image, options()), &hosts), @"cannot access `docker://HOST/app:latest`: `http://HOST/token?...` refuses: 401 Unauthorized: no such user or password (there are no credentials for it)");
    let auth_files = auth_file(dir.path(), &host, "ann", "wrong");
    insta::assert_snapshot!(failure(open(&image, Options { auth_files, ..options() }), &hosts), @"cannot access `docker://HOST/app:latest`: `http://HOST/token?...` refuses: 401 Unauthorized: no such user or password");

    let registry = Scripted::start(Script {
        auth: Auth::Bearer { login: None, uses: None },
        faults: vec![Fault::new(Target::Tokens, Misdeed::Status { status: 503, retry_after: Some(0) })],
        ..Script::default()
    });
    registry.add_layout("app", &layout(dir.path()));
    assert_eq!(read_all(&*open(&format!("{}/app", registry.host()), options()).unwrap()).unwrap(), 4);
}

#[test]
fn credentials_do_not_follow_redirects_and_signed_addresses_are_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Scripted::start(Script {
        auth: Auth::Basic(login()),
        blobs: Blobs::Signed { uses: None },
        ..Script::default()
    });
    let layout = layout(dir.path());
    registry.add_layout("app", &layout);
    let auth_files = auth_file(dir.path(), &registry.host(), "ann", "secret");
    let source = open(&format!("{}/app", registry.host()), Options { auth_files, ..options() }).unwrap();
    assert_eq!(read_all(&*source).unwrap(), 4);
    let manifest = crate::made::manifest_of(&*source, source.root());
    let layer = manifest.layers.first().unwrap();
    let read = || {
        let blob = source.blob(layer).unwrap().unwrap();
        let mut bytes = Vec::new();
        let mut body = morsel_registry::blob::read_verified(&*blob, layer).unwrap();
        std::io::Read::read_to_end(&mut body, &mut bytes).unwrap();
        bytes
    };
    let before = read();
    registry.expire_addresses();
    assert_eq!(read(), before);
    let away =
        registry.requests().into_iter().filter(|request| request.host == testkit::scripted::Host::Blobs);
    let away: Vec<_> = away.collect();
    assert!(away.iter().any(|request| request.status == 403), "{away:?}");
    assert!(away.iter().all(|request| !request.authorization), "{away:?}");
}
