//! A file system of its own for each store.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use rustix::mount::{UnmountFlags, unmount};

/// Bytes of the file system; its file takes only what is written.
const LEN: u64 = 32 << 30;

/// A new ext4 in a file, mounted. ext4 makes files slowly where others were removed just before, so every store gets one.
/// Dropping it takes both away.
#[derive(Debug)]
pub(super) struct Disk {
    file: PathBuf,
    place: PathBuf,
}

impl Disk {
    /// Makes a file system in `file`, and mounts it on `place`, which is a directory. That takes root.
    pub(super) fn mount(file: PathBuf, place: &Path) -> anyhow::Result<Self> {
        let disk = Self { file, place: place.to_owned() };
        let created = File::create(&disk.file).and_then(|file| file.set_len(LEN));
        created.with_context(|| format!("cannot make `{}`", disk.file.display()))?;
        let mut mkfs = Command::new("mkfs.ext4");
        // What is left to do later is done while others are measured.
        run(mkfs.args(["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(&disk.file))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&disk.file).arg(place))?;
        Ok(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Nothing can be done about a mount or a file that stays.
        let _ = unmount(&self.place, UnmountFlags::DETACH);
        let _ = fs::remove_file(&self.file);
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
