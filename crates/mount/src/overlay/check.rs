//! Does an overlay show content, and not zeros?
//!
//! The metadata is walked until a file is found whose content is here. What the overlay shows of it is compared with the
//! object. If nothing of it is here yet, the reference of a file must not be seen through the overlay: overlayfs hides the
//! attributes that it acts on, and only these.

use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fgetxattr, openat2};
use rustix::io::Errno;
use serde::Serialize;

use super::Parts;
use crate::erofs::Form;
use crate::error::{Error, shorten};

/// Names that are looked at before nothing is said to be here.
const NAMES: usize = 500;

/// Bytes that are compared.
const COMPARED: usize = 4096;

/// Names come from an image, so they lead nowhere but into the mount.
const INSIDE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_XDEV);

/// How much of an overlay was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checked {
    /// A file shows its content.
    Content,
    /// The kernel acts on the reference of a file; its content is not here.
    Reference,
    /// There is no file with content.
    Nothing,
}

/// How an overlay is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// A file shows something else than its content.
    #[error("`{}` shows something else than its content", shorten(.0))]
    Content(String),
    /// The kernel does not follow references.
    #[error("the kernel does not follow the reference of `{}` to its content", shorten(.0))]
    Reference(String),
}

/// A file of the metadata that is not empty, so it should refer to content.
struct Referring {
    path: CString,
    /// Where its content is, below a directory of content; empty when it does not say.
    object: Vec<u8>,
}

/// Checks an overlay.
pub(super) fn check(parts: &Parts<'_>, overlay: BorrowedFd<'_>) -> Result<Checked, Error> {
    let failed = |source| Error::Check { source };
    let mut first = None;
    for file in Walk::new(parts.metadata.as_fd(), parts.form) {
        let file = file.map_err(failed)?;
        if file.object.is_empty() {
            return Err(Wrong::Reference(file.name()).into());
        }
        let expected = start_of_object(parts, &file).map_err(failed)?;
        if expected.iter().any(|byte| *byte != 0) {
            let found = open(overlay, &file.path, OFlags::RDONLY).and_then(start).map_err(failed)?;
            let is_same = found == expected;
            return if is_same { Ok(Checked::Content) } else { Err(Wrong::Content(file.name()).into()) };
        }
        first.get_or_insert(file);
    }
    match first {
        None => Ok(Checked::Nothing),
        Some(file) if is_followed(parts.form, overlay, &file).map_err(failed)? => Ok(Checked::Reference),
        Some(file) => Err(Wrong::Reference(file.name()).into()),
    }
}

/// Returns how an object starts; nothing when it is not here.
fn start_of_object(parts: &Parts<'_>, file: &Referring) -> io::Result<Vec<u8>> {
    let Some(objects) = parts.data.first() else { return Ok(Vec::new()) };
    match openat2(objects.fd, &*file.object, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), INSIDE) {
        Ok(object) => start(object),
        Err(Errno::NOENT) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Tells whether overlayfs keeps the reference of a file to itself.
fn is_followed(form: Form, overlay: BorrowedFd<'_>, file: &Referring) -> io::Result<bool> {
    // Opening it for reading would fetch it.
    let file = open(overlay, &file.path, OFlags::PATH)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    match rustix::fs::getxattr(path, form.redirect_name(), &mut [0_u8; 0]) {
        Ok(_) => Ok(false),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn open(root: BorrowedFd<'_>, path: &CString, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), INSIDE)?)
}

fn start(file: OwnedFd) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::from(file).take(COMPARED as u64).read_to_end(&mut start)?;
    Ok(start)
}

impl Referring {
    fn name(&self) -> String {
        format!("/{}", self.path.to_string_lossy())
    }
}

/// Finds the files of metadata that should refer to content, directory by directory.
struct Walk<'a> {
    root: BorrowedFd<'a>,
    form: Form,
    /// Names that may still be looked at.
    names: usize,
    directories: VecDeque<Vec<u8>>,
    files: VecDeque<CString>,
}

impl<'a> Walk<'a> {
    fn new(root: BorrowedFd<'a>, form: Form) -> Self {
        Self { root, form, names: NAMES, directories: [Vec::new()].into(), files: VecDeque::new() }
    }

    /// Lists a directory.
    fn list(&mut self, directory: &[u8]) -> io::Result<()> {
        let path = if directory.is_empty() { b".".to_vec() } else { directory.to_vec() };
        let opened = open(self.root, &CString::new(path)?, OFlags::RDONLY | OFlags::DIRECTORY)?;
        for entry in Dir::read_from(opened.as_fd())? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if [&b"."[..], b".."].contains(&name) {
                continue;
            }
            let Some(left) = self.names.checked_sub(1) else { break };
            self.names = left;
            let path = if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() };
            match entry.file_type() {
                FileType::Directory => self.directories.push_back(path),
                FileType::RegularFile => self.files.push_back(CString::new(path)?),
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns what a file refers to; `None` when it is empty.
    fn referring(&self, path: CString) -> io::Result<Option<Referring>> {
        let file = File::from(open(self.root, &path, OFlags::RDONLY)?);
        if file.metadata()?.len() == 0 {
            return Ok(None);
        }
        let mut target = [0; 128];
        let object = match fgetxattr(&file, self.form.redirect_name(), &mut target) {
            Ok(len) => {
                let target = target.get(..len).unwrap_or_default();
                target.strip_prefix(b"/").unwrap_or(target).to_vec()
            }
            Err(Errno::NODATA) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Referring { path, object }))
    }
}

impl Iterator for Walk<'_> {
    type Item = io::Result<Referring>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some(path) = self.files.pop_front() {
                match self.referring(path) {
                    Ok(None) => {}
                    Ok(Some(file)) => return Some(Ok(file)),
                    // Where the owner of all files is not root, some cannot be opened.
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                    Err(error) => return Some(Err(error)),
                }
            }
            let directory = self.directories.pop_front()?;
            match self.list(&directory) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Some(Err(error)),
                Ok(()) => {}
            }
        }
    }
}
