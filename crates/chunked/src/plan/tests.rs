use std::time::Duration;

use proptest::prelude::*;

use super::{FetchPlan, Strategy as Way, plan, plan_in, total};
use crate::range::BlobRange;
use crate::source::{Abilities, Link, Ranges};

const MANY: Ranges = Ranges::Many { count: 380, header_len: 7500 };

fn range(start: u64, end: u64) -> BlobRange {
    BlobRange::new(start, end).unwrap()
}

/// A link of `mbit` megabits a second that one connection can fill.
fn link(mbit: f64, round_trip_ms: f64) -> Link {
    Link::new(Duration::from_secs_f64(round_trip_ms / 1e3), mbit * 1e6 / 8.0)
}

fn abilities(ranges: Ranges, link: Link) -> Abilities {
    Abilities { ranges, parallelism: 8, link }
}

/// docker-registry 2.8 over loopback: reference measurements of its ranges.
fn slow_at_ranges() -> Abilities {
    let link = Link { per_range: Duration::from_micros(700), ..link(8000.0, 3.4) };
    abilities(MANY, link)
}

const PAYLOAD_LEN: u64 = 290_900_000;

/// A layer of chunks of 7,600 bytes with frames of headers between them, of which `missing` says which are missing.
fn chunks(missing: impl Fn(u64) -> bool) -> Vec<BlobRange> {
    let stride = 7_700;
    (0..PAYLOAD_LEN / stride)
        .filter(|number| missing(*number))
        .map(|number| BlobRange::saturating(number * stride + 100, 7_600))
        .collect()
}

/// Some packages are new: a tenth of the bytes in stretches of 20 chunks.
fn update() -> Vec<BlobRange> {
    chunks(|number| number % 200 < 20)
}

/// Every tenth file is new.
fn scattered() -> Vec<BlobRange> {
    chunks(|number| number % 10 == 0)
}

fn planned(missing: &[BlobRange], abilities: &Abilities) -> FetchPlan {
    plan(missing, range(0, PAYLOAD_LEN), abilities)
}

