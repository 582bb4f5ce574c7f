use std::path::PathBuf;

use chunked::{Class, ContentDigest};

use crate::error::show;

/// Why a tree cannot be unpacked as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The directory has something in it.
    #[error("{} is not empty, expected a new or an empty directory", show(.0))]
    NotEmpty(PathBuf),
    /// Something else has the name.
    #[error("{} is not a directory, expected a new or an empty one", show(.0))]
    NotADirectory(PathBuf),
    /// The directory cannot be replaced.
    #[error("{} is a mount point and cannot be replaced, expected a directory inside it", show(.0))]
    MountPoint(PathBuf),
    /// The name is one that nothing can be given.
    #[error("{} is not a name for a new directory", show(.0))]
    NoName(PathBuf),
    /// An owner is in no range of the map.
    #[error("{} of the image belongs to {uid}:{gid}, which the map of owners does not have", show(path))]
    Unmapped {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// The bytes of a file are not there.
    #[error("the content {digest} of {} is not there", show(path))]
    NoContent {
        /// The file.
        path: PathBuf,
        /// What its content hashes to.
        digest: ContentDigest,
    },
    /// What is there as the bytes of a file is not of their length.
    #[error("the content {digest} of {} has {found} bytes, expected {expected}", show(path))]
    WrongLen {
        /// The file.
        path: PathBuf,
        /// What its content hashes to.
        digest: ContentDigest,
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
}

impl Refused {
    /// Tells whether something else should have been asked for: another directory, other owners.
    pub fn is_request_wrong(&self) -> bool {
        matches!(
            self,
            Self::NotEmpty(_)
                | Self::NotADirectory(_)
                | Self::MountPoint(_)
                | Self::NoName(_)
                | Self::Unmapped { .. }
        )
    }

    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::NoContent { .. } => Class::Missing,
            Self::WrongLen { .. } => Class::Corrupt,
            _ => Class::Local,
        }
    }
}
