//! Whole images, converted from one place to another.

mod cache;
mod damage;
mod platforms;

use std::fs;
use std::path::{Path, PathBuf};

use chunked::convert::SelfCheck;
use chunked::digest::DiffId;
use morsel_registry::convert::{
    self, Action, Chunked, LayerAction, NoProgress, Options, Origin, Originals, Report,
};
use morsel_registry::descriptor::{ATTESTATION_SUBJECT, Descriptor, ZSTD};
use morsel_registry::image::{Index, Manifest};
use morsel_registry::media_type::MediaType;
use morsel_registry::{Error, ImageSink, ImageSource};

use testkit::oci::gzip;

use crate::made::{
    blob_of, config, create, failure, index_of, manifest, manifest_of, mask_digests, open, put_blob,
    put_image, put_index, put_manifest, reference, tar,
};

const CHECKSUM: &str = "io.github.containers.zstd-chunked.manifest-checksum";

/// A directory with a layout `in` and whatever is converted from it.
struct Bench(tempfile::TempDir);

impl Bench {
    /// Makes the image that is converted.
    fn with(make: impl FnOnce(&mut dyn ImageSink) -> Descriptor) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let mut sink = create(&reference("oci", &bench.path("in"), "")).unwrap();
        let root = make(&mut *sink);
        sink.commit(&root).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, name: &str) -> Box<dyn ImageSource> {
        open(&reference("oci", &self.path(name), "")).unwrap()
    }

    fn convert(&self, from: &str, to: &str, options: &Options) -> Result<Report, Error> {
        let source = self.open(from);
        let sink = create(&reference("oci", &self.path(to), ":out")).unwrap();
        convert::convert(&*source, sink, options, &NoProgress)
    }

    fn fails(&self, options: &Options) -> String {
        failure(self.convert("in", "out", options)).replace(self.0.path().to_str().unwrap(), "DIR")
    }

    fn remove(&self, layout: &str, descriptor: &Descriptor) {
        fs::remove_file(self.path(layout).join("blobs/sha256").join(descriptor.digest.0.hex())).unwrap();
    }
}

fn layers() -> Vec<Vec<u8>> {
    vec![tar(&[("etc/hosts", b"127.0.0.1"), ("bin/sh", &[7; 5000])]), tar(&[("app", &[9; 100_000])])]
}

fn only(platform: &str) -> Options {
    Options { platforms: vec![platform.parse().unwrap()], ..Options::default() }
}

fn add() -> Options {
    Options { originals: Originals::Keep, ..Options::default() }
}

/// The tar inside a layer of a converted image.
fn tar_of(source: &dyn ImageSource, layer: &Descriptor) -> Vec<u8> {
    let blob = blob_of(source, layer);
    let mut input = chunked::input::Input::open(&*blob, |_| {}).unwrap();
    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut input, &mut tar).unwrap();
    tar
}

fn assert_chunked(source: &dyn ImageSource, manifest: &Manifest, tars: &[Vec<u8>]) {
    assert_eq!(manifest.media_type, Some(MediaType::OCI_MANIFEST));
    assert_eq!(manifest.layers.len(), tars.len());
    for (layer, tar) in manifest.layers.iter().zip(tars) {
        assert_eq!(layer.media_type, MediaType::OCI_LAYER_ZSTD);
        assert!(layer.annotations.contains_key(CHECKSUM));
        assert_eq!(&tar_of(source, layer), tar);
    }
}

fn level(level: i32) -> chunked::convert::Options {
    let level = chunked::convert::Level::new(level).unwrap();
    chunked::convert::Options { level, ..Default::default() }
}

fn actions(report: &Report) -> Vec<Action> {
    report.manifests.iter().map(|manifest| manifest.action).collect()
}

#[test]
fn an_image_keeps_its_config_and_tars() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &layers()));
    let report = bench.convert("in", "out", &Options::default()).unwrap();
    let out = bench.open("out");
    let converted = manifest_of(&*out, out.root());
    assert_chunked(&*out, &converted, &layers());
    assert_eq!(blob_of(&*out, &converted.config), config("linux/amd64", &layers()));
    assert_eq!(report.after.digest, out.root().digest);
    assert_eq!(report.self_check, SelfCheck::On);
    let image = &report.manifests[0];
    assert_eq!((image.action, image.platform.as_deref()), (Action::Converted, Some("linux/amd64")));
    assert!(image.layers.iter().all(|layer| layer.action == LayerAction::Chunked));
    assert_eq!(image.layers[0].diff_id, DiffId::of(&layers()[0]));
}

