//! Pulls of layers that lie, from sources that fail.

use std::error::Error as _;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::time::Duration;
use std::{fs, thread};

use chunked::{BlobRange, Class, ContentDigest, DiffId, Ranges};
use morsel_store::fetch::{NoProgress, Verification};
use morsel_store::pull::{self, How, LayerReport, Options, Task, pull};
use morsel_store::{Error, LayerRecord, LayerState, Store};
use serde_json::{Value, json};
use testkit::{data, tar};

use crate::made::Made;
use crate::sample::{Place, chunks};
use crate::source::{Fault, MANY, Source, abilities};

type Pulled = Result<Vec<(LayerRecord, LayerReport)>, Error>;

fn one(store: &Store, made: &Made, source: &Source) -> Pulled {
    pull(store, &[made.task(source)], &Options::default(), &NoProgress)
}

fn source(made: &Made) -> Source {
    Source::new(made, abilities(MANY, 2))
}

/// Pulls from a source that behaves.
fn fetched(store: &Store, made: &Made) -> Pulled {
    one(store, made, &source(made))
}

/// Writes what went wrong and why.
fn refusal(pulled: Pulled) -> (Class, String) {
    let error = pulled.unwrap_err();
    let (class, mut text, mut cause) = (error.class(), String::new(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    (class, text)
}

fn why_whole(pulled: Pulled) -> String {
    match pulled.unwrap().remove(0).1.how {
        How::Whole { why, .. } => why,
        how => panic!("{how:?}"),
    }
}

fn has(store: &Store, content: &[u8]) -> bool {
    let digest = ContentDigest::of(content);
    let Some(file) = store.objects().open(&digest).unwrap() else { return false };
    let mut bytes = vec![0; content.len()];
    file.metadata().unwrap().len() == content.len() as u64
        && file.read_exact_at(&mut bytes, 0).is_ok()
        && bytes == content
}

/// A file of three chunks.
fn long() -> Vec<u8> {
    [data::text(1, 20_000), data::cut(), data::stream(2, 9000), data::cut(), data::text(3, 5000)].concat()
}

fn row<'a>(toc: &'a mut Value, name: &str) -> &'a mut Value {
    let rows = toc["entries"].as_array_mut().unwrap();
    rows.iter_mut().find(|row| row["name"] == name).unwrap()
}

#[test]
fn everything_that_a_layer_can_hold_is_brought_in() {
    let place = Place::new();
    let made = Made::of(&tar::sample::rich_tar());
    let pulled = fetched(&place.store, &made).unwrap();
    assert_eq!((pulled[0].0.state, pulled[0].0.diff_id), (LayerState::Proven, Some(made.diff_id)));
    let again = source(&made);
    let pulled = one(&place.store, &made, &again).unwrap();
    assert_eq!((&pulled[0].1.how, again.requests()), (&How::Present, 0));
}

#[test]
fn a_toc_that_disagrees_with_the_tar_is_refused_for_that() {
    let made =
        Made::files([("a", "abc"), ("b", "defg"), ("c", &String::from_utf8(data::text(4, 3000)).unwrap())]);
    let lies: [fn(&mut Value); 4] = [
        |toc| {
            let (a, rows) = (row(toc, "a").clone(), toc["entries"].as_array_mut().unwrap());
            rows.push(json!({"type": "reg", "name": "x", "size": 0, "mode": a["mode"]}));
        },
        |toc| row(toc, "b")["name"] = "other".into(),
        |toc| {
            let rows = toc["entries"].as_array_mut().unwrap();
            rows.retain(|row| row["name"] != "b");
        },
        |toc| {
            let file = row(toc, "a");
            file["type"] = "symlink".into();
            file["linkName"] = "b".into();
        },
    ];
    for lie in lies {
        let place = Place::new();
        let (class, text) = refusal(fetched(&place.store, &made.with_toc(lie)));
        assert_eq!(class, Class::Corrupt, "{text}");
        assert!(text.contains("TOC and tar disagree"), "{text}");
        assert_eq!(place.store.layers().list().unwrap(), []);
    }
}

