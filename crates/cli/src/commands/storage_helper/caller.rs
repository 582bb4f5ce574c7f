//! What the program that calls is about to do, as its command line tells.
//!
//! Engines say which image they mean, and not for which platform, nor whether they pull at all. A wrong guess makes a pull
//! slower, and never wrong: engines check what they find.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf, absolute};
use std::process::{Command, id};

use registry::http::Verification;
use registry::platform::Selector;

use crate::args::RegistryArgs;

/// The variables by which the waiter tells the worker.
const PLATFORM: &str = "MORSEL_CALLER_PLATFORM";
const NO_TLS: &str = "MORSEL_CALLER_WITHOUT_TLS";
const STORAGE: &str = "MORSEL_CALLER_STORAGE";
const AUTHFILE: &str = "MORSEL_CALLER_AUTHFILE";
const MAPS_USERS: &str = "MORSEL_CALLER_MAPS_USERS";
const WAITER: &str = "MORSEL_WAITER";

/// Options that say whom to trust, and with what.
const LETS_IN: [&str; 3] = ["--tls-verify", "--src-tls-verify", "--authfile"];

/// Longest command line that is read.
const LEN_MAX: usize = 1 << 20;

/// The program that calls.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Caller {
    words: Vec<String>,
}

impl Caller {
    /// Reads the command line of the parent process; an empty one when that cannot be read.
    pub(super) fn find() -> Self {
        let mut line = fs::read(format!("/proc/{}/cmdline", parent_id())).unwrap_or_default();
        line.truncate(LEN_MAX);
        let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        Self { words: words.collect() }
    }

    /// Leaves out what comes after the image, whose last name this is: a container's program has options of its own. Where the
    /// image cannot be found, nothing is left that would make less of what the registry has to prove.
    pub(super) fn until_image(mut self, repository: &str) -> Self {
        let last_name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let is_image = |word: &String| {
            let name = last_name(word);
            !word.starts_with('-') && name.split([':', '@']).next() == Some(&last_name(repository))
        };
        let image = self.words.iter().skip(1).position(is_image);
        let lets_in = |word: &str| LETS_IN.iter().any(|option| word.starts_with(option));
        let runs = |word: &String| matches!(word.as_str(), "run" | "create");
        match image {
            Some(place) => self.words.truncate(place.saturating_add(2)),
            None if self.words.iter().any(runs) => self.words.retain(|word| !lets_in(word)),
            None => {}
        }
        self
    }

    /// Tells whether nothing is going to be pulled into storage.
    pub(super) fn only_looks(&self) -> bool {
        let program = self.words.first().map(|word| word.rsplit('/').next().unwrap_or_default());
        let mut verbs = self.words.iter().skip(1).filter(|word| !word.starts_with('-')).map(String::as_str);
        match program {
            Some("skopeo") => match verbs.next() {
                Some("copy") => !self.words.iter().any(|word| word.starts_with("containers-storage:")),
                // An option with a value may come before the verb.
                verb => ["inspect", "sync", "delete", "list-tags", "layers"].map(Some).contains(&verb),
            },
            Some("podman") => {
                let is_manifest = |pair: &[String]| pair.first().is_some_and(|word| word == "manifest");
                let looks = |pair: &[String]| pair.get(1).is_some_and(|word| word == "inspect");
                self.words.windows(2).any(|pair| is_manifest(pair) && looks(pair))
            }
            _ => false,
        }
    }

    fn option(&self, name: &str) -> Option<&str> {
        let mut words = self.words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word.strip_prefix(name) {
                Some("") => return words.next(),
                Some(rest) if rest.starts_with('=') => return rest.get(1..),
                _ => {}
            }
        }
        None
    }

    fn platform(&self) -> Option<String> {
        let part = |names: [&str; 2]| names.iter().find_map(|name| self.option(name)).map(str::to_owned);
        if let Some(platform) = self.option("--platform") {
            return Some(platform.to_owned());
        }
        let (os, arch) = (part(["--os", "--override-os"]), part(["--arch", "--override-arch"]));
        let variant = part(["--variant", "--override-variant"]);
        if os.is_none() && arch.is_none() {
            return None;
        }
        let arch = arch.or_else(host_arch)?;
        let os = os.unwrap_or_else(|| "linux".to_owned());
        Some([Some(os), Some(arch), variant].into_iter().flatten().collect::<Vec<_>>().join("/"))
    }

    fn is_without_tls(&self) -> bool {
        ["--tls-verify", "--src-tls-verify"].iter().any(|name| {
            self.words
                .iter()
                .any(|word| word.strip_prefix(name).is_some_and(|rest| rest == "=false" || rest == "=0"))
        })
    }

    /// Tells whether a container is to be run with users of its own.
    fn maps_users(&self) -> bool {
        let maps = ["--uidmap", "--gidmap", "--subuidname", "--subgidname", "--userns-uid-map"];
        let own = self.option("--userns").is_some_and(|users| !matches!(users, "" | "host"));
        own || maps.iter().any(|name| self.option(name).is_some())
    }

    /// Tells a worker, which has another parent.
    pub(super) fn pass_on(&self, command: &mut Command) {
        let set = |command: &mut Command, name: &str, value: Option<&OsStr>| {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        };
        set(command, PLATFORM, self.platform().as_deref().map(OsStr::new));
        set(command, NO_TLS, self.is_without_tls().then_some(OsStr::new("1")));
        // Engines make it absolute, and whoever reads it later is somewhere else.
        let root = self.option("--root").and_then(|root| absolute(root).ok());
        set(command, STORAGE, root.as_deref().map(Path::as_os_str));
        command.env(WAITER, id().to_string());
        set(command, MAPS_USERS, self.maps_users().then_some(OsStr::new("1")));
        set(command, AUTHFILE, self.option("--authfile").map(OsStr::new));
    }
}

