//! A file being written, which gets its name only when it is complete.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Advice, AtFlags, CWD, Mode, OFlags, fadvise, linkat, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::directory::Directory;

/// Bytes worth collecting before they go to a file; frames of small files are far smaller.
pub(crate) const BUFFER_LEN: usize = 256 << 10;

/// Bytes after which the disk is told to begin. The sync at the end of 400 MB then takes 0.02 s instead of 0.2 s.
const WRITEBACK_LEN: u64 = 8 << 20;

/// Start of the names of files that are not complete; what a crash leaves of them can be removed.
pub const UNFINISHED: &str = ".morsel-";

const FILE_MODE: Mode = Mode::from_raw_mode(0o644);

/// A file that is not there yet. Dropped, it leaves nothing.
///
/// Where the file system allows, the file has no name at all, so that even a killed process leaves nothing. Otherwise it
/// has a temporary one, removed on drop.
#[derive(Debug)]
pub struct Staged {
    directory: Directory,
    file: File,
    name: Option<String>,
    /// Bytes written since the disk was told to begin.
    pending: u64,
}

impl Staged {
    pub(crate) fn new(directory: &Directory) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        // A file without a name gets one through /proc only.
        let unnamed = Path::new("/proc/self/fd").exists().then(|| openat(directory, ".", flags, FILE_MODE));
        match unnamed {
            Some(Ok(fd)) => {
                Ok(Self { directory: directory.clone(), file: fd.into(), name: None, pending: 0 })
            }
            Some(Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT)) | None => {
                Self::named(directory)
            }
            Some(Err(error)) => Err(error.into()),
        }
    }

    fn named(directory: &Directory) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let (name, fd) = with_free_name(|name| openat(directory, name, flags, FILE_MODE))?;
        Ok(Self { directory: directory.clone(), file: fd.into(), name: Some(name), pending: 0 })
    }

    /// Returns the file, open for reading and writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes the disk begin with what was written last, without waiting for it.
    fn start_writeback(&mut self) -> io::Result<()> {
        let end = self.file.stream_position()?;
        let start = end.saturating_sub(std::mem::take(&mut self.pending));
        // Of pages that are not on disk yet, giving them up only starts that. It is a hint; a refusal changes nothing.
        let _ = fadvise(&self.file, start, NonZeroU64::new(end - start), Advice::DontNeed);
        Ok(())
    }

    /// Returns the file without ever giving it a name.
    pub(crate) fn into_nameless(self) -> io::Result<File> {
        // Dropping `self` removes a temporary name.
        self.file.try_clone()
    }

    /// Gives the file its name in `directory`, in place of what has it, once its bytes are safe from a power loss.
    ///
    /// The directory has to be on the same file system as the one the file was staged in.
    pub fn publish(mut self, directory: &Directory, name: &str) -> io::Result<()> {
        self.file.sync_data()?;
        if self.name.is_none() && self.link(directory, name)? {
            return Ok(());
        }
        let temporary = match self.name.clone() {
            Some(temporary) => temporary,
            None => self.link_to_free_name()?,
        };
        renameat(&self.directory, temporary.as_str(), directory, name)?;
        self.name = None;
        Ok(())
    }

    /// Gives the unnamed file a name; `false` when the name is taken.
    fn link(&self, directory: &Directory, name: &str) -> io::Result<bool> {
        match linkat(CWD, self.descriptor_path(), directory, name, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Links cannot replace, renames can: a name in between.
    fn link_to_free_name(&mut self) -> io::Result<String> {
        let path = self.descriptor_path();
        let link = |name: &str| linkat(CWD, path.as_str(), &self.directory, name, AtFlags::SYMLINK_FOLLOW);
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
        let count = self.file.write(bytes)?;
        self.pending = self.pending.saturating_add(count as u64);
        if self.pending >= WRITEBACK_LEN {
            self.start_writeback()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Staged {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Nobody is left to tell; what stays has a name that marks it as unfinished.
            let _ = unlinkat(&self.directory, name.as_str(), AtFlags::empty());
        }
    }
}

/// Runs `take` with names until one is not taken.
fn with_free_name<T>(take: impl Fn(&str) -> Result<T, Errno>) -> io::Result<(String, T)> {
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

    use super::*;

    type Stage = fn(&Directory) -> io::Result<Staged>;

    fn names(path: &Path) -> Vec<String> {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_name_appears_with_the_last_byte_whichever_way_the_file_is_staged() {
        for stage in [Staged::new as Stage, Staged::named] {
            let dir = tempfile::tempdir().unwrap();
            let directory = Directory::open(dir.path()).unwrap();
            for content in ["one", "two"] {
                let mut staged = stage(&directory).unwrap();
                staged.write_all(content.as_bytes()).unwrap();
                staged.publish(&directory, "name").unwrap();
                assert_eq!(names(dir.path()), ["name"]);
                assert_eq!(fs::read_to_string(dir.path().join("name")).unwrap(), content);
            }
            drop(stage(&directory).unwrap());
            assert_eq!(names(dir.path()), ["name"]);
        }
    }

    #[test]
    fn files_move_into_subdirectories() {
        for stage in [Staged::new as Stage, Staged::named] {
            let dir = tempfile::tempdir().unwrap();
            let directory = Directory::open(dir.path()).unwrap();
            let subdirectory = directory.subdirectory("sub").unwrap();
            stage(&directory).unwrap().publish(&subdirectory, "name").unwrap();
            stage(&directory).unwrap().publish(&subdirectory, "name").unwrap();
            assert_eq!(names(dir.path()), ["sub"]);
            assert_eq!(names(&dir.path().join("sub")), ["name"]);
        }
    }
}
