//! `config.toml`: how much room the store may take, and what is done for which images when an engine pulls.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use serde::Deserialize;

use crate::args::{Layout, parse_bytes};
use crate::{access, who};

/// The file for all users.
const SYSTEM: &str = "/etc/morsel/config.toml";

/// Longest file in bytes.
const LEN_MAX: u64 = 1 << 20;

/// How long an engine waits where nothing is said.
const WAIT: Duration = Duration::from_secs(600);

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Config {
    /// Most bytes that the content of files may take.
    pub(crate) quota: Option<u64>,
    /// What is done when engines pull.
    default: Written,
    images: Vec<WrittenImage>,
}

/// What is done for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) mode: Mode,
    pub(crate) layout: Layout,
    /// How long the engine waits; the work goes on after that.
    pub(crate) wait: Duration,
    /// Names of places that may hold content.
    pub(crate) seeds: Vec<String>,
}

/// When content comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// All of it, before the engine goes on.
    #[default]
    Eager,
    /// When it is read, and in the background.
    Lazy,
    /// The engine pulls by itself.
    Off,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenFile {
    #[serde(default)]
    store: WrittenStore,
    #[serde(default)]
    storage_helper: Written,
    #[serde(default)]
    image: Vec<WrittenImage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenStore {
    quota: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Written {
    mode: Option<Mode>,
    layout: Option<Layout>,
    wait: Option<u64>,
    seeds: Option<Vec<String>>,
}

/// What is said of images whose names begin in some way. Nested tables and unknown names do not go together in serde, so
/// the fields are those of [`Written`] once more.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenImage {
    prefix: String,
    mode: Option<Mode>,
    layout: Option<Layout>,
    wait: Option<u64>,
    seeds: Option<Vec<String>>,
}

impl Config {
    /// Reads the file that was named, or that of the user, or that of the machine. Only a file that was named has to be there.
    pub(crate) fn load(named: Option<&Path>) -> anyhow::Result<Self> {
        let of_user = || access::config_home().map(|home| home.join("morsel/config.toml"));
        let path = match named {
            Some(path) => path.to_owned(),
            None if who::is_system() => PathBuf::from(SYSTEM),
            None => of_user().filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from(SYSTEM)),
        };
        let cannot = || format!("cannot read `{}`", path.display());
        let mut text = String::new();
        match File::open(&path) {
            Ok(file) => file.take(LEN_MAX + 1).read_to_string(&mut text).with_context(cannot)?,
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error).with_context(cannot),
        };
        ensure!(text.len() as u64 <= LEN_MAX, "`{}` has more than {LEN_MAX} bytes", path.display());
        Self::parse(&text).with_context(cannot)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let WrittenFile { store, storage_helper: default, image: images } = toml::from_str(text)?;
        let quota = store.quota.as_deref().map(parse_bytes).transpose();
        let quota = quota.map_err(|expected| anyhow!("the quota of the store is wrong, {expected}"))?;
        if let Some(image) =
            images.iter().find(|image| image.prefix.is_empty() || image.prefix.ends_with('/'))
        {
            bail!("`{}` is no prefix, expected the start of a name such as `quay.io/team`", image.prefix);
        }
        Ok(Self { quota, default, images })
    }

    /// Says what is done for the image of that name: what the longest prefix says, then what is said for all.
    pub(crate) fn policy(&self, host: &str, repository: &str) -> Policy {
        let name = format!("{host}/{repository}");
        let is_below = |image: &&WrittenImage| {
            let rest = name.strip_prefix(&image.prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let image = self.images.iter().filter(is_below).max_by_key(|image| image.prefix.len());
        let wait = image.and_then(|image| image.wait).or(self.default.wait);
        let seeds = image.and_then(|image| image.seeds.clone()).or_else(|| self.default.seeds.clone());
        Policy {
            mode: image.and_then(|image| image.mode).or(self.default.mode).unwrap_or_default(),
            layout: image.and_then(|image| image.layout).or(self.default.layout).unwrap_or_default(),
            wait: wait.map_or(WAIT, Duration::from_secs),
            seeds: seeds.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides_and_leaves_the_rest_to_the_default() {
        let config = Config::parse(
            "[storage-helper]\nwait = 5\nseeds = ['/']\n\
             [[image]]\nprefix = 'quay.io'\nmode = 'off'\n\
             [[image]]\nprefix = 'quay.io/team'\nmode = 'lazy'\nlayout = 'mounted'\nwait = 7\n",
        )
        .unwrap();
        let policy = |host, repository| {
            let Policy { mode, layout, wait, seeds } = config.policy(host, repository);
            (mode, layout, wait.as_secs(), seeds.len())
        };
        assert_eq!(policy("docker.io", "library/debian"), (Mode::Eager, Layout::Auto, 5, 1));
        assert_eq!(policy("quay.io", "other/app"), (Mode::Off, Layout::Auto, 5, 1));
        assert_eq!(policy("quay.io", "team/app"), (Mode::Lazy, Layout::Mounted, 7, 1));
        assert_eq!(policy("quay.io", "teams/app"), (Mode::Off, Layout::Auto, 5, 1));
        assert_eq!(Config::default().policy("quay.io", "app").wait, WAIT);
    }

    #[test]
    fn the_store_may_have_a_quota() {
        assert_eq!(Config::parse("[store]\nquota = '20GiB'\n").unwrap().quota, Some(20 << 30));
        assert_eq!(Config::parse("").unwrap().quota, None);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in [
            "[store]\nquota = 'much'",
            "[store]\nquotas = '1G'",
            "[helper]",
            "[storage-helper]\nmode = 'sometimes'",
            "[[image]]\nmode = 'off'",
            "[[image]]\nprefix = ''",
            "x",
        ] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
    }
}
