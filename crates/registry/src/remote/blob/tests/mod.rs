mod script;

use std::sync::Mutex;

use chunked::digest::Digest;
use io::ErrorKind::{ConnectionAborted, TimedOut};

use self::script::{Script, Scripted, content, octets, told};
use super::*;

#[test]
fn servers_that_can_do_less_are_learned() {
    let none_of = |status: u16| {
        move |_, asked: &[(u64, u64)]| match asked {
            [] => Scripted::whole(),
            _ => Scripted::status(status),
        }
    };
    let one_of = |status: u16| {
        move |_, asked: &[(u64, u64)]| match asked {
            [_, _, ..] => Scripted::status(status),
            asked => Scripted::right(asked),
        }
    };
    let told = [
        told("everything", |_, asked| Scripted::right(asked)),
        told("400 to several", one_of(400)),
        told("416 to several", one_of(416)),
        told("431 to several", one_of(431)),
        told("501 to several", one_of(501)),
        told("the whole to several", |_, asked| match asked {
            [one] => Scripted::one(*one),
            _ => Scripted::whole(),
        }),
        told("the first of several", |_, asked| Scripted::one(asked[0])),
        told("the whole to any", |_, _| Scripted::whole()),
        told("400 to any", none_of(400)),
        told("501 to any", none_of(501)),
    ];
    insta::assert_snapshot!(told.concat(), @"
    everything: 1 requests, 0 retries, 180 bytes
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
    400 to several: 4 requests, 0 retries, 45 bytes
      One
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      [(30, 45)]
      [(500, 520)]
    416 to several: 4 requests, 0 retries, 45 bytes
      One
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      [(30, 45)]
      [(500, 520)]
    431 to several: 4 requests, 0 retries, 45 bytes
      One
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      [(30, 45)]
      [(500, 520)]
    501 to several: 4 requests, 0 retries, 45 bytes
      One
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      [(30, 45)]
      [(500, 520)]
    the whole to several: 4 requests, 0 retries, 45 bytes
      One
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      [(30, 45)]
      [(500, 520)]
    the first of several: 4 requests, 0 retries, 45 bytes
      One
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      [(30, 45)]
      [(500, 520)]
    the whole to any: 3 requests, 0 retries, 1020 bytes
      None
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      []
    400 to any: 3 requests, 0 retries, 1000 bytes
      None
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      []
    501 to any: 3 requests, 0 retries, 1000 bytes
      None
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      []
    ");
}

#[test]
fn parts_may_come_in_any_shape() {
    let several = |body: &'static str| {
        move |_, asked: &[(u64, u64)]| match asked {
            [one] => Scripted::one(*one),
            _ => Scripted::multipart(body),
        }
    };
    let told = [
        told("one part for all", |_, _| Scripted::several(&[(10, 520)])),
        told("one part for two", |_, _| Scripted::several(&[(10, 45), (500, 520)])),
        told("one range for all", |_, _| Scripted::one((5, 600))),
        told("the other way round", |_, asked| {
            Scripted::several(&asked.iter().rev().copied().collect::<Vec<_>>())
        }),
        told("twice", |_, asked| match asked {
            [one] => Scripted::one(*one),
            _ => Scripted::several(&[asked[0], asked[0], asked[1]]),
        }),
        told("overlapping", |_, _| Scripted::several(&[(0, 40), (35, 510), (490, 1000)])),
        told("more than asked for", |_, asked| match asked {
            [one] => Scripted::one(*one),
            _ => Scripted::several(&[(0, 1), (2, 3), (4, 5), asked[0]]),
        }),
        told("none", several("--b--\r\n")),
        told("nonsense", several("--b\r\n\r\nabc\r\n--b--\r\n")),
        told("no boundary", |_, asked| match asked {
            [one] => Scripted::one(*one),
            _ => Scripted::status(206).header("content-type", "multipart/byteranges"),
        }),
    ];
    insta::assert_snapshot!(told.concat(), @"
    one part for all: 1 requests, 0 retries, 560 bytes
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
    one part for two: 1 requests, 0 retries, 148 bytes
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
    one range for all: 1 requests, 0 retries, 515 bytes
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
    the other way round: 1 requests, 0 retries, 180 bytes
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
    twice: 2 requests, 1 retries, 188 bytes
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
      [(500, 520)]
    overlapping: 1 requests, 0 retries, 1160 bytes
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
    more than asked for: 4 requests, 1 retries, 227 bytes
      One
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      [(30, 45)]
      [(500, 520)]
    none: 4 requests, 0 retries, 52 bytes
      One
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      [(30, 45)]
      [(500, 520)]
    nonsense: 4 requests, 0 retries, 64 bytes
      One
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      [(30, 45)]
      [(500, 520)]
    no boundary: 4 requests, 0 retries, 45 bytes
      One
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      [(30, 45)]
      [(500, 520)]
    ");
}

#[test]
fn what_breaks_off_is_resumed_from_the_first_missing_byte() {
    let told = [
        told("cut off in the second part", |number, asked| match number {
            0 => Scripted::right(asked).cut(110, ConnectionAborted),
            _ => Scripted::right(asked),
        }),
        told("silent in the third part", |number, asked| match number {
            0 => Scripted::right(asked).cut(165, TimedOut),
            _ => Scripted::right(asked),
        }),
        told("cut off in a header, without an error", |number, asked| {
            let answer = Scripted::right(asked);
            if number == 0 { answer.ends_after(70) } else { answer }
        }),
        told("several no more after that", |number, asked| match (number, asked) {
            (0, _) => Scripted::right(asked).cut(60, ConnectionAborted),
            (_, [one]) => Scripted::one(*one),
            _ => Scripted::status(431),
        }),
        told("five bytes at a time", |_, asked| match asked {
            [one] => Scripted::one(*one).cut(5, ConnectionAborted),
            _ => Scripted::status(501),
        }),
        told("the whole, cut off", |number, _| match number {
            0 | 1 => Scripted::whole().cut(15, ConnectionAborted),
            _ => Scripted::whole(),
        }),
        told("never anything", |_, asked| Scripted::right(asked).cut(0, TimedOut)),
    ];
    insta::assert_snapshot!(told.concat(), @"
    cut off in the second part: 2 requests, 1 retries, 130 bytes
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
      [(500, 520)]
    silent in the third part: 2 requests, 1 retries, 171 bytes
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
      [(514, 520)]
    cut off in a header, without an error: 2 requests, 1 retries, 198 bytes
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
      [(30, 45), (500, 520)]
    several no more after that: 4 requests, 1 retries, 95 bytes
      One
      [(10, 20), (30, 45), (500, 520)]
      [(30, 45), (500, 520)]
      [(30, 45)]
      [(500, 520)]
    five bytes at a time: 10 requests, 6 retries, 45 bytes
      One
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      [(15, 20)]
      [(30, 45)]
      [(35, 45)]
      [(40, 45)]
      [(500, 520)]
      [(505, 520)]
      [(510, 520)]
      [(515, 520)]
    the whole, cut off: 4 requests, 1 retries, 1035 bytes
      None
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      []
      []
    never anything: 6 requests, 5 retries, 0 bytes
      ConnectionAborted: timed out, also when tried 5 more times
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20), (30, 45), (500, 520)]
    ");
}