#[test]
fn a_second_conversion_changes_nothing() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &layers()));
    bench.convert("in", "once", &Options::default()).unwrap();
    let report = bench.convert("once", "twice", &Options::default()).unwrap();
    assert_eq!(report.before, report.after);
    assert_eq!(report.manifests[0].action, Action::Kept);
    let redo = Options { chunked: Chunked::Redo, ..Options::default() };
    let report = bench.convert("once", "thrice", &redo).unwrap();
    assert_eq!(report.before, report.after, "the same tar gives the same blob");
    assert_eq!(report.manifests[0].action, Action::Converted);
}

#[test]
fn the_result_does_not_depend_on_how_layers_were_compressed() {
    let results = [MediaType::OCI_LAYER, MediaType::OCI_LAYER_GZIP].map(|media_type| {
        let bench = Bench::with(|sink| {
            let compress =
                |tar: &Vec<u8>| if media_type == MediaType::OCI_LAYER { tar.clone() } else { gzip(tar) };
            let layer = |tar: &Vec<u8>| put_blob(sink, media_type.clone(), &compress(tar));
            let layers = self::layers().iter().map(layer).collect();
            let config = put_blob(sink, MediaType::OCI_CONFIG, &config("linux/amd64", &self::layers()));
            put_manifest(sink, manifest(config, layers))
        });
        bench.convert("in", "out", &Options::default()).unwrap().after
    });
    assert_eq!(results[0], results[1]);
}

#[test]
fn annotations_that_outlived_their_blob_do_not_keep_a_layer() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &layers()));
    bench.convert("in", "once", &Options::default()).unwrap();
    let once = bench.open("once");
    let mut stale = manifest_of(&*once, once.root());
    let other = stale.layers[1].annotations.clone();
    stale.layers[0].annotations = other;
    let mut sink = create(&reference("oci", &bench.path("once"), ":stale")).unwrap();
    let root = put_manifest(&mut *sink, stale);
    sink.commit(&root).unwrap();
    let source = open(&reference("oci", &bench.path("once"), ":stale")).unwrap();
    let sink = create(&reference("oci", &bench.path("out"), "")).unwrap();
    let report = convert::convert(&*source, sink, &Options::default(), &NoProgress).unwrap();
    let actions: Vec<_> = report.manifests[0].layers.iter().map(|layer| layer.action).collect();
    assert_eq!(actions, [LayerAction::Chunked, LayerAction::Kept]);
    assert_eq!(report.after.digest, once.root().digest);
}

#[test]
fn docker_manifests_become_oci_manifests_and_unknown_fields_stay() {
    let bench = Bench::with(|sink| {
        let layer = put_blob(sink, MediaType::DOCKER_LAYER_GZIP, &gzip(&layers()[0]));
        let config = put_blob(sink, MediaType::DOCKER_CONFIG, &config("linux/amd64", &layers()[..1]));
        let mut docker = manifest(config, vec![layer]);
        docker.media_type = Some(MediaType::DOCKER_MANIFEST);
        docker.annotations.insert("a".into(), "b".into());
        docker.other.insert("extension".into(), serde_json::json!({"x": [1]}));
        put_manifest(sink, docker)
    });
    bench.convert("in", "out", &Options::default()).unwrap();
    let out = bench.open("out");
    let converted = manifest_of(&*out, out.root());
    assert_chunked(&*out, &converted, &layers()[..1]);
    assert_eq!(converted.config.media_type, MediaType::OCI_CONFIG);
    assert_eq!(converted.annotations["a"], "b");
    assert_eq!(converted.other["extension"], serde_json::json!({"x": [1]}));
}

#[test]
fn docker_manifests_without_layers_become_oci_manifests_too() {
    let bench = Bench::with(|sink| {
        let config = put_blob(sink, MediaType::DOCKER_CONFIG, &config("linux/amd64", &[]));
        let mut docker = manifest(config, vec![]);
        docker.media_type = Some(MediaType::DOCKER_MANIFEST);
        put_manifest(sink, docker)
    });
    let report = bench.convert("in", "out", &Options::default()).unwrap();
    assert_eq!(actions(&report), [Action::Converted]);
    let out = bench.open("out");
    assert_eq!(out.root().media_type, MediaType::OCI_MANIFEST);
    assert_eq!(manifest_of(&*out, out.root()).config.media_type, MediaType::OCI_CONFIG);
    let added = bench.convert("in", "added", &add()).unwrap();
    assert_eq!(added.before, added.after);
}

