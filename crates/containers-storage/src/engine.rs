//! An engine's own storage, as far as it says what is in use.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::error::{Error, damaged};
use crate::file::{LIST_LEN_MAX, read};
use crate::record::{ContainerRecord, ImageRecord, LayerId, ParentRecord, list};

/// The lists of layers: those of images, and those of containers that are gone after a reboot.
const LAYERS: [&str; 2] = ["overlay-layers/layers.json", "overlay-layers/volatile-layers.json"];
const IMAGES: &str = "overlay-images/images.json";
const CONTAINERS: [&str; 2] =
    ["overlay-containers/containers.json", "overlay-containers/volatile-containers.json"];

/// What an engine has: a graph root of containers-storage with the overlay driver.
///
/// The lists are replaced as a whole, by renaming, so they are read without a lock.
#[derive(Debug, Clone)]
pub struct EngineStorage {
    path: PathBuf,
    layers: Vec<ParentRecord>,
    images: Vec<ImageRecord>,
    containers: Vec<ContainerRecord>,
}

impl EngineStorage {
    /// Reads the lists of the graph root at `path`. One that is not there is empty.
    ///
    /// # Errors
    /// [`Error::Damaged`] when a list cannot be read: nobody knows then what is in use. Those of the file system.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut layers = Vec::new();
        for name in LAYERS {
            layers.extend(records(&path.join(name))?);
        }
        let mut containers = Vec::new();
        for name in CONTAINERS {
            containers.extend(records(&path.join(name))?);
        }
        Ok(Self { path: path.to_owned(), layers, images: records(&path.join(IMAGES))?, containers })
    }

    /// Returns the graph root.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lists the layers that it has itself.
    pub fn layers(&self) -> BTreeSet<LayerId> {
        ids(self.layers.iter().map(|layer| &layer.id))
    }

    /// Lists the layers that something of it needs, its own or another store's. What these lie on is not listed.
    pub fn needs(&self) -> BTreeSet<LayerId> {
        let images = self.images.iter().flat_map(|image| image.mapped_layers.iter().chain([&image.layer]));
        let containers = self.containers.iter().map(|container| &container.layer);
        ids(self.layers.iter().map(|layer| &layer.parent).chain(images).chain(containers))
    }
}

fn ids<'a>(texts: impl Iterator<Item = &'a String>) -> BTreeSet<LayerId> {
    texts.filter_map(|text| LayerId::try_from(text.clone()).ok()).collect()
}

fn records<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Error> {
    match read(path, LIST_LEN_MAX)? {
        Some(json) => list(&json).map_err(|error| damaged(path, error)),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_images_containers_and_upper_layers_lie_on_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|digit| digit.repeat(64));
        for folder in ["overlay-layers", "overlay-images", "overlay-containers"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
        write(LAYERS[0], format!(r#"[{{"id":"{b}","parent":"{a}","created":"x"}}]"#));
        write(IMAGES, format!(r#"[{{"id":"1","layer":"{c}","names":["n"]}},{{"id":"2"}}]"#));
        write(CONTAINERS[1], format!(r#"[{{"id":"3","layer":"{d}","image":"1"}}]"#));

        let storage = EngineStorage::read(dir.path()).unwrap();

        let names = |ids: BTreeSet<LayerId>| ids.into_iter().map(String::from).collect::<Vec<_>>();
        assert_eq!(names(storage.layers()), [b]);
        assert_eq!(names(storage.needs()), [a, c, d]);

        write(IMAGES, "[{".to_owned());
        assert!(matches!(EngineStorage::read(dir.path()), Err(Error::Damaged { .. })));
        assert!(EngineStorage::read(&dir.path().join("nothing")).unwrap().needs().is_empty());
    }
}
