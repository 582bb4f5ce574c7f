//! An image before and after a small change, a store that has the first of them, and pulls of the second.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use testkit::data;
use testkit::oci::{self, Layout};
use testkit::process::run;
use testkit::scripted::{Request, Scripted};
use testkit::tar::Tar;

use crate::harness::{Converted, digest, morsel};

/// Layers of the images.
const LAYERS: usize = 2;
/// Bytes of a file that changes.
const CHANGED_LEN: usize = 5_000;

/// The user that registries with a password know: `ann`, whose password is `secret`.
const AUTH: &str = "YW5uOnNlY3JldA==";

/// A store with the old image, and the new image: two layers of which little has changed.
pub(crate) struct Update {
    dir: TempDir,
    pub(crate) after: Converted,
    /// The objects in the store after a pull that nothing disturbed.
    objects: BTreeSet<String>,
}

impl Update {
    /// Makes layers with so many files that stay, and as many between them that change. What stays is far longer than
    /// what asking around it takes.
    pub(crate) fn new(files: usize, kept_len: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let kept: Vec<_> = (0..LAYERS * files).map(|seed| data::stream(seed as u64, kept_len)).collect();
        let before = Converted::new(&dir.path().join("before"), tars(&kept, 1000));
        let after = Converted::new(&dir.path().join("after"), tars(&kept, 2000));
        let mut update = Self { dir, after, objects: BTreeSet::new() };
        update.pull_layout(&update.store(), &before.target);
        let good = update.copy_store("good");
        update.pull_layout(&good, &update.after.target);
        update.objects = objects(&good);
        update
    }

    /// Returns the new image as others store it: its layers are gzip.
    pub(crate) fn plain(&self) -> &Layout {
        &self.after.source
    }

    /// Pulls the new image from a registry, into a copy of the store that is called `name`.
    pub(crate) fn pull(&self, name: &str, host: &str) -> Pulled {
        self.pull_with(name, host, &[])
    }

    /// The same with further options.
    pub(crate) fn pull_with(&self, name: &str, host: &str, options: &[&str]) -> Pulled {
        let store = self.copy_store(name);
        let auth = self.dir.path().join(format!("{name}.json"));
        fs::write(&auth, format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"{AUTH}\"}}}}}}")).unwrap();
        let mut command = self.command("pull", &store);
        command
            .arg("--authfile")
            .arg(auth)
            .args(["--timeout=1", "--json"])
            .args(options)
            .arg(format!("docker://{host}/image:latest"));
        let output = command.output().unwrap();
        Pulled { objects: objects(&store), store, output }
    }

    /// Says in what a pull differs from one that nothing disturbed.
    pub(crate) fn incomplete(&self, pulled: &Pulled) -> Option<String> {
        if !pulled.output.status.success() {
            return Some(pulled.stderr());
        }
        if pulled.objects != self.objects {
            return Some("the store has other objects".to_owned());
        }
        let images = run(self.command("images", &pulled.store).arg("--json"));
        (!images.text().contains("proven")).then(|| images.text().to_owned())
    }

    /// Picks the requests for layers.
    pub(crate) fn layer_requests(&self, registry: &Scripted) -> Vec<Request> {
        let layers = [&self.after.target, self.plain()].map(|layout| layout.layers("latest")).concat();
        let is_layer = |request: &Request| layers.iter().any(|layer| request.path.contains(digest(layer)));
        registry.requests().into_iter().filter(|r| r.method == "GET" && is_layer(r)).collect()
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn copy_store(&self, name: &str) -> PathBuf {
        let copy = self.dir.path().join(name);
        // The pull before it returned earlier.
        run(&mut self.command("sync", &self.store()));
        run(Command::new("cp").arg("-a").arg(self.store()).arg(&copy));
        copy
    }

    fn pull_layout(&self, store: &Path, layout: &Layout) {
        run(self.command("pull", store).arg(layout.reference("latest")));
    }

    /// Starts a command line in a home of its own: nothing is remembered from one to the next.
    fn command(&self, verb: &str, store: &Path) -> Command {
        let home = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        let mut command = morsel();
        command.arg(verb).arg("--root").arg(store).env("HOME", home);
        for variable in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
            command.env_remove(variable);
        }
        command
    }
}

/// What a pull said and left.
pub(crate) struct Pulled {
    store: PathBuf,
    objects: BTreeSet<String>,
    pub(crate) output: Output,
}

impl Pulled {
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Returns a number of the receipt's totals; 0 where there is no receipt.
    pub(crate) fn traffic(&self, name: &str) -> u64 {
        let receipt: Value = serde_json::from_slice(&self.output.stdout).unwrap_or_default();
        receipt["total"]["traffic"][name].as_u64().unwrap_or(0)
    }
}

/// Makes the layers of an image: files that stay, each followed by one that depends on the version.
fn tars(kept: &[Vec<u8>], version: u64) -> Vec<Vec<u8>> {
    let files: Vec<_> = kept.iter().zip(0..).collect();
    let layer = |files: &[(&Vec<u8>, u64)]| {
        let tar = files.iter().fold(Tar::new().dir("./"), |tar, (content, number)| {
            let changed = data::stream(version + number, CHANGED_LEN);
            tar.file(format!("./kept-{number}"), content).file(format!("./new-{number}"), changed)
        });
        tar.finish()
    };
    files.chunks(kept.len() / LAYERS).map(layer).collect()
}

/// Lists the objects of a store, each of which must be what its name says.
pub(crate) fn objects(store: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in fs::read_dir(store.join("objects")).into_iter().flatten() {
        let folder = folder.unwrap();
        for object in fs::read_dir(folder.path()).unwrap() {
            let object = object.unwrap();
            let name =
                [folder.file_name(), object.file_name()].map(|part| part.into_string().unwrap()).concat();
            assert_eq!(oci::digest(&fs::read(object.path()).unwrap()), format!("sha256:{name}"));
            names.insert(name);
        }
    }
    names
}
