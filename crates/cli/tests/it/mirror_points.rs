//! The thirteen points that a mirror of some platforms has to keep, each by its number, at registries that people run:
//! `docker-registry` 2.8, which takes no sparse index, and `morsel serve` under each kind of policy.
//!
//! Distribution 3, with its own settings for sparse indexes, is in no suite of Debian yet. Its two settings and the
//! answers of Quay are played by the scripted registry, in the tests of the same names in `registry`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testkit::http::{Answer, exchange, request};
use testkit::oci::{Layout, digest, gzip};
use testkit::registry::Registry;
use testkit::tools::Tier;

use crate::mirror::add_image;
use crate::mirror_served::say;
use crate::sandbox::Sandbox;
use crate::served::Served;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const AMD64: usize = 0;
const ARM64: usize = 1;
const S390X: usize = 2;

/// An image for three platforms as `oci:image:1`, with an attestation of the first and the last, and with a signature and a
/// bill of materials for the index and each image.
struct Image {
    bytes: Vec<u8>,
    images: Vec<String>,
    attestations: Vec<String>,
    /// What is said about the index, and about each image.
    said: Vec<[String; 2]>,
}

impl Image {
    fn create(dir: &Path) -> Self {
        let layout = Layout::create(dir);
        add_image(&layout, "1", 10_000);
        let mut children = layout.manifest("1")["manifests"].as_array().unwrap().clone();
        let attestations: Vec<Value> =
            [AMD64, S390X].iter().map(|image| attest(&layout, &children[*image])).collect();
        let listed: Vec<&Value> = children.iter().chain(&attestations).collect();
        let root = put_root(&layout, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed }));
        children.insert(0, root.clone());
        let said = children.iter().map(|subject| say(&layout, subject)).collect();
        let names = |values: &[Value]| values.iter().map(name).collect();
        Self {
            bytes: layout.blob(&name(&root)),
            images: names(&children[1..]),
            attestations: names(&attestations),
            said,
        }
    }

    fn digest(&self) -> String {
        digest(&self.bytes)
    }
}

fn name(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap().to_owned()
}

