use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;

/// The byte-by-byte algorithm in 32 bits, as format notes describe the reference.
fn plainly(content: &[u8]) -> Vec<Cut> {
    let (mut s1, mut s2, mut ring) = (64u32 * 31, 64u32 * 63 * 31, [0u8; 64]);
    let mut cuts = Vec::new();
    let (mut at, mut start) = (0, 0);
    while at < content.len() {
        let zeros = content[at..].iter().take_while(|byte| **byte == 0).count();
        let run = zeros.max(1);
        if zeros >= HOLE && start < at {
            cuts.push(Cut { end: at as u64, kind: ChunkKind::Data });
        }
        for index in at..at + run {
            let old = std::mem::replace(&mut ring[index % 64], content[index]);
            s1 = s1.wrapping_add(content[index].into()).wrapping_sub(old.into());
            s2 = s2.wrapping_add(s1).wrapping_sub(64 * (u32::from(old) + 31));
            if zeros < HOLE && s2 & 0xffff == 0xffff {
                start = index + 1;
                cuts.push(Cut { end: start as u64, kind: ChunkKind::Data });
            }
        }
        at += run;
        if zeros >= HOLE {
            start = at;
            cuts.push(Cut { end: at as u64, kind: ChunkKind::Zeros });
        }
    }
    if start < content.len() {
        cuts.push(Cut { end: content.len() as u64, kind: ChunkKind::Data });
    }
    cuts
}

fn cuts(content: &[u8]) -> Vec<Cut> {
    let mut cuts = Vec::new();
    cut(content, &mut cuts);
    cuts
}

fn lens(cuts: &[Cut]) -> String {
    let mut start = 0;
    let lens = cuts.iter().map(|cut| {
        let len = cut.end - std::mem::replace(&mut start, cut.end);
        format!("{len}{}", if cut.kind == ChunkKind::Zeros { "z" } else { "" })
    });
    lens.collect::<Vec<_>>().join(" ")
}

fn stream(seed: u64, len: usize) -> Vec<u8> {
    let block = |index: u64| Sha256::digest([seed.to_le_bytes(), index.to_le_bytes()].concat());
    (0..).flat_map(|index| Vec::from(block(index).as_slice())).take(len).collect()
}

#[test]
fn the_reference_vectors_hold() {
    let with_hole = |s: Vec<u8>| [&s[..50000], &[0; 4096], &s[50000..]].concat();
    let vectors = [
        (stream(0, 300_000), "16602 46356 7253 126436 1933 40806 56332 4282"),
        (stream(1, 65536), "43172 15484 6880"),
        (with_hole(stream(2, 100_000)), "50000 4096z 50000"),
        (vec![0; 2048], "2048z"),
        ([&[0; 1024][..], b"a"].concat(), "1024z 1"),
        ([b"a", &[0; 1023][..]].concat(), "1024"),
        ([b"a", &[0; 1024][..]].concat(), "1 1024z"),
        ((0..=255).cycle().take(512_000).collect(), "512000"),
        (vec![], ""),
    ];
    for (content, expected) in vectors {
        assert_eq!(lens(&cuts(&content)), expected);
    }
}

/// Stretches of random bytes, bytes that split soon, and zeros around the length of a hole.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let stretch = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (any::<u64>(), 0..100_000usize).prop_map(|(seed, len)| stream(seed, len)),
        prop_oneof![0..70usize, 1000..1100usize, 2000..2100usize].prop_map(|len| vec![0; len]),
    ];
    prop::collection::vec(stretch, 0..6).prop_map(|stretches| stretches.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cuts_equal_the_plain_algorithm_however_buffered(content in content(), lens in prop::collection::vec(1..3000usize, 1..20)) {
        let expected = plainly(&content);
        prop_assert_eq!(&cuts(&content), &expected);

        let (mut chunker, mut cuts, mut rest) = (Chunker::new(), Vec::new(), content.as_slice());
        for len in lens.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (buffer, after) = rest.split_at(rest.len().min(*len));
            rest = after;
            let settled = (content.len() - after.len() - buffer.len() - chunker.undecided()) as u64;
            let known = cuts.len();
            chunker.scan(buffer, &mut cuts);
            prop_assert!(cuts[known..].iter().all(|cut| cut.end >= settled));
        }
        chunker.finish(&mut cuts);
        prop_assert_eq!(&cuts, &expected);
    }
}
