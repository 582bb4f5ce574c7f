//! Running `morsel`, and an image for it to convert.

use std::path::Path;
use std::process::Command;

use testkit::data;
use testkit::oci::{Compression, Layout};
use testkit::process::run;
use testkit::tar::{Member, Tar, sample};

/// Starts a `morsel` command line.
pub(crate) fn morsel() -> Command {
    Command::new(env!("CARGO_BIN_EXE_morsel"))
}

/// An image before and after its conversion, in two layouts under the tag `latest`.
pub(crate) struct Converted {
    pub(crate) source: Layout,
    pub(crate) target: Layout,
    pub(crate) tars: Vec<Vec<u8>>,
}

impl Converted {
    /// Makes an image of these tars below `dir` and converts it.
    pub(crate) fn new(dir: &Path, tars: Vec<Vec<u8>>) -> Self {
        let source = Layout::create(dir.join("source"));
        source.add_image("latest", Compression::Gzip, &tars.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let target = Layout::open(dir.join("target"));
        run(morsel().arg("convert").args([source.reference("latest"), target.reference("latest")]));
        Self { source, target, tars }
    }

    /// Converts an image of two layers: one of everything, and one on top that replaces and removes.
    pub(crate) fn sample(dir: &Path) -> Self {
        let upper = Tar::new()
            .dir("./")
            .dir("./etc/")
            .file("./etc/hostname", "other\n")
            .file("./etc/.wh.note", "")
            .member(Member::file("./srv/incompressible", data::stream(7, 1 << 20)).owner(33, 33))
            .finish();
        Self::new(dir, vec![sample::rich_tar(), upper])
    }

    /// Returns each converted layer: its descriptor, its blob and the tar it was made from.
    pub(crate) fn layers(&self) -> impl Iterator<Item = (serde_json::Value, Vec<u8>, &[u8])> {
        let descriptors = self.target.layers("latest");
        assert_eq!(descriptors.len(), self.tars.len());
        descriptors.into_iter().zip(&self.tars).map(|(descriptor, tar)| {
            let blob = self.target.blob(digest(&descriptor));
            (descriptor, blob, tar.as_slice())
        })
    }
}

/// Returns the digest in a descriptor.
pub(crate) fn digest(descriptor: &serde_json::Value) -> &str {
    descriptor["digest"].as_str().expect("a descriptor has a digest")
}
