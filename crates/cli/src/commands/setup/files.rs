//! The files that engines read, for root or for a user.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::plan::Change;
use super::{storage_conf, systemd};
use crate::access::config_home;
use crate::commands::publish;
use crate::store_place::NoHome;
use crate::who;

/// The drop-in of `registries.conf`. Aliases of short names come at 000; the user's own should be able to come later.
const DROP_IN: &str = "registries.conf.d/50-morsel.conf";

/// The drop-in of `storage.conf` for all users but root. Engines from about podman 5.8 on take what is in `storage.conf` for
/// them as well, and would look for layers where they may not, or find files that are nobody's; older ones read neither.
const ROOTLESS_DROP_IN: &str = "storage.rootless.conf.d/50-morsel.conf";

/// The drop-in of `storage.conf` for a user. It comes after that of root, which has the same name.
const USER_DROP_IN: &str = "storage.conf.d/50-morsel.conf";

/// Makes sure that the store is there whenever the machine starts: engines fail where it is not.
const TMPFILES: &str = "/etc/tmpfiles.d/morsel.conf";

/// Where root's engines keep images unless a file says otherwise, and what is gone after a reboot.
const DEFAULTS: [&str; 2] = ["/run/containers/storage", "/var/lib/containers/storage"];

/// The file that is taken where `/etc` has none.
const VENDOR: &str = "/usr/share/containers/storage.conf";

/// The configuration of the helper as it is written at first.
const CONFIG: &str = "\
# What is done when podman, CRI-O, buildah or skopeo pull.
[storage-helper]
# mode = \"eager\"        # or \"lazy\": content comes when it is read; \"off\": engines pull by themselves
# layout = \"auto\"       # \"mounted\" or \"plain\"; auto mounts what is lazy
# wait = 600            # seconds that an engine waits; the work goes on after that
# seeds = [\"/usr\"]      # places that may have content

# What the longest prefix of an image's name says comes first.
# [[image]]
# prefix = \"registry.example/team\"
# mode = \"off\"
";

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Root's engines, and those of all users who have no files of their own.
    System,
    /// The engines of this user.
    User,
}

impl Scope {
    /// Returns the one of whoever runs this.
    pub(super) fn of_user() -> Self {
        if who::is_system() { Self::System } else { Self::User }
    }
}

/// Where everything is.
#[derive(Debug)]
pub(in crate::commands) struct Places {
    scope: Scope,
    /// The directory of containers' files.
    containers: PathBuf,
    /// The directory of ours.
    morsel: PathBuf,
    store: PathBuf,
}

impl Places {
    /// Finds the places of whoever runs this.
    pub(in crate::commands) fn of_user(store: &Path) -> anyhow::Result<Self> {
        Self::of(Scope::of_user(), store)
    }

    pub(super) fn of(scope: Scope, store: &Path) -> anyhow::Result<Self> {
        let config = match scope {
            Scope::System => PathBuf::from("/etc"),
            Scope::User => config_home().ok_or(NoHome)?,
        };
        let (containers, morsel) = (config.join("containers"), config.join("morsel"));
        Ok(Self { scope, containers, morsel, store: store.to_owned() })
    }

    /// Returns the program that engines call: they take a path without arguments.
    pub(in crate::commands) fn helper(&self) -> PathBuf {
        self.store.join("storage-helper")
    }

    /// Returns the drop-in that says so.
    pub(in crate::commands) fn drop_in(&self) -> PathBuf {
        self.containers.join(DROP_IN)
    }

    /// Returns the file that says where engines keep images.
    pub(super) fn storage_conf(&self) -> PathBuf {
        self.containers.join("storage.conf")
    }

    /// Returns the file of the helper.
    pub(super) fn config(&self) -> PathBuf {
        self.morsel.join("config.toml")
    }

    /// Plans the files. What an engine calls comes before what makes it call.
    pub(super) fn install(&self) -> anyhow::Result<Vec<Change>> {
        let mut config = Change::of(self.config(), "what is done for which images")?;
        config.after = config.before.clone().or_else(|| Some(CONFIG.to_owned()));
        let mut helper = Change::of(self.helper(), "what engines call before they pull")?;
        (helper.after, helper.mode) = (Some(self.script()?), 0o755);
        let mut drop_in = Change::of(self.drop_in(), "makes engines call it")?;
        drop_in.after = Some(format!(
            "# Written by `morsel setup`.\nadditional-layer-store-auth-helper = {}\n",
            storage_conf::quoted(&self.helper().display().to_string())
        ));
        let mut changes = vec![config, helper];
        let store = self.add_store()?;
        changes.push(self.drop_in_of_storage(&store)?);
        changes.extend(self.keep_store()?);
        if self.scope == Scope::System && systemd::is_there() {
            changes.extend(systemd::install(&self.store)?);
        }
        changes.extend([store, drop_in]);
        Ok(changes)
    }

