//! What keeps a tree from becoming an image.

use chunked::Class;

use crate::error::shorten;

/// A tree that cannot be written as EROFS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// There is too much of it.
    #[error("the metadata of the image takes more than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// A file has more attributes than an inode has room for.
    #[error("`{}` has more extended attributes than EROFS has room for", shorten(path))]
    Xattrs {
        /// Which file.
        path: String,
    },
}

impl Invalid {
    /// Says what it means to the caller.
    pub fn class(&self) -> Class {
        Class::Unsupported
    }
}
