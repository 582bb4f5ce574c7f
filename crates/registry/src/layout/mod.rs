//! OCI image layouts: a directory, or a tar of it, that holds images as blobs named by their digests.
//!
//! | name | holds |
//! |---|---|
//! | `oci-layout` | the version of the layout |
//! | `index.json` | the images, by name |
//! | `blobs/ALGORITHM/HEX` | every manifest, index, configuration and layer |
//!
//! From the OCI image-spec, image-layout.md.

mod beside;
mod read;
mod tags;
mod write;

use std::io;
use std::path::Path;

use chunked::BlobDigest;

use crate::directory::Directory;
use crate::error::{Error, at_path};
use crate::image::Index;

pub(crate) use beside::Beside;
pub(crate) use read::{Files, Layout};
pub use tags::{name as name_of, set as set_tag};
pub(crate) use write::LayoutWriter;

/// Name of the file that marks a layout.
pub const MARKER: &str = "oci-layout";
/// What that file says.
pub(crate) const MARKER_CONTENT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// Name of the file that lists the images.
pub const INDEX: &str = "index.json";
/// Longest `index.json` in bytes: room for some 12 000 tags. What it says takes thirty times that in memory.
pub const INDEX_LEN_MAX: u64 = 4 << 20;

/// Name of the directory of all blobs.
pub const BLOBS: &str = "blobs";

/// Reads the list of images of a layout; `None` when `directory` is none.
///
/// # Errors
/// Those of the file system, and when the layout is of another version or its list is malformed.
pub fn index_of(directory: &Directory) -> Result<Option<Index>, Error> {
    if directory.open_file(MARKER)?.is_none() {
        return Ok(None);
    }
    read::check_marker(directory)?;
    read::read_index(directory)
}

/// Makes an empty layout in `directory`, beside whatever else is there, unless it is one. Other processes may be at the
/// same.
///
/// # Errors
/// Those of the file system, and when there is a layout of another version.
pub fn found(directory: &Directory) -> Result<(), Error> {
    {
        let _lock = directory.lock()?;
        if directory.open_file(MARKER)?.is_none() {
            directory.replace(INDEX, &encode_index(&Index::of(vec![]), directory.path())?)?;
            directory.replace(MARKER, MARKER_CONTENT.as_bytes())?;
        }
        read::check_marker(directory)?;
    }
    directory.subdirectory(BLOBS)?.subdirectory("sha256")?;
    Ok(())
}

/// Returns the place of a blob below the layout.
pub fn blob_name(digest: &BlobDigest) -> String {
    format!("{BLOBS}/{}/{}", digest.0.algorithm(), digest.0.hex())
}

/// Writes the list of images of the layout at `path`.
///
/// # Errors
/// [`Error::FileTooLong`] when nobody would read it.
pub fn encode_index(index: &Index, path: &Path) -> Result<Vec<u8>, Error> {
    let path = || path.join(INDEX);
    let bytes =
        serde_json::to_vec(index).map_err(|error| at_path("write", &path())(io::Error::from(error)))?;
    match bytes.len() as u64 {
        len if len > INDEX_LEN_MAX => Err(Error::FileTooLong { path: path(), limit: INDEX_LEN_MAX }),
        _ => Ok(bytes),
    }
}
