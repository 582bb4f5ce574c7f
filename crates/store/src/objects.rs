//! Complete file content, named by its SHA-256.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use chunked::{ContentDigest, Digest, FileRange};
use rustix::fs::{AtFlags, FileType, Stat, statat};
use rustix::io::Errno;

use crate::directory::Directory;
use crate::durability::Durability;
use crate::error::{Error, at_path};
use crate::staged::Staged;

/// Nobody changes an object.
pub(crate) const MODE: u32 = 0o400;

/// Bytes of [`path_of`] any digest.
pub const PATH_LEN: usize = 65;

/// Returns the path of an object below the directory of objects, `aa/<62 hex>`.
pub fn path_of(digest: &ContentDigest) -> String {
    let mut path = Digest::Sha256(digest.0).hex();
    path.insert(2, '/');
    path
}

/// The objects of a store: `objects/aa/<62 hex>`.
///
/// What is here was verified by whoever put it here. It is not read again to be sure of it: `fsck` does that.
#[derive(Debug)]
pub struct Objects {
    directory: Directory,
    /// `objects/00` to `objects/ff`, opened when first needed.
    fans: Vec<OnceLock<Directory>>,
    temporary: Directory,
    durability: Arc<Durability>,
}

impl Objects {
    pub(crate) fn new(directory: Directory, temporary: Directory, durability: Arc<Durability>) -> Self {
        let fans = (0..256).map(|_| OnceLock::new()).collect();
        let objects = Self { directory, fans, temporary, durability };
        // Looking for what is not there is quickest where its directory is. Where nothing can be written, it stays away.
        if let Ok(None) = objects.directory.find_subdirectory("ff") {
            let _ = (0..=u8::MAX).try_for_each(|first| objects.directory.make_subdirectory(&fan_of(first)));
        }
        objects
    }

    /// Returns the directory they are in.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Returns the path of the directory they are in, as the store was opened.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the length of an object in bytes; `None` when it is not here.
    ///
    /// # Errors
    /// [`Error::NotAFile`] when something else has its name, and those of the file system.
    pub fn len_of(&self, digest: &ContentDigest) -> Result<Option<u64>, Error> {
        let name = Name::of(digest);
        let Some(fan) = self.find_fan(&name)? else { return Ok(None) };
        match statat(fan, name.file(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Ok(u64::try_from(stat.st_size).ok())
            }
            Ok(_) => Err(Error::NotAFile { path: fan.path_of(name.file()) }),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(at_path("examine", fan.path_of(name.file()))(error)),
        }
    }

    /// Opens an object for reading; `None` when it is not here.
    ///
    /// # Errors
    /// [`Error::NotAFile`] when something else has its name, and those of the file system.
    pub fn open(&self, digest: &ContentDigest) -> Result<Option<File>, Error> {
        let name = Name::of(digest);
        match self.find_fan(&name)? {
            Some(fan) => fan.open_file(name.file()),
            None => Ok(None),
        }
    }

