//! The words of the verbs for layers.

use crate::sandbox::Sandbox;

#[test]
fn convert() {
    insta::assert_snapshot!(Sandbox::new().run("morsel convert --help"), @"
    $ morsel convert --help
    Convert a layer, or every layer of an image, to zstd:chunked.

    The tars inside stay the same, byte for byte, so diff IDs, image configs and image IDs do not
    change. A blob is the same whatever its input was compressed with and however many jobs there are. A
    layer that zstd:chunked cannot express becomes plain zstd, with the reason reported.

    Usage: morsel convert [OPTIONS] <SRC> <DST>

    Arguments:
      <SRC>
              A layer, plain or compressed, in a file or `-`, or an image: `docker://NAME` or just
              `NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`

      <DST>
              Where it goes: a file or `-` for a layer; `docker://NAME`, `oci:DIR[:TAG]` or
              `oci-archive:FILE[:TAG]` for an image

    Options:
          --level <N>
              How hard to compress, 1 to 22
              
              [default: 3]

          --jobs <N>
              Threads that compress [default: one for each processor]

          --memory <SIZE>
              Bytes of tar to hold at once, at least 24M
              
              [default: 64M]

          --no-verify
              Do not decode and compare what is written

          --platform <PLATFORM>
              Convert only images for this platform, `os/arch[/variant]`; can be repeated

          --all-platforms
              Convert the images of every platform that is there, which is the default

          --add
              Keep the original manifests, and list the converted ones after them

          --force
              Convert layers that are zstd:chunked already, too

          --cache <DIR>
              Remember converted layers in DIR, and do not convert them again

          --descriptor <FILE>
              Write the descriptor of the result, as JSON, to FILE instead of standard output

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
fn inspect() {
    insta::assert_snapshot!(Sandbox::new().run("morsel inspect --help"), @"
    $ morsel inspect --help
    Say what a layer, or every layer of an image, is made of, and which clients can use it.

    Only the TOC is read and checked, not the content: that is what `verify` does.

    Usage: morsel inspect [OPTIONS] <BLOB|IMAGE>

    Arguments:
      <BLOB|IMAGE>
              A layer in a file, `-`, or an image: `docker://NAME` or just `NAME`, `oci:DIR[:TAG]`,
              `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`

    Options:
          --descriptor <FILE>
              The layer's descriptor: what `convert` printed, or an OCI descriptor

          --platform <PLATFORM>
              Only images for this platform, `os/arch[/variant]`; can be repeated

          --toc
              List the TOC instead

          --json
              Write JSON, for programs; with `--toc`, the TOC as zstd:chunked has it

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
fn verify() {
    insta::assert_snapshot!(Sandbox::new().run("morsel verify --help"), @"
    $ morsel verify --help
    Prove that a layer, or every layer of an image, is what it says it is.

    Everything is decompressed and hashed: frames, chunk and file digests, TOC against tar against
    tar-split, and the tar against its diff ID. Any layer will do, of any dialect or none.

    Exit code 0 means proven, 3 damaged, and 8 that nothing is wrong but no diff ID was there to compare
    the tar with.

    Usage: morsel verify [OPTIONS] <BLOB|IMAGE>

    Arguments:
      <BLOB|IMAGE>
              A layer in a file, `-`, or an image: `docker://NAME` or just `NAME`, `oci:DIR[:TAG]`,
              `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`

    Options:
          --descriptor <FILE>
              The layer's descriptor: what `convert` printed, or an OCI descriptor

          --platform <PLATFORM>
              Only images for this platform, `os/arch[/variant]`; can be repeated

          --diff-id <DIGEST>
              The digest that the tar of the layer should have

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
