//! What is published, removed, found damaged and repaired.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chunked::{BlobDigest, DiffId};
use morsel_containers_storage::additional::{Finding, Layer, Layout, Publication, Report};
use morsel_containers_storage::error::Unpublishable;
use morsel_containers_storage::{AdditionalStore, Error, LayerId};
use store::fetch::NoProgress;
use store::images::Document;
use store::pull::{self, Task};
use store::tree::Marks;
use store::{Image, LayerRecord, LayerState, Store};
use tempfile::TempDir;
use testkit::tar::Tar;
use testkit::tools::{self, Tier};

/// A store, and an additional one beside it.
struct Scene {
    dir: TempDir,
    store: Store,
    additional: AdditionalStore,
}

impl Scene {
    fn new() -> Option<Self> {
        if !tools::is_root(Tier::Root) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let additional = AdditionalStore::setup(&dir.path().join("ais")).unwrap();
        Some(Self { dir, store, additional })
    }

    /// Brings layers into the store, as if an image had them.
    fn pull(&self, tars: &[Vec<u8>]) -> Vec<LayerRecord> {
        let task = |tar: &Vec<u8>| Task {
            blob: BlobDigest::of(tar),
            source: Box::new(Bytes(tar.clone())),
            annotations: BTreeMap::new(),
            diff_id: Some(DiffId::of(tar)),
        };
        let tasks: Vec<_> = tars.iter().map(task).collect();
        let pulled = pull::pull(&self.store, &tasks, &pull::Options::default(), &NoProgress).unwrap();
        pulled.into_iter().map(|(record, _)| record).collect()
    }

    fn publish(&self, records: &[LayerRecord]) -> Result<Report, Error> {
        self.publish_as(records, Layout::Plain(Marks::Trusted))
    }