#[test]
fn a_size_that_lies_is_refused_and_nothing_waits_for_ever() {
    let made = Made::files([("a", "abc"), ("b", "defg")]);
    for size in [1, 2, 4, 400, 1 << 30] {
        let place = Place::new();
        let (class, text) =
            refusal(fetched(&place.store, &made.with_toc(|toc| row(toc, "a")["size"] = size.into())));
        assert_eq!(class, Class::Corrupt, "{text}");
    }
}

#[test]
fn a_digest_that_lies_is_refused_whatever_the_size_of_the_file() {
    let made = Made::files([("a", b"abc".to_vec()), ("b", long())]);
    for name in ["a", "b"] {
        let place = Place::new();
        let other = ContentDigest::of(b"other").to_string();
        let lying = made.with_toc(|toc| row(toc, name)["digest"] = other.into());
        let (class, text) = refusal(fetched(&place.store, &lying));
        assert!(class == Class::Corrupt && text.contains(&format!("digest of `{name}`")), "{text}");
        assert_eq!(place.store.objects().len_of(&ContentDigest::of(b"other")).unwrap(), None);
    }
}

#[test]
fn a_file_that_is_said_to_be_a_hole_is_one_or_refused() {
    let made = Made::files([("zeros", vec![0; 900]), ("data", data::text(1, 900))]);
    let hole = |toc: &mut Value, name: &str| {
        let file = row(toc, name);
        file["chunkType"] = "zeros".into();
        file["chunkSize"] = 900.into();
        file["chunkDigest"] = file["digest"].clone();
    };
    let place = Place::new();
    fetched(&place.store, &made.with_toc(|toc| hole(toc, "zeros"))).unwrap();
    assert!(has(&place.store, &[0; 900]));
    let place = Place::new();
    let (class, text) = refusal(fetched(&place.store, &made.with_toc(|toc| hole(toc, "data"))));
    assert!(class == Class::Corrupt && text.contains("digest of `data`"), "{text}");
}

#[test]
fn a_hole_without_end_is_not_hashed() {
    let made = Made::files([("zeros", [vec![0; 5000], data::text(1, 100)].concat())]);
    let place = Place::new();
    let lying = made.with_toc(|toc| {
        let size: u64 = 1 << 60;
        let rows = toc["entries"].as_array_mut().unwrap();
        let [first, second] = rows.as_mut_slice() else { panic!("{rows:?}") };
        assert_eq!(first["chunkType"], "zeros");
        (first["size"], first["chunkSize"]) = (size.into(), (size - 100).into());
        second["chunkOffset"] = (size - 100).into();
    });
    assert!(why_whole(fetched(&place.store, &lying)).contains("holes of more than"));
    assert!(has(&place.store, &[vec![0; 5000], data::text(1, 100)].concat()));
}

#[test]
fn rows_in_another_order_than_the_tar_make_the_layer_be_read_whole() {
    let (ab, ba) = (Made::files([("a", "abc"), ("b", "defg")]), Made::files([("b", "defg"), ("a", "abc")]));
    let mut made = ab.with_tar_split_of(&ba);
    made.diff_id = ab.diff_id;
    let place = Place::new();
    assert_eq!(why_whole(fetched(&place.store, &made)), "the TOC is not in the order of the tar");
    assert!(has(&place.store, b"abc") && has(&place.store, b"defg"));
}

#[test]
fn frames_that_hold_more_or_less_or_nothing_are_damaged() {
    let long = vec![1; 6 << 20];
    for content in [data::text(1, 3000), long] {
        let made = Made::files([("before", data::text(9, 400)), ("file", content)]);
        let payload = made.payload();
        let mut range = *made.frames().values().flatten().max().unwrap();
        range = BlobRange::new(range.start(), range.end().min(payload.end())).unwrap();
        let damages: [fn(&mut [u8]); 2] = [|frame| frame[6..].fill(0xff), |frame| frame.fill(0)];
        for damage in damages {
            let mut damaged = made.clone();
            damage(&mut damaged.blob[range.start() as usize..range.end() as usize]);
            let place = Place::new();
            let (class, text) = refusal(fetched(&place.store, &damaged));
            assert!(class == Class::Corrupt && text.contains("for `file`, is damaged"), "{text}");
        }
    }
}

