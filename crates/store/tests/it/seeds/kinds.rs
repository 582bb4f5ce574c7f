//! A seed of each kind, made without the tools that usually make it.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chunked::{ContentDigest, frame};
use morsel_store::objects::path_of;
use morsel_store::seed::open;
use morsel_store::{Seed, Store};
use serde_json::json;

use super::repo;
use crate::made::Made;

/// A seed, and where it has things.
pub(super) struct Held {
    pub(super) seed: Arc<dyn Seed>,
    /// Its directory.
    pub(super) root: PathBuf,
    /// The file below it that has the content of a path.
    places: Vec<(String, PathBuf)>,
}

type Files = [(&'static str, Vec<u8>)];
type Make = fn(&Path, &Files) -> Held;

pub(super) const KINDS: [(&str, Make); 9] = [
    ("host root", host_root),
    ("containers-storage, pulled whole", |dir, files| containers_storage(dir, &[files], Pulled::Whole)),
    ("containers-storage, pulled in parts", |dir, files| containers_storage(dir, &[files], Pulled::InParts)),
    ("containers-storage, composefs", |dir, files| containers_storage(dir, &[files], Pulled::Flat)),
    ("ostree bare", |dir, files| ostree(dir, files, "bare", false)),
    ("ostree bare-user", |dir, files| ostree(dir, files, "bare-user", false)),
    ("ostree with payload links", |dir, files| ostree(dir, files, "bare", true)),
    ("OCI layout", oci_layout),
    ("store of morsel", own_store),
];

impl Held {
    fn new(
        kind: &str,
        root: PathBuf,
        places: impl IntoIterator<Item = (impl Into<String>, impl Into<PathBuf>)>,
    ) -> Self {
        let places = places.into_iter().map(|(path, place)| (path.into(), place.into())).collect();
        Self { seed: open(&format!("{kind}:{}", root.display()), &[]).unwrap(), root, places }
    }

    /// Opens the seed again, after its directory was changed.
    pub(super) fn reopened(&self) -> Self {
        let seed = open(&self.seed.name().text().unwrap(), &[]).unwrap();
        Self { seed, root: self.root.clone(), places: self.places.clone() }
    }

    /// Returns the file that has the content of a path.
    pub(super) fn place_of(&self, path: &str) -> PathBuf {
        let place = self.places.iter().find(|(held, _)| held == path);
        self.root.join(&place.unwrap().1)
    }

    /// Tells whether all content is in one file.
    pub(super) fn holds_all_in_one(&self) -> bool {
        self.places.windows(2).all(|pair| pair[0].1 == pair[1].1)
    }

    /// Lists the directories above the file of a path, up to that of the seed.
    pub(super) fn directories_above(&self, path: &str) -> Vec<PathBuf> {
        let place = self.place_of(path);
        place.ancestors().skip(1).take_while(|above| *above != self.root).map(Path::to_owned).collect()
    }
}

/// Writes a file and the directories above it.
pub(super) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn hex(content: &[u8]) -> String {
    ContentDigest::of(content).to_string().replace("sha256:", "")
}

fn host_root(dir: &Path, files: &Files) -> Held {
    files.iter().for_each(|(path, content)| write(&dir.join(path), content));
    Held::new("dir", dir.to_owned(), files.iter().map(|(path, _)| (*path, *path)))
}

/// How a layer got into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulled {
    Whole,
    InParts,
    /// In parts, and kept as composefs has it.
    Flat,
}

/// Makes a graph root with a layer for each list of files, the lowest first.
pub(super) fn containers_storage(dir: &Path, layers: &[&Files], pulled: Pulled) -> Held {
    let ids: Vec<_> = (1..=layers.len()).map(|number| format!("{number:064x}")).collect();
    let records: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
    write(&dir.join("overlay-layers/layers.json"), json!(records).to_string());
    let mut places = Vec::new();
    for (id, files) in ids.iter().zip(layers) {
        let diff = Path::new("overlay").join(id).join("diff");
        for (path, content) in *files {
            let place = match pulled {
                Pulled::Flat => diff.join(&hex(content)[..2]).join(&hex(content)[2..]),
                Pulled::Whole | Pulled::InParts => diff.join(path),
            };
            write(&dir.join(&place), content);
            places.push((*path, place));
        }
        if pulled != Pulled::Whole {
            write_toc(&dir.join("overlay-layers").join(id), files, pulled);
        }
    }
    Held::new("containers-storage", dir.to_owned(), places)
}

/// Writes what podman keeps beside a layer that it pulled in parts.
fn write_toc(big_data: &Path, files: &Files, pulled: Pulled) {
    let mut toc = Vec::new();
    let made = Made::files(files.iter().map(|(path, content)| (path, content)));
    frame::content(made.open().toc_blob.as_slice()).unwrap().read_to_end(&mut toc).unwrap();
    write(&big_data.join("=enN0ZC1jaHVua2VkLW1hbmlmZXN0"), toc);
    let format = json!({"format": u8::from(pulled == Pulled::Flat)});
    write(&big_data.join("=enN0ZC1jaHVua2VkLWxheWVyLWRhdGE="), format.to_string());
}

fn ostree(dir: &Path, files: &Files, mode: &str, has_links: bool) -> Held {
    let places = repo::write(dir, mode, files);
    if has_links {
        for ((_, content), (_, place)) in files.iter().zip(&places) {
            let (fan, name) = (place.parent().unwrap().file_name().unwrap(), place.file_name().unwrap());
            let hex = hex(content);
            let link = dir.join("objects").join(&hex[..2]).join(format!("{}.payload-link", &hex[2..]));
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(Path::new("..").join(fan).join(name), link).unwrap();
        }
        fs::remove_dir_all(dir.join("refs/heads")).unwrap();
    }
    Held::new("ostree", dir.to_owned(), places)
}

fn oci_layout(dir: &Path, files: &Files) -> Held {
    let made = Made::files(files.iter().map(|(path, content)| (path, content)));
    write(&dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
    let blob = Path::new("blobs/sha256").join(made.digest().to_string().replace("sha256:", ""));
    write(&dir.join(&blob), &made.blob);
    write(&dir.join("blobs/sha256").join("0".repeat(64)), b"{}");
    Held::new("oci", dir.to_owned(), files.iter().map(|(path, _)| (*path, &blob)))
}

fn own_store(dir: &Path, files: &Files) -> Held {
    let store = Store::open(dir).unwrap();
    let made = Made::files(files.iter().map(|(path, content)| (path, content)));
    for (_, content) in files {
        store.objects().put(&ContentDigest::of(content), content).unwrap();
    }
    store.index().add(morsel_store::index::chunks(&made.open().toc)).unwrap();
    let place = |content: &[u8]| Path::new("objects").join(path_of(&ContentDigest::of(content)));
    Held::new("morsel", dir.to_owned(), files.iter().map(|(path, content)| (*path, place(content))))
}
