//! Repositories of ostree whose files lie there as they are: modes `bare`, `bare-user`, `bare-user-only`, and
//! `bare-split-xattrs`.
//!
//! ostree names a file by a checksum of owner, mode and attributes as well as content, so no digest in an image leads to
//! it, unless there is a payload link: ostree makes those where files can share their bytes. Otherwise the directories of
//! all commits that a ref names are searched for the path the file has in the image.

mod object;
mod trees;
mod variant;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use chunked::{ContentDigest, Digest};

use self::object::object_path;
pub use self::object::{Checksum, DirTree, root_of_commit};
use self::trees::Trees;
use super::{Abilities, Candidate, Regular, Root, Seed, SeedName, VERSIONS_MAX, Visit, host};
use crate::error::{Error, at_path};

/// How the names of such seeds begin.
pub(super) const KIND: &str = "ostree";

/// Where a system that runs from a repository has it.
const IN_SYSTEM: &str = "ostree/repo";
/// Longest `config`.
const CONFIG_LEN_MAX: u64 = 1 << 20;
/// Longest ref: a checksum and a line end.
const REF_LEN_MAX: u64 = 128;
/// Most refs that are read.
const REFS_MAX: usize = 10_000;
/// Longest commit. Those of containers hold a manifest and a config.
const COMMIT_LEN_MAX: u64 = 16 << 20;

/// A repository of ostree.
#[derive(Debug)]
pub struct OstreeRepo {
    name: SeedName,
    root: Root,
    /// The root directories of the commits that refs name.
    commits: Vec<Checksum>,
    trees: Trees,
}

impl OstreeRepo {
    /// Opens the repository at `path`, or that of the system whose root is there.
    ///
    /// # Errors
    /// [`Error::NotASeed`] for a directory that is none, or one in a mode that compresses files; and those of the file
    /// system.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let in_system = path.join(IN_SYSTEM);
        let path = if in_system.join("config").is_file() { &in_system } else { path };
        let path = path.canonicalize().map_err(at_path("open", path))?;
        let root = Root::open(&path)?;
        check_mode(&root)?;
        let commits = commits(&root);
        Ok(Self { name: SeedName::new(KIND, path), root, commits, trees: Trees::default() })
    }

    /// Finds the file of that content, if ostree linked to it.
    fn by_digest(&self, digest: &ContentDigest) -> Option<PathBuf> {
        let link = object_path(&Digest::Sha256(digest.0).hex(), "payload-link");
        let target = self.root.link(Path::new(&link))?;
        // It is `../aa/<62 hex>.file`, and nothing else is followed.
        let hex: String = target.to_str()?.strip_prefix("../")?.strip_suffix(".file")?.split('/').collect();
        Some(Checksum::from_hex(&hex)?.path("file").into())
    }

    /// Lists the files that have that path in a commit.
    fn by_path(&self, path: &str) -> impl Iterator<Item = PathBuf> {
        let path = host::relative(path);
        // The image of a system that runs from a repository has the same objects in one.
        let object = path.as_deref().and_then(below_objects);
        // A commit has the files of `etc` where they are merged from.
        let path_in_usr =
            path.as_deref().filter(|path| path.starts_with("etc")).map(|path| Path::new("usr").join(path));
        let paths = path.into_iter().chain(path_in_usr);
        let in_commits = paths.flat_map(|path| {
            let find = |commit: &Checksum| self.trees.find(&self.root, commit, &path);
            self.commits.iter().filter_map(find).collect::<BTreeSet<_>>()
        });
        object.into_iter().chain(in_commits.map(|checksum| checksum.path("file").into()))
    }
}

impl Seed for OstreeRepo {
    fn name(&self) -> &SeedName {
        &self.name
    }

    fn abilities(&self) -> Abilities {
        Abilities { digests: true, paths: true, chunks: false }
    }

    fn file(&self, digest: &ContentDigest, len: u64) -> Option<Candidate> {
        let file = self.root.find(&self.by_digest(digest)?).filter(|file| file.stamp().len == len)?;
        file.open().map(Candidate::File)
    }

    fn at(&self, path: &str) -> Vec<Regular> {
        self.by_path(path).filter_map(|path| self.root.find(&path)).take(VERSIONS_MAX).collect()
    }

    fn chunk(&self, _digest: &ContentDigest, _len: u64) -> Option<Candidate> {
        None
    }

    fn walk(&self, visit: Visit<'_>) -> Result<(), Error> {
        let Some(objects) = self.root.subdirectory(Path::new("objects")) else { return Ok(()) };
        objects.walk(&|_, _| false, &mut |path, stamp| match path.extension() == Some(OsStr::new("file")) {
            true => visit(&Path::new("objects").join(path), stamp),
            false => ControlFlow::Continue(()),
        })
    }

    fn open(&self, path: &Path) -> Option<Regular> {
        self.root.find(path)
    }
}

/// Tells whether there is a repository.
pub(super) fn is_at(path: &Path) -> bool {
    path.join("config").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir()
}

/// Returns the path of an object below a repository, if that is what the path of a file in an image says.
fn below_objects(path: &Path) -> Option<PathBuf> {
    let (_, object) = path.to_str()?.split_once("ostree/repo/objects/")?;
    let hex: String = object.strip_suffix(".file")?.split('/').collect();
    Some(Checksum::from_hex(&hex)?.path("file").into())
}

/// Makes sure that the files lie there as they are.
fn check_mode(root: &Root) -> Result<(), Error> {
    let not = |expected| Error::NotASeed { path: root.path().to_owned(), expected };
    let config = root.read(Path::new("config"), CONFIG_LEN_MAX);
    let config = config.ok_or_else(|| not("a repository of ostree, with a file `config`"))?;
    let config = String::from_utf8_lossy(&config);
    let mode = config.lines().find_map(|line| line.trim().strip_prefix("mode")?.trim().strip_prefix('='));
    match mode.map(str::trim) {
        Some(mode) if mode.starts_with("bare") => Ok(()),
        _ => Err(not(
            "a repository of ostree that does not compress its files, of mode `bare`, `bare-user` or the like",
        )),
    }
}

/// Reads the root directories of the commits that refs name. Refs and commits that cannot be read are left out.
fn commits(root: &Root) -> Vec<Checksum> {
    let mut refs = Vec::new();
    if let Some(directory) = root.subdirectory(Path::new("refs")) {
        let _ = directory.walk(&|_, _| false, &mut |path, _| {
            refs.push(path.to_owned());
            if refs.len() < REFS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
    }
    let commits: BTreeSet<_> =
        refs.iter().filter_map(|path| commit(root, &Path::new("refs").join(path))).collect();
    commits.into_iter().collect()
}

/// Reads the root directory of the commit that a ref names.
fn commit(root: &Root, path: &Path) -> Option<Checksum> {
    let text = root.read(path, REF_LEN_MAX)?;
    let commit = Checksum::from_hex(str::from_utf8(&text).ok()?.trim())?;
    root_of_commit(&root.read(Path::new(&commit.path("commit")), COMMIT_LEN_MAX)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_a_system_names_objects() {
        let hex = "44f778e59f0a4748d6b0c90a47347212a231c4ad1e8f7ea5c5dffc7749153a6b";
        let object = format!("objects/44/{}.file", &hex[2..]);
        let path = format!("sysroot/ostree/repo/{object}");
        assert_eq!(below_objects(Path::new(&path)), Some(PathBuf::from(&object)));
        for other in ["usr/bin/env", "ostree/repo/objects/../../etc.file", "ostree/repo/objects/44/f7.file"] {
            assert_eq!(below_objects(Path::new(other)), None, "{other}");
        }
    }
}
