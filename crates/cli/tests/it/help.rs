//! What the command says about itself.

use crate::sandbox::Sandbox;

#[test]
fn the_command() {
    insta::assert_snapshot!(Sandbox::new().run("morsel --help"), @"
    $ morsel --help
    Turn container image layers into zstd:chunked, look into them, and prove them

    Usage: morsel <COMMAND>

    Commands:
      convert   Convert a layer, or every layer of an image, to zstd:chunked
      inspect   Say what a layer, or every layer of an image, is made of, and which clients can use it
      verify    Prove that a layer, or every layer of an image, is what it says it is
      mirror    Copy images for chosen platforms, and keep their index byte for byte
      pull      Bring images into the store, fetching only what is not there
      estimate  Say what a pull would fetch, and why, without fetching it
      unpack    Make the root file system of an image as plain files
      mount     Mount the root file system of an image
      umount    Take a mount of an image away
      mounts    List the mounts of images
      restore   Mount again, after a reboot, all that was mounted before
      wait      Wait until all of an image is here
      detach    Make mounts of an image independent of the daemon
      record    Run a command in an image, and remember what it reads
      daemon    Serve what is missing of mounted images
      images    List the images in the store
      rm        Remove images from the store
      gc        Remove from the store what no image needs
      fsck      Check that everything in the store is what it says it is
      du        Say how much space the images in the store take
      sync      Wait until everything that was pulled is on disk
      index     Look after the index of content that this machine has outside the store
      publish   Bring images into the store, and let podman and its like find their layers
      setup     Make podman, CRI-O, buildah and skopeo pull through morsel
      doctor    Find out how things are, and what that means
      bench     Measure what pulls, registries and conversions take
      serve     Serve a directory of OCI layouts as a registry
      help      Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Exit codes:
      0  done
      1  this machine failed: disk, memory, permissions, a defect
      2  the command line is wrong
      3  the input is damaged: truncated, corrupt, or lying
      4  something that was asked for does not exist
      5  valid, but not supported
      6  refused by the other side
      7  may work when tried again
      8  verify only: consistent, but not proven
      9  mirror verify only: sparse on purpose
    ");
}

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

#[test]
fn unpack() {
    insta::assert_snapshot!(Sandbox::new().run("morsel unpack --help"), @"
    $ morsel unpack --help
    Make the root file system of an image as plain files.

    DIR gets what a container of the image would see: all layers merged, with owners, modes, times,
    attributes, links, devices and holes. It must be missing or empty, and appears when it is complete.
    Where the file system can, files share their bytes with the store.

    Usage: morsel unpack [OPTIONS] <IMAGE> <DIR>

    Arguments:
      <IMAGE>
              An image in the store: its name, or how its digest or image ID begins

      <DIR>
              The directory to make

    Options:
          --owner <WHO>
              Whose the files are: `as-is`, those whom the image says; `squash`, yours; or
              `map:INSIDE:OUTSIDE:COUNT[,...]`, others in their place [default: as-is for root, squash
              otherwise]

          --sync
              Wait until everything is safe from a power loss

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
    ");
}

#[test]
fn estimate() {
    insta::assert_snapshot!(Sandbox::new().run("morsel estimate --help"), @"
    $ morsel estimate --help
    Say what a pull would fetch, and why, without fetching it.

    Only manifests and TOCs are read, and nothing is changed: every layer with what of it is missing, in
    how many requests it would come, and how long that takes; every file by why it has to be fetched or
    not.

    Usage: morsel estimate [OPTIONS] <IMAGE>

    Arguments:
      <IMAGE>
              An image: a name in a registry, `docker://NAME`, `oci:DIR[:TAG]`,
              `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`

    Options:
          --from <OLD>
              Compare with this image, as if exactly that were here, and not with the store

          --link <RATE,RTT>
              How fast the link is and how long a round trip takes, such as `100Mbit,20ms` [default:
              what earlier transfers from there showed]

          --platform <PLATFORM>
              The platform, `os/arch[/variant]` [default: that of this machine]

          --plan
              List the requests, too

          --json
              Write JSON, for programs

          --root <DIR>
              The directory of the store [default: /var/lib/morsel for root, $XDG_DATA_HOME/morsel
              otherwise]

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
fn index() {
    let lines = ["index", "index add", "index update"].map(|verb| format!("morsel {verb} --help"));
    let said = lines.map(|line| Sandbox::new().run(&line)).concat();
    insta::assert_snapshot!(said, @"
    $ morsel index --help
    Look after the index of content that this machine has outside the store.

    What is in it is found by digest, whatever it is called, and whole or in parts; every pull takes it
    from there. Nothing is trusted: what a pull finds is hashed again. Without it, `pull --seed` finds
    files by path.

    Usage: morsel index <COMMAND>

    Commands:
      add     Hash the files of directories, and use them for every pull from now on
      update  Hash the files that are new or changed
      list    List what was added
      remove  Forget what was added. The files themselves stay
      help    Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version
    $ morsel index add --help
    Hash the files of directories, and use them for every pull from now on

    Usage: morsel index add [OPTIONS] <[KIND:]DIR>...

    Arguments:
      <[KIND:]DIR>...  A directory such as `/usr`, or what else `pull --seed` takes

    Options:
          --jobs <N>    Threads that hash [default: one for each processor]
          --root <DIR>  The directory of the store [default: /var/lib/morsel for root,
                        $XDG_DATA_HOME/morsel otherwise]
          --json        Report as JSON, for programs
      -q, --quiet       Print no progress and no report
      -h, --help        Print help
      -V, --version     Print version
    $ morsel index update --help
    Hash the files that are new or changed.

    A file whose size, times and inode are what they were is not read again.

    Usage: morsel index update [OPTIONS] [[KIND:]DIR]...

    Arguments:
      [[KIND:]DIR]...
              What was added [default: all]

    Options:
          --jobs <N>
              Threads that hash [default: one for each processor]

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
    ");
}

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
              Measure podman, skopeo, crane and ctr, too, as far as they are on PATH

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

#[test]
fn version() {
    insta::assert_snapshot!(Sandbox::new().run("morsel --version"), @"
    $ morsel --version
    morsel 0.1.0
    ");
}

#[test]
fn nothing() {
    assert_eq!(Sandbox::new().output("morsel").status.code(), Some(2));
}

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