/// Adds an attestation as BuildKit lists it in the index.
fn attest(layout: &Layout, image: &Value) -> Value {
    let layer = layout.add_blob("application/vnd.in-toto+json", name(image).as_bytes());
    let config =
        json!({ "os": "unknown", "architecture": "unknown", "rootfs": { "type": "layers", "diff_ids": [] } });
    let config = layout.add_blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    let mut listed = layout.add_blob(MANIFEST, manifest.to_string().as_bytes());
    listed["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    listed["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": name(image) });
    listed
}

/// Makes an index the only one of a layout, with spaces that no program would write again, as tag `1`.
fn put_root(layout: &Layout, index: &Value) -> Value {
    let mut root =
        layout.add_blob(INDEX, format!(" {}\n", serde_json::to_string_pretty(index).unwrap()).as_bytes());
    root["annotations"] = json!({ "org.opencontainers.image.ref.name": "1" });
    let list = json!({ "schemaVersion": 2, "manifests": [root] });
    fs::write(layout.dir().join("index.json"), list.to_string()).unwrap();
    root
}

/// A registry to mirror to.
enum Place {
    Docker(Registry),
    Served { served: Served, policy: &'static str },
}

impl Place {
    fn host(&self) -> &str {
        match self {
            Self::Docker(registry) => registry.host(),
            Self::Served { served, .. } => served.host(),
        }
    }

    /// Tells whether an index of which only `linux/amd64` is there is taken.
    fn takes_sparse(&self) -> bool {
        matches!(self, Self::Served { policy, .. } if *policy != "all")
    }

    fn get(&self, path: &str) -> Answer {
        let accept = [MANIFEST, INDEX].join(", ");
        exchange(self.host().parse().unwrap(), &request("GET", path, &[("Accept", &accept)], b""))
    }

    fn has(&self, manifest: &str) -> bool {
        self.get(&format!("/v2/app/manifests/{manifest}")).status == 200
    }

    /// Lists the requests so far that change something, as `METHOD PATH`.
    fn changes(&self) -> Vec<String> {
        let all: Vec<String> = match self {
            Self::Docker(registry) => {
                registry.requests().iter().map(|one| format!("{} {}", one.method, one.path)).collect()
            }
            Self::Served { served, .. } => {
                served.log().lines().filter_map(|line| line.split('"').nth(1).map(str::to_owned)).collect()
            }
        };
        all.into_iter().filter(|one| !one.starts_with("GET ") && !one.starts_with("HEAD ")).collect()
    }
}

/// The image, and registries to mirror it to.
struct Scene {
    sandbox: Sandbox,
    image: Image,
    places: Vec<Place>,
}

impl Scene {
    fn new() -> Option<Self> {
        let sandbox = Sandbox::new();
        let image = Image::create(&sandbox.path("image"));
        let mut places = vec![Place::Docker(Registry::start(Tier::Tool, &sandbox.path("docker"))?)];
        for policy in ["all", "none", "linux/amd64"] {
            let dir = sandbox.path(&format!("served-{}", policy.replace('/', "-")));
            places
                .push(Place::Served { served: Served::start(&dir, &["--index-platforms", policy]), policy });
        }
        Some(Self { sandbox, image, places })
    }

    fn sparse(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| place.takes_sparse())
    }

    fn full(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| !place.takes_sparse())
    }

    /// Runs a command in which `HERE` stands for a registry; returns its exit code and what it said.
    fn run(&self, place: &Place, line: &str) -> (i32, String) {
        let output = self.sandbox.output(&line.replace("HERE", place.host()));
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap().replace(place.host(), "HERE"))
    }

    fn succeeds(&self, place: &Place, line: &str) -> String {
        let (code, said) = self.run(place, line);
        assert_eq!(code, 0, "{line}: {said}");
        said
    }

    /// Mirrors `linux/amd64`.
    fn mirror(&self, place: &Place) {
        self.succeeds(place, "morsel mirror oci:image:1 HERE/app:1 --platform linux/amd64");
    }

    fn images_at(&self, place: &Place) -> Vec<bool> {
        self.image.images.iter().map(|image| place.has(image)).collect()
    }
}

#[test]
fn tool_point_1_the_exact_index_and_the_chosen_children() {
    let Some(scene) = Scene::new() else { return };
    for place in &scene.places {
        let platform = if place.takes_sparse() { "--platform linux/amd64" } else { "" };
        scene.succeeds(place, &format!("morsel mirror oci:image:1 HERE/app:1 {platform}"));
        for name in ["1", &scene.image.digest()] {
            let index = place.get(&format!("/v2/app/manifests/{name}"));
            assert_eq!(index.body, scene.image.bytes, "byte for byte");
            assert_eq!(index.header("docker-content-digest"), Some(&*scene.image.digest()));
        }
        let others = !place.takes_sparse();
        assert_eq!(scene.images_at(place), [true, others, others]);
    }
}

#[test]
fn tool_point_2_variants_and_entries_without_platform() {
    let Some(scene) = Scene::new() else { return };
    let layout = Layout::open(scene.sandbox.path("image"));
    let mut listed = layout.manifest("1")["manifests"].as_array().unwrap().clone();
    let config = layout.add_blob("application/vnd.oci.empty.v1+json", b"{}");
    let artifact = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "x/y", "config": config, "layers": [] });
    let artifact = layout.add_blob(MANIFEST, artifact.to_string().as_bytes());
    let nested = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [listed.remove(ARM64)] });
    let nested = layout.add_blob(INDEX, nested.to_string().as_bytes());
    listed.extend([artifact.clone(), nested.clone()]);
    put_root(&layout, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed }));
    for place in scene.sparse() {
        let line = "morsel mirror oci:image:1 HERE/app:1 --platform linux/arm64/v8 --platform linux/amd64";
        scene.succeeds(place, &format!("{line} --no-platform skip"));
        assert_eq!(scene.images_at(place), [true, true, false]);
        assert!(place.has(&name(&nested)) && !place.has(&name(&artifact)));
        scene.succeeds(place, line);
        assert!(place.has(&name(&artifact)));
        let (code, said) = scene.run(place, "morsel mirror oci:image:1 HERE/app:1 --platform linux/arm64/v9");
        assert!(code == 4 && said.contains("does not list linux/arm64/v9"), "{said}");
    }
}

