//! The words of the verbs about podman and its like.

use crate::sandbox::Sandbox;

#[test]
fn publish() {
    insta::assert_snapshot!(Sandbox::new().run("morsel publish --help"), @"
    $ morsel publish --help
    Bring images into the store, and let podman and its like find their layers.

    An engine that pulls one of the images afterwards fetches no layers. This is what the storage helper
    does when an engine asks for it; for engines that are too old to ask, and to have images there
    beforehand.

    Usage: morsel publish [OPTIONS] <IMAGE>...

    Arguments:
      <IMAGE>...
              Images: a name in a registry, `docker://NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
              `docker-archive:FILE[:NAME]`

    Options:
          --platform <PLATFORM>
              The platform, `os/arch[/variant]` [default: that of this machine]

          --seed <[KIND:]DIR>
              Do not fetch what DIR has, as with `pull`; can be repeated

          --lazy
              Publish mounts before their content is here, if this machine can; it comes when it is
              read, and in the background

          --layout <LAYOUT>
              What engines find: `plain` files of each layer; `mounted`, the merged tree of the layers;
              or `auto`, mounts with `--lazy`, and plain files without
              
              [default: auto]

          --root <DIR>
              The directory of the store [default: /var/lib/morsel for root, $XDG_DATA_HOME/morsel
              otherwise]

          --json
              Report as JSON, for programs

      -q, --quiet
              Print no progress and no report

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Registries:
          --authfile <FILE>
              Take credentials from FILE [default: where podman and docker keep them]

          --cert-dir <DIR>
              Take certificates from DIR: `*.crt` of authorities, `*.cert` and `*.key` of this client

          --tls-verify[=<BOOL>]
              Whether registries have to use TLS, and prove who they are
              
              [default: true]

          --timeout <SECONDS>
              Ask again where nothing came for so many seconds [default: 30]
    ");
}

#[test]
fn setup() {
    insta::assert_snapshot!(Sandbox::new().run("morsel setup --help"), @"
    $ morsel setup --help
    Make podman, CRI-O, buildah and skopeo pull through morsel.

    The engines stay as they are. Two of their files say from then on that a program is to be called
    before a pull, and where to look for layers. If that program fails, they pull as they always did.

    Usage: morsel setup [OPTIONS] <ENGINE>

    Arguments:
      <ENGINE>
              Which engine; all of them read the same files
              
              [possible values: podman, cri-o]

    Options:
          --system
              For the engines of root, and of all users who have no files of their own [default for
              root]

          --rootless
              For your engines only [default for others than root]

          --print
              Only print what would be written

          --undo
              Take everything back; layers that engines use stay

          --root <DIR>
              The directory of the store [default: /var/lib/morsel for root, $XDG_DATA_HOME/morsel
              otherwise]

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version
    ");
}

#[test]
fn storage_helper() {
    insta::assert_snapshot!(Sandbox::new().run("morsel storage-helper --help"), @"
    $ morsel storage-helper --help
    Prepare the image that an engine is about to pull; engines call this themselves.

    The name of the image and the credentials for its registry come on standard input, as JSON. It
    always ends well: whatever goes wrong is written to a log, and the engine pulls by itself.

    Usage: morsel storage-helper [OPTIONS]

    Options:
          --config <FILE>
              The file that says what is done for which images [default: /etc/morsel/config.toml, or
              that of the user]

          --root <DIR>
              The directory of the store [default: /var/lib/morsel for root, $XDG_DATA_HOME/morsel
              otherwise]

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version
    ");
}