#[test]
fn the_way_depends_on_what_is_missing_and_on_the_host() {
    let cold = chunks(|_| true);
    let most = chunks(|number| number % 100 != 0);
    let (slow, fast) = (link(100.0, 20.0), link(1000.0, 1.0));
    let far = Link { connection_bandwidth: 2e6, ..slow };
    let table = [
        ("all, no ranges", &cold, abilities(Ranges::None, slow)),
        ("all, one connection fills the link", &cold, abilities(MANY, slow)),
        ("all, a connection is slow", &cold, abilities(MANY, far)),
        ("all, a connection is slow, one range", &cold, abilities(Ranges::One, far)),
        ("nearly all", &most, abilities(MANY, slow)),
        (
            "most, a link that nobody can use up",
            &chunks(|number| number % 10 != 0),
            abilities(MANY, link(4000.0, 0.2)),
        ),
        ("update, many ranges, 100 Mbit", &update(), abilities(MANY, slow)),
        ("update, many ranges, a connection is slow", &update(), abilities(MANY, far)),
        ("update, many ranges, 1 Gbit", &update(), abilities(MANY, fast)),
        ("update, one range, 100 Mbit", &update(), abilities(Ranges::One, slow)),
        ("update, one range, a connection is slow", &update(), abilities(Ranges::One, far)),
        ("update, one range, 1 Gbit", &update(), abilities(Ranges::One, fast)),
        ("update, no ranges", &update(), abilities(Ranges::None, slow)),
        ("update, slow at ranges", &update(), slow_at_ranges()),
        ("scattered, many ranges, 100 Mbit", &scattered(), abilities(MANY, slow)),
        ("scattered, one range, 100 Mbit", &scattered(), abilities(Ranges::One, slow)),
        ("scattered, one range, 1 Gbit", &scattered(), abilities(Ranges::One, fast)),
        ("scattered, one range, satellite", &scattered(), abilities(Ranges::One, link(1000.0, 600.0))),
        ("scattered, slow at ranges", &scattered(), slow_at_ranges()),
    ];
    let shown: String = table
        .iter()
        .map(|(name, missing, abilities)| format!("{name}\n  {}\n", planned(missing, abilities)))
        .collect();
    insta::assert_snapshot!(shown, @"
    all, no ranges
      stream: 287120400 bytes needed, 3779600 wasted; 1 range, 1 request; about 23.29 s
    all, one connection fills the link
      stream: 287120400 bytes needed, 3779600 wasted; 1 range, 1 request; about 23.29 s
    all, a connection is slow
      parallel: 287120400 bytes needed, 3779600 wasted; 18 ranges, 18 requests, 8 at once; about 23.32 s
    all, a connection is slow, one range
      parallel: 287120400 bytes needed, 3779600 wasted; 18 ranges, 18 requests, 8 at once; about 23.32 s
    nearly all
      stream: 284247600 bytes needed, 6652400 wasted; 1 range, 1 request; about 23.29 s
    most, a link that nobody can use up
      ranges: 258407600 bytes needed, 3022300 wasted; 3778 ranges, 11 requests; about 0.52 s
    update, many ranges, 100 Mbit
      ranges: 28728000 bytes needed, 359100 wasted; 189 ranges, 1 request; about 2.35 s
    update, many ranges, a connection is slow
      ranges: 28728000 bytes needed, 358800 wasted; 192 ranges, 6 requests, 6 at once; about 2.45 s
    update, many ranges, 1 Gbit
      ranges: 28728000 bytes needed, 359100 wasted; 189 ranges, 1 request; about 0.23 s
    update, one range, 100 Mbit
      ranges: 28728000 bytes needed, 359100 wasted; 189 ranges, 189 requests, 8 at once; about 2.81 s
    update, one range, a connection is slow
      ranges: 28728000 bytes needed, 358500 wasted; 195 ranges, 195 requests, 8 at once; about 2.82 s
    update, one range, 1 Gbit
      ranges: 28728000 bytes needed, 359100 wasted; 189 ranges, 189 requests, 8 at once; about 0.26 s
    update, no ranges
      stream: 28728000 bytes needed, 262172000 wasted; 1 range, 1 request; about 23.29 s
    update, slow at ranges
      ranges: 28728000 bytes needed, 359100 wasted; 189 ranges, 7 requests, 7 at once; about 0.05 s
    scattered, many ranges, 100 Mbit
      ranges: 28712800 bytes needed, 0 wasted; 3778 ranges, 11 requests, 5 at once; about 2.37 s
    scattered, one range, 100 Mbit
      ranges: 28712800 bytes needed, 0 wasted; 3778 ranges, 3778 requests, 8 at once; about 11.89 s
    scattered, one range, 1 Gbit
      ranges: 28712800 bytes needed, 0 wasted; 3778 ranges, 3778 requests, 8 at once; about 0.72 s
    scattered, one range, satellite
      stream: 28712800 bytes needed, 262187200 wasted; 1 range, 1 request; about 2.93 s
    scattered, slow at ranges
      stream: 28712800 bytes needed, 262187200 wasted; 1 range, 1 request; about 0.29 s
    ");
}

#[test]
fn a_way_that_is_asked_for_is_taken_where_the_source_allows_it() {
    let (payload, slow) = (range(0, PAYLOAD_LEN), link(100.0, 20.0));
    let mut shown = String::new();
    for ranges in [MANY, Ranges::One, Ranges::None] {
        for way in [super::Way::Stream, super::Way::Parallel, super::Way::OneRange, super::Way::ManyRanges] {
            let plan = plan_in(way, &update(), payload, &abilities(ranges, slow));
            shown += &format!("{way:?}: {plan}\n");
        }
    }
    insta::assert_snapshot!(shown, @"
    Stream: stream: 28728000 bytes needed, 262172000 wasted; 1 range, 1 request; about 23.29 s
    Parallel: parallel: 28728000 bytes needed, 262172000 wasted; 24 ranges, 24 requests, 8 at once; about 23.33 s
    OneRange: ranges: 28728000 bytes needed, 359100 wasted; 189 ranges, 189 requests, 8 at once; about 2.81 s
    ManyRanges: ranges: 28728000 bytes needed, 359100 wasted; 189 ranges, 1 request; about 2.35 s
    Stream: stream: 28728000 bytes needed, 262172000 wasted; 1 range, 1 request; about 23.29 s
    Parallel: parallel: 28728000 bytes needed, 262172000 wasted; 24 ranges, 24 requests, 8 at once; about 23.33 s
    OneRange: ranges: 28728000 bytes needed, 359100 wasted; 189 ranges, 189 requests, 8 at once; about 2.81 s
    ManyRanges: ranges: 28728000 bytes needed, 359100 wasted; 189 ranges, 189 requests, 8 at once; about 2.81 s
    Stream: stream: 28728000 bytes needed, 262172000 wasted; 1 range, 1 request; about 23.29 s
    Parallel: stream: 28728000 bytes needed, 262172000 wasted; 1 range, 1 request; about 23.29 s
    OneRange: stream: 28728000 bytes needed, 262172000 wasted; 1 range, 1 request; about 23.29 s
    ManyRanges: stream: 28728000 bytes needed, 262172000 wasted; 1 range, 1 request; about 23.29 s
    ");
    for way in [super::Way::Cheapest, super::Way::Parallel, super::Way::ManyRanges] {
        assert_eq!(plan_in(way, &[], payload, &abilities(MANY, slow)), FetchPlan::nothing());
    }
}

#[test]
fn gaps_are_bridged_while_that_is_cheaper_than_a_range_and_within_the_budget() {
    // Three chunks of 100,000 bytes: 15,000 may be wasted.
    let missing = |first: u64, second: u64| {
        let start = 200_000 + first + second;
        [range(0, 100_000), range(100_000 + first, 200_000 + first), range(start, start + 100_000)]
    };
    let one = abilities(Ranges::One, link(100.0, 20.0));
    let many = abilities(MANY, link(100.0, 20.0));
    // One request more: 20 ms at 12.5 MB/s over 8 connections are 31,250 bytes. One range more: an 380th of it, and 160.
    for (gaps, abilities, expected) in [
        ((0, 0), one, (1, 0)),
        ((14_000, 900), one, (1, 14_900)),
        ((14_000, 1_100), one, (2, 1_100)),
        ((900, 40_000), one, (2, 900)),
        ((160, 200), many, (1, 360)),
        ((160, 300), many, (2, 160)),
        ((5_000, 300), many, (3, 0)),
    ] {
        let plan = plan(&missing(gaps.0, gaps.1), range(0, 1 << 40), &abilities);
        assert_eq!((plan.range_count(), plan.wasted), expected, "{gaps:?}");
    }
}

#[test]
fn a_request_stays_within_the_header_that_the_host_takes() {
    let missing: Vec<_> =
        (0..1000).map(|number| range(number * 1_000_000, number * 1_000_000 + 10_000)).collect();
    for (count, header_len, most) in
        [(380, 7500, 340), (380, 100, 4), (50, 7500, 50), (1, 7500, 1), (380, 0, 1)]
    {
        let abilities = abilities(Ranges::Many { count, header_len }, link(100.0, 20.0));
        let plan = plan(&missing, range(0, 2_000_000_000), &abilities);
        let longest = plan.requests.iter().map(|request| request.ranges.len()).max();
        assert_eq!(longest, Some(most), "{count} ranges, {header_len} bytes");
    }
}

#[test]
fn nothing_missing_is_nothing_to_do() {
    for missing in [&[][..], &[range(5, 5)]] {
        assert_eq!(planned(missing, &Abilities::LOCAL), FetchPlan::nothing());
    }
    assert_eq!(FetchPlan::nothing().to_string(), "nothing to fetch");
}

#[test]
fn absurd_links_are_no_trouble() {
    for bandwidth in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for round_trip in [Duration::ZERO, Duration::MAX] {
            let link = Link { per_range: round_trip, ..Link::new(round_trip, bandwidth) };
            for ranges in [Ranges::None, Ranges::One, MANY] {
                let abilities = Abilities { ranges, parallelism: 0, link };
                assert_eq!(plan(&[range(7, 9)], range(0, u64::MAX), &abilities).needed, 2);
            }
        }
    }
}

fn any_abilities() -> impl proptest::strategy::Strategy<Value = Abilities> {
    let ranges = prop_oneof![
        Just(Ranges::None),
        Just(Ranges::One),
        (1..20usize, 30..400usize).prop_map(|(count, header_len)| Ranges::Many { count, header_len }),
    ];
    let rates = (1e3..1e10f64, 0.01..1.5f64);
    (ranges, 1..12usize, rates, 0..1_000_000u64, 0..5_000u64).prop_map(
        |(ranges, parallelism, (bandwidth, share), round_trip, per_range)| Abilities {
            ranges,
            parallelism,
            link: Link {
                round_trip: Duration::from_micros(round_trip),
                bandwidth,
                connection_bandwidth: bandwidth * share,
                per_range: Duration::from_micros(per_range),
                is_known: true,
                is_shared: round_trip % 2 == 0,
            },
        },
    )
}

/// Draws chunks by their distances and lengths, and the payload around them.
fn any_missing() -> impl proptest::strategy::Strategy<Value = (Vec<BlobRange>, BlobRange)> {
    let len = || prop_oneof![0..10u64, 0..1_000u64, 0..5_000_000u64];
    (proptest::collection::vec((len(), len()), 0..80), len(), len()).prop_map(|(steps, before, after)| {
        let mut at = before;
        let place = |(gap, len)| {
            let chunk = BlobRange::with_len(at + gap, len).unwrap();
            at = chunk.end();
            chunk
        };
        let chunks: Vec<_> = steps.into_iter().map(place).collect();
        (chunks, range(0, at + after))
    })
}

proptest! {
    #[test]
    fn every_missing_chunk_is_fetched_whole_and_nothing_twice(
        (missing, payload) in any_missing(),
        abilities in any_abilities(),
    ) {
        let plan = plan(&missing, payload, &abilities);
        let ranges: Vec<_> = plan.requests.iter().flat_map(|request| request.ranges.clone()).collect();
        prop_assert!(ranges.iter().all(|range| !range.is_empty()));
        prop_assert!(ranges.windows(2).all(|pair| pair[0].end() <= pair[1].start()), "overlap or disorder: {ranges:?}");
        for request in &plan.requests {
            prop_assert!(request.ranges.windows(2).all(|pair| pair[0].end() < pair[1].start()));
        }
        for chunk in missing.iter().filter(|chunk| !chunk.is_empty()) {
            let holds = |range: &&BlobRange| range.start() <= chunk.start() && chunk.end() <= range.end();
            prop_assert_eq!(ranges.iter().filter(holds).count(), 1);
        }
        let needed: u64 = missing.iter().map(BlobRange::len).sum();
        prop_assert_eq!(plan.needed, needed);
        prop_assert_eq!(plan.fetched(), total(&ranges));
    }

    #[test]
    fn requests_stay_within_what_the_host_takes((missing, payload) in any_missing(), abilities in any_abilities()) {
        let plan = plan(&missing, payload, &abilities);
        prop_assert!(plan.connections <= abilities.parallelism.min(plan.requests.len()));
        prop_assert_eq!(plan.connections == 0, plan.requests.is_empty());
        for request in &plan.requests {
            let header: Vec<_> = request.ranges.iter().map(|r| format!("{}-{}", r.start(), r.end() - 1)).collect();
            let header = format!("bytes={}", header.join(","));
            match abilities.ranges {
                Ranges::Many { count, header_len } => {
                    prop_assert!(request.ranges.len() <= count);
                    prop_assert!(header.len() <= header_len || request.ranges.len() == 1);
                }
                Ranges::One => prop_assert_eq!(request.ranges.len(), 1),
                Ranges::None => prop_assert_eq!(&request.ranges, &[payload]),
            }
        }
    }

    #[test]
    fn a_twentieth_is_wasted_and_no_more_unless_the_whole_is_faster(
        (missing, payload) in any_missing(),
        abilities in any_abilities(),
    ) {
        let plan = plan(&missing, payload, &abilities);
        let gaps = plan.wasted <= plan.needed / 20 || plan.wasted <= 160 * missing.len() as u64;
        prop_assert!(plan.strategy != Way::Ranges || gaps, "{plan}");
    }

    #[test]
    fn the_whole_is_tiled((missing, payload) in any_missing(), abilities in any_abilities()) {
        let plan = plan(&missing, payload, &abilities);
        if matches!(plan.strategy, Way::Stream | Way::Parallel) {
            let ranges: Vec<_> = plan.requests.iter().flat_map(|request| request.ranges.clone()).collect();
            prop_assert_eq!(ranges[0].start(), payload.start());
            prop_assert_eq!(ranges[ranges.len() - 1].end(), payload.end());
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end() == pair[1].start()));
        }
    }

    #[test]
    fn a_plan_never_takes_longer_than_a_stream((missing, payload) in any_missing(), abilities in any_abilities()) {
        let stream = plan(&missing, payload, &Abilities { ranges: Ranges::None, ..abilities });
        let plan = plan(&missing, payload, &abilities);
        prop_assert!(plan.estimate.as_secs_f64() <= stream.estimate.as_secs_f64() * 1.12);
    }
}
