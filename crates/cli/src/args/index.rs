//! The words of `index`.

use std::num::NonZeroUsize;

use clap::{Args as ClapArgs, Subcommand};

use super::values::parse_jobs;
use super::{Form, Listing, StorePlace};

/// Look after the index of content that this machine has outside the store.
///
/// What is in it is found by digest, whatever it is called, and whole or in parts; every pull takes it from there.
/// Nothing is trusted: what a pull finds is hashed again. Without it, `pull --seed` finds files by path.
#[derive(Debug, ClapArgs)]
pub(crate) struct Index {
    #[command(subcommand)]
    pub(crate) verb: IndexVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IndexVerb {
    Add(IndexAdd),
    Update(IndexUpdate),
    List(IndexList),
    Remove(IndexRemove),
}

/// Hash the files of directories, and use them for every pull from now on.
#[derive(Debug, ClapArgs)]
pub(crate) struct IndexAdd {
    /// A directory such as `/usr`, or what else `pull --seed` takes
    #[arg(value_name = "[KIND:]DIR", required = true)]
    pub(crate) seeds: Vec<String>,

    #[command(flatten)]
    pub(crate) hashing: Hashing,
}

/// Hash the files that are new or changed.
///
/// A file whose size, times and inode are what they were is not read again.
#[derive(Debug, ClapArgs)]
pub(crate) struct IndexUpdate {
    /// What was added [default: all]
    #[arg(value_name = "[KIND:]DIR")]
    pub(crate) seeds: Vec<String>,

    #[command(flatten)]
    pub(crate) hashing: Hashing,
}

/// How files are hashed.
#[derive(Debug, ClapArgs)]
pub(crate) struct Hashing {
    /// Threads that hash [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = parse_jobs)]
    pub(crate) jobs: Option<NonZeroUsize>,

    #[command(flatten)]
    pub(crate) store: StorePlace,

    #[command(flatten)]
    pub(crate) form: Form,
}

/// List what was added.
#[derive(Debug, ClapArgs)]
pub(crate) struct IndexList {
    #[command(flatten)]
    pub(crate) listing: Listing,
}

/// Forget what was added. The files themselves stay.
#[derive(Debug, ClapArgs)]
pub(crate) struct IndexRemove {
    /// What was added
    #[arg(value_name = "[KIND:]DIR", required = true)]
    pub(crate) seeds: Vec<String>,

    #[command(flatten)]
    pub(crate) store: StorePlace,
}
