//! What skopeo and umoci think of our images, and we of theirs.

use std::path::Path;

use morsel_registry::ImageSink;
use morsel_registry::convert::{self, NoProgress, Options};
use morsel_registry::descriptor::Descriptor;
use morsel_registry::media_type::MediaType;
use testkit::process::run;
use testkit::tools::{self, Tier};

use crate::made::{blob_of, config, create, manifest_of, open, put_blob, put_manifest, reference, tar};

fn tars() -> Vec<Vec<u8>> {
    vec![tar(&[("etc/hosts", b"127.0.0.1"), ("bin/sh", &[7; 5000])]), tar(&[("app", &[9; 100_000])])]
}

/// An image with plain layers.
fn put_plain(sink: &mut dyn ImageSink) -> Descriptor {
    let layers = tars().iter().map(|tar| put_blob(sink, MediaType::OCI_LAYER, tar)).collect();
    let config = put_blob(sink, MediaType::OCI_CONFIG, &config("linux/amd64", &tars()));
    let mut manifest = crate::made::manifest(config, layers);
    manifest.media_type = Some(MediaType::OCI_MANIFEST);
    put_manifest(sink, manifest)
}

fn put(transport: &str, path: &Path) {
    let mut sink = create(&reference(transport, path, ":v1")).unwrap();
    let image = put_plain(&mut *sink);
    sink.commit(&image).unwrap();
}

#[test]
fn tool_skopeo_reads_converted_layouts_and_archives() {
    let dir = tempfile::tempdir().unwrap();
    put("oci", &dir.path().join("in"));
    for transport in ["oci", "oci-archive"] {
        let out = dir.path().join(transport);
        let source = open(&reference("oci", &dir.path().join("in"), "")).unwrap();
        let sink = create(&reference(transport, &out, ":v1")).unwrap();
        convert::convert(&*source, sink, &Options::default(), &NoProgress).unwrap();
        let from = format!("{transport}:{}:v1", out.display());
        let to = format!("dir:{}", dir.path().join("copied").display());
        let Some(mut skopeo) = tools::host(Tier::Tool, "skopeo") else { return };
        run(skopeo.args(["--insecure-policy", "copy", &from, &to]));
    }
}

#[test]
fn tool_umoci_unpacks_what_we_write() {
    let dir = tempfile::tempdir().unwrap();
    put("oci", &dir.path().join("in"));
    let image = format!("{}:v1", dir.path().join("in").display());
    let bundle = dir.path().join("bundle").display().to_string();
    let Some(mut umoci) = tools::host(Tier::Tool, "umoci") else { return };
    run(umoci.args(["unpack", "--rootless", "--image", &image, &bundle]));
    assert_eq!(std::fs::read(dir.path().join("bundle/rootfs/etc/hosts")).unwrap(), b"127.0.0.1");
}

#[test]
fn tool_skopeo_writes_what_we_read() {
    let dir = tempfile::tempdir().unwrap();
    put("oci", &dir.path().join("in"));
    let from = format!("oci:{}:v1", dir.path().join("in").display());
    for (transport, name) in [("docker-archive", "app:1"), ("oci-archive", "v2"), ("oci", "v2")] {
        let path = dir.path().join(transport);
        let to = format!("{transport}:{}:{name}", path.display());
        let Some(mut skopeo) = tools::host(Tier::Tool, "skopeo") else { return };
        run(skopeo.args(["--insecure-policy", "copy", &from, &to]));
        let source = open(&to.parse().unwrap()).unwrap();
        let manifest = manifest_of(&*source, source.root());
        assert_eq!(blob_of(&*source, &manifest.config), config("linux/amd64", &tars()), "{transport}");
        let sink = create(&reference("oci", &dir.path().join("out"), &format!(":{transport}"))).unwrap();
        let report = convert::convert(&*source, sink, &Options::default(), &NoProgress).unwrap();
        assert_eq!(report.manifests[0].layers[1].tar_len, Some(tars()[1].len() as u64));
    }
}
