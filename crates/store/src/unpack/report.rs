use std::fmt;

use serde::Serialize;

/// What was made of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Directories, the root included.
    pub directories: u64,
    /// Regular files; those with several names count once.
    pub files: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Devices and named pipes.
    pub special: u64,
    /// Names that lead to a file which has one already.
    pub hardlinks: u64,
    /// Bytes of all regular files, holes included.
    pub bytes: u64,
    /// Files that share their bytes with the store.
    pub cloned: Amount,
    /// Files whose bytes were copied.
    pub copied: Amount,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

/// Files, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// How many.
    pub files: u64,
    /// Bytes of all of them, without holes that could be kept.
    pub bytes: u64,
}

/// Something that the image has and the directory does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Why.
    pub reason: Reason,
    /// How often.
    pub count: u64,
    /// The first few: a path, or a path and an attribute.
    pub first: Vec<String>,
}

/// Why something is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// A device, which only root of the machine may make.
    DeviceNotPermitted,
    /// An attribute that overlayfs gives a meaning to.
    OverlayAttribute,
    /// An attribute that the security policy of the machine sets.
    SecurityLabel,
    /// An attribute that takes more privileges, or that this type of file cannot have.
    AttributeRefused,
    /// An attribute that the file system cannot hold.
    AttributeNotSupported,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeviceNotPermitted => "devices that only root can make",
            Self::OverlayAttribute => "attributes that are overlayfs's own",
            Self::SecurityLabel => "security labels, which are up to this machine",
            Self::AttributeRefused => "attributes that Linux refuses to set",
            Self::AttributeNotSupported => "attributes that the file system cannot hold",
        })
    }
}
