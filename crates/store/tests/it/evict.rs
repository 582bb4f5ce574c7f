//! Making room.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;

use chunked::TocDigest;
use morsel_store::chains::Made;
use morsel_store::gc::{self, Evicted, Quota};
use morsel_store::{ChainId, Exclusive, Image, LayerState, MountRecord, Store, Wait};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use crate::sample::{Place, has, pull};

/// Bytes of a block of the file systems that tests run on.
const BLOCK: u64 = 4096;

fn is_remote(image: &Image) -> bool {
    !image.name.starts_with("local")
}

/// Layers that are served, and that were.
#[derive(Default)]
struct Served(BTreeSet<TocDigest>, BTreeSet<TocDigest>);

fn evict(store: &Exclusive, len: u64, Served(served, remembered): &Served) -> Evicted {
    let quota = Quota { len, is_refetchable: is_remote, served, remembered };
    let planned = *gc::plan_eviction(store, &quota).unwrap().summary();
    let evicted = gc::evict(store, &quota).unwrap();
    assert_eq!(evicted, planned);
    evicted
}

fn mount(store: &Store, image: &Image) {
    let directory = PathBuf::from(format!("/{}", image.name));
    store.mounts().put(&MountRecord { directory, image: image.clone(), writable: None }).unwrap();
}

/// Makes what a mount of an image has open for as long as it is somewhere.
fn chain(store: &Store, image: &Image) -> File {
    store.chains().make(&ChainId::of(&image.layers), Made::Image, |_| Ok(())).unwrap()
}

fn content(number: u8) -> Vec<u8> {
    vec![number; usize::from(number) * 3000 + 1]
}

fn pull_numbers(store: &Store, name: &str, layers: &[BTreeSet<u8>]) -> Image {
    let contents: Vec<Vec<Vec<u8>>> =
        layers.iter().map(|layer| layer.iter().map(|number| content(*number)).collect()).collect();
    let borrowed: Vec<Vec<&[u8]>> =
        contents.iter().map(|layer| layer.iter().map(Vec::as_slice).collect()).collect();
    pull(store, name, &borrowed.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

#[test]
fn nothing_goes_as_long_as_there_is_room_and_no_more_than_it_takes_then() {
    let place = Place::new();
    let image = pull_numbers(&place.store, "image", &[BTreeSet::from([1, 2, 3, 4])]);
    let store = Exclusive::take(place.store, Wait::No).unwrap();
    let used = 9 * BLOCK;
    assert_eq!(evict(&store, used, &Served::default()), Evicted::default());
    let evicted = evict(&store, used - 1, &Served::default());
    assert_eq!((evicted.layers, evicted.contents, evicted.beyond_len), (1, 1, 0));
    let record = store.layers().get(&image.layers[0]).unwrap().unwrap();
    assert_eq!(record.state, LayerState::Indexed);
    assert_eq!(store.images().list().unwrap(), std::slice::from_ref(&image));
    // Whoever has it mounted needs no name for that.
    let open = chain(&store, &image);
    assert_eq!(evict(&store, 0, &Served::default()).contents, 0);
    drop(open);
    let evicted = evict(&store, 0, &Served::default());
    assert_eq!((evicted.layers, evicted.contents, evicted.beyond_len), (0, 3, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_goes_that_a_mount_could_reach_and_no_layer_is_called_complete_that_is_not(
        images in vec((vec(btree_set(0..10_u8, 0..4), 0..3), 0..7_u8), 1..5),
        quota in 0..40 * BLOCK,
    ) {
        let place = Place::new();
        let (mut layers, mut safe, mut served, mut open) = (Vec::new(), BTreeSet::new(), Served::default(), Vec::new());
        for (number, (contents, kind)) in images.iter().enumerate() {
            let name = format!("{}-{number}", if *kind == 0 { "local" } else { "image" });
            let image = pull_numbers(&place.store, &name, contents);
            match kind {
                1 => mount(&place.store, &image),
                2 => served.0.extend(image.layers.iter().copied()),
                3 => open.push(chain(&place.store, &image)),
                4 => {
                    served.1.extend(image.layers.iter().copied());
                    fs::create_dir_all(place.store.chains().path_of(&ChainId::of(&image.layers), Made::Tree)).unwrap();
                }
                _ => drop(chain(&place.store, &image)),
            }
            if (1..5).contains(kind) {
                safe.extend(contents.iter().flatten().copied());
            }
            layers.extend(image.layers.into_iter().zip(contents.clone()));
        }
        let store = Exclusive::take(place.store, Wait::No).unwrap();
        let evicted = evict(&store, quota, &served);
        let mut used = 0;
        for number in 0..10 {
            let is_here = has(&store, &content(number));
            prop_assert!(is_here || !safe.contains(&number), "{}", number);
            used += if is_here { (content(number).len() as u64).div_ceil(BLOCK) * BLOCK } else { 0 };
        }
        prop_assert_eq!(used.saturating_sub(quota), evicted.beyond_len);
        for (toc_digest, contents) in layers {
            let is_here = contents.iter().all(|number| has(&store, &content(*number)));
            let state = store.layers().get(&toc_digest).unwrap().unwrap().state;
            prop_assert_eq!(is_here, state == LayerState::Complete);
        }
    }
}
