//! The words of the verbs that measure.

use crate::sandbox::Sandbox;

#[test]
fn bench_pull() {
    insta::assert_snapshot!(Sandbox::new().run("morsel bench pull --help"), @"
    $ morsel bench pull --help
    Measure pulls of an image, in several ways and over links of a given speed and distance.

    Without an image, one is made up, with an update that keeps nine tenths of it. An image in a layout
    or archive, or the one that is made up, is converted if need be, and served by a registry of this
    process's own; one in a registry is pulled from there. Every pull goes into an empty store of its
    own, or into one that has the older image, or all of it; they take turns in an order that is
    shuffled. Reported are medians, and the least and the most.

    Usage: morsel bench pull [OPTIONS] [IMAGE]

    Arguments:
      [IMAGE]
              An image: a name in a registry, `docker://NAME`, `oci:DIR[:TAG]`,
              `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]` [default: one that is made up]

    Options:
          --from <OLD>
              The image that a store has before it is pulled to be updated

          --link <RATE,RTT>
              How fast the link is and how long a round trip takes; `jitter=5ms`, `each=20Mbit` for a
              connection and `connections=8` may follow; `none` is the loopback interface as it is. Can
              be repeated
              
              [default: 100Mbit,20ms]

          --strategy <STRATEGY>
              How to pull: `cheapest`, as `pull` does; `stream`, `parallel`, `one-range`, `many-ranges`;
              or `lazy`, mounted at once. Can be repeated [default: all of them]

          --runs <N>
              Pulls of each kind
              
              [default: 3]

          --ranges <WHAT>
              What the registry that serves an image of this machine makes of requests for ranges:
              `many`, as docker-registry; `one`, and the whole blob for several, as S3;
              `one-or-nothing`, and 501 for several, as GHCR; or `none`
              
              [default: many]

          --read <PATH>
              The file whose content makes an image ready [default: the program that the image's config
              names]

          --run <COMMAND>
              The command whose end makes an image ready: it runs in the image's files, by `/bin/sh -c`,
              with nothing to write to

          --peers
              Measure podman, skopeo, crane, ctr and soci, too, as far as they are on PATH

          --work <DIR>
              Where stores and images are made [default: the directory for temporary files]

          --new-disks
              Give every store a new ext4 in a file, as files are made slowly where others were removed;
              takes root, and `mkfs.ext4`

          --keep-caches
              Leave the page cache of this machine as it is; otherwise root drops it before every pull

          --html <FILE>
              Write a page with pictures

          --pictures <DIR>
              Write the pictures as files of their own, in SVG, to this directory

          --platform <PLATFORM>
              The platform, `os/arch[/variant]` [default: that of this machine]

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
