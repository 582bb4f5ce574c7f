//! Pulls that nothing can help: each says what is the matter, and with what.

use testkit::oci::{Compression, Layout};
use testkit::scripted::{Auth, Blobs, Fault, Login, Misdeed, Script, Scripted, Target};

use crate::harness::digest;
use crate::sandbox::{Sandbox, small_tar};

/// Pulls a small image from a registry, and returns what was said.
fn pull(script: Script) -> String {
    let sandbox = Sandbox::new();
    let registry = Scripted::start(script);
    registry.add_layout("image", &layout(&sandbox));
    said(&sandbox, &registry)
}

/// The same from a registry where this always goes wrong.
fn pull_faulty(target: Target, misdeed: Misdeed) -> String {
    pull(Script { faults: vec![Fault::new(target, misdeed).always()], ..Script::default() })
}

fn layout(sandbox: &Sandbox) -> Layout {
    let layout = Layout::create(sandbox.path("image"));
    layout.add_image("latest", Compression::Gzip, &[&small_tar()]);
    layout
}

fn said(sandbox: &Sandbox, registry: &Scripted) -> String {
    let host = registry.host();
    let line =
        format!("morsel pull --root store --timeout 1 --authfile auth.json docker://{host}/image:latest");
    sandbox.write("auth.json", "{}");
    sandbox.run(&line).replace(&host, "HOST").replace(&registry.blob_host(), "BLOBS")
}

#[test]
fn no_such_image() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(said(&sandbox, &Scripted::start(Script::default())), @"
    $ morsel pull --root store --timeout 1 --authfile auth.json docker://HOST/image:latest
    --- stderr
    error: cannot pull `docker://HOST/image:latest`
      cause: cannot access `docker://HOST/image:latest`
      cause: there is no such image at HOST
    --- exit 4
    ");
}

#[test]
fn a_layer_that_is_gone() {
    let sandbox = Sandbox::new();
    let (registry, layout) = (Scripted::start(Script::default()), layout(&sandbox));
    let config = layout.blob(&layout.image_id("latest"));
    let index = layout.index();
    let manifest = layout.blob(digest(&index["manifests"][0]));
    registry.add_blob("image", &config);
    registry.add_manifest("image", "latest", "application/vnd.oci.image.manifest.v1+json", &manifest);
    insta::assert_snapshot!(said(&sandbox, &registry), @"
    $ morsel pull --root store --timeout 1 --authfile auth.json docker://HOST/image:latest
    --- stderr
    error: cannot pull `HOST/image:latest`
      cause: cannot bring in layer sha256:f983fc..
      cause: cannot read the footer
      cause: `HOST` does not have the blob
    --- exit 4
    ");
}

#[test]
fn no_password() {
    let auth = Auth::Basic(Login::new("ann", "secret"));
    insta::assert_snapshot!(pull(Script { auth, ..Script::default() }), @"
    $ morsel pull --root store --timeout 1 --authfile auth.json docker://HOST/image:latest
    --- stderr
    error: cannot pull `docker://HOST/image:latest`
      cause: cannot access `docker://HOST/image:latest`
      cause: `http://HOST/v2/image/manifests/latest` refuses: 401 Unauthorized: authentication required (there are no credentials for it)
    hint: `podman login` and `docker login` leave credentials where they are found; `--authfile` names a file
    --- exit 6
    ");
}

#[test]
fn no_token() {
    let auth = Auth::Bearer { login: Some(Login::new("ann", "secret")), uses: None };
    insta::assert_snapshot!(pull(Script { auth, ..Script::default() }), @"
    $ morsel pull --root store --timeout 1 --authfile auth.json docker://HOST/image:latest
    --- stderr
    error: cannot pull `docker://HOST/image:latest`
      cause: cannot access `docker://HOST/image:latest`
      cause: `http://HOST/token?...` refuses: 401 Unauthorized: no such user or password (there are no credentials for it)
    hint: `podman login` and `docker login` leave credentials where they are found; `--authfile` names a file
    --- exit 6
    ");
}

#[test]
fn addresses_that_have_always_expired() {
    let blobs = Blobs::Signed { uses: Some(0) };
    insta::assert_snapshot!(pull(Script { blobs, ..Script::default() }), @"
    $ morsel pull --root store --timeout 1 --authfile auth.json docker://HOST/image:latest
    --- stderr
    error: cannot pull `docker://HOST/image:latest`
      cause: cannot access `docker://HOST/image:latest`
      cause: `http://BLOBS/signed/sha256:5fdd15..?...` refuses: 403 Forbidden: request has expired (there are no credentials for it)
    hint: `podman login` and `docker login` leave credentials where they are found; `--authfile` names a file
    --- exit 6
    ");
}

#[test]
fn blobs_that_are_refused() {
    let status = Misdeed::Status { status: 403, retry_after: None };
    insta::assert_snapshot!(pull_faulty(Target::Blobs, status), @"
    $ morsel pull --root store --timeout 1 --authfile auth.json docker://HOST/image:latest
    --- stderr
    error: cannot pull `docker://HOST/image:latest`
      cause: cannot access `docker://HOST/image:latest`
      cause: `http://HOST/v2/image/blobs/sha256:5fdd15..` refuses: 403 Forbidden: this is what the script says (there are no credentials for it)
    hint: `podman login` and `docker login` leave credentials where they are found; `--authfile` names a file
    --- exit 6
    ");
}

#[test]
fn a_server_that_wants_to_be_left_alone_for_an_hour() {
    let status = Misdeed::Status { status: 429, retry_after: Some(3600) };
    insta::assert_snapshot!(pull_faulty(Target::Manifests, status), @"
    $ morsel pull --root store --timeout 1 --authfile auth.json docker://HOST/image:latest
    --- stderr
    error: cannot pull `docker://HOST/image:latest`
      cause: cannot access `docker://HOST/image:latest`
      cause: `http://HOST/v2/image/manifests/latest` answers 429 Too Many Requests, also when tried 0 more times
    --- exit 7
    ");
}
