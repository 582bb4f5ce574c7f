use std::fs;

use morsel_registry::descriptor::{ATTESTATION_SUBJECT, Descriptor};
use morsel_registry::image::Index;
use morsel_registry::media_type::MediaType;
use morsel_registry::{Error, ImageSink, ImageSource, Instances, Platform};

use crate::made::{
    config, create, failure, index_of, manifest, manifest_of, open, put_blob, put_image, put_index,
    put_manifest, reference,
};

/// A layout with one image.
struct Place(tempfile::TempDir);

impl Place {
    fn with(make: impl FnOnce(&mut dyn ImageSink) -> Descriptor) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let mut sink = create(&reference("oci", place.0.path(), "")).unwrap();
        let root = make(&mut *sink);
        sink.commit(&root).unwrap();
        place
    }

    fn open(&self) -> Box<dyn ImageSource> {
        open(&reference("oci", self.0.path(), "")).unwrap()
    }

    fn find(&self, platforms: &[&str]) -> Result<Instances, Error> {
        let platforms: Vec<_> = platforms.iter().map(|platform| platform.parse().unwrap()).collect();
        Instances::find(&*self.open(), &platforms)
    }

    fn fails(&self, platforms: &[&str]) -> String {
        failure(self.find(platforms)).replace(self.0.path().to_str().unwrap(), "DIR")
    }

    fn remove(&self, descriptor: &Descriptor) {
        fs::remove_file(self.0.path().join("blobs/sha256").join(descriptor.digest.0.hex())).unwrap();
    }
}

fn platforms(found: &Instances) -> Vec<String> {
    found.present.iter().map(|instance| instance.platform.to_string()).collect()
}

fn two_platforms(sink: &mut dyn ImageSink) -> Descriptor {
    let images = vec![put_image(sink, "linux/amd64", &[]), put_image(sink, "linux/arm64", &[])];
    put_index(sink, Index::of(images))
}

#[test]
fn images_are_chosen_by_platform() {
    let place = Place::with(two_platforms);
    assert_eq!(platforms(&place.find(&[]).unwrap()), ["linux/amd64", "linux/arm64"]);
    assert_eq!(platforms(&place.find(&["linux/arm64"]).unwrap()), ["linux/arm64"]);
    insta::assert_snapshot!(place.fails(&["linux/amd64", "linux/s390x"]), @"`oci:DIR` does not list linux/s390x; it lists linux/amd64, linux/arm64");
}

#[test]
fn what_is_missing_is_absent_or_an_error() {
    let place = Place::with(two_platforms);
    let source = place.open();
    let children = index_of(&*source, source.root()).manifests;
    place.remove(&manifest_of(&*source, &children[1]).config);
    let found = place.find(&[]).unwrap();
    assert_eq!(
        (platforms(&found), found.absent),
        (vec!["linux/amd64".to_owned()], vec![children[1].clone()])
    );
    insta::assert_snapshot!(place.fails(&["linux/amd64", "linux/arm64"]), @"index sha256:... lists linux/arm64 as sha256:..., which `oci:DIR` has, but not its blob sha256:... (damaged; present: linux/amd64)");
    place.remove(&children[0]);
    insta::assert_snapshot!(place.fails(&[]), @"index sha256:... lists linux/arm64 as sha256:..., which `oci:DIR` has, but not its blob sha256:... (damaged; present: none)");
    place.remove(source.root());
    insta::assert_snapshot!(place.fails(&[]), @"blob sha256:... of `oci:DIR` is missing");
}

#[test]
fn a_set_of_nothing_is_an_error() {
    insta::assert_snapshot!(Place::with(|sink| put_index(sink, Index::of(vec![]))).fails(&[]), @"`oci:DIR` lists no images");
    let odd = |sink: &mut dyn ImageSink| put_blob(sink, MediaType::from("a/b".to_owned()), b"x");
    insta::assert_snapshot!(Place::with(odd).fails(&[]), @"document sha256:... of `oci:DIR` is not valid: media type `a/b` is not that of an image manifest or index");
}

#[test]
fn attestations_are_no_images_and_one_manifest_may_run_on_two_platforms() {
    let place = Place::with(|sink| {
        let v6 = put_image(sink, "linux/arm", &[]);
        let mut v7 = v6.clone();
        v7.platform.as_mut().unwrap().variant = Some("v7".to_owned());
        let config = put_blob(sink, MediaType::OCI_CONFIG, &config("unknown/unknown", &[]));
        let mut attestation = put_manifest(sink, manifest(config, vec![]));
        attestation.annotations.insert(ATTESTATION_SUBJECT.into(), v6.digest.to_string());
        attestation.platform = Some(Platform::new("unknown", "unknown"));
        put_index(sink, Index::of(vec![v6, v7, attestation]))
    });
    let found = place.find(&[]).unwrap();
    assert_eq!(platforms(&found), ["linux/arm", "linux/arm/v7"]);
    assert_eq!((found.other.len(), found.absent.len()), (1, 0));
}

#[test]
fn nested_and_long_indexes_are_refused() {
    let deep = Place::with(|sink| {
        let image = put_image(sink, "linux/amd64", &[]);
        (0..300).fold(image, |child, _| put_index(sink, Index::of(vec![child])))
    });
    insta::assert_snapshot!(deep.fails(&[]), @"indexes of `oci:DIR` are nested more than 8 deep");
    let long = Place::with(|sink| {
        let config = put_blob(sink, MediaType::OCI_CONFIG, &config("linux/amd64", &[]));
        let mut long = manifest(config, vec![]);
        long.annotations.insert("x".to_owned(), "x".repeat(3 << 20));
        let long = put_manifest(sink, long);
        put_index(sink, Index::of(vec![long; 200]))
    });
    insta::assert_snapshot!(long.fails(&[]), @"the documents that `oci:DIR` lists have more than 33554432 bytes together");
}
