//! A layer while it is made.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use chunked::Limits;
use chunked::input::Input;
use chunked::tar_split::{Reader, Record};
use flate2::Compression;
use flate2::write::GzEncoder;
use mount::overlay::DataDirectory;
use store::tree::{Kind, Marks, Tree};
use store::unpack::{self, Owners, unpack};
use store::{Image, LayerRecord as Stored, Store};
use tempfile::TempDir;

use super::place::{Place, RECORD, link_target};
use super::{mounted, publish, remove_tree};
use crate::error::{Error, Unpublishable, at_path, damaged};
use crate::record::{LayerId, LayerRecord, link_name};

/// The directory of a layer that is not in its place yet. Dropped, it leaves nothing.
pub(super) struct Staged<'a> {
    place: &'a Place,
    id: &'a LayerId,
    directory: TempDir,
}

impl<'a> Staged<'a> {
    pub(super) fn new(place: &'a Place, id: &'a LayerId) -> Result<Self, Error> {
        let staging = place.staging();
        let prefix = format!("{}-", id.as_str());
        let directory = tempfile::Builder::new().prefix(&prefix).tempdir_in(&staging);
        Ok(Self { place, id, directory: directory.map_err(at_path("create a directory in", &staging))? })
    }

    /// Makes the files of a layer.
    pub(super) fn unpack(&self, tree: &Tree, store: &Store, marks: Marks) -> Result<unpack::Report, Error> {
        let diff = self.path("diff");
        let options = unpack::Options { owners: Owners::AsIs, ..unpack::Options::default() };
        let report = unpack(tree, store.objects(), &diff, &options)?;
        self.check(tree, &diff, marks)?;
        Ok(report)
    }

    /// Lets the files of a layer be a mount of an image.
    pub(super) fn mount(
        &self,
        store: &Store,
        image: &Image,
        missing: Option<DataDirectory<'_>>,
    ) -> Result<(), Error> {
        let diff = self.path("diff");
        mounted::write(self.directory.path(), image)?;
        // Engines take no other link for one.
        let mounts = fs::canonicalize(self.place.mounts()).map_err(at_path("find", self.place.mounts()))?;
        let directory = mounts.join(self.id.as_str());
        symlink(&directory, &diff).map_err(at_path("create", &diff))?;
        mounted::mount(store, image, &directory, missing)
    }

    /// Writes what engines want beside the files; `parents` are the layers that are mounted below, the nearest first.
    pub(super) fn describe(&self, parents: &[&LayerId]) -> Result<(), Error> {
        self.write("link", link_name(self.id).as_bytes())?;
        let lower: Vec<_> = parents.iter().map(|id| format!("l/{}", link_name(id))).collect();
        let mut directories = vec!["work", "merged"];
        match lower.is_empty() {
            true => directories.push("empty"),
            false => self.write("lower", lower.join(":").as_bytes())?,
        }
        for name in directories {
            let path = self.path(name);
            fs::create_dir(&path).map_err(at_path("create", &path))?;
        }
        Ok(())
    }

    /// Writes the record beside the files, so that the list can be made anew if it is lost.
    pub(super) fn write_record(&self, record: &LayerRecord) -> Result<(), Error> {
        let json = serde_json::to_vec(record).map_err(|error| damaged(&self.path(RECORD), error))?;
        self.write(RECORD, &json)
    }

    /// Writes the tar-split as containers-storage has it: the same lines, compressed with gzip. Returns the bytes of the tar that
    /// it is of.
    pub(super) fn write_tar_split(&self, store: &Store, record: &Stored) -> Result<u64, Error> {
        let unpublishable = |reason| Error::Unpublishable { id: Some(self.id.clone()), reason };
        let blob = store.layers().tar_split(record)?;
        let blob = blob.ok_or_else(|| unpublishable(Unpublishable::NoTarSplit))?;
        let path = self.path("tar-split");
        let failed = || at_path("write", &path);
        let lines = Input::open(blob.as_slice(), |_| {}).map_err(failed())?;
        let mut gzip = GzEncoder::new(File::create(&path).map_err(failed())?, Compression::fast());
        let limit = Limits::default().tar_split_len;
        io::copy(&mut lines.take(limit), &mut gzip).map_err(failed())?;
        gzip.finish().and_then(|mut file| file.flush()).map_err(failed())?;
        // Nobody has counted the bytes of a tar that is not here.
        match record.tar_len {
            0 => tar_len(&blob).map_err(unpublishable),
            known => Ok(known),
        }
    }

    /// Puts what engines do not mind in its place, and takes away what an interrupted attempt left there, or others half
    /// removed.
    pub(super) fn make_way(&self) -> Result<(), Error> {
        let (place, id) = (self.place, self.id);
        let link = place.link(id);
        rename(&self.path("tar-split"), &place.tar_split(id))?;
        remove_tree(&link)?;
        symlink(link_target(id), &link).map_err(at_path("create", &link))?;
        move_away(place, &place.layer(id))
    }

    /// Puts the directory in its place. The caller is about to list the layer.
    pub(super) fn put(self) -> Result<(), Error> {
        let target = self.place.layer(self.id);
        rename(&self.directory.keep(), &target)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path(name);
        fs::write(&path, bytes).map_err(at_path("write", &path))
    }

    /// Checks that what hides something of the layers below is there: where devices or attributes are refused, files that
    /// are gone would come back.
    fn check(&self, tree: &Tree, diff: &Path, marks: Marks) -> Result<(), Error> {
        for (node, marked) in tree.nodes() {
            let is_whiteout =
                matches!(&marked.kind, Kind::CharDevice(device) if (device.major, device.minor) == (0, 0));
            let is_opaque = marked.metadata.xattrs.iter().any(|xattr| &*xattr.name == marks.opaque());
            if !is_whiteout && !is_opaque {
                continue;
            }
            let path = diff.join(tree.path(node).join("/"));
            let metadata = path.symlink_metadata();
            let is_right = match is_whiteout {
                true => metadata.is_ok_and(|file| file.file_type().is_char_device() && file.rdev() == 0),
                false => publish::has_attribute(&path, marks.opaque()),
            };
            if !is_right {
                return Err(Error::Unfaithful { id: self.id.clone(), path });
            }
        }
        Ok(())
    }
}

/// Adds up the bytes of the tar that a compressed tar-split is of.
fn tar_len(blob: &[u8]) -> Result<u64, Unpublishable> {
    let limits = Limits::default();
    let damaged = |error: &dyn fmt::Display| Unpublishable::BadTarSplit(error.to_string());
    let input = Input::open(blob, |_| {}).map_err(|error| damaged(&error))?;
    let mut reader = Reader::new(BufReader::new(input.take(limits.tar_split_len)), &limits);
    let mut tar_len: u64 = 0;
    while let Some(record) = reader.read().map_err(|error| damaged(&error))? {
        tar_len = tar_len.saturating_add(match record {
            Record::Segment(bytes) => bytes.len() as u64,
            Record::File { len, .. } => len,
        });
    }
    Ok(tar_len)
}

/// Takes a directory out of sight, all at once; it is removed with what else is left in `staging`.
pub(super) fn move_away(place: &Place, path: &Path) -> Result<(), Error> {
    let left = tempfile::Builder::new().prefix("left-").tempdir_in(place.staging());
    let left = left.map_err(at_path("create a directory in", place.staging()))?;
    match fs::rename(path, left.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at_path("rename", path)(error)),
        // It goes when `left` does, and what cannot be removed stays where it does no harm.
        Ok(()) => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(at_path("rename", from))
}
