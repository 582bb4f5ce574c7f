//! Media types of OCI and Docker (manifest version 2, schema 2), and what they say about a blob.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::shorten;

/// The type of the bytes that a descriptor points at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(Cow<'static, str>);

macro_rules! media_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl MediaType {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($text));)*
        }
    };
}

media_types! {
    /// An OCI image manifest.
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index.
    OCI_INDEX = "application/vnd.oci.image.index.v1+json";
    /// An OCI image configuration.
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json";
    /// An OCI layer, plain tar.
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar";
    /// An OCI layer, tar compressed with gzip.
    OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// An OCI layer, tar compressed with zstd; zstd:chunked is told by annotations only.
    OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// A Docker manifest, schema 2.
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker manifest list.
    DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// A Docker image configuration; its bytes are an OCI configuration as well.
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
    /// A Docker layer, plain tar.
    DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar";
    /// A Docker layer, tar compressed with gzip.
    DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// A Docker layer, tar compressed with zstd, as BuildKit writes it.
    DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd";
}

/// Docker types that have an OCI name, with that name. Foreign layers are what OCI calls nondistributable.
const OCI_NAMES: [(&str, &str); 9] = [
    ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json"),
    ("application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.oci.image.index.v1+json"),
    ("application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"),
    ("application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"),
    ("application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
    ("application/vnd.docker.image.rootfs.diff.tar.zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    ),
];

/// Start of the types of layers that must not be copied to other registries.
const NONDISTRIBUTABLE: &str = "application/vnd.oci.image.layer.nondistributable.v1.";

/// Endings that mark an encrypted blob: of ocicrypt, and of its first versions for Docker types.
const ENCRYPTED_ENDINGS: [&str; 2] = ["+encrypted", "+enc"];

/// What a JSON document describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// One image: a configuration and layers.
    Manifest,
    /// A list of manifests and further indexes.
    Index,
}

/// What a layer's media type says about its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// A plain tar.
    Tar,
    /// A tar compressed with gzip.
    TarGzip,
    /// A tar compressed with zstd, chunked or not.
    TarZstd,
    /// A tar that must not be redistributed, and need not be where the image is.
    Foreign,
    /// Encrypted bytes.
    Encrypted,
    /// Not a layer that this program knows.
    Unknown,
}

impl MediaType {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells manifests and indexes from everything else.
    pub fn document(&self) -> Option<DocumentKind> {
        if [Self::OCI_MANIFEST, Self::DOCKER_MANIFEST].contains(self) {
            Some(DocumentKind::Manifest)
        } else if [Self::OCI_INDEX, Self::DOCKER_INDEX].contains(self) {
            Some(DocumentKind::Index)
        } else {
            None
        }
    }

    /// Tells whether it is an image configuration, the mark of an image among artifacts.
    pub fn is_image_config(&self) -> bool {
        [Self::OCI_CONFIG, Self::DOCKER_CONFIG].contains(self)
    }

    /// Says what it means for a layer.
    pub fn layer(&self) -> LayerKind {
        let oci = self.to_oci();
        if ENCRYPTED_ENDINGS.iter().any(|ending| self.0.ends_with(ending)) {
            LayerKind::Encrypted
        } else if oci == Self::OCI_LAYER {
            LayerKind::Tar
        } else if oci == Self::OCI_LAYER_GZIP {
            LayerKind::TarGzip
        } else if oci == Self::OCI_LAYER_ZSTD {
            LayerKind::TarZstd
        } else if oci.0.starts_with(NONDISTRIBUTABLE) {
            LayerKind::Foreign
        } else {
            LayerKind::Unknown
        }
    }

    /// Returns OCI's name for a Docker type; any other type stays as it is.
    pub fn to_oci(&self) -> Self {
        match OCI_NAMES.iter().find(|(docker, _)| *docker == self.0) {
            Some((_, oci)) => Self(Cow::Borrowed(oci)),
            None => self.clone(),
        }
    }
}

impl From<String> for MediaType {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shorten(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_classified() {
        let kind = |text: &str| MediaType::from(text.to_owned()).layer();
        let oci = |rest: &str| kind(&format!("application/vnd.oci.image.layer.{rest}"));
        let docker = |rest: &str| kind(&format!("application/vnd.docker.image.rootfs.{rest}"));
        assert_eq!(oci("v1.tar"), LayerKind::Tar);
        assert_eq!(oci("v1.tar+gzip"), LayerKind::TarGzip);
        assert_eq!(oci("v1.tar+zstd"), LayerKind::TarZstd);
        assert_eq!(oci("v1.tar+gzip+encrypted"), LayerKind::Encrypted);
        assert_eq!(oci("nondistributable.v1.tar+gzip"), LayerKind::Foreign);
        assert_eq!(oci("nondistributable.v1.tar+gzip+encrypted"), LayerKind::Encrypted);
        assert_eq!(oci("v2.tar"), LayerKind::Unknown);
        assert_eq!(docker("diff.tar"), LayerKind::Tar);
        assert_eq!(docker("diff.tar.gzip"), LayerKind::TarGzip);
        assert_eq!(docker("diff.tar.zstd"), LayerKind::TarZstd);
        assert_eq!(docker("diff.tar.gzip+enc"), LayerKind::Encrypted);
        assert_eq!(docker("foreign.diff.tar.gzip"), LayerKind::Foreign);
        assert_eq!(kind("application/vnd.in-toto+json"), LayerKind::Unknown);
    }

    #[test]
    fn documents_are_told_from_blobs() {
        assert_eq!(MediaType::DOCKER_MANIFEST.document(), Some(DocumentKind::Manifest));
        assert_eq!(MediaType::OCI_INDEX.document(), Some(DocumentKind::Index));
        assert_eq!(MediaType::OCI_CONFIG.document(), None);
        assert_eq!(MediaType::DOCKER_INDEX.to_oci(), MediaType::OCI_INDEX);
    }
}
