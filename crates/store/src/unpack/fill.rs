//! Makes what a directory holds, all but further names of files.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rustix::fs::{
    FileType, Mode, OFlags, XattrFlags, fsetxattr, makedev, mkdirat, mknodat, openat, symlinkat,
};
use rustix::io::Errno;

use super::clone::{Cloner, Means};
use super::crew::Worker;
use super::metadata::{ATTRIBUTES, Target, initial_mode};
use super::report::Reason;
use super::tally::Tally;
use super::{Refused, Site};
use crate::error::Error;
use crate::tree::{Child, Device, FileContent, Kind, Metadata, NodeId, Xattr};

const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A thread's tools.
pub(super) struct Filler<'a> {
    site: &'a Site<'a>,
    cloner: Cloner,
    tally: Tally,
}

impl<'a> Filler<'a> {
    pub(super) fn new(site: &'a Site<'a>) -> Self {
        Self { site, cloner: Cloner::new(), tally: Tally::default() }
    }

    fn make(&mut self, directory: BorrowedFd<'_>, child: &Child<'_>) -> Result<(), Error> {
        let node = self.site.tree.node(child.node);
        let made = match &node.kind {
            // Its own mode comes when nothing is made in it any more.
            Kind::Directory(_) => mkdirat(directory, child.name, Mode::RWXU).map_err(io::Error::from),
            Kind::File(content) => return self.file(directory, child, &node.metadata, *content),
            Kind::Symlink(target) => symlinkat(&**target, directory, child.name)
                .map_err(io::Error::from)
                .and_then(|()| self.link_metadata(directory, child, &node.metadata)),
            Kind::CharDevice(device) => self.special(directory, child, FileType::CharacterDevice, *device),
            Kind::BlockDevice(device) => self.special(directory, child, FileType::BlockDevice, *device),
            Kind::Fifo => {
                let none = Device { major: 0, minor: 0 };
                self.special(directory, child, FileType::Fifo, none)
            }
        };
        made.map_err(|source| Error::File { action: "create", path: self.path(child), source })
    }

    fn file(
        &mut self,
        directory: BorrowedFd<'_>,
        child: &Child<'_>,
        metadata: &Metadata,
        content: Option<FileContent>,
    ) -> Result<(), Error> {
        let failed = |action| {
            let path = self.site.path_of(child.id);
            move |source| Error::File { action, path, source }
        };
        let reference = content.and_then(|content| self.site.contents.reference(&content.digest));
        let made = match &reference {
            Some(_) => initial_mode(metadata) | ATTRIBUTES,
            None => initial_mode(metadata),
        };
        let file = openat(directory, child.name, NEW_FILE, made);
        let file = File::from(file.map_err(|error| failed("create")(error.into()))?);
        match (content, reference) {
            (Some(content), Some(reference)) => {
                refer(&file, content.len, &reference).map_err(failed("write"))?
            }
            (Some(content), None) => self.content(&file, child, content)?,
            (None, _) => {}
        }
        let target = Target::Open(file.as_fd());
        self.metadata(target, child, metadata, made).map_err(failed("set the attributes of"))
    }

    fn content(&mut self, file: &File, child: &Child<'_>, content: FileContent) -> Result<(), Error> {
        let FileContent { digest, len } = content;
        let source = self.site.contents.open(&digest)?;
        let source = source.ok_or_else(|| Refused::NoContent { path: self.path(child), digest })?;
        match self.cloner.fill(&source, file, len) {
            Ok(Means::Cloned) => self.tally.cloned.add(len),
            Ok(Means::Copied(bytes)) => self.tally.copied.add(bytes),
            Ok(Means::WrongLen(found)) => {
                return Err(Refused::WrongLen { path: self.path(child), digest, expected: len, found }.into());
            }
            Err(source) => return Err(Error::File { action: "write", path: self.path(child), source }),
        }
        Ok(())
    }

    fn special(
        &mut self,
        directory: BorrowedFd<'_>,
        child: &Child<'_>,
        kind: FileType,
        device: Device,
    ) -> io::Result<()> {
        let node = self.site.tree.node(child.node);
        let number = makedev(device.major, device.minor);
        match mknodat(directory, child.name, kind, initial_mode(&node.metadata), number) {
            Ok(()) => {
                let made = initial_mode(&node.metadata);
                self.metadata(Target::Named(directory, child.name), child, &node.metadata, made)
            }
            Err(Errno::PERM) if kind != FileType::Fifo => {
                let tree = self.site.tree;
                self.tally.skip(Reason::DeviceNotPermitted, || tree.path_of(child.id).join("/"));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn link_metadata(
        &mut self,
        directory: BorrowedFd<'_>,
        child: &Child<'_>,
        metadata: &Metadata,
    ) -> io::Result<()> {
        self.metadata(Target::Link(directory, child.name), child, metadata, initial_mode(metadata))
    }

    /// Gives a file that was made with `made` as its mode all its metadata.
    fn metadata(
        &mut self,
        target: Target<'_>,
        child: &Child<'_>,
        metadata: &Metadata,
        made: Mode,
    ) -> io::Result<()> {
        let (site, tally) = (self.site, &mut self.tally);
        let owner = site.owners.of(metadata).flatten();
        target.apply(metadata, owner, &site.staging.newborn, made, |reason, xattr| {
            tally.skip(reason, || format!("{} {}", site.tree.path_of(child.id).join("/"), xattr.name));
        })
    }

    fn path(&self, child: &Child<'_>) -> PathBuf {
        self.site.path_of(child.id)
    }
}

/// Makes a file all hole, with attributes that say where its bytes are.
fn refer(file: &File, len: u64, reference: &[Xattr]) -> io::Result<()> {
    file.set_len(len)?;
    for xattr in reference {
        fsetxattr(file, &*xattr.name, &xattr.value, XattrFlags::empty())?;
    }
    Ok(())
}

impl Worker for Filler<'_> {
    fn directory(&mut self, id: NodeId) -> Result<Vec<NodeId>, Error> {
        let (tree, mut found) = (self.site.tree, Vec::new());
        let children = tree.children(id);
        if children.len() == 0 {
            return Ok(found);
        }
        let directory = self.site.open(id)?;
        for child in children.filter(|child| tree.is_first_name(child)) {
            self.make(directory.as_fd(), &child)?;
            if tree.node(child.node).kind.is_directory() {
                found.push(child.node);
            }
        }
        Ok(found)
    }

    fn finish(self) -> Tally {
        self.tally
    }
}
