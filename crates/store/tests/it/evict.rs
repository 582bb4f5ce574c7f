//! Making room.

use std::collections::BTreeSet;
use std::path::PathBuf;

use chunked::TocDigest;
use morsel_store::gc::{self, Evicted, Quota};
use morsel_store::{Exclusive, Image, LayerState, MountRecord, Store, Wait};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use crate::sample::{Place, has, pull};

/// Bytes of a block of the file systems that tests run on.
const BLOCK: u64 = 4096;

fn is_remote(image: &Image) -> bool {
    !image.name.starts_with("local")
}

fn evict(store: &Exclusive, len: u64, served: &BTreeSet<TocDigest>) -> Evicted {
    let quota = Quota { len, is_refetchable: is_remote, served };
    let planned = *gc::plan_eviction(store, &quota).unwrap().summary();
    let evicted = gc::evict(store, &quota).unwrap();
    assert_eq!(evicted, planned);
    evicted
}

fn mount(store: &Store, image: &Image) {
    let directory = PathBuf::from(format!("/{}", image.name));
    store.mounts().put(&MountRecord { directory, image: image.clone(), writable: None }).unwrap();
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
    assert_eq!(evict(&store, used, &BTreeSet::new()), Evicted::default());
    let evicted = evict(&store, used - 1, &BTreeSet::new());
    assert_eq!((evicted.layers, evicted.contents, evicted.beyond_len), (1, 1, 0));
    let record = store.layers().get(&image.layers[0]).unwrap().unwrap();
    assert_eq!(record.state, LayerState::Indexed);
    assert_eq!(store.images().list().unwrap(), [image]);
    let evicted = evict(&store, 0, &BTreeSet::new());
    assert_eq!((evicted.layers, evicted.contents, evicted.beyond_len), (0, 3, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_goes_that_a_mount_could_reach_and_no_layer_is_called_complete_that_is_not(
        images in vec((vec(btree_set(0..10_u8, 0..4), 0..3), 0..4_u8), 1..5),
        quota in 0..40 * BLOCK,
    ) {
        let place = Place::new();
        let (mut layers, mut safe, mut served) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for (number, (contents, kind)) in images.iter().enumerate() {
            let name = format!("{}-{number}", if *kind == 0 { "local" } else { "image" });
            let image = pull_numbers(&place.store, &name, contents);
            match kind {
                1 => mount(&place.store, &image),
                2 => served.extend(image.layers.iter().copied()),
                _ => {}
            }
            if *kind == 1 || *kind == 2 {
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
