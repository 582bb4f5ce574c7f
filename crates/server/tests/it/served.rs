//! A server in a thread of the test, and what to push to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use chunked::BlobDigest;
use morsel_server::{Access, Options, Server, Serves, Stop};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::http::{Answer, exchange, request};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A registry of its own directory, gone when this is dropped.
pub(crate) struct Served {
    dir: TempDir,
    pub(crate) address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::start_as(|_| {})
    }

    /// Starts a registry of which an index needs only what `policy` says.
    pub(crate) fn sparse(policy: &str) -> Self {
        Self::start_as(|options| options.index_policy = policy.parse().unwrap())
    }

    /// The same with what is there already.
    pub(crate) fn sparse_in(dir: TempDir) -> Self {
        Self::start_in(dir, |options| options.index_policy = "none".parse().unwrap())
    }

    pub(crate) fn start_as(change: impl FnOnce(&mut Options)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change)
    }

    pub(crate) fn start_in(dir: TempDir, change: impl FnOnce(&mut Options)) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        let mut options = Options {
            directory: dir.path().to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            index_policy: "all".parse().unwrap(),
            access: Access::ReadWrite,
            tls: None,
            users: None,
            log: Some(Arc::new(move |exchange| lines.lock().unwrap().push(exchange.to_string()))),
            serves: Serves::Many,
        };
        change(&mut options);
        let server = Server::bind(options).unwrap();
        let (address, stop) = (server.address(), server.stopper());
        let thread = std::thread::spawn(move || server.run().unwrap());
        Self { dir, address, stop, thread: Some(thread), log }
    }

    /// Stops the server, and returns its directory.
    pub(crate) fn end(mut self) -> TempDir {
        self.halt();
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }

    fn halt(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the lines of the log so far. That of the last request may be missing.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        exchange(self.address, &request(method, path, headers, body))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// Pushes a blob, and describes it.
    pub(crate) fn push_blob(&self, repository: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.send("POST", &path, &[], bytes);
        assert_eq!(answer.status, 201, "{answer:?}");
        json!({ "mediaType": LAYER, "digest": digest, "size": bytes.len() })
    }

    pub(crate) fn push(&self, repository: &str, name: &str, document: &Document) -> Answer {
        let path = format!("/v2/{repository}/manifests/{name}");
        self.send("PUT", &path, &[("Content-Type", document.media_type)], &document.bytes)
    }

    /// Pushes the blobs of an image of one platform, and returns its manifest, which is not pushed.
    pub(crate) fn image(&self, repository: &str, architecture: &str) -> Document {
        let config = json!({ "os": "linux", "architecture": architecture, "rootfs": { "diff_ids": [] } });
        let mut config = self.push_blob(repository, config.to_string().as_bytes());
        config["mediaType"] = CONFIG.into();
        let layer = self.push_blob(repository, architecture.as_bytes());
        Document::manifest(json!({ "config": config, "layers": [layer] }))
    }

    /// Pushes an image under a name.
    pub(crate) fn push_image(&self, repository: &str, name: &str, architecture: &str) -> Document {
        let image = self.image(repository, architecture);
        let name = if name.is_empty() { &image.digest() } else { name };
        let answer = self.push(repository, name, &image);
        assert_eq!(answer.status, 201, "{answer:?}");
        image
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.halt();
    }
}

/// A manifest or index.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Document {
    fn new(media_type: &'static str, mut value: Value) -> Self {
        value["schemaVersion"] = 2.into();
        value["mediaType"] = media_type.into();
        Self { media_type, bytes: value.to_string().into_bytes() }
    }

    pub(crate) fn manifest(value: Value) -> Self {
        Self::new(MANIFEST, value)
    }

    /// Lists images by their platforms; no platform is written for `-`.
    pub(crate) fn index(images: &[(&str, &Self)]) -> Self {
        let entry = |(platform, image): &(&str, &Self)| {
            let mut entry = image.descriptor();
            if let Some((os, architecture)) = platform.split_once('/') {
                let (architecture, variant) = architecture.split_once('/').unwrap_or((architecture, ""));
                entry["platform"] = json!({ "os": os, "architecture": architecture, "variant": variant });
            }
            entry
        };
        Self::new(INDEX, json!({ "manifests": images.iter().map(entry).collect::<Vec<_>>() }))
    }

    pub(crate) fn digest(&self) -> String {
        digest(&self.bytes)
    }

    pub(crate) fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest(), "size": self.bytes.len() })
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    BlobDigest::of(bytes).to_string()
}