#[test]
fn tool_point_3_attestations_signatures_and_referrers_follow() {
    let Some(scene) = Scene::new() else { return };
    for place in &scene.places {
        let sparse = place.takes_sparse();
        let platform = if sparse { "--platform linux/amd64" } else { "" };
        scene.succeeds(place, &format!("morsel mirror oci:image:1 HERE/app:1 {platform}"));
        let there: Vec<bool> = scene.image.attestations.iter().map(|one| place.has(one)).collect();
        assert_eq!(there, [true, !sparse], "those of what is there");
        let there = |said: &[String; 2]| said.iter().all(|one| place.has(one));
        let said: Vec<bool> = scene.image.said.iter().map(there).collect();
        assert_eq!(said, [true, true, !sparse, !sparse]);
        let tag = |subject: &str| format!("{}.sig", subject.replace(':', "-"));
        assert!(place.has(&tag(&scene.image.digest())) && place.has(&tag(&scene.image.images[AMD64])));
        assert_eq!(place.has(&tag(&scene.image.images[S390X])), !sparse);
    }
}

#[test]
fn tool_point_4_platform_and_encoding() {
    let Some(scene) = Scene::new() else { return };
    let layout = Layout::open(scene.sandbox.path("image"));
    let gzipped = layout.manifest("1")["manifests"][AMD64].clone();
    let mut manifest: Value = serde_json::from_slice(&layout.blob(&name(&gzipped))).unwrap();
    manifest["layers"] = json!([layout.add_blob("application/vnd.oci.image.layer.v1.tar+zstd", &gzip(b"x"))]);
    let mut zstd = layout.add_blob(MANIFEST, manifest.to_string().as_bytes());
    zstd["platform"] = gzipped["platform"].clone();
    put_root(&layout, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [gzipped, zstd] }));
    for place in &scene.places {
        let line = "morsel mirror oci:image:1 HERE/app:1 --encoding gzip";
        let (code, said) = scene.run(place, line);
        // An encoding that is left out is a manifest of a platform that is asked for.
        let Place::Served { policy: "none", .. } = place else {
            assert_eq!(code, 6, "{said}");
            assert!(said.contains(&format!("without linux/amd64 as {}", name(&zstd))), "{said}");
            continue;
        };
        assert_eq!(code, 0, "{said}");
        assert_eq!((place.has(&name(&gzipped)), place.has(&name(&zstd))), (true, false));
    }
}

#[test]
fn tool_point_5_acceptance_is_known_before_bytes_move() {
    let Some(scene) = Scene::new() else { return };
    for place in &scene.places {
        let line = "morsel mirror oci:image:1 HERE/app:1 --platform linux/amd64 --trial";
        let (code, said) = scene.run(place, line);
        assert_eq!(code, if place.takes_sparse() { 0 } else { 6 }, "{said}");
        let blobs = place.changes().iter().filter(|one| one.contains("/blobs/")).count();
        assert_eq!(blobs > 0, place.takes_sparse(), "{:?}", place.changes());
    }
}