#[test]
fn a_source_that_fails_is_named_as_the_cause_and_what_came_stays() {
    for kind in
        [ErrorKind::ConnectionAborted, ErrorKind::NotFound, ErrorKind::PermissionDenied, ErrorKind::Other]
    {
        let made = Made::files((0..40).map(|number| (number.to_string(), data::stream(number, 3000))));
        let place = Place::new();
        let failing = source(&made).faults([(1, Fault::Fail(kind)), (2, Fault::Fail(kind))]);
        let (class, text) = refusal(one(&place.store, &made, &failing.faults([(0, Fault::Cut(60_000))])));
        let expected = match kind {
            ErrorKind::NotFound => Class::Missing,
            ErrorKind::PermissionDenied => Class::Denied,
            ErrorKind::Other => Class::Local,
            _ => Class::Transient,
        };
        // The request that breaks off may be the first to fail.
        assert!([expected, Class::Transient].contains(&class), "{text}");
        assert!(text.contains("cannot read the blob"), "{text}");
        let again = source(&made);
        let pulled = one(&place.store, &made, &again).unwrap();
        let How::Parts(report) = &pulled[0].1.how else { panic!("{pulled:?}") };
        assert!(report.reused.objects.count > 10, "{report:?}");
    }
}

#[test]
fn a_giant_chunk_that_breaks_off_is_no_damage() {
    let content = vec![1; 9 << 20];
    let made = Made::files([("giant", &content), ("small", &b"small".to_vec())]);
    let place = Place::new();
    let cut = made.frames()[&ContentDigest::of(&content)][0].len() / 2;
    let (class, text) =
        refusal(one(&place.store, &made, &source(&made).faults([(0, Fault::Cut(cut as usize))])));
    assert_eq!(class, Class::Transient, "{text}");
    fetched(&place.store, &made).unwrap();
    assert!(has(&place.store, &content));
}

#[test]
fn a_source_without_ranges_is_read_whole() {
    let made = Made::files([("a", long()), ("b", b"b".to_vec())]);
    let place = Place::new();
    let source = Source::new(&made, abilities(Ranges::None, 4));
    assert_eq!(why_whole(one(&place.store, &made, &source)), "the source can do less than that");
    assert!(has(&place.store, &long()));
    // Now it is here, under the digest of its tar.
    assert_eq!(fetched(&place.store, &made).unwrap()[0].1.how, How::Present);
}

#[test]
fn a_source_that_learns_to_do_less_is_asked_in_another_way() {
    let files = (0..60).map(|number| (format!("{number}"), data::stream(number, 5000)));
    let made = Made::files(files.clone());
    let place = Place::new();
    // Every other file is here, so that ranges are worth it.
    for (_, content) in files.clone().step_by(2) {
        place.store.objects().put(&ContentDigest::of(&content), &content).unwrap();
    }
    let learning = source(&made).faults([
        (0, Fault::Less(Ranges::Many { count: 5, header_len: 4000 })),
        (3, Fault::Less(Ranges::One)),
        (7, Fault::Less(Ranges::None)),
    ]);
    let pulled = one(&place.store, &made, &learning).unwrap();
    let How::Parts(report) = &pulled[0].1.how else { panic!("{pulled:?}") };
    assert!(!report.replans.is_empty(), "{report:?}");
    assert_eq!(report.replans[0], "the source can do less than that");
    for (_, content) in files {
        assert!(has(&place.store, &content));
    }
}

#[test]
fn an_image_cannot_put_its_own_content_under_the_blob_of_another() {
    let (good, evil) = (Made::files([("sh", "good")]), Made::files([("sh", "evil")]));
    for verification in [Verification::DiffId, Verification::Toc] {
        let place = Place::new();
        let mut options = Options::default();
        options.fetch.verification = verification;
        // It serves its own bytes where it is asked for the blob of the other.
        let from = source(&evil);
        let forged = Task { blob: good.digest(), ..evil.task(&from) };
        let forged = pull(&place.store, &[forged], &options, &NoProgress).unwrap().remove(0).0;
        assert_eq!(place.store.layers().find(&good.digest()).unwrap(), Some(forged));

        let pulled = pull(&place.store, &[good.task(&source(&good))], &options, &NoProgress).unwrap();
        assert!(matches!(pulled[0].1.how, How::Parts(_)), "{pulled:?}");
        assert!(has(&place.store, b"good"));
        let again = pull(&place.store, &[good.task(&source(&good))], &options, &NoProgress).unwrap();
        assert_eq!((&again[0].1.how, &again[0].0), (&How::Present, &pulled[0].0));
    }
}