#[test]
fn layers_that_cannot_be_converted_are_carried_and_reported() {
    let foreign = MediaType::from("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".to_owned());
    let encrypted = MediaType::from("application/vnd.oci.image.layer.v1.tar+gzip+encrypted".to_owned());
    let odd = MediaType::from("application/x-odd".to_owned());
    let twice = tar(&[("same", b"1"), ("same", b"2")]);
    let tars = vec![layers()[0].clone(), layers()[1].clone(), layers()[0].clone(), twice.clone()];
    let bench = Bench::with(|sink| {
        let mut layers = vec![
            put_blob(sink, foreign, b"not here"),
            put_blob(sink, encrypted, b"secret"),
            put_blob(sink, odd, b"odd"),
            put_blob(sink, MediaType::OCI_LAYER, &twice),
        ];
        layers[3].annotations.insert("containerd.io/snapshot/stargz/toc.digest".into(), "stale".into());
        layers[3].annotations.insert("mine".into(), "kept".into());
        layers[3].urls.push("https://example.org/old".into());
        let config = put_blob(sink, MediaType::OCI_CONFIG, &config("linux/amd64", &tars));
        put_manifest(sink, manifest(config, layers))
    });
    let source = bench.open("in");
    bench.remove("in", &manifest_of(&*source, source.root()).layers[0]);
    let report = bench.convert("in", "out", &Options::default()).unwrap();
    let layers = &report.manifests[0].layers;
    let reasons: Vec<&str> = layers.iter().map(|layer| layer.reason.as_deref().unwrap()).collect();
    insta::assert_snapshot!(reasons.join("\n"), @"
    it is foreign: it must not be redistributed
    it is encrypted
    its media type `application/x-odd` is not that of a layer
    `same` is in the tar twice
    ");
    assert!(layers[..3].iter().all(|layer| layer.action == LayerAction::Carried));
    assert_eq!(layers[3].action, LayerAction::Plain);
    let out = bench.open("out");
    let converted = manifest_of(&*out, out.root());
    assert_eq!(blob_of(&*out, &converted.layers[1]), b"secret");
    assert_eq!(tar_of(&*out, &converted.layers[3]), twice);
    assert_eq!(converted.layers[3].annotations.keys().collect::<Vec<_>>(), ["mine"]);
    assert!(converted.layers[3].urls.is_empty());
}

#[test]
fn archives_convert_to_archives() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &layers()));
    let to_archive = |from: &str, to: &str, name: &str| {
        let source = open(&reference(from, &bench.path(name), "")).unwrap();
        let sink = create(&reference("oci-archive", &bench.path(to), ":v1")).unwrap();
        convert::convert(&*source, sink, &Options::default(), &NoProgress).unwrap()
    };
    let report = to_archive("oci", "a.tar", "in");
    let out = open(&reference("oci-archive", &bench.path("a.tar"), ":v1")).unwrap();
    assert_chunked(&*out, &manifest_of(&*out, out.root()), &layers());
    assert_eq!(report.after.digest, out.root().digest);
    let again = to_archive("oci-archive", "b.tar", "a.tar");
    assert_eq!(again.before, again.after);
    assert!(fs::read(bench.path("a.tar")).unwrap() == fs::read(bench.path("b.tar")).unwrap());
}

#[test]
fn reports_are_json() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &[tar(&[("a", b"1")])]));
    let report = bench.convert("in", "out", &Options::default()).unwrap();
    let text =
        serde_json::to_string_pretty(&report).unwrap().replace(bench.0.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(mask_lengths(&mask_digests(&text)), @r#"
    {
      "source": "oci:DIR/in",
      "destination": "oci:DIR/out:out",
      "before": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:...",
        "size": ...
      },
      "after": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:...",
        "size": ...
      },
      "self_check": "on",
      "manifests": [
        {
          "source": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha256:...",
            "size": ...
          },
          "platform": "linux/amd64",
          "action": "converted",
          "result": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha256:...",
            "size": ...
          },
          "image_id": "sha256:...",
          "layers": [
            {
              "source": {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": "sha256:...",
                "size": ...
              },
              "compression": "gzip",
              "action": "chunked",
              "result": {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
                "digest": "sha256:...",
                "size": ...
              },
              "diff_id": "sha256:...",
              "tar_len": 2048,
              "counts": {
                "entries": 1,
                "files": 1,
                "chunks": 1,
                "holes": 0,
                "frames": 3,
                "metadata_blob_len": ...
              },
              "origin": "fresh"
            }
          ]
        }
      ],
      "warnings": []
    }
    "#);
}

/// Lengths of compressed bytes change with the compressor.
fn mask_lengths(text: &str) -> String {
    let mut masked: Vec<String> = Vec::new();
    for line in text.lines() {
        let cut = ["\"size\": ", "blob_len\": "].iter().find_map(|mark| Some(line.find(mark)? + mark.len()));
        masked.push(cut.map_or(line.to_owned(), |cut| format!("{}...", &line[..cut])));
    }
    masked.join("\n")
}