#[test]
fn what_contradicts_the_descriptor_or_is_refused_fails() {
    let told = [
        told("another length", |_, _| Scripted::status(206).header("content-range", "bytes 10-519/1001")),
        told("another length in a part", |_, _| {
            Scripted::multipart("--b\r\nContent-Range: bytes 10-19/999\r\n\r\n")
        }),
        told("another length of the whole", |_, asked| match asked {
            [] => Scripted::status(200).header("content-length", 999),
            _ => Scripted::status(501),
        }),
        told("shorter than the range", |_, _| Scripted::status(416).header("content-range", "bytes */15")),
        told("missing", |_, _| Scripted::status(404)),
        told("denied", |_, _| Scripted::status(403)),
        told("odd", |_, _| Scripted::status(304)),
    ];
    insta::assert_snapshot!(told.concat(), @"
    another length: 1 requests, 0 retries, 0 bytes
      InvalidData: the answer is about a blob of 1001 bytes, expected 1000
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
    another length in a part: 1 requests, 0 retries, 39 bytes
      InvalidData: the answer is about a blob of 999 bytes, expected 1000
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
    another length of the whole: 3 requests, 0 retries, 0 bytes
      InvalidData: the answer is about a blob of 999 bytes, expected 1000
      None
      [(10, 20), (30, 45), (500, 520)]
      [(10, 20)]
      []
    shorter than the range: 1 requests, 0 retries, 0 bytes
      InvalidData: the answer is about a blob of 15 bytes, expected 1000
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
    missing: 1 requests, 0 retries, 0 bytes
      NotFound: `blobs` does not have the blob
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
    denied: 1 requests, 0 retries, 0 bytes
      PermissionDenied: `blobs` answers 403 Forbidden
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
    odd: 1 requests, 0 retries, 0 bytes
      Other: `blobs` answers 304 Not Modified
      Many { count: 380, header_len: 7500 }
      [(10, 20), (30, 45), (500, 520)]
    ");
}

#[test]
fn a_host_that_serves_no_ranges_is_not_asked_for_far_ones() {
    let script = Script { answer: |_: usize, _: &[(u64, u64)]| Scripted::whole(), log: Mutex::default() };
    let digest = BlobDigest(Digest::of(&content()));
    let descriptor = Descriptor::new(octets(), digest, 3 << 20);
    let blob = RemoteBlob::new(&script, &descriptor, Hosts::default());
    for _ in 0..2 {
        let range = BlobRange::new(2 << 20, 3 << 20).unwrap();
        let error = blob.read_range(range).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert_eq!(error.to_string(), "`blobs` serves blobs only as a whole");
        assert_eq!(blob.traffic().requests, 1);
    }
    let error = blob.read_range(BlobRange::new(0, 4 << 20).unwrap()).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(io::read_to_string(blob.read_range(BlobRange::new(5, 5).unwrap()).unwrap()).unwrap(), "");
    assert_eq!(blob.traffic().requests, 1);
}
