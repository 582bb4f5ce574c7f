//! The table of contents of a layer: what it holds, and where in the blob.
//!
//! [`Writer`] writes the current dialect; [`visit`] and [`Toc::parse`] read that of containers-storage, old and new, and
//! that of eStargz. Neither holds the JSON text.

mod attributes;
mod fold;
mod guard;
pub(crate) mod instant;
mod invalid;
mod parse;
mod row;
mod write;

pub use invalid::{Invalid, Problem};
pub use parse::{Toc, Trailer, visit, visit_unplaced};
pub use write::Writer;

use crate::entry::EntryKind;

/// The name under which eStargz has the TOC as a member of the tar.
pub const TOC_NAME: &str = "stargz.index.json";

/// Tells whether eStargz put the file of that name into the layer for its own purposes: the TOC, or a landmark that says
/// how much to prefetch. Such files have no place in a mounted tree.
pub fn is_stargz_file(name: &str) -> bool {
    matches!(name, TOC_NAME | ".prefetch.landmark" | ".no.prefetch.landmark")
}

/// Returns the word by which a TOC calls a type of entry.
pub fn type_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Regular => "reg",
        EntryKind::Hardlink => "hardlink",
        EntryKind::Symlink => "symlink",
        EntryKind::CharDevice => "char",
        EntryKind::BlockDevice => "block",
        EntryKind::Directory => "dir",
        EntryKind::Fifo => "fifo",
    }
}

#[cfg(test)]
mod tests;
