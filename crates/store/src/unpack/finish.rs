//! What has to wait until all files are there.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, linkat};
use rustix::io::Errno;

use super::Site;
use super::metadata::Target;
use super::tally::Tally;
use crate::error::Error;
use crate::tree::{Child, Kind, NodeId, Tree, Xattr};

/// Makes the further names of files that have several.
pub(super) fn link(site: &Site<'_>) -> Result<(), Error> {
    let tree = site.tree;
    let mut source: Option<(NodeId, OwnedFd)> = None;
    for (id, _) in tree.nodes().filter(|(_, node)| node.kind.is_directory()) {
        let mut names = tree.children(id).filter(|child| !tree.is_first_name(child)).peekable();
        if names.peek().is_none() {
            continue;
        }
        let directory = site.open(id)?;
        for child in names {
            let Some(first) = tree.first_name(child.node) else { continue };
            let from = match source.take_if(|(id, _)| *id == first.directory) {
                Some(open) => open,
                None => (first.directory, site.open(first.directory)?),
            };
            let (_, from) = source.insert(from);
            match linkat(from, first.name, &directory, child.name, AtFlags::empty()) {
                Ok(()) => {}
                // A device that could not be made has been reported.
                Err(Errno::NOENT) if is_device(tree, &child) => {}
                Err(error) => {
                    let path = site.path_of(child.id);
                    return Err(Error::File { action: "link", path, source: error.into() });
                }
            }
        }
    }
    Ok(())
}

fn is_device(tree: &Tree, child: &Child<'_>) -> bool {
    matches!(tree.node(child.node).kind, Kind::CharDevice(_) | Kind::BlockDevice(_))
}

/// Gives directories their metadata. One may be closed even to us afterwards, so those in it come first.
pub(super) fn directories(site: &Site<'_>, tally: &mut Tally) -> Result<(), Error> {
    let directories = site.tree.nodes().rev().filter(|(_, node)| node.kind.is_directory());
    for (id, node) in directories {
        let directory = site.open(id)?;
        let owner = site.owners.of(&node.metadata).flatten();
        let skip = |reason, xattr: &Xattr| {
            tally.skip(reason, || format!("{} {}", site.tree.path(id).join("/"), xattr.name));
        };
        Target::Open(directory.as_fd())
            .apply(&node.metadata, owner, &site.staging.newborn, Mode::RWXU, skip)
            .map_err(|source| Error::File { action: "set the attributes of", path: site.path(id), source })?;
    }
    Ok(())
}
