//! The metadata of an image: made of its layers' TOCs once, then used for every mount.
//!
//! It is an EROFS image where the kernel has EROFS and we may mount it. Otherwise it is a directory with files that are all
//! hole: slower to make, and some blocks on disk for each file, but any kernel and any user can have it.

use std::fs::File;
use std::io::BufWriter;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use chunked::ContentDigest;
use serde::Serialize;
use store::chains::Made;
use store::tree::Xattr;
use store::unpack::{Contents, Options, Owners, Refused, unpack};
use store::{ChainId, Image, Listings, Store, objects};

use crate::erofs::{self, Form};
use crate::error::{Error, at_path};
use crate::overlay::{Backing, MountedImage, Root};
use crate::userns;

/// The metadata of an image, ready for an overlay.
#[derive(Debug)]
pub(crate) enum Metadata {
    /// An EROFS image.
    Image(MountedImage),
    /// A directory.
    Tree(File, PathBuf, Form),
}

/// Where the kernel reads the metadata of a mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Source {
    /// An EROFS image.
    Image {
        /// What that is read from.
        backing: Backing,
    },
    /// A directory.
    Tree {
        /// Why it is not an image.
        why: String,
    },
}

/// Metadata, and how it came to be.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) metadata: Metadata,
    pub(crate) source: Source,
    /// Whether it was made now.
    pub(crate) is_new: bool,
}

/// Makes or finds the metadata of an image, and mounts it where nobody sees it.
pub(crate) fn prepare(store: &Store, image: &Image) -> Result<Prepared, Error> {
    if userns::is_inside() {
        return tree(store, image, Form::User, "EROFS cannot be mounted in a user namespace".to_owned());
    }
    match erofs(store, image) {
        Err(Error::Kernel { kind: "erofs", messages, source }) => {
            let why = Error::Kernel { kind: "erofs", messages, source };
            tree(store, image, Form::Trusted, crate::error::with_cause(&why))
        }
        prepared => prepared,
    }
}

/// Makes the metadata of an image ahead of a mount, where that will want it as an image; `false` when it was there, or is not
/// wanted.
pub(crate) fn make_ahead(store: &Store, image: &Image, listings: &Listings) -> Result<bool, Error> {
    if userns::is_inside() {
        Ok(false)
    } else {
        open_or_make(store, image, listings).map(|(_, is_new)| is_new)
    }
}

fn open_or_make(store: &Store, image: &Image, listings: &Listings) -> Result<(File, bool), Error> {
    let chain = ChainId::of(&image.layers);
    if let Some(file) = store.chains().open(&chain, Made::Image)? {
        return Ok((file, false));
    }
    let tree = store.tree_of_listed(image, listings)?;
    let plan = erofs::Image::plan(&tree, erofs::Options::new(Form::Trusted, chain.prefix()))?;
    let write = |file: &File| plan.write(BufWriter::with_capacity(1 << 20, file));
    Ok((store.chains().make(&chain, Made::Image, write)?, true))
}

fn erofs(store: &Store, image: &Image) -> Result<Prepared, Error> {
    let (file, is_new) = open_or_make(store, image, &Listings::new())?;
    let mounted = MountedImage::mount(&file)?;
    let source = Source::Image { backing: mounted.backing() };
    Ok(Prepared { metadata: Metadata::Image(mounted), source, is_new })
}

fn tree(store: &Store, image: &Image, form: Form, why: String) -> Result<Prepared, Error> {
    let chain = ChainId::of(&image.layers);
    let (what, owners) = match form {
        Form::Trusted => (Made::Tree, Owners::AsIs),
        Form::User => (Made::UserTree, Owners::Squash),
    };
    let path = store.chains().path_of(&chain, what);
    let is_new = !path.exists();
    if is_new {
        let options = Options { owners, ..Options::default() };
        match unpack(&store.tree(image)?, &References(form), &path, &options) {
            // Another process was faster.
            Err(store::Error::Refused(Refused::NotEmpty(_))) => {}
            unpacked => drop(unpacked?),
        }
    }
    let directory = File::open(&path).map_err(at_path("open", &path))?;
    let path = path.canonicalize().map_err(at_path("find", &path))?;
    Ok(Prepared { metadata: Metadata::Tree(directory, path, form), source: Source::Tree { why }, is_new })
}

impl Metadata {
    pub(crate) fn form(&self) -> Form {
        match self {
            Self::Image(_) => Form::Trusted,
            Self::Tree(_, _, form) => *form,
        }
    }

    /// Returns it as a part of an overlay.
    pub(crate) fn root(&self) -> Root<'_> {
        match self {
            Self::Image(image) => Root::Detached(image.as_fd()),
            Self::Tree(directory, path, _) => Root::Directory(directory.as_fd(), path),
        }
    }
}

impl AsFd for Metadata {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Image(image) => image.as_fd(),
            Self::Tree(directory, _, _) => directory.as_fd(),
        }
    }
}

/// Stands for content: says where it is.
struct References(Form);

impl Contents for References {
    fn open(&self, _digest: &ContentDigest) -> Result<Option<File>, store::Error> {
        Ok(None)
    }

    fn reference(&self, digest: &ContentDigest) -> Option<Vec<Xattr>> {
        let xattr = |name: &str, value: &str| Xattr { name: name.into(), value: value.as_bytes().into() };
        let path = format!("/{}", objects::path_of(digest));
        Some(vec![xattr(self.0.metacopy_name(), ""), xattr(self.0.redirect_name(), &path)])
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    use chunked::{BlobRange, Content, Entry, EntryKind};
    use store::tree::{Builder, Limits};
    use testkit::tools::{self, Tier};

    use super::*;
    use crate::overlay::{Checked, DataDirectory, Overlay, Parts};

    /// What kernels without EROFS get.
    #[test]
    fn root_files_that_are_all_hole_show_their_content_through_an_overlay() {
        if !tools::is_root(Tier::Root) {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let (content, digest) = ([7; 100_000], ContentDigest::of(&[7; 100_000]));
        store.objects().put(&digest, &content).unwrap();
        let mut file = Entry::new(EntryKind::Regular, "etc/file");
        (file.mode, file.size) = (0o444, content.len() as u64);
        let range = BlobRange::saturating(0, 0);
        file.content = Some(Content { digest: Some(digest), range, chunks: Vec::new() });
        let mut builder = Builder::new(Limits::default());
        builder.layer([file]).unwrap();

        let path = dir.path().join("tree");
        unpack(&builder.finish(), &References(Form::Trusted), &path, &Options::default()).unwrap();
        let made = fs::metadata(path.join("etc/file")).unwrap();
        assert_eq!((made.len(), made.mode() & 0o777), (100_000, 0o444));
        assert!(made.blocks() * 512 <= 4096, "{} blocks", made.blocks());

        let tree = File::open(&path).unwrap();
        let objects = DataDirectory { fd: store.objects().directory(), path: store.objects().path() };
        let overlay = Overlay::assemble(&Parts {
            metadata: Root::Directory(tree.as_fd(), &path),
            form: Form::Trusted,
            data: &[objects],
            writable: None,
            scratch: dir.path(),
            source: "morsel",
        })
        .unwrap();
        assert_eq!(overlay.checked(), Checked::Content);
        let seen = format!("/proc/self/fd/{}/etc/file", overlay.as_fd().as_raw_fd());
        assert_eq!(fs::read(seen).unwrap(), content);
    }
}
