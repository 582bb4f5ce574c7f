//! What was made of chains of layers: files that can be made again from the layers' TOCs.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io;

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

/// What was made of chains: `chains/<hex of the chain ID>.<kind>`.
#[derive(Debug)]
pub struct Chains {
    directory: Directory,
    temporary: Directory,
}

impl Chains {
    pub(crate) fn new(directory: Directory, temporary: Directory) -> Self {
        Self { directory, temporary }
    }

    /// Opens what was made of a chain; `None` when it was not, or is gone.
    ///
    /// # Errors
    /// [`Error::NotAFile`]; those of the file system.
    pub fn open(&self, chain: &ChainId, kind: &str) -> Result<Option<File>, Error> {
        self.directory.open_file(&name(chain, kind))
    }

    /// Makes a file of a chain; others see all of it or nothing, and a power loss takes nothing of it. Returns it, open
    /// for reading. When another process was faster, its file stays.
    ///
    /// # Errors
    /// Those of `write`, and of the file system.
    pub fn make(
        &self,
        chain: &ChainId,
        kind: &str,
        write: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<File, Error> {
        let name = name(chain, kind);
        let failed = || at_path("write", self.directory.path_of(&name));
        let staged = Staged::new(&self.directory, &self.temporary, MODE).map_err(failed())?;
        write(staged.file()).map_err(failed())?;
        staged.file().sync_data().map_err(failed())?;
        staged.publish_new(&self.directory, &name).map_err(failed())?;
        self.directory.sync()?;
        let lost = || at_path("open", self.directory.path_of(&name))(io::ErrorKind::NotFound);
        self.directory.open_file(&name)?.ok_or_else(lost)
    }

    /// Lists what was made of other chains than these.
    pub(crate) fn stray(&self, kept: &BTreeSet<ChainId>) -> Result<Vec<(Directory, String)>, Error> {
        let kept: BTreeSet<_> = kept.iter().map(ChainId::hex).collect();
        let is_kept = |name: &String| name.split_once('.').is_some_and(|(hex, _)| kept.contains(hex));
        let stray = self.directory.names()?.into_iter().filter(|name| !is_kept(name));
        Ok(stray.map(|name| (self.directory.clone(), name)).collect())
    }
}

fn name(chain: &ChainId, kind: &str) -> String {
    format!("{}.{kind}", chain.hex())
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
            assert!(chains.open(chain, "erofs").unwrap().is_none());
            for text in ["first", "second"] {
                let file = chains.make(chain, "erofs", |mut file| file.write_all(text.as_bytes())).unwrap();
                assert_eq!(io::read_to_string(file).unwrap(), "first");
            }
        }
        let failed = chains.make(&ids[0], "other", |_| Err(io::ErrorKind::Other.into()));
        assert!(failed.is_err() && chains.open(&ids[0], "other").unwrap().is_none());
        let stray = chains.stray(&BTreeSet::from([ids[0]])).unwrap();
        let names: Vec<_> = stray.into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, [format!("{}.erofs", ids[1].hex())]);
    }
}
