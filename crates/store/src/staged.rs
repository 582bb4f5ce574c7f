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
            None => self.link(directory, name),
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
        let (name, ()) = with_free_name(|name| self.link(&self.temporary, name))?;
        self.name = Some(name.clone());
        Ok(name)
    }

    /// Gives a file without a name one. The direct way takes a privilege or, since Linux 6.10, that we opened the file; the
    /// other one takes `/proc`.
    fn link(&self, directory: &Directory, name: &str) -> Result<(), Errno> {
        match linkat(&self.file, "", directory, name, AtFlags::EMPTY_PATH) {
            Err(Errno::NOENT) => {
                let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                linkat(CWD, path, directory, name, AtFlags::SYMLINK_FOLLOW)
            }
            linked => linked,
        }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    type Stage = fn(&Directory) -> io::Result<Staged>;

    /// Both ways to stage a file: without a name, and, for file systems that cannot, with a temporary one.
    const WAYS: [Stage; 2] = [
        |directory| Staged::new(directory, directory, 0o400),
        |directory| Staged::named(directory, Mode::from_raw_mode(0o400)),
    ];

    fn names(path: &Path) -> Vec<String> {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_name_is_given_once_and_nothing_else_is_left() {
        for stage in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let directory = Directory::open(dir.path()).unwrap();
            for (content, is_new) in [("one", true), ("two", false)] {
                let mut staged = stage(&directory).unwrap();
                staged.write_all(content.as_bytes()).unwrap();
                assert_eq!(staged.publish_new(&directory, "name").unwrap(), is_new);
            }
            drop(stage(&directory).unwrap());
            assert_eq!(names(dir.path()), ["name"]);
            let path = dir.path().join("name");
            assert_eq!(fs::read_to_string(&path).unwrap(), "one");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        }
    }

    #[test]
    fn a_name_can_be_taken_over() {
        for stage in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let directory = Directory::open(dir.path()).unwrap();
            for content in ["one", "two"] {
                let mut staged = stage(&directory).unwrap();
                staged.write_all(content.as_bytes()).unwrap();
                staged.replace(&directory, "name").unwrap();
                assert_eq!(fs::read_to_string(dir.path().join("name")).unwrap(), content);
            }
            assert_eq!(names(dir.path()), ["name"]);
        }
    }
}