    /// Plans to take the files back; with `keep_store`, engines go on finding the layers that they use.
    pub(super) fn uninstall(&self, keep_store: bool) -> anyhow::Result<Vec<Change>> {
        let mut changes = Vec::new();
        for (path, why) in [(self.drop_in(), "made engines call the helper"), (self.helper(), "the helper")] {
            changes.push(Change { after: None, ..Change::of(path, why)? });
        }
        let mut config = Change::of(self.config(), "what was done for which images")?;
        config.after = config.before.clone().filter(|text| text != CONFIG);
        changes.push(config);
        if !keep_store {
            changes.push(self.remove_store()?);
            let drop_in = Change::of(self.storage_drop_in(), "said it for this user, or for nobody else")?;
            changes.push(Change { after: None, ..drop_in });
            if self.scope == Scope::System {
                changes
                    .push(Change { after: None, ..Change::of(TMPFILES.into(), "made the store be there")? });
                let units = systemd::uninstall(&self.store)?;
                changes.extend(units.into_iter().filter(Change::is_needed));
            }
        }
        Ok(changes)
    }

    fn script(&self) -> anyhow::Result<String> {
        let program = env::current_exe().context("cannot find this program")?;
        let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
        let (program, store) = (quoted(&program), quoted(&self.store));
        Ok(format!(
            "#!/bin/sh\n# Written by `morsel setup`. Without morsel, engines pull by themselves.\n\
             [ -x {program} ] || exit 0\nexec {program} storage-helper --root {store}\n"
        ))
    }

    fn add_store(&self) -> anyhow::Result<Change> {
        let mut change = Change::of(self.storage_conf(), "makes engines look for layers in the store")?;
        let additional = publish::place(&self.store);
        // A file in `/etc` stands in for the other one, so it starts as that.
        let vendor = match self.scope {
            Scope::System => Change::of(PathBuf::from(VENDOR), "")?.before,
            Scope::User => None,
        };
        change.after = match change.before.clone().or(vendor) {
            None => {
                let places = DEFAULTS.map(Path::new);
                Some(storage_conf::new(&additional, (self.scope == Scope::System).then_some(places)))
            }
            Some(start) => {
                let edited = storage_conf::add(&start, &additional);
                let edited = edited.with_context(|| format!("cannot change `{}`", change.path.display()))?;
                edited.or(change.before.clone())
            }
        };
        Ok(change)
    }

    /// Plans what makes the store be there.
    fn keep_store(&self) -> anyhow::Result<Option<Change>> {
        if self.scope == Scope::User {
            return Ok(None);
        }
        let mut change = Change::of(TMPFILES.into(), "makes the store be there")?;
        let additional = publish::place(&self.store);
        change.after = Some(format!("# by `morsel setup`\nd {} 0755 root root -\n", additional.display()));
        Ok(Some(change))
    }

    /// Plans the drop-in beside `storage.conf`: of root, it keeps the change from other users; of a user, it keeps that one from
    /// the user.
    fn drop_in_of_storage(&self, storage_conf: &Change) -> anyhow::Result<Change> {
        let additional = publish::place(&self.store);
        let text = storage_conf.after.as_deref().unwrap_or_default();
        let mut change = Change::of(self.storage_drop_in(), "says it for this user, or for nobody else")?;
        change.after = Some(match self.scope {
            Scope::System => storage_conf::without(text, &additional)?,
            Scope::User => storage_conf::once_more(text)?,
        });
        Ok(change)
    }

    fn storage_drop_in(&self) -> PathBuf {
        self.containers.join(match self.scope {
            Scope::System => ROOTLESS_DROP_IN,
            Scope::User => USER_DROP_IN,
        })
    }

    fn remove_store(&self) -> anyhow::Result<Change> {
        let mut change = Change::of(self.storage_conf(), "made engines look for layers in the store")?;
        let Some(before) = change.before.clone() else { return Ok(change) };
        let additional = publish::place(&self.store);
        let untouched = [
            storage_conf::new(&additional, Some(DEFAULTS.map(Path::new))),
            storage_conf::new(&additional, None),
        ];
        if untouched.contains(&before) {
            change.after = None;
            return Ok(change);
        }
        let edited = storage_conf::remove(&before, &additional);
        let edited = edited.with_context(|| format!("cannot change `{}`", change.path.display()))?;
        change.after = edited.or(Some(before));
        Ok(change)
    }
}