    fn publish_as(&self, records: &[LayerRecord], layout: Layout<'_>) -> Result<Report, Error> {
        let chain = Layer::chain(records, LayerState::Indexed)?;
        let image = image(records);
        let wanted = Publication { image: &image, chain: &chain, layout, is_wanted: &|| true };
        self.additional.publish(&self.store, &wanted)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("ais").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

/// An image with these layers.
fn image(records: &[LayerRecord]) -> Image {
    let digest = BlobDigest::of(b"");
    Image {
        name: "image".to_owned(),
        root: Document { media_type: String::new(), digest, len: 0 },
        manifest: digest,
        config: digest,
        platform: String::new(),
        layers: records.iter().map(|record| record.toc_digest).collect(),
    }
}

/// A blob in memory.
struct Bytes(Vec<u8>);

impl chunked::RangeSource for Bytes {
    fn blob_len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_range(&self, range: chunked::BlobRange) -> std::io::Result<Box<dyn std::io::Read + Send + '_>> {
        let (start, end) = (range.start() as usize, range.end() as usize);
        Ok(Box::new(&self.0[start..end]))
    }
}

fn tars() -> Vec<Vec<u8>> {
    let base = Tar::new().dir("./a/").file("./a/gone", "gone\n").file("./a/stays", "stays\n");
    let upper = Tar::new().dir("./a/").file("./a/.wh.gone", "").file("./b", "b\n");
    vec![base.finish(), upper.finish()]
}

fn ids(report: &Report) -> Vec<LayerId> {
    report.layers.iter().map(|layer| layer.id.clone()).collect()
}

fn made(report: &Report) -> usize {
    report.layers.iter().filter(|layer| layer.made.is_some()).count()
}

#[test]
fn root_a_chain_is_published_once_and_as_engines_want_it() {
    let Some(scene) = Scene::new() else { return };
    let records = scene.pull(&tars());

    let report = scene.publish(&records).unwrap();

    let [base, upper] = &*ids(&report) else { panic!("{report:?}") };
    assert_eq!(base.as_str(), DiffId::of(&tars()[0]).0.hex());
    let listed = scene.additional.layers().unwrap();
    assert_eq!(listed.iter().map(|layer| &layer.id).collect::<Vec<_>>(), [base, upper]);
    assert_eq!((listed[1].parent.as_ref(), listed[1].diff_digest), (Some(base), DiffId::of(&tars()[1])));
    assert_eq!(
        listed[0].compressed_diff_digest,
        Some(BlobDigest::of(&tars()[0])),
        "all of the blob was hashed"
    );

    let link = scene.read(&format!("overlay/{base}/link"));
    assert_eq!(
        fs::read_link(scene.path(&format!("overlay/l/{link}"))).unwrap(),
        Path::new("..").join(base.as_str()).join("diff")
    );
    assert_eq!(scene.read(&format!("overlay/{upper}/lower")), format!("l/{link}"));
    assert_eq!(scene.read(&format!("overlay/{upper}/diff/b")), "b\n");
    let whiteout = fs::symlink_metadata(scene.path(&format!("overlay/{upper}/diff/a/gone"))).unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
    assert!(scene.path(&format!("overlay/{base}/empty")).is_dir());
    let gzip = fs::read(scene.path(&format!("overlay-layers/{base}.tar-split.gz"))).unwrap();
    assert_eq!(gzip[..2], [0x1f, 0x8b]);
    assert_eq!(scene.read("overlay-images/images.json"), "[]");
    assert_eq!(fs::metadata(scene.path("overlay-layers/layers.lock")).unwrap().len(), 64);

    let token = fs::read(scene.path("overlay-layers/layers.lock")).unwrap();
    assert_eq!(made(&scene.publish(&records).unwrap()), 0);
    assert_eq!(fs::read(scene.path("overlay-layers/layers.lock")).unwrap(), token, "nothing changed");
    assert_eq!(scene.additional.check().unwrap().0, []);
    assert_eq!(fs::read_dir(scene.path("staging")).unwrap().count(), 0);
}

#[test]
fn root_what_is_not_proven_is_not_published() {
    let Some(scene) = Scene::new() else { return };
    let mut records = scene.pull(&tars());
    records[1].state = LayerState::Complete;
    let why = |records: &[_]| Layer::chain(records, LayerState::Proven).unwrap_err().to_string();
    assert!(why(&records).ends_with(" cannot be published: its tar is not proven"), "{}", why(&records));
    records[0].state = LayerState::Complete;
    assert_eq!(why(&records), "layer 0 of a chain cannot be published: its tar is not proven");
}

#[test]
fn root_nothing_appears_that_nobody_waits_for() {
    let Some(scene) = Scene::new() else { return };
    let records = scene.pull(&tars());
    let (image, chain) = (image(&records), Layer::chain(&records, LayerState::Proven).unwrap());
    let layout = Layout::Plain(Marks::Trusted);
    let unwanted = Publication { image: &image, chain: &chain, layout, is_wanted: &|| false };

    assert!(matches!(scene.additional.publish(&scene.store, &unwanted), Err(Error::Unwanted)));

    assert_eq!(scene.additional.layers().unwrap(), []);
    assert_eq!(scene.additional.check().unwrap().0, []);
    assert_eq!(made(&scene.publish(&records).unwrap()), 2);
}

#[test]
fn root_mounts_show_all_that_lies_below_and_come_back() {
    let Some(scene) = Scene::new() else { return };
    let records = scene.pull(&tars());

    let report = scene.publish_as(&records, Layout::Mounted(None)).unwrap();

    let [base, upper] = &*ids(&report) else { panic!("{report:?}") };
    let names = |id: &LayerId| {
        let entries = fs::read_dir(scene.path(&format!("overlay/{id}/diff/a"))).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!((names(base), names(upper)), (vec!["gone".into(), "stays".into()], vec!["stays".to_owned()]));
    assert!(!scene.path(&format!("overlay/{upper}/lower")).exists(), "nothing lies below");
    assert_eq!(scene.additional.check().unwrap().0, []);
    assert_eq!(made(&scene.publish(&records).unwrap()), 0, "whatever the layout");

    // As after a reboot.
    scene.additional.unmount(&[base.clone(), upper.clone()]);
    let unmounted = [base, upper].map(|id| Finding::Unmounted { id: id.clone() });
    assert_eq!(scene.additional.check().unwrap().0, unmounted);
    assert_eq!(scene.additional.repair().unwrap().0, [], "it is for `restore`");
    let restored = scene.additional.restore(&scene.store, None).unwrap();
    assert!(restored.iter().all(|restored| restored.outcome.is_ok()), "{restored:?}");
    assert_eq!((scene.additional.check().unwrap().0, names(upper).len()), (vec![], 1));

    // A plain layer lies on the nearest mount only.
    let third = Tar::new().file("./c", "c\n").finish();
    let records = scene.pull(&[tars(), vec![third]].concat());
    let report = scene.publish(&records).unwrap();
    let link = scene.read(&format!("overlay/{upper}/link"));
    assert_eq!(scene.read(&format!("overlay/{}/lower", ids(&report)[2])), format!("l/{link}"));

    scene.additional.remove(&ids(&report)).unwrap();
    assert_eq!(scene.additional.forget_mounts(&scene.store).unwrap().len(), 2);
    assert_eq!(scene.store.mounts().list().unwrap(), []);
    assert_eq!(fs::read_dir(scene.path("mounts")).unwrap().count(), 0);
}

/// An image says that a layer of its own is one that another image has.
#[test]
fn root_a_claim_is_given_to_nobody_else_and_goes_when_the_right_one_comes() {
    let Some(scene) = Scene::new() else { return };
    let right = scene.pull(&tars());
    let other = Tar::new().dir("./a/").file("./a/evil", "evil\n").finish();
    let proven = scene.pull(&[other]).remove(0);
    let indexed = scene.store.layers().set_state(&proven, LayerState::Indexed).unwrap();
    let lie = [LayerRecord { diff_id: right[0].diff_id, ..indexed.clone() }];
    let mounted = Layout::Mounted(None);
    // Content that is here is mounted without anybody who serves it.
    scene.store.layers().set_state(&proven, LayerState::Complete).unwrap();

    let base = ids(&scene.publish_as(&lie, mounted).unwrap()).remove(0);
    let has = |name: &str| scene.path(&format!("overlay/{base}/diff/a/{name}")).exists();
    assert!(has("evil"));

    let unproven: Vec<_> =
        right.iter().map(|record| LayerRecord { state: LayerState::Indexed, ..record.clone() }).collect();
    let is_refused = |records: &[LayerRecord]| {
        let refused = scene.publish_as(records, mounted);
        let is_claimed = matches!(refused, Err(Error::Unpublishable { reason: Unpublishable::Claimed, .. }));
        assert!(is_claimed, "{refused:?}");
    };
    is_refused(&unproven);
    assert!(has("evil"), "it is as good as the other one");
    // What it shows is proven to be something else.
    scene.store.layers().set_state(&proven, LayerState::Proven).unwrap();
    is_refused(&unproven);

    assert_eq!(made(&scene.publish(&right).unwrap()), 2);
    assert!(has("gone") && !has("evil"));
    let listed = scene.additional.layers().unwrap();
    is_refused(&lie);
    assert!(has("gone"), "the right one stays");
    assert_eq!(
        scene.additional.layers().unwrap(),
        listed,
        "and is not found by what the other one is called"
    );

    // What turns out to be wrong is taken from engines, and so is what lies on it.
    let gone = scene.additional.withdraw(&scene.store, &right[0].toc_digest, right[0].diff_id).unwrap();
    assert_eq!(gone.len(), 2);
    assert_eq!((scene.additional.layers().unwrap(), scene.additional.check().unwrap().0), (vec![], vec![]));
}

#[test]
fn root_a_wrong_claim_takes_no_image_away_that_claims_something_else() {
    let Some(scene) = Scene::new() else { return };
    let records = scene.pull(&tars());
    let diff_ids: Vec<_> = records.iter().map(|record| record.diff_id.unwrap().to_string()).collect();
    let config = format!(r#"{{"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#, diff_ids.join("\",\""));
    let image = Image { config: BlobDigest::of(config.as_bytes()), ..image(&records) };
    scene.store.images().put(&image, &[(image.config, config.as_bytes())]).unwrap();
    let chain = Layer::chain(&records, LayerState::Indexed).unwrap();
    let layout = Layout::Mounted(None);
    let wanted = Publication { image: &image, chain: &chain, layout, is_wanted: &|| true };
    scene.additional.publish(&scene.store, &wanted).unwrap();

    let toc_digest = &records[0].toc_digest;
    let wrong = Some(DiffId::of(b"another tar"));
    assert_eq!(scene.additional.withdraw(&scene.store, toc_digest, wrong).unwrap(), []);
    let gone = scene.additional.withdraw(&scene.store, toc_digest, records[0].diff_id).unwrap();
    assert_eq!(gone.len(), 2);
}

#[test]
fn root_a_lost_list_is_made_again_and_strays_go() {
    let Some(scene) = Scene::new() else { return };
    let records = scene.pull(&tars());
    let report = scene.publish(&records).unwrap();
    let [base, upper] = &*ids(&report) else { panic!("{report:?}") };
    let listed = scene.additional.layers().unwrap();
    let list = scene.path("overlay-layers/layers.json");

    for broken in ["", "[{", "{}", "[{\"id\":\"x\"}]"] {
        fs::write(&list, broken).unwrap();
        assert!(matches!(&*scene.additional.repair().unwrap().0, [Finding::List { .. }]));
        assert_eq!(scene.additional.layers().unwrap(), listed);
    }
    fs::remove_file(&list).unwrap();
    assert_eq!(scene.additional.repair().unwrap().0.len(), 1);
    assert_eq!(scene.additional.layers().unwrap(), listed);

    let stray = "f".repeat(64);
    fs::create_dir_all(scene.path(&format!("overlay/{stray}/diff"))).unwrap();
    assert_eq!(scene.additional.repair().unwrap().0, [Finding::Stray { name: stray.clone() }]);
    assert!(!scene.path(&format!("overlay/{stray}")).exists());

    fs::remove_dir_all(scene.path(&format!("overlay/{base}/diff"))).unwrap();
    let findings = scene.additional.repair().unwrap().0;
    assert!(findings.contains(&Finding::Layer { id: base.clone() }), "{findings:?}");
    assert_eq!(scene.additional.layers().unwrap(), [], "and {upper} lies on it");
    assert!(!scene.path(&format!("overlay/{upper}")).exists());
    assert_eq!(made(&scene.publish(&records).unwrap()), 2);
}

#[test]
fn root_a_directory_that_an_engine_took_stays() {
    let Some(scene) = Scene::new() else { return };
    let stray = "f".repeat(64);
    fs::create_dir_all(scene.path(&format!("overlay/{stray}/diff"))).unwrap();
    let engine = scene.dir.path().join("engine");
    fs::create_dir_all(engine.join("overlay-layers")).unwrap();
    fs::write(engine.join("overlay-layers/layers.json"), format!(r#"[{{"id":"{stray}"}}]"#)).unwrap();
    scene.additional.note_engine(&engine).unwrap();

    assert_eq!(scene.additional.repair().unwrap().0, []);
    assert!(scene.path(&format!("overlay/{stray}/diff")).is_dir());
}

#[test]
fn root_what_nobody_needs_goes_and_what_lies_below_something_stays() {
    let Some(scene) = Scene::new() else { return };
    let records = scene.pull(&tars());
    let ids = ids(&scene.publish(&records).unwrap());
    let nothing = BTreeSet::new();
    let upper = BTreeSet::from([ids[1].clone()]);
    let base = BTreeSet::from([ids[0].clone()]);
    let unneeded = |needed, grace| scene.additional.unneeded(needed, Duration::from_secs(grace)).unwrap();

    assert_eq!(unneeded(&nothing, 3600), [], "they were asked for just now");
    assert_eq!(unneeded(&upper, 0), []);
    assert_eq!(unneeded(&base, 0), ids[1..]);
    assert_eq!(unneeded(&nothing, 0), ids);

    let removed = scene.additional.remove(&ids[1..]).unwrap();
    assert_eq!((removed.layers, removed.leftovers), (ids[1..].to_vec(), 0));
    assert_eq!(scene.additional.layers().unwrap().len(), 1);
    assert!(!scene.path(&format!("overlay/{}", ids[1])).exists());
    assert_eq!(scene.additional.check().unwrap().0, []);
    scene.additional.remove(&ids).unwrap();
    assert_eq!(scene.read("overlay-layers/layers.json"), "[]");
}