    /// Stores `bytes`, which the caller hashed to `digest`; `false` when the object was here already.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn put(&self, digest: &ContentDigest, bytes: &[u8]) -> Result<bool, Error> {
        self.put_sparse(digest, bytes, &[])
    }

    /// Does what [`Objects::put`] does, and leaves stretches of zeros out. Those are ascending, and within `bytes`.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn put_sparse(
        &self,
        digest: &ContentDigest,
        bytes: &[u8],
        holes: &[FileRange],
    ) -> Result<bool, Error> {
        let name = Name::of(digest);
        let fan = self.fan(&name)?;
        let failed = || at_path("write", fan.path_of(name.file()));
        let _writing = self.durability.writing()?;
        let mut staged = Staged::new(fan, &self.temporary, MODE).map_err(failed())?;
        match holes {
            [] => staged.write_all(bytes).map_err(failed())?,
            holes => write_around(staged.file(), bytes, holes).map_err(failed())?,
        }
        staged.publish_new(fan, name.file()).map_err(failed())
    }

    /// Starts an object whose bytes come in pieces, or whose digest is not known yet.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn stage(&self) -> Result<StagedObject<'_>, Error> {
        let staged = Staged::new(&self.directory, &self.temporary, MODE)
            .map_err(at_path("create a file in", self.directory.path()))?;
        Ok(StagedObject { objects: self, staged })
    }

    /// Moves a file that is complete and verified here; `false` when the object was here already.
    pub(crate) fn adopt(&self, from: &Directory, name: &str, digest: &ContentDigest) -> Result<bool, Error> {
        let object = Name::of(digest);
        let _writing = self.durability.writing()?;
        from.rename_new(name, self.fan(&object)?, object.file())
    }

    /// Lists what is in one of the 256 directories: objects, and what has no business there.
    pub(crate) fn list(&self, first: u8) -> Result<Vec<Found>, Error> {
        let fan = fan_of(first);
        let Some(directory) = self.directory.find_subdirectory(&fan)? else { return Ok(Vec::new()) };
        let found = |name: String| match format!("sha256:{fan}{name}").parse() {
            Ok(digest) => Found::Object(digest),
            Err(_) => Found::Other(name),
        };
        Ok(directory.names()?.into_iter().map(found).collect())
    }

    /// Examines what is named as an object; `None` when there is nothing.
    pub(crate) fn stat(&self, digest: &ContentDigest) -> Result<Option<Stat>, Error> {
        let name = Name::of(digest);
        match self.find_fan(&name)? {
            Some(fan) => fan.stat(name.file()),
            None => Ok(None),
        }
    }

    /// Removes an object, or what is named as one; `false` when there is none.
    pub(crate) fn remove(&self, digest: &ContentDigest) -> Result<bool, Error> {
        let name = Name::of(digest);
        match self.find_fan(&name)? {
            Some(fan) => fan.remove_any(name.file()),
            None => Ok(false),
        }
    }

    fn find_fan(&self, name: &Name) -> Result<Option<&Directory>, Error> {
        let Some(cell) = self.fans.get(usize::from(name.first)) else { return Ok(None) };
        if let Some(fan) = cell.get() {
            return Ok(Some(fan));
        }
        let found = self.directory.find_subdirectory(name.fan())?;
        Ok(found.map(|fan| cell.get_or_init(|| fan)))
    }

    fn fan(&self, name: &Name) -> Result<&Directory, Error> {
        if let Some(fan) = self.find_fan(name)? {
            return Ok(fan);
        }
        self.directory.subdirectory(name.fan())?;
        let missing = || at_path("open", self.directory.path_of(name.fan()))(Errno::NOENT);
        self.find_fan(name)?.ok_or_else(missing)
    }
}

/// Writes `bytes` except for the holes.
fn write_around(file: &File, bytes: &[u8], holes: &[FileRange]) -> io::Result<()> {
    let len = bytes.len() as u64;
    let end = FileRange::saturating(len, 0);
    let mut at = 0;
    for hole in holes.iter().chain([&end]) {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let data = bytes.get(place(at)..place(hole.start())).unwrap_or_default();
        file.write_all_at(data, at)?;
        at = hole.end();
    }
    file.set_len(len)
}

/// Names the directory of the objects whose digests begin with a byte.
fn fan_of(first: u8) -> String {
    format!("{first:02x}")
}

/// An object on its way into the store. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct StagedObject<'a> {
    objects: &'a Objects,
    staged: Staged,
}

impl StagedObject<'_> {
    /// Writes bytes at an offset, whatever was or was not written before it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.staged.file().write_all_at(bytes, at)
    }

    /// Makes the content `len` bytes long; what was not written is a hole, which reads as zeros.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        self.staged.file().set_len(len)
    }

    /// Returns the file, open for reading and writing.
    pub fn file(&self) -> &File {
        self.staged.file()
    }

    /// Stores the content, which the caller hashed to `digest`; `false` when the object was here already.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn commit(self, digest: &ContentDigest) -> Result<bool, Error> {
        let name = Name::of(digest);
        let _writing = self.objects.durability.writing()?;
        let fan = self.objects.fan(&name)?;
        let failed = at_path("write", fan.path_of(name.file()));
        self.staged.publish_new(fan, name.file()).map_err(failed)
    }
}

impl Write for StagedObject<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.staged.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.staged.flush()
    }
}

/// What is in a directory of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// An object, by its name.
    Object(ContentDigest),
    /// Anything else.
    Other(String),
}

/// The name of an object.
#[derive(Debug)]
pub(crate) struct Name {
    first: u8,
    hex: String,
}

impl Name {
    pub(crate) fn of(digest: &ContentDigest) -> Self {
        let [first, ..] = digest.0;
        Self { first, hex: Digest::Sha256(digest.0).hex() }
    }

    fn fan(&self) -> &str {
        self.hex.get(..2).unwrap_or_default()
    }

    fn file(&self) -> &str {
        self.hex.get(2..).unwrap_or_default()
    }
}
