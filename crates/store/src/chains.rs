//! What was made of chains of layers: files that can be made again from the layers' TOCs.

mod sys;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use chunked::{Digest, TocDigest};
use serde::{Deserialize, Serialize};

use crate::directory::Directory;
use crate::error::{Error, at_path};
use crate::staged::Staged;

/// Whoever may not become root gets no way past the overlay that belongs above the metadata.
const MODE: u32 = 0o400;

/// Identifies the tree that layers make, by the digests of their TOCs.
///
/// It is the chain ID of the OCI image specification with TOC digests in the place of diff IDs. A TOC digest is verified
/// before anything is made of a layer. A diff ID may be a mere claim until the last byte of the layer has come, and an
/// image could claim those of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(TocDigest);

impl ChainId {
    /// Returns the ID of a chain, the lowest layer first.
    pub fn of(layers: &[TocDigest]) -> Self {
        let next = |below: TocDigest, layer: &TocDigest| TocDigest::of(format!("{below} {layer}").as_bytes());
        match layers.split_first() {
            Some((lowest, others)) => Self(others.iter().fold(*lowest, next)),
            None => Self(TocDigest::of(b"")),
        }
    }

    /// Returns its first 16 bytes.
    pub fn prefix(&self) -> [u8; 16] {
        let bytes: &[u8] = match &self.0.0 {
            Digest::Sha256(bytes) => bytes,
            Digest::Sha512(bytes) => bytes,
        };
        bytes.first_chunk().copied().unwrap_or_default()
    }

    /// Returns its digits.
    pub fn hex(&self) -> String {
        self.0.0.hex()
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What can be made of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// The metadata as a file system image, for overlays of root.
    Image,
    /// The metadata as a directory, for overlays of root.
    Tree,
    /// The same, for overlays in user namespaces.
    UserTree,
}

impl Made {
    const ALL: [Self; 3] = [Self::Image, Self::Tree, Self::UserTree];

    /// Returns how its name ends.
    fn suffix(self) -> &'static str {
        match self {
            Self::Image => "erofs",
            Self::Tree => "tree",
            Self::UserTree => "user.tree",
        }
    }
}

/// What was made of chains: `chains/<hex of the chain ID>.<what>`.
#[derive(Debug)]
pub struct Chains {
    directory: Directory,
    temporary: Directory,
}

impl Chains {
    pub(crate) fn new(directory: Directory, temporary: Directory) -> Self {
        Self { directory, temporary }
    }

    /// Opens an image that was made of a chain; `None` when it was not, or is gone.
    ///
    /// # Errors
    /// [`Error::NotAFile`]; those of the file system.
    pub fn open(&self, chain: &ChainId, what: Made) -> Result<Option<File>, Error> {
        self.directory.open_file(&name(chain, what))
    }

    /// Returns where a directory of a chain is, or would be. Whoever makes it lets it appear as a whole.
    pub fn path_of(&self, chain: &ChainId, what: Made) -> PathBuf {
        self.directory.path_of(&name(chain, what))
    }

