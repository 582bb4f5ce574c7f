//! Making the directory of a layer: under a temporary name first, all or nothing of it.

use std::io::{self, Write};

use rustix::fs::{Mode, RenameFlags, mkdirat, renameat, renameat_with};

use crate::directory::Directory;
use crate::error::{Error, at_path};
use crate::staged::{Staged, with_free_name};

/// Makes a directory of these files in `temporary`, and returns its name there.
pub(super) fn stage(temporary: &Directory, files: &[(&str, &[u8])]) -> Result<String, Error> {
    let make = |name: &str| mkdirat(temporary, name, Mode::from_raw_mode(0o755));
    let (name, ()) = with_free_name(make).map_err(at_path("create a directory in", temporary.path()))?;
    let directory = temporary.subdirectory(&name)?;
    for (file, bytes) in files {
        let failed = || at_path("write", directory.path_of(file));
        let mut staged = Staged::new(&directory, &directory, 0o644).map_err(failed())?;
        staged.write_all(bytes).map_err(failed())?;
        staged.publish_new(&directory, file).map_err(failed())?;
    }
    Ok(name)
}

/// Gives a staged directory its name in `layers`, in place of one that has it.
pub(super) fn publish(
    temporary: &Directory,
    staged: &str,
    layers: &Directory,
    name: &str,
) -> Result<(), Error> {
    if temporary.rename_new(staged, layers, name)? {
        return Ok(());
    }
    if renameat_with(temporary, staged, layers, name, RenameFlags::EXCHANGE).is_err() {
        // A file system that cannot exchange: for a moment there is no layer of that name.
        layers.remove_directory(name)?;
        temporary.rename_new(staged, layers, name)?;
    }
    temporary.remove_directory(staged).map(|_| ())
}

/// Removes a directory; `false` when there is none. For a moment it has a temporary name.
pub(super) fn remove(temporary: &Directory, layers: &Directory, name: &str) -> Result<bool, Error> {
    match with_free_name(|unfinished| renameat(layers, name, temporary, unfinished)) {
        Ok((unfinished, ())) => temporary.remove_any(&unfinished),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(at_path("remove", layers.path_of(name))(error)),
    }
}
