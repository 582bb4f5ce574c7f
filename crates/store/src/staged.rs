//! A file being written, which gets its name only when it is complete.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use crate::directory::Directory;

/// Start of the names of files that are not complete; what a crash leaves of them is garbage.
pub(crate) const UNFINISHED: &str = ".new-";

/// A file that is not there yet. Dropped, it leaves nothing.
///
/// Where the file system allows, the file has no name at all, so that even a killed process leaves nothing. Otherwise it
/// has a temporary one.
#[derive(Debug)]
pub(crate) struct Staged {
    file: File,
    /// Where temporary names are made.
    temporary: Directory,
    name: Option<String>,
}

impl Staged {
    /// Starts a file in `home`, or where that takes a name, in `temporary`; both are on one file system.
    pub(crate) fn new(home: &Directory, temporary: &Directory, mode: u32) -> io::Result<Self> {
        let mode = Mode::from_raw_mode(mode);
        if can_link_descriptors() {
            let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
            match openat(home, ".", flags, mode) {
                Ok(fd) => {
                    return Ok(Self { file: fd.into(), temporary: temporary.clone(), name: None });
                }
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Self::named(temporary, mode)
    }

    fn named(temporary: &Directory, mode: Mode) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let (name, fd) = with_free_name(|name| openat(temporary, name, flags, mode))?;
        Ok(Self { file: fd.into(), temporary: temporary.clone(), name: Some(name) })
    }

    /// Returns the file, open for reading and writing.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name in `directory`; `false` when the name is taken, and then the file is gone.
    pub(crate) fn publish_new(mut self, directory: &Directory, name: &str) -> io::Result<bool> {
        let published = match &self.name {
            None => linkat(CWD, self.descriptor_path(), directory, name, AtFlags::SYMLINK_FOLLOW),
            Some(temporary) => {
                let renamed =
                    renameat_with(&self.temporary, temporary, directory, name, RenameFlags::NOREPLACE);
                match renamed {
                    // Not every file system can refuse to replace; what is replaced is the same.
                    Err(Errno::INVAL | Errno::NOSYS) => renameat(&self.temporary, temporary, directory, name),
                    renamed => renamed,
                }
            }
        };
        match published {
            Ok(()) => {
                self.name = None;
                Ok(true)
            }
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the file its name in `directory`, in place of what has it.
    pub(crate) fn replace(mut self, directory: &Directory, name: &str) -> io::Result<()> {
        let temporary = match self.name.clone() {
            Some(temporary) => temporary,
            None => self.link_to_free_name()?,
        };
        renameat(&self.temporary, temporary.as_str(), directory, name)?;
        self.name = None;
        Ok(())
    }

    /// Links cannot replace, renames can: a name in between.
    fn link_to_free_name(&mut self) -> io::Result<String> {
        let path = self.descriptor_path();
        let link = |name: &str| linkat(CWD, path.as_str(), &self.temporary, name, AtFlags::SYMLINK_FOLLOW);
        let (name, ()) = with_free_name(link)?;
        self.name = Some(name.clone());
        Ok(name)
    }

    fn descriptor_path(&self) -> String {
        format!("/proc/self/fd/{}", self.file.as_raw_fd())
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Nobody is left to tell; what stays has a name that marks it as unfinished.
            let _ = unlinkat(&self.temporary, name.as_str(), AtFlags::empty());
        }
    }
}

/// Tells whether a file without a name can get one, which takes `/proc`.
fn can_link_descriptors() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| Path::new("/proc/self/fd").exists())
}

/// Runs `take` with names until one is not taken.
pub(crate) fn with_free_name<T>(take: impl Fn(&str) -> Result<T, Errno>) -> io::Result<(String, T)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{UNFINISHED}{}-{number}", std::process::id());
        match take(&name) {
            Err(Errno::EXIST) => {}
            Ok(taken) => return Ok((name, taken)),
            Err(error) => return Err(error.into()),
        }
    }
}
