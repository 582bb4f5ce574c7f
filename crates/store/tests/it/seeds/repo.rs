//! A small repository as ostree would make it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chunked::ContentDigest;

use super::kinds::write as write_file;

/// Writes a repository whose only commit has these files, and returns where each of them is.
pub(super) fn write(repo: &Path, mode: &str, files: &[(&'static str, Vec<u8>)]) -> Vec<(String, PathBuf)> {
    write_file(&repo.join("config"), format!("[core]\nrepo_version=1\nmode={mode}\n"));
    let mut root = Directory::default();
    let mut places = Vec::new();
    for (path, content) in files {
        let checksum = put(repo, "file", path.as_bytes(), content);
        places.push(((*path).to_owned(), object(&checksum, "file")));
        root.add(path, checksum);
    }
    let contents = root.write(repo);
    let commit = commit(&contents);
    let checksum = put(repo, "commit", &commit, &commit);
    write_file(&repo.join("refs/heads/os/stable"), format!("{}\n", hex(&checksum)));
    places
}

#[derive(Default)]
struct Directory {
    files: BTreeMap<String, [u8; 32]>,
    directories: BTreeMap<String, Directory>,
}

impl Directory {
    fn add(&mut self, path: &str, checksum: [u8; 32]) {
        match path.split_once('/') {
            Some((name, rest)) => self.directories.entry(name.to_owned()).or_default().add(rest, checksum),
            None => _ = self.files.insert(path.to_owned(), checksum),
        }
    }

    /// Writes it and those below it as `.dirtree` objects; returns its checksum.
    fn write(&self, repo: &Path) -> [u8; 32] {
        let name = |name: &str| [name.as_bytes(), &[0]].concat();
        let files = self.files.iter().map(|(file, checksum)| tuple(&[&name(file), checksum]));
        let directories = self
            .directories
            .iter()
            .map(|(directory, below)| tuple(&[&name(directory), &below.write(repo), &[0xdd; 32]]));
        let tree = tuple(&[&array(files.collect()), &array(directories.collect())]);
        put(repo, "dirtree", &tree, &tree)
    }
}

/// Stores an object under the checksum of something.
fn put(repo: &Path, kind: &str, named_by: &[u8], bytes: &[u8]) -> [u8; 32] {
    let checksum = ContentDigest::of(named_by).0;
    write_file(&repo.join(object(&checksum, kind)), bytes);
    checksum
}

fn object(checksum: &[u8; 32], kind: &str) -> PathBuf {
    let hex = hex(checksum);
    Path::new("objects").join(&hex[..2]).join(format!("{}.{kind}", &hex[2..]))
}

fn hex(checksum: &[u8; 32]) -> String {
    checksum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Joins members that are aligned to one byte, and says at the end where they end.
fn framed(members: &[u8], ends: &[usize]) -> Vec<u8> {
    let len_with = |width| members.len() + ends.len() * width;
    let width = [1, 2, 4].into_iter().find(|width| len_with(*width) < 1 << (8 * width)).unwrap();
    let ends = ends.iter().flat_map(|end| end.to_le_bytes().into_iter().take(width));
    members.iter().copied().chain(ends).collect()
}

fn ends(members: &[impl AsRef<[u8]>]) -> Vec<usize> {
    let add = |end: &mut usize, member: &_| {
        *end += AsRef::<[u8]>::as_ref(member).len();
        Some(*end)
    };
    members.iter().scan(0, add).collect()
}

fn tuple(members: &[&[u8]]) -> Vec<u8> {
    let mut ends = ends(members);
    ends.pop();
    ends.reverse();
    framed(&members.concat(), &ends)
}

fn array(elements: Vec<Vec<u8>>) -> Vec<u8> {
    if elements.is_empty() {
        return Vec::new();
    }
    framed(&elements.concat(), &ends(&elements))
}

/// Writes `(a{sv}aya(say)sstayay)` with nothing but a subject, a time, and the root directory.
fn commit(root: &[u8; 32]) -> Vec<u8> {
    let head = b"subject\0\0";
    let time_at = head.len().next_multiple_of(8);
    let mut bytes = head.to_vec();
    bytes.resize(time_at, 0);
    bytes.extend(1_700_000_000_u64.to_be_bytes());
    bytes.extend(root);
    let root_end = bytes.len();
    bytes.extend([0xdd; 32]);
    framed(&bytes, &[root_end, head.len(), head.len() - 1, 0, 0, 0])
}
