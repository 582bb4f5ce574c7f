//! A directory of the host.

use std::path::{Component, Path, PathBuf};

use chunked::ContentDigest;
use rustix::fs::Stat;

use super::{Abilities, Candidate, Regular, Root, Seed, SeedName, Visit};
use crate::error::{Error, at_path};

/// How the names of such seeds begin.
pub(super) const KIND: &str = "dir";

/// A directory of the host, such as `/` or `/usr`, or the root of another system.
///
/// It has no digests, so it is asked for the paths that contents have in the image.
#[derive(Debug)]
pub struct HostRoot {
    name: SeedName,
    root: Root,
    /// Where it is below the root of the machine: `usr` for `/usr`. An image that has `usr/bin/env` means `bin/env` here.
    place: PathBuf,
    /// Directories that are not listed, by device and inode.
    left_out: Vec<(u64, u64)>,
}

impl HostRoot {
    /// Opens the directory at `path`. Of what is below, `left_out` is not listed for the index: the store itself.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(path: &Path, left_out: &[&Path]) -> Result<Self, Error> {
        let path = path.canonicalize().map_err(at_path("open", path))?;
        let root = Root::open(&path)?;
        let place = path.strip_prefix("/").unwrap_or(&path).to_owned();
        let left_out = left_out.iter().filter_map(|path| rustix::fs::stat(*path).ok()).map(|stat| id(&stat));
        Ok(Self { left_out: left_out.collect(), root, place, name: SeedName::new(KIND, path) })
    }

    /// Lists where a path of an image may lead to below the directory.
    fn places(&self, path: &str) -> Vec<PathBuf> {
        let Some(path) = relative(path) else { return Vec::new() };
        let here = path.strip_prefix(&self.place).ok().filter(|_| !self.place.as_os_str().is_empty());
        let here = here.map(Path::to_owned);
        here.into_iter().chain([path]).collect()
    }
}

impl Seed for HostRoot {
    fn name(&self) -> &SeedName {
        &self.name
    }

    fn abilities(&self) -> Abilities {
        Abilities { paths: true, ..Abilities::default() }
    }

    fn file(&self, _digest: &ContentDigest, _len: u64) -> Option<Candidate> {
        None
    }

    fn at(&self, path: &str) -> Vec<Regular> {
        self.places(path).iter().filter_map(|path| self.root.find(path)).collect()
    }

    fn has_directory(&self, path: &str) -> bool {
        self.places(path).iter().any(|path| self.root.may_have(path))
    }

    fn chunk(&self, _digest: &ContentDigest, _len: u64) -> Option<Candidate> {
        None
    }

    fn walk(&self, visit: Visit<'_>) -> Result<(), Error> {
        self.root.walk(&|_, stat| self.left_out.contains(&id(stat)), visit)
    }

    fn open(&self, path: &Path) -> Option<Regular> {
        self.root.find(path)
    }
}

fn id(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Makes a path of an image one below a directory; `None` for one that goes up, or names nothing.
pub(super) fn relative(path: &str) -> Option<PathBuf> {
    let mut relative = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => relative.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (!relative.as_os_str().is_empty()).then_some(relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_images_are_taken_below_the_directory() {
        let cases = [
            ("usr/bin/env", Some("usr/bin/env")),
            ("./usr//bin/./env", Some("usr/bin/env")),
            ("/usr/bin/env", Some("usr/bin/env")),
            ("usr/../etc/passwd", None),
            ("..", None),
            ("./", None),
            ("", None),
        ];
        for (path, expected) in cases {
            assert_eq!(relative(path), expected.map(PathBuf::from), "{path:?}");
        }
    }
}