fn host_arch() -> Option<String> {
    Selector::host().to_string().split('/').nth(1).map(str::to_owned)
}

/// What a worker was told.
#[derive(Debug)]
pub(super) struct Told {
    /// The platform, if not this machine's.
    pub(super) platform: Option<Selector>,
    pub(super) verification: Verification,
    /// Where the engine keeps its images, if that is not what the files say.
    pub(super) storage: Option<PathBuf>,
    /// Where credentials are, if not in the usual files.
    authfile: Option<PathBuf>,
    /// Whether a container is to be run with users of its own.
    pub(super) maps_users: bool,
    /// The process that waits, while the engine does.
    waiter: Option<u32>,
}

impl Told {
    /// Tells whether the engine still waits.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiter == Some(parent_id())
    }

    /// Says how to get at the registry later, without the engine.
    pub(super) fn registry(&self) -> RegistryArgs {
        RegistryArgs {
            authfile: self.authfile.clone(),
            tls_verify: self.verification == Verification::On,
            ..RegistryArgs::default()
        }
    }

    /// Reads what the waiter passed on.
    pub(super) fn read() -> Self {
        let value = |name| std::env::var(name).ok();
        Self {
            platform: value(PLATFORM).and_then(|text| text.parse().ok()),
            verification: if value(NO_TLS).is_some() { Verification::Off } else { Verification::On },
            storage: std::env::var_os(STORAGE).map(PathBuf::from),
            authfile: std::env::var_os(AUTHFILE).map(PathBuf::from),
            maps_users: value(MAPS_USERS).is_some(),
            waiter: value(WAITER).and_then(|text| text.parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(line: &str) -> Caller {
        Caller { words: line.split(' ').map(str::to_owned).collect() }
    }

    #[test]
    fn who_only_looks_is_known() {
        for line in [
            "skopeo inspect docker://a",
            "/usr/bin/skopeo --debug copy docker://a dir:b",
            "podman manifest inspect a",
            "skopeo sync --src docker a b",
        ] {
            assert!(caller(line).only_looks(), "{line}");
        }
        for line in [
            "podman pull a",
            "podman run a inspect",
            "skopeo copy docker://a containers-storage:b",
            "crio",
            "buildah from a",
            "",
        ] {
            assert!(!caller(line).only_looks(), "{line}");
        }
    }

    #[test]
    fn a_program_may_have_options_of_its_own() {
        let inner = "skopeo copy --src-tls-verify=false --authfile x --platform linux/arm64";
        for (line, repository) in [
            (format!("podman run --root /x r.example/a/tools {inner}"), "a/tools"),
            (format!("podman run --root /x docker://r.example/a/tools:1@sha256:00 {inner}"), "a/tools"),
            (format!("podman create --root /x tools {inner}"), "mirror/of/tools"),
        ] {
            let caller = caller(&line).until_image(repository);
            assert!(!caller.is_without_tls(), "{line}");
            assert_eq!((caller.option("--authfile"), caller.platform()), (None, None), "{line}");
            assert_eq!(caller.option("--root"), Some("/x"), "{line}");
        }
        // An alias leads to an image of another name.
        let renamed = caller(&format!("podman run --userns=auto tools {inner}")).until_image("a/other");
        assert!(!renamed.is_without_tls() && renamed.option("--authfile").is_none() && renamed.maps_users());
        let pulled = caller("podman pull --tls-verify=false --authfile x tools").until_image("a/tools");
        assert!(pulled.is_without_tls() && pulled.option("--authfile") == Some("x"));
        assert!(caller("buildah build --tls-verify=false .").until_image("a/base").is_without_tls());
    }

    #[test]
    fn options_are_read() {
        let platform = |line| caller(line).platform();
        assert_eq!(platform("podman pull --platform linux/arm64/v8 a").as_deref(), Some("linux/arm64/v8"));
        assert_eq!(platform("podman pull --platform=linux/arm64 a").as_deref(), Some("linux/arm64"));
        assert_eq!(platform("podman run --arch=arm --variant=v7 a").as_deref(), Some("linux/arm/v7"));
        assert_eq!(platform("podman pull a"), None);
        assert!(caller("podman pull --tls-verify=false a").is_without_tls());
        assert!(!caller("podman pull --tls-verify=true a").is_without_tls());
        assert_eq!(caller("podman --root /x pull a").option("--root"), Some("/x"));
        for line in
            ["podman run --userns=auto a", "podman run --uidmap 0:1:2 a", "buildah from --userns auto a"]
        {
            assert!(caller(line).maps_users(), "{line}");
        }
        assert!(!caller("podman run --userns=host a").maps_users() && !caller("podman run a").maps_users());
    }
}