#[test]
fn a_claimed_diff_id_that_was_not_verified_leads_nowhere() {
    let (good, evil) = (Made::files([("sh", "good")]), Made::files([("sh", "evil")]));
    let place = Place::new();
    let mut options = Options::default();
    options.fetch.verification = Verification::Toc;
    let from = source(&evil);
    let forged = Task { diff_id: Some(good.diff_id), ..evil.task(&from) };
    let forged = pull(&place.store, &[forged], &options, &NoProgress).unwrap().remove(0).0;
    assert_eq!(forged.state, LayerState::Complete);
    for _ in 0..2 {
        let pulled = pull(&place.store, &[good.task(&source(&good))], &options, &NoProgress).unwrap();
        assert_ne!(pulled[0].0.toc_digest, forged.toc_digest);
    }
    // What is only complete is proven when that is wanted.
    let pulled = fetched(&place.store, &good).unwrap();
    assert_eq!(pulled[0].0.state, LayerState::Proven);
    assert!(matches!(&pulled[0].1.how, How::Parts(report) if report.needed == 0), "{pulled:?}");
    // And the tar of the other is not what it claims.
    let (place, from) = (Place::new(), source(&evil));
    let forged = Task { diff_id: Some(good.diff_id), ..evil.task(&from) };
    let (class, text) = refusal(pull(&place.store, &[forged], &Options::default(), &NoProgress));
    assert!(class == Class::Corrupt && text.contains("diff ID"), "{text}");
}

#[test]
fn of_two_layers_that_fail_the_cause_is_told() {
    let shared = data::stream(1, 200_000);
    let lower = Made::files([("a", data::stream(2, 300_000)), ("shared", shared.clone())]);
    let upper = Made::files([("b", shared), ("c", b"c".to_vec())]);
    for _ in 0..20 {
        let place = Place::new();
        let failing = source(&lower).faults([(0, Fault::Cut(100_000)), (1, Fault::Cut(1000))]);
        let upper_source = source(&upper);
        let tasks = [lower.task(&failing), upper.task(&upper_source)];
        let (class, text) = refusal(pull(&place.store, &tasks, &Options::default(), &NoProgress));
        assert!(class == Class::Transient && text.contains("cannot read the blob"), "{text}");
    }
}

#[test]
fn layers_that_share_content_fetch_it_once() {
    let shared = [long(), data::stream(5, 100_000)];
    let layer = |name: &str| {
        let own = (format!("{name}/own"), name.as_bytes().to_vec());
        let mut files = vec![own];
        files.extend(
            shared.iter().enumerate().map(|(number, content)| (format!("{name}/{number}"), content.clone())),
        );
        Made::files(files)
    };
    let layers: Vec<_> = ["a", "b", "c", "d", "e"].map(layer).into();
    let sources: Vec<_> = layers.iter().map(source).collect();
    let tasks: Vec<_> = layers.iter().zip(&sources).map(|(made, source)| made.task(source)).collect();
    let place = Place::new();
    pull(&place.store, &tasks, &Options::default(), &NoProgress).unwrap();
    for content in &shared {
        assert!(has(&place.store, content));
        let reads = layers.iter().zip(&sources).map(|(made, source)| {
            let frames = &made.frames()[&ContentDigest::of(content)];
            frames.iter().map(|frame| source.least_reads(*frame)).max().unwrap()
        });
        assert_eq!(reads.collect::<Vec<_>>(), [1, 0, 0, 0, 0]);
    }
}

#[test]
fn a_partial_that_somebody_begins_anew_is_fetched_again() {
    // More than is decoded as a whole, so that it is gathered in a partial.
    let content = [long(), data::stream(3, 5 << 20)].concat();
    let made = Made::files([("long", &content)]);
    let digest = ContentDigest::of(&content);
    let frames = made.frames()[&digest].clone();
    let ours = made.open().toc.entries[0].content.clone().unwrap().chunks;
    let place = Place::new();
    let (root, theirs) = (place.root(), chunks(&content, 1000));
    let meddling = source(&made).hook(frames[2].start(), move || {
        let other = Store::open(&root).unwrap();
        while !other.partials().open(&digest, &ours).unwrap().unwrap().has(0) {
            thread::sleep(Duration::from_millis(1));
        }
        drop(other.partials().open(&digest, &theirs).unwrap());
    });
    one(&place.store, &made, &meddling).unwrap();
    assert!(has(&place.store, &content));
    assert_eq!(fs::read_dir(place.root().join("partial")).unwrap().count(), 0);
}

