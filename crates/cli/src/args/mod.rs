//! The command line, word for word. What the words mean together is for [`crate::request`].

mod bench;
mod convert;
mod daemon;
mod doctor;
mod engine;
mod index;
mod inspect;
mod mirror;
mod mount;
mod pull;
mod registry;
mod serve;
mod store;
mod values;

use clap::{Args as ClapArgs, Parser, Subcommand};

pub(crate) use bench::{
    Bench, BenchConvert, BenchPull, BenchRanges, BenchRegistry, BenchStrategy, BenchSubject,
};
pub(crate) use convert::Convert;
pub(crate) use daemon::{Daemon, DaemonAction, Detach, Record, Wait};
pub(crate) use doctor::{Doctor, DoctorEngines, DoctorRegistry, DoctorSubject};
pub(crate) use engine::{Engine, Layout, Publish, Setup, StorageHelper};
pub(crate) use index::{Hashing, Index, IndexList, IndexRemove, IndexVerb};
pub(crate) use inspect::{Inspect, Verify, What};
pub(crate) use mirror::{Mirror, MirrorSubject, MirrorVerify, NoPlatform};
pub(crate) use mount::{Mount, Mounts, Restore, Umount};
pub(crate) use pull::{Estimate, Pull, Strategy, Verification};
pub(crate) use registry::RegistryArgs;
pub(crate) use serve::Serve;
pub(crate) use store::{Du, Fsck, Gc, Images, Listing, Rm, StorePlace, Sync, Unpack};
pub(crate) use values::parse_bytes;

/// What every `--help` ends with.
const EXIT_CODES: &str = "\
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
  9  mirror verify only: sparse on purpose";

/// Convert container images to zstd:chunked, pull only what is missing of them, mount them at once, mirror and serve them.
#[derive(Debug, Parser)]
#[command(name = "morsel", version, max_term_width = 100, after_help = EXIT_CODES)]
#[command(propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Convert(Convert),
    Inspect(Inspect),
    Verify(Verify),
    Mirror(Box<Mirror>),
    Pull(Pull),
    Estimate(Estimate),
    Unpack(Unpack),
    Mount(Mount),
    Umount(Umount),
    Mounts(Mounts),
    Restore(Restore),
    Wait(Wait),
    Detach(Detach),
    Record(Record),
    Daemon(Daemon),
    Images(Images),
    Rm(Rm),
    Gc(Gc),
    Fsck(Fsck),
    Du(Du),
    Sync(Sync),
    Index(Index),
    Publish(Publish),
    Setup(Setup),
    #[command(hide = true)]
    StorageHelper(StorageHelper),
    Doctor(Doctor),
    Bench(Bench),
    Serve(Serve),
}

/// How to speak.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Form {
    /// Report as JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,

    /// Print no progress and no report
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }
}
