//! Where the store is.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use store::Store;

use crate::args::StorePlace;
use crate::commands::repaired;
use crate::ui;
use crate::ui::words::{Bytes, count};
use crate::who;

/// The store of the machine.
const SYSTEM: &str = "/var/lib/morsel";

/// There is no place for a store of one's own.
#[derive(Debug, thiserror::Error)]
#[error("neither XDG_DATA_HOME nor HOME says where your store is; `--root DIR` does")]
pub(crate) struct NoHome;

impl StorePlace {
    /// Opens the store, making it where there is none.
    pub(crate) fn create(&self) -> anyhow::Result<Store> {
        open(&self.path()?, Store::open)
    }

    /// Opens the store that is there.
    pub(crate) fn open(&self) -> anyhow::Result<Store> {
        open(&self.path()?, Store::open_existing)
    }

    /// Opens the store that is there, if there is one.
    pub(crate) fn find(&self) -> anyhow::Result<Option<Store>> {
        match Store::open_existing(&self.path()?) {
            Ok(store) => Ok(Some(store)),
            Err(store::Error::NoStore { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns its directory.
    pub(crate) fn path(&self) -> Result<PathBuf, NoHome> {
        match &self.root {
            Some(root) => Ok(root.clone()),
            None => default_path(who::is_system(), |name| env::var_os(name)),
        }
    }
}

/// Opens a store, and says so if what a power loss left had to be checked.
fn open(path: &Path, open: impl Fn(&Path) -> Result<Store, store::Error>) -> anyhow::Result<Store> {
    if Store::needs_recovery(path) {
        ui::say("the machine stopped before the store was on disk; checking what was written last\n");
    }
    let store = open(path)?;
    if let Some(recovery) = store.recovery() {
        ui::say(&format!(
            "checked {}, {}; {}",
            count(recovery.objects, "file content", "file contents"),
            Bytes(recovery.objects_len),
            repaired(&recovery.repairs),
        ));
    }
    Ok(store)
}

/// Where the XDG base directory specification puts data, unless it is everyone's.
fn default_path(is_root: bool, variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, NoHome> {
    if is_root {
        return Ok(PathBuf::from(SYSTEM));
    }
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(Path::new(".local/share"))))
        .ok_or(NoHome)?;
    Ok(data.join("morsel"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_depends_on_who_asks() {
        let place = |is_root, variables: &[(&str, &str)]| {
            let lookup = |name: &str| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| OsString::from(value))
            };
            default_path(is_root, lookup).ok().map(|path| path.display().to_string())
        };
        let home = ("HOME", "/home/me");
        assert_eq!(place(true, &[home]).as_deref(), Some("/var/lib/morsel"));
        assert_eq!(place(false, &[home]).as_deref(), Some("/home/me/.local/share/morsel"));
        assert_eq!(place(false, &[home, ("XDG_DATA_HOME", "/data")]).as_deref(), Some("/data/morsel"));
        assert_eq!(
            place(false, &[home, ("XDG_DATA_HOME", "relative")]).as_deref(),
            Some("/home/me/.local/share/morsel")
        );
        assert_eq!(place(false, &[]), None);
    }
}
