//! A layer to read: a file, or standard input.

use std::fs::File;
use std::io::{self, IsTerminal, Seek};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context;
use registry::blob::FileBlob;

use crate::request::{Invalid, LayerPlace, NotAFile};

/// A layer, open for reading in one pass.
#[derive(Debug)]
pub(crate) struct LayerFile {
    pub(crate) file: File,
    /// Its length from where it is read, if it is known beforehand.
    pub(crate) blob_len: Option<u64>,
}

impl LayerFile {
    /// Opens what the command line names.
    pub(crate) fn open(place: &LayerPlace) -> anyhow::Result<Self> {
        match place {
            LayerPlace::Stream => Self::stdin(),
            LayerPlace::File(path) => Self::at(path).with_context(|| format!("cannot read `{place}`")),
        }
    }

    /// Opens it for reading from any offset; a stream is copied to a nameless temporary file first.
    pub(crate) fn open_blob(place: &LayerPlace) -> anyhow::Result<FileBlob> {
        let Self { mut file, blob_len } = Self::open(place)?;
        if blob_len.is_some() {
            return FileBlob::rest(file).with_context(|| format!("cannot read `{place}`"));
        }
        let mut copy = tempfile::tempfile().context("cannot create a temporary file")?;
        let len = io::copy(&mut file, &mut copy).with_context(|| format!("cannot read `{place}`"))?;
        Ok(FileBlob::whole(copy, len))
    }

    fn stdin() -> anyhow::Result<Self> {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            return Err(Invalid::TerminalInput.into());
        }
        let file = stdin.as_fd().try_clone_to_owned().context("cannot open standard input")?;
        Self::of(file.into())
    }

    fn at(path: &Path) -> anyhow::Result<Self> {
        if path.join("oci-layout").is_file() {
            return Err(NotAFile::Layout(path.display().to_string()).into());
        }
        Self::of(File::open(path)?)
    }

    /// Takes an open file from its position on: a shell may have read the start of standard input.
    fn of(mut file: File) -> anyhow::Result<Self> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(NotAFile::Directory.into());
        }
        let blob_len = match metadata.is_file() {
            true => Some(metadata.len().saturating_sub(file.stream_position()?)),
            false => None,
        };
        Ok(Self { file, blob_len })
    }
}