#[test]
fn an_object_that_was_cut_short_is_fetched_again_and_a_whole_one_is_left_to_those_who_need_it() {
    let made = Made::files([("short", data::text(1, 2000)), ("long", long())]);
    let place = Place::new();
    for content in [data::text(1, 2000), long()] {
        place.store.objects().put(&ContentDigest::of(&content), &content[..100]).unwrap();
    }
    fetched(&place.store, &made).unwrap();
    assert!(has(&place.store, &data::text(1, 2000)) && has(&place.store, &long()));

    let mut lying = made.with_toc(|toc| row(toc, "short")["size"] = 1999.into());
    lying.diff_id = DiffId::of(b"another tar");
    assert_eq!(refusal(fetched(&place.store, &lying)).0, Class::Corrupt);
    assert!(has(&place.store, &data::text(1, 2000)));
}

#[test]
fn an_index_that_is_wrong_costs_a_fetch_and_nothing_else() {
    use chunked::FileRange;
    use morsel_store::Place as At;
    let content = long();
    let made = Made::files([("long", &content)]);
    let place = Place::new();
    let object = data::stream(77, 50_000);
    place.store.objects().put(&ContentDigest::of(&object), &object).unwrap();
    let toc = made.open().toc;
    let chunks = &toc.entries[0].content.as_ref().unwrap().chunks;
    let gone = ContentDigest::of(b"gone");
    let rows = chunks.iter().enumerate().map(|(number, chunk)| {
        let start = if number == 1 { 49_999 } else { 0 };
        let object = if number == 0 { gone } else { ContentDigest::of(&object) };
        (chunk.digest.unwrap(), At { object, range: FileRange::with_len(start, chunk.file.len()).unwrap() })
    });
    place.store.index().add(rows).unwrap();
    fs::create_dir_all(
        place.root().join("objects").join(&gone.to_string()[7..9]).join(&gone.to_string()[9..]),
    )
    .unwrap();
    let pulled = fetched(&place.store, &made).unwrap();
    let How::Parts(report) = &pulled[0].1.how else { panic!("{pulled:?}") };
    assert_eq!(report.reused.chunks.count, 0);
    assert!(has(&place.store, &content));
}

/// Two images name the same blob, and their configs different tars. Whoever comes first does not decide what the other is.
#[test]
fn an_image_is_not_judged_by_what_another_one_claims_of_its_layer() {
    let made = Made::files([("a", long()), ("b", b"short".to_vec())]);
    let lie = Made { diff_id: DiffId::of(b"another tar"), ..made.clone() };
    let indexed = |store: &Store, made: &Made| {
        let source = source(made);
        let tasks = [made.task(&source)];
        let indexed = pull::index(store, &tasks, &Options::default(), &NoProgress);
        indexed.map(|mut indexed| indexed.remove(0))
    };

    let place = Place::new();
    let first = indexed(&place.store, &made).unwrap();
    assert_eq!((first.record.state, first.whole), (LayerState::Indexed, None));
    let error = indexed(&place.store, &lie).unwrap_err();
    assert_eq!(error.class(), Class::Corrupt);
    assert_eq!(place.store.layers().get(&first.record.toc_digest).unwrap(), Some(first.record));

    let place = Place::new();
    let first = indexed(&place.store, &lie).unwrap();
    assert_eq!((first.record.state, first.record.diff_id), (LayerState::Indexed, Some(lie.diff_id)));
    let second = indexed(&place.store, &made).unwrap();
    assert_eq!((second.record.state, second.record.diff_id), (LayerState::Proven, Some(made.diff_id)));
    assert!(second.whole.is_some(), "it is not served by a claim that may be wrong");
    assert_eq!(indexed(&place.store, &lie).unwrap_err().class(), Class::Corrupt);
}
