//! From a reference to what reads or writes it.

use std::path::PathBuf;

use crate::archive::{ArchiveWriter, DockerArchive, Members};
use crate::client::Registries;
use crate::directory::Directory;
use crate::error::Error;
use crate::layout::{Layout, LayoutWriter};
use crate::reference::Reference;
use crate::remote::{RemoteImage, RemoteSink};
use crate::sink::ImageSink;
use crate::source::ImageSource;

/// What opening and writing images needs of the machine; clones share connections.
#[derive(Debug, Clone)]
pub struct Access {
    /// A directory for nameless files.
    pub scratch: PathBuf,
    /// The registries.
    pub registries: Registries,
}

/// Opens an image for reading. An archive that is compressed or comes through a pipe is copied into a nameless
/// file in the scratch directory.
///
/// # Errors
/// [`Error::NoSuchImage`] and others when it is not there.
pub fn open(reference: &Reference, access: &Access) -> Result<Box<dyn ImageSource>, Error> {
    let own = reference.clone();
    let scratch = &access.scratch;
    Ok(match reference {
        Reference::Registry(name) => Box::new(RemoteImage::open(&access.registries, name)?),
        Reference::OciLayout { dir, tag } => {
            Box::new(Layout::open(Directory::open(dir)?, own, tag.as_deref())?)
        }
        Reference::OciArchive { file, tag } => {
            Box::new(Layout::open(Members::open(file, scratch)?, own, tag.as_deref())?)
        }
        Reference::DockerArchive { file, image } => {
            Box::new(DockerArchive::open(&Members::open(file, scratch)?, own, image.as_ref())?)
        }
    })
}

/// Starts an image that is to be written. A layout may be there already and keeps its other images; an archive is
/// replaced.
///
/// # Errors
/// [`Error::ReadOnly`] for transports that cannot be written, and those of the file system.
pub fn create(reference: &Reference, access: &Access) -> Result<Box<dyn ImageSink>, Error> {
    let own = reference.clone();
    Ok(match reference {
        Reference::Registry(name) => Box::new(RemoteSink::create(&access.registries, name, own)?),
        Reference::OciLayout { dir, tag } => Box::new(LayoutWriter::create(dir, own, tag.as_deref())?),
        Reference::OciArchive { file, tag } => Box::new(ArchiveWriter::create(file, own, tag.as_deref())?),
        Reference::DockerArchive { .. } => return Err(Error::ReadOnly(Box::new(own))),
    })
}
