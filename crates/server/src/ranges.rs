//! Which bytes of a blob are asked for: the `Range` header, and the `Content-Range` of a piece of an upload.

use chunked::BlobRange;

/// Most ranges that one answer serves. podman asks for up to 1024.
const COUNT_MAX: usize = 4096;

/// What an answer holds of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// These ranges, in the order asked for, none of them empty.
    Ranges(Vec<BlobRange>),
    /// None of the ranges asked for is in the blob.
    NotSatisfiable,
}

/// Reads a `Range` header for a blob of `blob_len` bytes (RFC 9110, section 14.1.2).
///
/// A header that is not about bytes, that is malformed, or that asks for more ranges or more bytes than there can be any
/// need for, is answered with the whole blob, as the RFC allows: that costs no more than an ordinary download.
pub fn parse(header: &str, blob_len: u64) -> Wanted {
    let Some(specs) = header.trim().strip_prefix("bytes=") else { return Wanted::Whole };
    let mut ranges = Vec::new();
    let mut len = 0_u64;
    for (number, spec) in specs.split(',').map(str::trim).filter(|spec| !spec.is_empty()).enumerate() {
        let Some(spec) = Spec::parse(spec).filter(|_| number < COUNT_MAX) else { return Wanted::Whole };
        let Some(range) = spec.within(blob_len) else { continue };
        len = len.saturating_add(range.len());
        ranges.push(range);
    }
    match ranges.is_empty() {
        true => Wanted::NotSatisfiable,
        // Ranges that overlap so much could make a small blob a huge answer.
        false if len > blob_len => Wanted::Whole,
        false => Wanted::Ranges(ranges),
    }
}

/// One range as it is asked for.
#[derive(Debug, Clone, Copy)]
enum Spec {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

impl Spec {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        match (first, last) {
            ("", last) => number(last).map(Self::Last),
            (first, "") => number(first).map(Self::From),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// Returns the bytes that are there.
    fn within(self, blob_len: u64) -> Option<BlobRange> {
        let range = match self {
            Self::From(first) => BlobRange::new(first, blob_len)?,
            Self::Between(first, last) => BlobRange::new(first, last.saturating_add(1).min(blob_len))?,
            Self::Last(len) => BlobRange::new(blob_len.saturating_sub(len), blob_len)?,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// Reads the `Content-Range` of a piece of an upload: `FIRST-LAST`, as the distribution spec writes it, or as of an
/// answer, `bytes FIRST-LAST/LEN`.
pub fn parse_content_range(header: &str) -> Option<BlobRange> {
    let text = header.trim();
    let text = text.strip_prefix("bytes").map_or(text, |rest| rest.trim_start_matches([' ', '=']));
    let (text, _) = text.split_once('/').unwrap_or((text, ""));
    let (first, last) = text.split_once('-')?;
    BlobRange::new(number(first)?, number(last)?.checked_add(1)?)
}

/// Reads digits only, without the sign that Rust's own parser takes. More than 64 bits can hold is beyond every blob.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(header: &str, blob_len: u64) -> Vec<(u64, u64)> {
        match parse(header, blob_len) {
            Wanted::Ranges(ranges) => ranges.iter().map(|range| (range.start(), range.end())).collect(),
            other => panic!("{header}: {other:?}"),
        }
    }

    #[test]
    fn ranges_are_cut_to_the_blob_and_keep_their_order() {
        assert_eq!(ranges("bytes=0-0", 10), [(0, 1)]);
        assert_eq!(ranges("bytes=5-", 10), [(5, 10)]);
        assert_eq!(ranges("bytes=-3", 10), [(7, 10)]);
        assert_eq!(ranges("bytes=-30", 10), [(0, 10)]);
        assert_eq!(ranges("bytes=8-99999999999999999999999", 10), [(8, 10)]);
        assert_eq!(ranges("bytes=7-8, 0-1,,20-30,-1", 10), [(7, 9), (0, 2), (9, 10)]);
    }

    #[test]
    fn what_is_not_there_cannot_be_had() {
        for header in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=", "bytes=99999999999999999999-"] {
            assert_eq!(parse(header, 10), Wanted::NotSatisfiable, "{header}");
        }
        assert_eq!(parse("bytes=0-0", 0), Wanted::NotSatisfiable);
    }

    #[test]
    fn absurd_headers_get_the_whole_blob() {
        let many = format!("bytes={}", "0-0,".repeat(COUNT_MAX + 1));
        let overlapping = format!("bytes={}", "0-,".repeat(100));
        for header in
            ["", "lines=1-2", "bytes=a-b", "bytes=5-2", "bytes=+1-2", "bytes=1", &many, &overlapping]
        {
            assert_eq!(parse(header, 1 << 20), Wanted::Whole, "{header}");
        }
        assert_eq!(ranges(&format!("bytes={}", "0-0,".repeat(COUNT_MAX)), 1 << 20).len(), COUNT_MAX);
    }

    #[test]
    fn pieces_of_uploads_say_where_they_belong() {
        let parsed = |text| parse_content_range(text).map(|range| (range.start(), range.end()));
        assert_eq!(parsed("0-4"), Some((0, 5)));
        assert_eq!(parsed("bytes 5-9/10"), Some((5, 10)));
        assert_eq!(parsed("bytes=5-9/*"), Some((5, 10)));
        for text in ["", "5", "9-5", "a-b", "0-18446744073709551615", "-5"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_longer_than_the_blob(
            specs in proptest::collection::vec("([0-9]{0,3}-[0-9]{0,3}|\\PC{0,4})", 0..20), blob_len in 0_u64..600,
        ) {
            if let Wanted::Ranges(ranges) = parse(&format!("bytes={}", specs.join(",")), blob_len) {
                prop_assert!(!ranges.is_empty());
                prop_assert!(ranges.iter().all(|range| !range.is_empty() && range.end() <= blob_len));
                prop_assert!(ranges.iter().map(BlobRange::len).sum::<u64>() <= blob_len);
            }
        }
    }
}
