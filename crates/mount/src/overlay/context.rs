//! A file system being configured: fsopen(2), fsconfig(2), fsmount(2).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};
use rustix::path::Arg;

use crate::error::{Error, shorten};

/// A file system that is not there yet.
#[derive(Debug)]
pub(super) struct Context {
    fd: OwnedFd,
    kind: &'static str,
}

impl Context {
    /// Starts with a type of file system.
    pub(super) fn open(kind: &'static str) -> Result<Self, Error> {
        let opened = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC);
        let fd = opened.map_err(|error| failure(kind, String::new(), error))?;
        Ok(Self { fd, kind })
    }

    pub(super) fn set(&self, key: &str, value: impl Arg) -> Result<(), Error> {
        fsconfig_set_string(&self.fd, key, value).map_err(|error| self.failed(error))
    }

    pub(super) fn set_fd(&self, key: &str, value: impl AsFd) -> Result<(), Error> {
        fsconfig_set_fd(&self.fd, key, value).map_err(|error| self.failed(error))
    }

    pub(super) fn set_flag(&self, key: &str) -> Result<(), Error> {
        fsconfig_set_flag(&self.fd, key).map_err(|error| self.failed(error))
    }

    /// Makes the file system, and a mount of it that is attached nowhere.
    pub(super) fn mount(self, attributes: MountAttrFlags) -> Result<OwnedFd, Error> {
        fsconfig_create(&self.fd)
            .and_then(|()| fsmount(&self.fd, FsMountFlags::FSMOUNT_CLOEXEC, attributes))
            .map_err(|error| self.failed(error))
    }

    /// Adds what the file system has to say.
    fn failed(&self, error: Errno) -> Error {
        let mut messages = Vec::new();
        let mut message = [0; 256];
        while let Ok(len) = rustix::io::read(&self.fd, &mut message) {
            // The first two bytes are the kind of message, and a blank.
            let text = message.get(2..len).unwrap_or_default();
            messages.push(shorten(String::from_utf8_lossy(text).trim_end()));
        }
        failure(self.kind, messages.join(", "), error)
    }
}

fn failure(kind: &'static str, messages: String, error: Errno) -> Error {
    Error::Kernel { kind, messages, source: io::Error::from(error) }
}
