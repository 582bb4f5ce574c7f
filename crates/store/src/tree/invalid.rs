//! What makes layers impossible to merge.

use std::fmt;

use chunked::Class;

/// An entry that has no place in a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("layer {layer}: `{name}` {problem}")]
pub struct Invalid {
    /// Which layer; the lowest is 1.
    pub layer: u32,
    /// The entry's name, shortened and without control characters.
    pub name: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The tree has too many names.
    #[error("is one more than the {limit} files that a tree may have")]
    TooMany {
        /// The most allowed.
        limit: u32,
    },
    /// The path has too many elements.
    #[error("is more than {limit} directories deep")]
    TooDeep {
        /// The most allowed.
        limit: u16,
    },
    /// The file has too many attributes, with those that hard links add.
    #[error("is a hard link to a file that would have more than {limit} extended attributes with it")]
    TooManyAttributes {
        /// The most allowed.
        limit: usize,
    },
    /// The file is larger than file systems take.
    #[error("has {len} bytes, at most {limit} are possible")]
    TooLarge {
        /// Bytes of it.
        len: u64,
        /// The most allowed.
        limit: u64,
    },
    /// An element of the path is longer than file systems allow.
    #[error("has a name of {len} bytes in its path, at most 255 are possible")]
    NameTooLong {
        /// Bytes of the element.
        len: usize,
    },
    /// The name or the target of a link has a NUL in it.
    #[error("has a NUL in its name or target")]
    Nul,
    /// The root is no directory.
    #[error("is the root, and is not a directory")]
    Root,
    /// A whiteout does not say what it hides.
    #[error("is a whiteout that names nothing")]
    EmptyWhiteout,
    /// The path goes through links without end.
    #[error("leads through too many symbolic links")]
    LinkLoop,
    /// The target of a symbolic link is empty or too long.
    #[error("is a symbolic link with a target of {len} bytes, 1 to 4095 are possible")]
    Target {
        /// Bytes of the target.
        len: usize,
    },
    /// The target of a hard link is not there.
    #[error("is a hard link to `{0}`, which is not there")]
    LinkToNothing(String),
    /// The target of a hard link is a directory.
    #[error("is a hard link to `{0}`, which is a directory")]
    LinkToDirectory(String),
    /// An owner is not a number that Linux has.
    #[error("has the owner {uid}:{gid}, numbers from 0 to 4294967294 are possible")]
    Owner {
        /// The user.
        uid: i64,
        /// The group.
        gid: i64,
    },
    /// A device is not one that Linux has.
    #[error("is the device {major}:{minor}, numbers up to 4095:1048575 are possible")]
    Device {
        /// The major number.
        major: i64,
        /// The minor number.
        minor: i64,
    },
    /// The TOC gives no digest for a file of several chunks.
    #[error("has no digest of its whole content")]
    NoDigest,
}

impl Invalid {
    pub(super) fn new(layer: u32, name: &str, problem: Problem) -> Self {
        Self { layer, name: Short(name).to_string(), problem }
    }

    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self.problem {
            Problem::TooMany { .. } | Problem::TooDeep { .. } | Problem::NameTooLong { .. } => {
                Class::Unsupported
            }
            Problem::NoDigest | Problem::TooManyAttributes { .. } | Problem::TooLarge { .. } => {
                Class::Unsupported
            }
            _ => Class::Corrupt,
        }
    }
}

/// Shows at most 100 characters, none of which controls a terminal.
pub(super) struct Short<'a>(pub(super) &'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        for c in chars.by_ref().take(100) {
            if c.is_control() { c.escape_default().fmt(f)? } else { fmt::Write::write_char(f, c)? }
        }
        if chars.next().is_some() { f.write_str("...") } else { Ok(()) }
    }
}
