//! OCI layouts: making small ones, and reading what a tool wrote. JSON as it is, no types.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::process::run_with;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// How a layer is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip -6.
    Gzip,
    /// zstd -3, by the `zstd` program.
    Zstd,
}

/// A directory that holds images.
#[derive(Debug)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Makes an empty layout.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn create(dir: impl Into<PathBuf>) -> Self {
        let layout = Self::open(dir);
        fs::create_dir_all(layout.dir.join("blobs/sha256")).expect("the layout can be made");
        layout.write("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}));
        layout.write("index.json", &json!({"schemaVersion": 2, "manifests": []}));
        layout
    }

    /// Takes a directory as a layout.
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Returns the directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the name that the peers' tools know an image by: `oci:DIR:TAG`.
    pub fn reference(&self, tag: &str) -> String {
        format!("oci:{}:{tag}", self.dir.display())
    }

    /// Adds an image whose layers are these tars, and returns the digest of its configuration: the image ID.
    pub fn add_image(&self, tag: &str, compression: Compression, tars: &[&[u8]]) -> String {
        let layers: Vec<Value> = tars.iter().map(|tar| self.add_layer(compression, tar)).collect();
        let diff_ids: Vec<String> = tars.iter().map(|tar| digest(tar)).collect();
        self.add_manifest(tag, &layers, &diff_ids)
    }

    /// Adds an image of layers that are there, and returns the digest of its configuration: the image ID.
    pub fn add_manifest(&self, tag: &str, layers: &[Value], diff_ids: &[String]) -> String {
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.add_blob(CONFIG, config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let mut descriptor = self.add_blob(MANIFEST, manifest.to_string().as_bytes());
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        let mut index = self.index();
        index["manifests"].as_array_mut().expect("an index has manifests").push(descriptor);
        self.write("index.json", &index);
        string(&config["digest"])
    }

    /// Adds an index of images, each for a platform such as `linux/arm64/v8` and with these tars as gzip layers, and returns
    /// its descriptor.
    pub fn add_platforms(&self, tag: &str, images: &[(&str, &[&[u8]])]) -> Value {
        let children: Vec<Value> =
            images.iter().map(|(platform, tars)| self.add_child(platform, tars)).collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children});
        let mut descriptor = self.add_blob(INDEX, index.to_string().as_bytes());
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        let mut index = self.index();
        index["manifests"].as_array_mut().expect("an index has manifests").push(descriptor.clone());
        self.write("index.json", &index);
        descriptor
    }

    fn add_child(&self, platform: &str, tars: &[&[u8]]) -> Value {
        let parts: Vec<&str> = platform.split('/').collect();
        let mut platform = json!({"os": parts[0], "architecture": parts[1]});
        if let Some(variant) = parts.get(2) {
            platform["variant"] = json!(variant);
        }
        let mut config = platform.clone();
        let diff_ids: Vec<String> = tars.iter().map(|tar| digest(tar)).collect();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let config = self.add_blob(CONFIG, config.to_string().as_bytes());
        let layers: Vec<Value> = tars.iter().map(|tar| self.add_layer(Compression::Gzip, tar)).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let mut descriptor = self.add_blob(MANIFEST, manifest.to_string().as_bytes());
        descriptor["platform"] = platform;
        descriptor
    }

    /// Stores bytes as a blob and returns the descriptor.
    pub fn add_blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        fs::write(self.blob_path(&digest), bytes).expect("the blob can be written");
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn add_layer(&self, compression: Compression, tar: &[u8]) -> Value {
        match compression {
            Compression::None => self.add_blob(LAYER, tar),
            Compression::Gzip => self.add_blob(&format!("{LAYER}+gzip"), &gzip(tar)),
            Compression::Zstd => {
                let zstd = run_with(std::process::Command::new("zstd").args(["-q", "-c"]), tar);
                self.add_blob(&format!("{LAYER}+zstd"), &zstd.stdout)
            }
        }
    }

    /// Returns `index.json`.
    pub fn index(&self) -> Value {
        parse(&fs::read(self.dir.join("index.json")).expect("the layout has an index"))
    }

    /// Returns the manifest of a tag.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn manifest(&self, tag: &str) -> Value {
        let index = self.index();
        let manifests = index["manifests"].as_array().expect("an index has manifests");
        let tagged = manifests.iter().find(|m| m["annotations"]["org.opencontainers.image.ref.name"] == tag);
        parse(&self.blob(&string(&tagged.expect("the tag is in the layout")["digest"])))
    }

    /// Returns the layer descriptors of a tag.
    pub fn layers(&self, tag: &str) -> Vec<Value> {
        self.manifest(tag)["layers"].as_array().expect("a manifest has layers").clone()
    }

    /// Returns the digest of a tag's configuration: the image ID.
    pub fn image_id(&self, tag: &str) -> String {
        string(&self.manifest(tag)["config"]["digest"])
    }

    /// Returns a blob's bytes.
    pub fn blob(&self, digest: &str) -> Vec<u8> {
        fs::read(self.blob_path(digest)).expect("the layout has the blob")
    }

    /// Returns the file of a blob.
    pub fn blob_path(&self, digest: &str) -> PathBuf {
        self.dir.join("blobs").join(digest.replace(':', "/"))
    }

    fn write(&self, name: &str, value: &Value) {
        fs::write(self.dir.join(name), value.to_string()).expect("the layout can be written");
    }
}

/// Compresses with gzip at level 6, the way most layers are.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory can be written")
}

/// Returns `sha256:` and the digest in hex.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("the JSON is valid")
}

fn string(value: &Value) -> String {
    value.as_str().expect("the value is a string").to_owned()
}
