//! Trees on disk, compared to the last attribute.
//!
//! ```no_run
//! use std::path::Path;
//! use morsel_testkit::compare::Listing;
//!
//! let ours = Listing::read(Path::new("ours"));
//! let theirs = Listing::read(Path::new("theirs"));
//! ours.assert_same(&theirs);
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::oci::digest;

/// All that is below a directory, and the directory itself as `.`, by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing(BTreeMap<String, Facts>);

/// What is known of one path: the name of each fact, and what it is.
pub type Facts = BTreeMap<&'static str, String>;

/// Differences that one report lists.
const MOST_DIFFERENCES: usize = 40;

impl Listing {
    /// Reads a tree: type, mode, owner, time of modification, size, target, device, names of the same file, extended
    /// attributes, and the digest of the content. `holes` is the size of what is not allocated, in blocks of 4 KiB.
    ///
    /// # Panics
    ///
    /// When something cannot be read.
    pub fn read(root: &Path) -> Self {
        let mut facts = BTreeMap::new();
        let mut files: HashMap<u64, Vec<String>> = HashMap::new();
        let mut waiting = vec![PathBuf::new()];
        while let Some(name) = waiting.pop() {
            let path = root.join(&name);
            let metadata = path.symlink_metadata().expect("what is listed can be examined");
            let shown = show(&name);
            if metadata.is_dir() {
                let entries = fs::read_dir(&path).expect("a directory can be listed");
                let entry =
                    |entry: io::Result<DirEntry>| entry.expect("a directory can be listed").file_name();
                waiting.extend(entries.map(|next| name.join(entry(next))));
            } else if metadata.nlink() > 1 {
                files.entry(metadata.ino()).or_default().push(shown.clone());
            }
            facts.insert(shown, of_path(&path, &metadata));
        }
        for mut names in files.into_values() {
            names.sort();
            for name in &names {
                let others = facts.get_mut(name).expect("every name has facts");
                others.insert("names", names.join(" = "));
            }
        }
        Self(facts)
    }

    /// Returns what is known of each path.
    pub fn paths(&self) -> &BTreeMap<String, Facts> {
        &self.0
    }

    /// Forgets a fact of all paths for which `whose` is true.
    pub fn without(mut self, fact: &str, whose: impl Fn(&str, &Facts) -> bool) -> Self {
        for (path, facts) in &mut self.0 {
            if whose(path, facts) {
                facts.remove(fact);
            }
        }
        self
    }

    /// Lists what differs, one line for each fact: path, fact, here and there.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let paths: BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        for path in paths {
            match (self.0.get(path), other.0.get(path)) {
                (Some(_), None) => differences.push(format!("{path}: only on the left")),
                (None, Some(_)) => differences.push(format!("{path}: only on the right")),
                (Some(left), Some(right)) => {
                    let facts: BTreeSet<_> = left.keys().chain(right.keys()).collect();
                    let differs = |fact: &&&&str| left.get(**fact) != right.get(**fact);
                    differences.extend(facts.iter().filter(differs).map(|fact| {
                        let show = |facts: &Facts| facts.get(*fact).cloned().unwrap_or("-".into());
                        format!("{path}: {fact} is {} on the left, {} on the right", show(left), show(right))
                    }));
                }
                (None, None) => {}
            }
        }
        differences
    }

    /// Compares with another tree.
    ///
    /// # Panics
    ///
    /// When they differ; the message lists how.
    #[track_caller]
    pub fn assert_same(&self, other: &Self) {
        let differences = self.differences(other);
        let shown = differences.iter().take(MOST_DIFFERENCES).map(String::as_str).collect::<Vec<_>>();
        assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), shown.join("\n"));
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, facts) in &self.0 {
            let facts: Vec<_> = facts.iter().map(|(fact, value)| format!("{fact}={value}")).collect();
            writeln!(f, "{path} {}", facts.join(" "))?;
        }
        Ok(())
    }
}

/// Writes a path as it is named in listings.
fn show(path: &Path) -> String {
    let path = path.as_os_str().as_bytes();
    if path.is_empty() { ".".into() } else { path.escape_ascii().to_string() }
}

fn of_path(path: &Path, metadata: &Metadata) -> Facts {
    let kind = metadata.file_type();
    let mut facts = Facts::from([
        ("owner", format!("{}:{}", metadata.uid(), metadata.gid())),
        ("modified", format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec())),
    ]);
    if !kind.is_symlink() {
        facts.insert("mode", format!("{:04o}", metadata.mode() & 0o7777));
    }
    let name = match kind {
        kind if kind.is_dir() => "directory",
        kind if kind.is_file() => {
            facts.insert("size", metadata.len().to_string());
            facts.insert("content", digest(&fs::read(path).expect("a file can be read")));
            let holes = metadata.len().saturating_sub(metadata.blocks() * 512) >> 12;
            facts.insert("holes", holes.to_string());
            "file"
        }
        kind if kind.is_symlink() => {
            let target = fs::read_link(path).expect("a link can be read");
            facts.insert("target", target.as_os_str().as_bytes().escape_ascii().to_string());
            "symlink"
        }
        kind if kind.is_fifo() => "fifo",
        kind if kind.is_socket() => "socket",
        kind => {
            let device = metadata.rdev();
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            facts.insert("device", format!("{major}:{minor}"));
            if kind.is_char_device() { "char device" } else { "block device" }
        }
    };
    facts.insert("type", name.to_owned());
    let xattrs = xattrs(path);
    if !xattrs.is_empty() {
        facts.insert("xattrs", xattrs.join(" "));
    }
    facts
}

/// Lists extended attributes as `name=value`, sorted.
fn xattrs(path: &Path) -> Vec<String> {
    let mut buffer = vec![0; 64 << 10];
    let len = rustix::fs::llistxattr(path, &mut buffer).unwrap_or(0);
    let names = buffer[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut value = vec![0; 64 << 10];
    let mut xattrs: Vec<_> = names
        .map(|name| {
            let len = rustix::fs::lgetxattr(path, name, &mut value).expect("an attribute can be read");
            format!("{}={}", name.escape_ascii(), value[..len].escape_ascii())
        })
        .collect();
    xattrs.sort();
    xattrs
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn trees_differ_by_what_is_different() {
        let [left, right] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for dir in [&left, &right] {
            let path = |name: &str| dir.path().join(name);
            fs::create_dir(path("d")).unwrap();
            fs::write(path("d/file"), "content").unwrap();
            fs::hard_link(path("d/file"), path("link")).unwrap();
            symlink("target", path("symlink")).unwrap();
        }
        let read = |dir: &tempfile::TempDir| Listing::read(dir.path()).without("modified", |_, _| true);
        read(&left).assert_same(&read(&right));
        assert_eq!(read(&left).paths().keys().collect::<Vec<_>>(), [".", "d", "d/file", "link", "symlink"]);

        let path = |name: &str| right.path().join(name);
        fs::set_permissions(path("d"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::remove_file(path("link")).unwrap();
        fs::remove_file(path("symlink")).unwrap();
        symlink("other", path("symlink")).unwrap();
        assert_eq!(
            read(&left).differences(&read(&right)),
            [
                "d: mode is 0755 on the left, 0700 on the right",
                "d/file: names is d/file = link on the left, - on the right",
                "link: only on the left",
                "symlink: target is target on the left, other on the right",
            ]
        );
    }
}