#[test]
fn tool_point_6_refusals_name_platforms_and_settings_and_nothing_is_trimmed_silently() {
    let Some(scene) = Scene::new() else { return };
    for place in scene.full() {
        let (code, said) = scene.run(place, "morsel mirror oci:image:1 HERE/app:1 --platform linux/amd64");
        assert_eq!((code, place.has("1")), (6, false), "{said}");
        let setting = match place {
            Place::Docker(_) => "`validation.manifests.indexes.platforms: none`",
            Place::Served { .. } => {
                "its `--index-platforms` is `all`; `none`, or a list such as `linux/amd64`"
            }
        };
        let arm64 = format!("linux/arm64/v8 as {}", scene.image.images[ARM64]);
        for part in
            [&*arm64, setting, "`--trim` writes a new index", "without `--platform`, everything is copied"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        let said =
            scene.succeeds(place, "morsel mirror oci:image:1 HERE/app:trimmed --platform linux/amd64 --trim");
        assert!(
            said.contains(&format!("new; lost with {}: 2 signatures and referrers", scene.image.digest())),
            "{said}"
        );
        scene.succeeds(place, "morsel mirror oci:image:1 HERE/app:1");
        assert_eq!(place.get("/v2/app/manifests/1").body, scene.image.bytes);
        assert_eq!(place.get("/v2/app/manifests/trimmed").json()["manifests"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn tool_point_7_sparse_sources_are_copied_or_completed() {
    let Some(scene) = Scene::new() else { return };
    for (number, place) in scene.sparse().enumerate() {
        scene.mirror(place);
        let said = scene.succeeds(place, &format!("morsel mirror HERE/app:1 oci:copy{number}:1"));
        assert!(
            said.contains("linux/s390x is listed as")
                && said.contains("`docker://HERE/app:1` does not have it"),
            "{said}"
        );
        let copy = Layout::open(scene.sandbox.path(&format!("copy{number}")));
        assert_eq!(copy.blob(&scene.image.digest()), scene.image.bytes);
        let line = format!("morsel mirror HERE/app:1 oci:second{number}:1 --require linux/arm64");
        let (code, said) = scene.run(place, &line);
        assert!(code == 4 && said.contains("lists linux/arm64/v8 as"), "{said}");
        scene.succeeds(place, &format!("{line} --complete-from oci:image:1"));
        let second = Layout::open(scene.sandbox.path(&format!("second{number}")));
        assert!(second.blob_path(&scene.image.images[ARM64]).exists());
    }
}

#[test]
fn tool_point_8_what_is_wrong_with_a_platform_is_told_apart() {
    let Some(scene) = Scene::new() else { return };
    for (number, place) in scene.sparse().enumerate() {
        scene.mirror(place);
        let pull = |platform: &str| {
            scene.run(place, &format!("morsel pull HERE/app:1 --platform {platform} --root store{number}"))
        };
        let absent = format!(
            "index {} lists linux/s390x as {}, but `docker://HERE/app:1` does not have it (sparse mirror of `oci:image:1`; present: linux/amd64)",
            scene.image.digest(),
            scene.image.images[S390X]
        );
        for (platform, code, part) in [
            ("linux/s390x", 4, &*absent),
            (
                "linux/riscv64",
                4,
                "does not list linux/riscv64; it lists linux/amd64, linux/arm64/v8, linux/s390x",
            ),
        ] {
            let (found, said) = pull(platform);
            assert!(found == code && said.contains(part), "{found}: {said}");
        }
        let Place::Served { policy, .. } = place else { unreachable!() };
        let manifest = place.get(&format!("/v2/app/manifests/{}", scene.image.images[AMD64])).json();
        let blob = name(&manifest["layers"][0]);
        let dir = scene.sandbox.path(&format!("served-{}/app", policy.replace('/', "-")));
        fs::remove_file(Layout::open(dir).blob_path(&blob)).unwrap();
        let (code, said) = pull("linux/amd64");
        assert!(
            code == 4
                && said.contains("which `docker://HERE/app:1` has, but not its blob")
                && said.contains(&blob),
            "{said}"
        );
    }
    let users = scene.sandbox.path("users");
    // bcrypt of a password that nobody knows.
    fs::write(&users, "ann:$2y$04$abcdefghijklmnopqrstuuKRBHOmGFrUN3HgdEoGiNXOdxBRuMPu6\n").unwrap();
    let served = Served::start(&scene.sandbox.path("closed"), &["--htpasswd", users.to_str().unwrap()]);
    let closed = Place::Served { served, policy: "all" };
    let (code, said) = scene.run(&closed, "morsel pull HERE/app:1 --root store");
    assert!(code == 6 && said.contains("401 Unauthorized"), "{code}: {said}");
}

#[test]
fn tool_point_9_completeness_has_exit_codes_and_json() {
    let Some(scene) = Scene::new() else { return };
    for place in &scene.places {
        let platform = if place.takes_sparse() { "--platform linux/amd64" } else { "" };
        scene.succeeds(place, &format!("morsel mirror oci:image:1 HERE/app:1 {platform}"));
        let (code, said) = scene.run(place, "morsel mirror verify HERE/app:1 --json");
        let report: Value = serde_json::from_str(&said).unwrap();
        let expected = if place.takes_sparse() { (9, "sparse") } else { (0, "complete") };
        assert_eq!((code, report["verdict"].as_str().unwrap()), expected, "{said}");
        assert_eq!(report["signatures"].as_array().unwrap().len(), 1);
        let (code, said) = scene.run(place, "morsel mirror verify oci:image:1 --compare HERE/app:1");
        assert_eq!((code, said.contains("only in oci:image:1")), (0, place.takes_sparse()), "{said}");
        if place.takes_sparse() {
            let (code, _) = scene.run(place, "morsel mirror verify HERE/app:1 --require linux/s390x");
            assert_eq!(code, 4);
        }
    }
}

#[test]
fn tool_point_10_the_purpose_is_recorded_beside_the_index() {
    let Some(scene) = Scene::new() else { return };
    for place in &scene.places {
        let platform = if place.takes_sparse() { "--platform linux/amd64" } else { "" };
        scene.succeeds(place, &format!("morsel mirror oci:image:1 HERE/app:1 --by edge {platform}"));
        let (_, said) = scene.run(place, "morsel mirror verify HERE/app:1");
        assert_eq!(said.contains("mirrored from oci:image:1, by edge"), place.takes_sparse(), "{said}");
        if place.takes_sparse() {
            let filter = "artifactType=application%2Fvnd.morsel.mirror.v1%2Bjson";
            let listed = place.get(&format!("/v2/app/referrers/{}?{filter}", scene.image.digest())).json();
            assert_eq!(listed["manifests"].as_array().unwrap().len(), 1, "any client can find it");
        }
    }
}

#[test]
fn tool_point_11_one_more_platform_costs_only_itself() {
    let Some(scene) = Scene::new() else { return };
    for place in scene.sparse() {
        scene.mirror(place);
        let before = place.changes().len();
        scene.succeeds(
            place,
            "morsel mirror oci:image:1 HERE/app:1 --platform linux/amd64 --platform linux/arm64",
        );
        let changes = place.changes().split_off(before);
        let puts = |part: &str| changes.iter().filter(|one| one.contains(part)).count();
        assert_eq!(puts("manifests/1 ") + puts(&scene.image.digest()), 0, "{changes:?}");
        // The layer and the configuration of the image, what is said about it, and the record.
        assert_eq!(puts("PUT /v2/app/manifests/"), 4, "{changes:?}");
        assert_eq!(scene.images_at(place), [true, true, false]);
        let before = place.changes().len();
        scene.succeeds(place, "morsel mirror oci:image:1 HERE/app:1 --platform linux/arm64");
        assert_eq!(place.changes().len(), before, "nothing is sent twice");
    }
}

#[test]
fn tool_point_12_retention_is_warned_of() {
    let Some(scene) = Scene::new() else { return };
    for place in &scene.places {
        let platform = if place.takes_sparse() { "--platform linux/amd64" } else { "" };
        let said = scene.succeeds(place, &format!("morsel mirror oci:image:1 HERE/app:1 {platform}"));
        let warns = said.contains("note: children of an index have no tags of their own");
        assert_eq!(warns, place.takes_sparse(), "{said}");
    }
}

#[test]
fn tool_point_13_conversion_of_a_sparse_image_takes_what_is_there() {
    let Some(scene) = Scene::new() else { return };
    for (number, place) in scene.sparse().enumerate() {
        scene.mirror(place);
        scene.succeeds(place, &format!("morsel convert HERE/app:1 oci:converted{number}:1"));
        let converted = Layout::open(scene.sandbox.path(&format!("converted{number}"))).manifest("1");
        let images = converted["manifests"].as_array().unwrap().iter();
        let is_image = |listed: &&Value| listed["platform"]["os"] == "linux";
        assert!(
            images.filter(is_image).all(|listed| listed["platform"]["architecture"] == "amd64"),
            "{converted}"
        );
    }
}