    /// Makes a file of a chain; others see all of it or nothing, and a power loss takes nothing of it. Returns it, open
    /// for reading. When another process was faster, its file stays.
    ///
    /// # Errors
    /// Those of `write`, and of the file system.
    pub fn make(
        &self,
        chain: &ChainId,
        what: Made,
        write: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<File, Error> {
        let name = name(chain, what);
        let failed = || at_path("write", self.directory.path_of(&name));
        let staged = Staged::new(&self.directory, &self.temporary, MODE).map_err(failed())?;
        write(staged.file()).map_err(failed())?;
        staged.file().sync_data().map_err(failed())?;
        staged.publish_new(&self.directory, &name).map_err(failed())?;
        self.directory.sync()?;
        let lost = || at_path("open", self.directory.path_of(&name))(io::ErrorKind::NotFound);
        self.directory.open_file(&name)?.ok_or_else(lost)
    }

    /// Tells who uses what was made of chains: mounts in any namespace, and those that lost their name but have users.
    pub(crate) fn uses(&self) -> Result<Uses, Error> {
        let mut uses = Uses::default();
        for name in self.directory.names()? {
            let Some((chain, suffix)) =
                name.split_once('.').and_then(|(hex, suffix)| Some((parse(hex)?, suffix)))
            else {
                continue;
            };
            let is_open = match suffix == Made::Image.suffix() {
                true => self.directory.open_file(&name)?.and_then(|file| sys::is_open_elsewhere(&file).ok()),
                false => None,
            };
            match is_open {
                Some(true) => _ = uses.mounted.insert(chain),
                Some(false) => {}
                None => _ = uses.unknown.insert(chain),
            }
        }
        Ok(uses)
    }

    /// Lists what was made of other chains than these, and is not in use.
    pub(crate) fn stray(&self, kept: &BTreeSet<ChainId>) -> Result<Vec<(Directory, String)>, Error> {
        let kept: BTreeSet<_> = kept.iter().map(ChainId::hex).collect();
        let is_ours = |suffix: &str| Made::ALL.iter().any(|what| what.suffix() == suffix);
        let is_kept = |name: &String| {
            name.split_once('.').is_some_and(|(hex, suffix)| kept.contains(hex) && is_ours(suffix))
        };
        let mounted: BTreeSet<_> = self.uses()?.mounted.iter().map(ChainId::hex).collect();
        let is_mounted = |name: &String| name.split_once('.').is_some_and(|(hex, _)| mounted.contains(hex));
        let stray = self.directory.names()?.into_iter().filter(|name| !is_kept(name) && !is_mounted(name));
        Ok(stray.map(|name| (self.directory.clone(), name)).collect())
    }
}

/// What is known of who uses chains.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// Chains whose image is mounted somewhere.
    pub(crate) mounted: BTreeSet<ChainId>,
    /// Chains of which nobody can tell: directories.
    pub(crate) unknown: BTreeSet<ChainId>,
}

/// Reads the digits of a chain ID.
fn parse(hex: &str) -> Option<ChainId> {
    let algorithm = if hex.len() == 64 { "sha256" } else { "sha512" };
    format!("{algorithm}:{hex}").parse().ok().map(|digest| ChainId(TocDigest(digest)))
}

fn name(chain: &ChainId, what: Made) -> String {
    format!("{}.{}", chain.hex(), what.suffix())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_id_of_a_chain_is_that_of_oci_with_other_digests() {
        let [one, two] = [TocDigest::of(b"1"), TocDigest::of(b"2")];
        assert_eq!(ChainId::of(&[one]).to_string(), one.to_string());
        let both = Digest::of(format!("{one} {two}").as_bytes()).to_string();
        assert_eq!(ChainId::of(&[one, two]).to_string(), both);
        assert_ne!(ChainId::of(&[one, two]), ChainId::of(&[two, one]));
        assert_ne!(ChainId::of(&[]), ChainId::of(&[one]));
    }

    #[test]
    fn what_is_made_is_there_for_all_and_goes_when_nobody_needs_it() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        let chains = Chains::new(directory.clone(), directory);
        let ids = [ChainId::of(&[]), ChainId::of(&[TocDigest::of(b"1")])];
        for chain in &ids {
            assert!(chains.open(chain, Made::Image).unwrap().is_none());
            for text in ["first", "second"] {
                let file =
                    chains.make(chain, Made::Image, |mut file| file.write_all(text.as_bytes())).unwrap();
                assert_eq!(io::read_to_string(file).unwrap(), "first");
            }
        }
        let open = chains.open(&ids[1], Made::Image).unwrap();
        assert_eq!(chains.uses().unwrap().mounted, BTreeSet::from([ids[1]]));
        assert!(chains.stray(&BTreeSet::from([ids[0]])).unwrap().is_empty());
        drop(open);
        assert!(chains.uses().unwrap().mounted.is_empty());
        let empty = ChainId::of(&[TocDigest::of(b"2")]);
        assert!(chains.make(&empty, Made::Image, |_| Err(io::ErrorKind::Other.into())).is_err());
        assert!(chains.open(&empty, Made::Image).unwrap().is_none());
        std::fs::create_dir(chains.path_of(&ids[0], Made::Tree)).unwrap();
        let unfinished = format!("{}.tree.unfinished", ids[0].hex());
        std::fs::write(dir.path().join(&unfinished), "").unwrap();
        let stray = chains.stray(&BTreeSet::from([ids[0]])).unwrap();
        let names: BTreeSet<_> = stray.into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, BTreeSet::from([format!("{}.erofs", ids[1].hex()), unfinished]));
    }
}
