//! What is fetched, and from where, without a kernel that asks for it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use chunked::{Abilities, BlobDigest, BlobRange, ContentDigest};
use crossbeam_channel::Receiver;
use morsel_mount::contents;
use morsel_mount::fetch::{self, Ended, Failure, Fetcher, Found, NoEvents, Place, Supply, Ticket};
use store::{LayerRecord, LayerState, Store};
use testkit::data;

use super::lazy::{Made, Scripted, fill, store};

/// Several blobs.
struct Blobs(BTreeMap<BlobDigest, Scripted>);

impl Blobs {
    fn of(layers: &[Made]) -> Self {
        Self(layers.iter().map(|made| (BlobDigest::of(&made.blob), Scripted::new(made))).collect())
    }

    fn get(&self, made: &Made) -> &Scripted {
        &self.0[&BlobDigest::of(&made.blob)]
    }
}

impl Supply for Blobs {
    fn abilities(&self, place: &Place, layer: &LayerRecord) -> Abilities {
        self.0[&layer.blob].abilities(place, layer)
    }

    fn read(
        &self,
        place: &Place,
        layer: &LayerRecord,
        ranges: &[BlobRange],
        take: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> io::Result<()> {
        self.0[&layer.blob].read(place, layer, ranges, take)
    }
}

/// Two layers with two files in common, which lie elsewhere in each blob.
fn layers() -> ([Made; 2], [Vec<u8>; 2]) {
    let common = [data::stream(1, 3000), data::stream(2, 3_000_000)];
    let own = [data::stream(3, 500_000), data::stream(4, 900_000)];
    let layers =
        own.map(|own| Made::of(&[("a", own), ("small", common[0].clone()), ("z/large", common[1].clone())]));
    (layers, common)
}

/// Serves layers while something is done.
fn serve(
    store: &Store,
    layers: &[Made],
    blobs: &Blobs,
    places: &[usize],
    act: impl FnOnce(&Fetcher<'_>, &Receiver<Ended>),
) {
    serve_after(Duration::ZERO, store, (layers, blobs), places, act);
}

/// The same, where nothing is filled in before it has been quiet for a while.
fn serve_after(
    quiet: Duration,
    store: &Store,
    (layers, blobs): (&[Made], &Blobs),
    places: &[usize],
    act: impl FnOnce(&Fetcher<'_>, &Receiver<Ended>),
) {
    let options = fetch::Options { quiet, ..fetch::Options::default() };
    let (fetcher, ended) = Fetcher::new(store, blobs, &NoEvents, options);
    for (number, made) in layers.iter().enumerate() {
        let record = made.index(store);
        let table = contents::build(store, &record, &contents::directory_of(store)).unwrap();
        let layer = fetcher.attach(&record, table);
        if places.contains(&number) {
            fetcher.add_place(&layer, &Place::default());
        }
    }
    thread::scope(|scope| {
        fetcher.start(scope);
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(&fetcher, &ended)));
        fetcher.stop();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Reads a content, by the first layer that has it.
fn read(fetcher: &Fetcher<'_>, ended: &Receiver<Ended>, content: &[u8]) -> Result<Vec<u8>, Failure> {
    let node = fetcher.tables().find(&ContentDigest::of(content)).unwrap().unwrap();
    let mut room = Vec::new();
    while let Found::Missing(missing) = fetcher.read(node, 0, content.len() as u32, &mut room)? {
        fetcher.want(missing, Ticket(1));
        ended.recv().unwrap().result?;
        room.clear();
    }
    Ok(room)
}

#[test]
fn what_one_registry_gives_wrong_or_not_at_all_is_taken_from_another() {
    for failing in [None, Some(io::ErrorKind::ConnectionRefused)] {
        let ((layers, common), (_dir, store)) = (layers(), store());
        let blobs = Blobs::of(&layers);
        blobs.get(&layers[0]).set(|state| (state.garbage, state.failing) = (true, failing));
        serve(&store, &layers, &blobs, &[0, 1], |fetcher, ended| {
            for content in &common {
                assert!(read(fetcher, ended, content).unwrap() == *content);
            }
            let tried = blobs.get(&layers[0]).requests().len();
            assert!(tried > 0);
            // Only in the first is nowhere else.
            assert!(read(fetcher, ended, &data::stream(3, 500_000)).is_err());
        });
    }
}

#[test]
fn a_layer_that_nobody_says_the_place_of_does_not_hide_another() {
    let ((layers, common), (_dir, store)) = (layers(), store());
    let blobs = Blobs::of(&layers);
    serve(&store, &layers, &blobs, &[1], |fetcher, ended| {
        for content in &common {
            assert!(read(fetcher, ended, content).unwrap() == *content);
        }
        let error = read(fetcher, ended, &data::stream(3, 500_000)).unwrap_err();
        assert_eq!(error.to_string(), "nobody says where the layer is");
    });
}

#[test]
fn what_no_layer_gives_is_an_error_after_each_was_asked() {
    let ((layers, common), (_dir, store)) = (layers(), store());
    let blobs = Blobs::of(&layers);
    blobs.0.values().for_each(|blob| blob.set(|state| state.garbage = true));
    serve(&store, &layers, &blobs, &[0, 1], |fetcher, ended| {
        assert!(matches!(
            read(fetcher, ended, &common[0]),
            Err(Failure::Frame { .. } | Failure::Wrong { .. })
        ));
        assert_eq!(fetcher.pending(), 0);
    });
    assert!(blobs.0.values().all(|blob| !blob.requests().is_empty()));
}

#[test]
fn a_layer_is_filled_in_from_its_own_blob() {
    let ((layers, _), (_dir, store)) = (layers(), store());
    let blobs = Blobs::of(&layers);
    serve(&store, &layers, &blobs, &[0, 1], |fetcher, _| {
        let second = fetcher.layers()[1].clone();
        fill(fetcher, &second);
        let counts = fetcher.counters().counts();
        assert_eq!((counts.wrong_chunks, counts.failed_requests), (0, 0), "{counts:?}");
    });
    assert!(blobs.get(&layers[0]).requests().is_empty());
    assert_eq!(layers[1].index(&store).state, LayerState::Proven);
}

#[test]
fn who_waits_for_all_of_it_does_not_wait_until_it_is_quiet() {
    let ((layers, common), (_dir, store)) = (layers(), store());
    let blobs = Blobs::of(&layers);
    let never = Duration::from_secs(u32::MAX.into());
    serve_after(never, &store, (&layers, &blobs), &[0, 1], |fetcher, ended| {
        let first = fetcher.layers()[0].clone();
        fetcher.fill(&first, true);
        assert!(read(fetcher, ended, &common[0]).unwrap() == common[0]);
        assert_eq!(fetcher.counters().counts().fill_chunks, 0);
        let hurry = fetcher.hurry();
        fill(fetcher, &first);
        drop(hurry);
        assert!(fetcher.counters().counts().fill_chunks > 0);
    });
}
