//! Writes the metadata of a merged tree as an EROFS image: names, modes, owners, times, attributes, and no content.
//!
//! [`Image::plan`] gives everything its place, in one pass over the tree; [`Image::write`] writes it from the first byte
//! to the last. Neither holds more than four bytes for each file, and the same tree always gives the same bytes. What the
//! bytes mean is in [`spec`].
//!
//! A regular file with content is as long as it should be, reads as zeros, and carries two attributes that tell overlayfs
//! where its bytes are: below the directories of objects that the overlay has as data-only layers. So an image must never
//! be shown to anyone but through such an overlay; [`crate::overlay`] sees to that.

mod blocks;
mod directory;
mod image;
mod inode;
mod invalid;
pub mod spec;
mod superblock;
mod write;
mod xattrs;

pub use image::Image;
pub use invalid::Invalid;

/// Says which attributes tell overlayfs where content is.
///
/// An image has one form only: overlayfs hides the attributes that it acts on, and shows the others to everyone, even to
/// an overlay on top, which would act on them (measured on Linux 6.18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `trusted.overlay.*`, for overlays that are mounted by root.
    Trusted,
    /// `user.overlay.*`, for overlays with the option `userxattr`, which user namespaces need.
    User,
}

impl Form {
    /// Returns the attribute that says that a file's content is elsewhere.
    pub fn metacopy_name(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.metacopy",
            Self::User => "user.overlay.metacopy",
        }
    }

    /// Returns the attribute with the path of the object that has a file's content.
    pub fn redirect_name(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.redirect",
            Self::User => "user.overlay.redirect",
        }
    }
}

/// What an image is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The attributes it has.
    pub form: Form,
    /// What the file system is identified by. overlayfs tells its layers apart by it.
    pub uuid: [u8; 16],
    /// Longest image in bytes. Default 4 GiB, which is some 15 million files; sparse files beyond 8 TiB take four bytes
    /// for each 8 TiB.
    pub len_limit: u64,
}

impl Options {
    /// Returns the options for a form and an identity, with the default limit.
    pub fn new(form: Form, uuid: [u8; 16]) -> Self {
        Self { form, uuid, len_limit: 4 << 30 }
    }
}
