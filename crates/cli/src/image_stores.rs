//! Where podman, buildah, skopeo and CRI-O keep images on this machine: what containers-storage.conf(5) says.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use serde::Deserialize;

use crate::store_place::NoHome;
use crate::who;

/// Where root's images are unless a file says otherwise.
const SYSTEM: &str = "/var/lib/containers/storage";
/// Where another user's are, below the directory for data.
const OF_USER: &str = "containers/storage";
/// The files for root, of which the first that is there counts.
const SYSTEM_CONFS: [&str; 2] = ["/etc/containers/storage.conf", "/usr/share/containers/storage.conf"];

/// Lists the directories with images: the graph root, and the additional image stores that are there.
pub(crate) fn image_stores() -> anyhow::Result<Vec<PathBuf>> {
    let user = User { is_root: who::is_system(), variable: &|name| env::var_os(name) };
    let conf = match user.confs().into_iter().find(|file| file.exists()) {
        None => Conf::default(),
        Some(file) => {
            let read = || -> anyhow::Result<Conf> { Ok(toml::from_str(&fs::read_to_string(&file)?)?) };
            read().with_context(|| format!("cannot read `{}`", file.display()))?
        }
    };
    let graph_root = conf.storage.graphroot.map_or_else(|| user.graph_root(), Ok)?;
    let others = conf.storage.options.additionalimagestores.into_iter().chain(conf.storage.imagestore);
    Ok([graph_root].into_iter().chain(others.filter(|store| store.is_dir())).collect())
}

/// Who asks.
struct User<'a> {
    is_root: bool,
    /// Looks up a variable of the environment.
    variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl User<'_> {
    /// Lists the files that may say where images are.
    fn confs(&self) -> Vec<PathBuf> {
        match self.path("CONTAINERS_STORAGE_CONF") {
            Some(named) => vec![named],
            None if self.is_root => SYSTEM_CONFS.map(PathBuf::from).into(),
            None => {
                let config =
                    self.path("XDG_CONFIG_HOME").or_else(|| Some(self.path("HOME")?.join(".config")));
                config.map(|config| config.join("containers/storage.conf")).into_iter().collect()
            }
        }
    }

    fn graph_root(&self) -> Result<PathBuf, NoHome> {
        if self.is_root {
            return Ok(PathBuf::from(SYSTEM));
        }
        let data = self.path("XDG_DATA_HOME").or_else(|| Some(self.path("HOME")?.join(".local/share")));
        Ok(data.ok_or(NoHome)?.join(OF_USER))
    }

    fn path(&self, variable: &str) -> Option<PathBuf> {
        (self.variable)(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    }
}

#[derive(Debug, Default, Deserialize)]
struct Conf {
    #[serde(default)]
    storage: Storage,
}

#[derive(Debug, Default, Deserialize)]
struct Storage {
    graphroot: Option<PathBuf>,
    /// Where images are if they are apart from containers.
    imagestore: Option<PathBuf>,
    #[serde(default)]
    options: Options,
}

#[derive(Debug, Default, Deserialize)]
struct Options {
    #[serde(default)]
    additionalimagestores: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does something as one user or another, with these variables set.
    fn with<T>(is_root: bool, variables: &[(&str, &str)], act: impl Fn(User<'_>) -> T) -> T {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        act(User { is_root, variable: &variable })
    }

    #[test]
    fn the_graph_root_depends_on_who_asks() {
        let home = ("HOME", "/home/me");
        let graph_root = |is_root, variables: &[_]| with(is_root, variables, |user| user.graph_root().ok());
        assert_eq!(graph_root(true, &[home]), Some("/var/lib/containers/storage".into()));
        assert_eq!(graph_root(false, &[home]), Some("/home/me/.local/share/containers/storage".into()));
        let elsewhere = graph_root(false, &[home, ("XDG_DATA_HOME", "/data")]);
        assert_eq!(elsewhere, Some("/data/containers/storage".into()));
        assert_eq!(graph_root(false, &[]), None);
    }

    #[test]
    fn the_file_depends_on_who_asks_and_on_what_is_named() {
        let home = ("HOME", "/home/me");
        let confs = |is_root, variables: &[_]| with(is_root, variables, |user| user.confs());
        assert_eq!(confs(true, &[home]), SYSTEM_CONFS.map(PathBuf::from));
        assert_eq!(confs(false, &[home]), [PathBuf::from("/home/me/.config/containers/storage.conf")]);
        assert_eq!(confs(true, &[home, ("CONTAINERS_STORAGE_CONF", "/conf")]), [PathBuf::from("/conf")]);
    }

    #[test]
    fn a_file_names_the_graph_root_and_other_stores() {
        let conf: Conf = toml::from_str(
            "[storage]\ndriver = 'overlay'\ngraphroot = '/graph'\nrunroot = '/run'\n\
             [storage.options]\nadditionalimagestores = ['/more']\npull_options = {enable_partial_images = 'true'}\n",
        )
        .unwrap();
        assert_eq!(conf.storage.graphroot, Some("/graph".into()));
        assert_eq!(conf.storage.options.additionalimagestores, [PathBuf::from("/more")]);
        assert!(toml::from_str::<Conf>("").is_ok());
    }
}
