//! The words of the verbs for images in the store.

use crate::sandbox::Sandbox;

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
