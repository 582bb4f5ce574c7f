//! `morsel serve`, apart from serving.

use testkit::http::{exchange, request};

use crate::sandbox::Sandbox;
use crate::served::Served;

#[test]
fn the_command_line_is_checked() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run("morsel serve dir --index-platforms="), @"
    $ morsel serve dir --index-platforms=
    --- stderr
    error: invalid value '' for '--index-platforms <all|none|LIST>': the list of platforms is empty, expected `all`, `none` or platforms such as `linux/amd64`

    For more information, try '--help'.
    --- exit 2
    ");
    insta::assert_snapshot!(sandbox.run("morsel serve dir --index-platforms linux"), @"
    $ morsel serve dir --index-platforms linux
    --- stderr
    error: invalid value 'linux' for '--index-platforms <all|none|LIST>': platform `linux` is not of the form `os/arch[/variant][,os.version][+feature]`

    For more information, try '--help'.
    --- exit 2
    ");
    insta::assert_snapshot!(sandbox.run("morsel serve dir --gc --log"), @"
    $ morsel serve dir --gc --log
    --- stderr
    error: the argument '--gc' cannot be used with '--log'

    Usage: morsel serve --gc <DIR>

    For more information, try '--help'.
    --- exit 2
    ");
    insta::assert_snapshot!(sandbox.run("morsel serve dir --tls-cert a"), @"
    $ morsel serve dir --tls-cert a
    --- stderr
    error: the following required arguments were not provided:
      --tls-key <FILE>

    Usage: morsel serve --tls-cert <FILE> --tls-key <FILE> <DIR>

    For more information, try '--help'.
    --- exit 2
    ");
}

#[test]
fn what_cannot_be_served_is_named() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run("morsel serve dir --gc"), @"
    $ morsel serve dir --gc
    --- stderr
    error: cannot remove garbage from `dir`
      cause: cannot open `dir`
      cause: no such file or directory
    --- exit 4
    ");
    std::os::unix::fs::symlink(crate::sandbox::testdata("image"), sandbox.path("image")).unwrap();
    insta::assert_snapshot!(sandbox.run("morsel serve image"), @"
    $ morsel serve image
    --- stderr
    error: cannot serve `image`
      cause: `image` is itself an OCI image layout, expected a directory that holds one for each repository
    hint: serve the directory it is in; its images are then in the repository that it is the name of
    --- exit 5
    ");
    insta::assert_snapshot!(sandbox.run("morsel serve dir --htpasswd none"), @"
    $ morsel serve dir --htpasswd none
    --- stderr
    error: cannot serve `dir`
      cause: cannot read `none`
      cause: no such file or directory
    --- exit 4
    ");
    insta::assert_snapshot!(sandbox.run("morsel serve dir --listen 192.0.2.1:1"), @"
    $ morsel serve dir --listen 192.0.2.1:1
    --- stderr
    error: cannot serve `dir`
      cause: cannot listen on `192.0.2.1:1`
      cause: cannot assign requested address
    --- exit 1
    ");
    let _served = Served::start(&sandbox.path("served"), &[]);
    insta::assert_snapshot!(sandbox.run("morsel serve served --gc"), @"
    $ morsel serve served --gc
    --- stderr
    error: cannot remove garbage from `served`
      cause: `served` is in use by another `morsel serve`
    --- exit 7
    ");
}

#[test]
fn garbage_goes_and_damage_is_found() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox.path("served"), &[]);
    let digest = testkit::oci::digest(b"abc");
    let push = request("POST", &format!("/v2/team/app/blobs/uploads/?digest={digest}"), &[], b"abc");
    assert_eq!(exchange(served.address(), &push).status, 201);
    drop(served);
    insta::assert_snapshot!(sandbox.run("morsel serve served --scrub"), @"
    $ morsel serve served --scrub
    checked 1 repository, 1 blob, 3 B
    nothing is damaged
    ");
    sandbox.write(&format!("served/team/app/blobs/sha256/{}", &digest[7..]), "abd");
    insta::assert_snapshot!(sandbox.run("morsel serve served --scrub"), @"
    $ morsel serve served --scrub
    team/app: sha256:ba7816.. is damaged
    checked 1 repository, 1 blob, 0 B
    what is damaged is not served; pushing it again mends it
    --- exit 3
    ");
    insta::assert_snapshot!(sandbox.run("morsel serve served --gc --dry-run"), @"
    $ morsel serve served --gc --dry-run
    would be removed    number
    empty repositories       1
    blobs                    1
    3 B would be freed
    ");
    insta::assert_snapshot!(sandbox.run("morsel serve served --gc --json"), @r#"
    $ morsel serve served --gc --json
    {
      "repositories": 1,
      "manifests": 0,
      "blobs": 1,
      "bytes": 3,
      "leftovers": 0
    }
    "#);
    insta::assert_snapshot!(sandbox.run("morsel serve served --gc"), @"
    $ morsel serve served --gc
    there is nothing to remove
    ");
}

#[test]
fn an_image_goes_from_layout_to_registry_and_back() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox.path("served"), &[]);
    let image = crate::sandbox::testdata("image");
    let target = format!("docker://{}/app:1", served.host());
    sandbox.stdout(&format!("morsel convert --quiet --tls-verify=false oci:{image}:latest {target}"));
    let from_registry = sandbox.stdout(&format!("morsel inspect --json --tls-verify=false {target}"));
    let from_layout = sandbox.stdout("morsel inspect --json oci:served/app:1");
    let layers = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).unwrap()["images"].clone();
    assert_eq!(layers(&from_registry), layers(&from_layout));
}
