//! Where an image is, in words that a daemon understands after the command is gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use mount::fetch::Place;
use registry::{ImageSource, Reference};

use crate::args::RegistryArgs;

const AUTHFILE: &str = "authfile";
const CERT_DIR: &str = "cert-dir";
const TLS_VERIFY: &str = "tls-verify";
const TIMEOUT: &str = "timeout";

/// Says where an image is, by the digest of what its name stood for.
pub(in crate::commands) fn of(source: &dyn ImageSource, args: &RegistryArgs) -> anyhow::Result<Place> {
    let reference = match source.reference() {
        Reference::Registry(name) => {
            format!("docker://{}/{}@{}", name.host(), name.repository(), source.root().digest)
        }
        Reference::OciLayout { dir, tag } => {
            Reference::OciLayout { dir: absolute(dir)?, tag: tag.clone() }.to_string()
        }
        Reference::OciArchive { file, tag } => {
            Reference::OciArchive { file: absolute(file)?, tag: tag.clone() }.to_string()
        }
        Reference::DockerArchive { file, image } => {
            Reference::DockerArchive { file: absolute(file)?, image: image.clone() }.to_string()
        }
    };
    let path = |path: &Option<PathBuf>| path.as_deref().map(absolute).transpose();
    let text = |path: PathBuf| path.display().to_string();
    let mut options = BTreeMap::new();
    options.extend(path(&args.authfile)?.map(|path| (AUTHFILE.to_owned(), text(path))));
    options.extend(path(&args.cert_dir)?.map(|path| (CERT_DIR.to_owned(), text(path))));
    options.extend(args.timeout.map(|seconds| (TIMEOUT.to_owned(), seconds.to_string())));
    options.insert(TLS_VERIFY.to_owned(), args.tls_verify.to_string());
    Ok(Place { reference, options })
}

/// Reads the words of a place.
pub(super) fn arguments(place: &Place) -> RegistryArgs {
    let option = |name: &str| place.options.get(name);
    RegistryArgs {
        authfile: option(AUTHFILE).map(PathBuf::from),
        cert_dir: option(CERT_DIR).map(PathBuf::from),
        tls_verify: option(TLS_VERIFY).is_none_or(|verify| verify != "false"),
        timeout: option(TIMEOUT).and_then(|seconds| seconds.parse().ok()),
    }
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    fs::canonicalize(path).with_context(|| format!("cannot find `{}`", path.display()))
}
