//! What the command says about itself.

mod engines;
mod images;
mod layers;
mod measuring;

use crate::sandbox::Sandbox;

#[test]
fn the_command() {
    insta::assert_snapshot!(Sandbox::new().run("morsel --help"), @"
    $ morsel --help
    Convert container images to zstd:chunked, pull only what is missing of them, mount them at once,
    mirror and serve them

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
