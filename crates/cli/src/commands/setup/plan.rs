//! Which files are written, and what becomes of them.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use registry::Replacement;
use serde::Serialize;
use std::io::Write as _;

/// A file to be written, or to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    /// Why it is there.
    pub(super) why: &'static str,
    /// What it says now; `None` when it is not there.
    pub(super) before: Option<String>,
    /// What it is to say; `None` when it is to go.
    pub(super) after: Option<String>,
    #[serde(skip)]
    pub(super) mode: u32,
}

impl Change {
    /// Reads what is there now.
    pub(super) fn of(path: PathBuf, why: &'static str) -> anyhow::Result<Self> {
        let before = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        };
        Ok(Self { after: before.clone(), before, path, why, mode: 0o644 })
    }

    /// Tells whether there is something to do.
    pub(super) fn is_needed(&self) -> bool {
        self.before != self.after
    }

    /// Does it.
    pub(super) fn execute(&self) -> anyhow::Result<()> {
        if !self.is_needed() {
            return Ok(());
        }
        match &self.after {
            Some(text) => write(&self.path, text, self.mode),
            None => fs::remove_file(&self.path).map_err(Into::into),
        }
        .with_context(|| format!("cannot change `{}`", self.path.display()))
    }

    /// Says what is done, in a line.
    pub(super) fn summary(&self) -> String {
        let verb = match (&self.before, &self.after) {
            (before, after) if before == after => "is as it should be",
            (None, _) => "written",
            (Some(_), None) => "removed",
            (Some(_), Some(_)) => "changed",
        };
        format!("{}: {verb} ({})\n", self.path.display(), self.why)
    }

    /// Shows the whole file as it will be.
    pub(super) fn show(&self) -> String {
        let mut text = format!("# {}: {}\n", self.path.display(), self.why);
        let _ = match &self.after {
            Some(after) => writeln!(text, "{after}"),
            None => writeln!(text, "# (no such file any more)\n"),
        };
        text
    }
}

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = Replacement::start(path)?;
    file.write_all(text.as_bytes())?;
    file.commit()?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}
