//! What a command writes: standard output, or a file that appears only when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use registry::Replacement;

use crate::request::{Invalid, LayerPlace, NotAFile};
use crate::ui::harmless;

/// Something being written.
#[derive(Debug)]
pub(crate) enum Output {
    /// A stream: standard output, a pipe, a device. What is written is gone.
    Stream(File),
    /// A file that takes its place with [`Output::commit`]; dropped before, it leaves nothing.
    Staged(Replacement),
}

impl Output {
    /// Opens what the command line names for a blob.
    pub(crate) fn create(place: &LayerPlace) -> anyhow::Result<Self> {
        match place {
            LayerPlace::Stream => Self::stdout(),
            LayerPlace::File(path) => Self::at(path),
        }
    }

    /// Starts a file that appears at `path`, in place of the one that is there.
    pub(crate) fn at(path: &Path) -> anyhow::Result<Self> {
        Self::open(path).with_context(|| format!("cannot write `{}`", path.display()))
    }

    fn stdout() -> anyhow::Result<Self> {
        let stdout = io::stdout();
        if stdout.is_terminal() {
            return Err(Invalid::TerminalOutput.into());
        }
        let file = stdout.as_fd().try_clone_to_owned().context("cannot open standard output")?;
        Ok(Self::Stream(file.into()))
    }

    fn open(path: &Path) -> anyhow::Result<Self> {
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => Err(NotAFile::Directory.into()),
            Ok(there) if !there.is_file() => Ok(Self::Stream(File::options().write(true).open(path)?)),
            _ => Ok(Self::Staged(Replacement::start(path)?)),
        }
    }

    /// Writes a whole document, and makes it appear.
    pub(crate) fn finish(mut self, document: &str) -> anyhow::Result<()> {
        self.write_all(document.as_bytes())?;
        self.commit()
    }

    /// Makes a staged file appear, once its bytes are safe from a power loss.
    pub(crate) fn commit(self) -> anyhow::Result<()> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::Staged(file) => Ok(file.commit()?),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(file) => file.write(bytes),
            Self::Staged(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(file) => file.flush(),
            Self::Staged(file) => file.flush(),
        }
    }
}

/// Tells whether two paths lead to one regular file, or would once it is written.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some((metadata.dev(), metadata.ino()))
    };
    match (identity(one), identity(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one == other || future_path(one).is_some_and(|one| future_path(other) == Some(one)),
        _ => false,
    }
}

/// Returns where a file that is not there yet will be.
fn future_path(path: &Path) -> Option<PathBuf> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_free = !fs::exists(path).ok()?;
    is_free.then_some(fs::canonicalize(parent).ok()?.join(path.file_name()?))
}

/// Returns where temporary files go.
pub(crate) fn scratch() -> PathBuf {
    std::env::temp_dir()
}

/// Writes text for people to standard output.
pub(crate) fn print_text(text: &str) -> anyhow::Result<()> {
    print(&harmless(text))
}

/// Writes a document to standard output.
pub(crate) fn print(document: &str) -> anyhow::Result<()> {
    stream(|out| out.write_all(document.as_bytes()))
}

/// Writes a long document to standard output, piece by piece.
pub(crate) fn stream(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    write(&mut out).and_then(|()| out.flush()).context("cannot write to standard output")
}
