use std::path::PathBuf;

use chunked::{Class, ContentDigest};

/// Why a tree cannot be unpacked as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The directory has something in it.
    #[error("`{}` is not empty, expected a new or an empty directory", .0.display())]
    NotEmpty(PathBuf),
    /// Something else has the name.
    #[error("`{}` is not a directory, expected a new or an empty one", .0.display())]
    NotADirectory(PathBuf),
    /// The directory cannot be replaced.
    #[error("`{}` is a mount point and cannot be replaced, expected a directory inside it", .0.display())]
    MountPoint(PathBuf),
    /// The name is one that nothing can be given.
    #[error("`{}` is not a name for a new directory", .0.display())]
    NoName(PathBuf),
    /// An owner is in no range of the map.
    #[error("`{}` belongs to {uid}:{gid}, which the map of owners does not have", path.display())]
    Unmapped {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// The bytes of a file are not there.
    #[error("the content {digest} of `{}` is not there", path.display())]
    NoContent {
        /// The file.
        path: PathBuf,
        /// What its content hashes to.
        digest: ContentDigest,
    },
    /// What is there as the bytes of a file is not of their length.
    #[error("the content {digest} of `{}` has {found} bytes, expected {expected}", path.display())]
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
    /// Tells whether it is the choice of the directory that is wrong.
    pub fn is_about_directory(&self) -> bool {
        matches!(self, Self::NotEmpty(_) | Self::NotADirectory(_) | Self::MountPoint(_) | Self::NoName(_))
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
