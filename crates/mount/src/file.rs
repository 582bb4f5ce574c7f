//! Writing small files that are seen whole or not at all.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, at_path};

/// Writes a file in place of an earlier one, if there is one, and makes its directory if there is none. Both are for their
/// owner alone: what is in an image may be nobody else's business. A power loss may undo it.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&File) -> io::Result<()>) -> Result<(), Error> {
    let failed = || at_path("write", path);
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(at_path("create", directory))?;
    let staged = tempfile::Builder::new().suffix(".unfinished").tempfile_in(directory).map_err(failed())?;
    write(staged.as_file()).map_err(failed())?;
    staged.persist(path).map(drop).map_err(|error| failed()(error.error))
}

/// Writes a value as JSON.
pub(crate) fn replace_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let json = serde_json::to_vec_pretty(value).map_err(io::Error::from).map_err(at_path("write", path))?;
    replace(path, |mut file| file.write_all(&json))
}
