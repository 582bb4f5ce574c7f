//! The answer to a GET of a blob, with all the ways registries take a `Range` header.

use std::ops::Range;

use super::message::{Answer, Content, Piece};
use super::script::{Headers, Multipart, Ranges, Script, Start};

/// A boundary as docker-registry makes it: 60 hexadecimal digits.
const BOUNDARY: &str = "6d6f7273656c206d6f7273656c206d6f7273656c206d6f7273656c206d6f";
/// A boundary as CloudFront makes it. A colon would need quotes, and has none.
const UNQUOTED: &str = "CloudFront:3F750DE58A1B7B9A2B8D1F6A0C0E2D7F";

/// Answers a GET of `content` with the `Range` header given.
pub(super) fn answer(script: &Script, content: Content, header: Option<&str>) -> Answer {
    let Some(ranges) = header.filter(|_| script.ranges != Ranges::IgnoresAll).and_then(parse) else {
        return whole(content);
    };
    if ranges.len() > 1 && script.range_limit.is_some_and(|(most, _)| ranges.len() > most) {
        return refuse(script.range_limit.map_or(400, |(_, status)| status), content);
    }
    let ranges: Vec<_> = ranges.into_iter().filter_map(|range| within(range, content.len())).collect();
    match ranges.as_slice() {
        [] => lying_416(&content),
        [range] => single(content, range.clone()),
        several if total(several) > content.len() => whole(content),
        several => many(script, content, several),
    }
}

/// First and last byte as a header names them: `5-9`, `5-`, or `-5` for the last five.
type Asked = (Option<u64>, Option<u64>);

/// Reads the header; `None` where it is malformed and has to be ignored.
fn parse(header: &str) -> Option<Vec<Asked>> {
    let number = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    let ranges = header.strip_prefix("bytes=")?.split(',');
    ranges.map(|range| range.trim().split_once('-').and_then(|(a, b)| number(a).zip(number(b)))).collect()
}

/// Cuts a range to the content; `None` where nothing is left.
fn within(asked: Asked, len: u64) -> Option<Range<u64>> {
    let range = match asked {
        (Some(first), Some(last)) => first..len.min(last.saturating_add(1)),
        (Some(first), None) => first..len,
        (None, Some(count)) => len.saturating_sub(count)..len,
        (None, None) => return None,
    };
    (!range.is_empty()).then_some(range)
}

fn many(script: &Script, content: Content, ranges: &[Range<u64>]) -> Answer {
    let multipart = |ranges, boundary| multipart(script.multipart, &content, ranges, boundary);
    match script.ranges {
        Ranges::Many => multipart(ranges.to_vec(), BOUNDARY),
        Ranges::ManyUnquotedBoundary => multipart(ranges.to_vec(), UNQUOTED),
        Ranges::Reordered => multipart(ranges.iter().rev().cloned().collect(), BOUNDARY),
        Ranges::Coalesced { gap } => match coalesce(ranges, gap).as_slice() {
            [range] => single(content, range.clone()),
            several => multipart(several.to_vec(), BOUNDARY),
        },
        Ranges::OnePartForMany => {
            let first = ranges.iter().map(|range| range.start).min().unwrap_or(0);
            let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
            single(content, first..end)
        }
        Ranges::IgnoresMany | Ranges::IgnoresAll => whole(content),
        Ranges::Refuses(status) => refuse(status, content),
    }
}

fn refuse(status: u16, content: Content) -> Answer {
    match status {
        200 => whole(content),
        416 => lying_416(&content),
        status => Answer::error(status, "UNSUPPORTED", "that many ranges are not taken"),
    }
}

fn whole(content: Content) -> Answer {
    let range = 0..content.len();
    Answer { body: vec![Piece::Content(content, range)], ..Answer::empty(200) }
        .with("Content-Type", "application/octet-stream")
        .with("Accept-Ranges", "bytes")
}

fn single(content: Content, range: Range<u64>) -> Answer {
    let content_range = content_range(&range, content.len());
    Answer { body: vec![Piece::Content(content, range)], ..Answer::empty(206) }
        .with("Content-Type", "application/octet-stream")
        .with("Content-Range", content_range)
}

/// docker-registry sends the length of the whole blob with 416, and then no body.
fn lying_416(content: &Content) -> Answer {
    Answer { claimed_len: Some(content.len()), ..Answer::empty(416) }
        .with("Content-Range", format!("bytes */{}", content.len()))
}

fn multipart(style: Multipart, content: &Content, ranges: Vec<Range<u64>>, boundary: &str) -> Answer {
    let mut body = Vec::new();
    for (index, range) in ranges.into_iter().enumerate() {
        let start = if index == 0 && style.start == Start::Boundary { "" } else { "\r\n" };
        let headers = part_headers(style.headers, &content_range(&range, content.len()));
        body.push(Piece::Bytes(format!("{start}--{boundary}\r\n{headers}\r\n").into_bytes()));
        body.push(Piece::Content(content.clone(), range));
    }
    body.push(Piece::Bytes(format!("\r\n--{boundary}--\r\n").into_bytes()));
    Answer { body, ..Answer::empty(206) }
        .with("Content-Type", format!("multipart/byteranges; boundary={boundary}"))
}

fn part_headers(order: Headers, content_range: &str) -> String {
    let (kind, range) =
        ("Content-Type: application/octet-stream\r\n", format!("Content-Range: {content_range}\r\n"));
    match order {
        Headers::TypeFirst => format!("{kind}{range}"),
        Headers::RangeFirst => format!("{range}{kind}"),
    }
}

fn content_range(range: &Range<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", range.start, range.end - 1)
}

fn coalesce(ranges: &[Range<u64>], gap: u64) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap) => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

fn total(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &[u8] = b"0123456789abcdefghij";

    /// Answers a request for ranges of [`CONTENT`]: status, body without the boundary's digits, and claimed length.
    fn ask(ranges: Ranges, header: &str) -> String {
        let script = Script { ranges, ..Script::default() };
        let answer = answer(&script, Content::new(CONTENT), Some(header));
        let mut body = Vec::new();
        for piece in &answer.body {
            let mut bytes = vec![0; piece.len() as usize];
            piece.read_at(0, &mut bytes).unwrap();
            body.extend(bytes);
        }
        let body = String::from_utf8(body).unwrap().replace("\r\n", "|");
        let body = body.replace(BOUNDARY, "B").replace("Content-Type: application/octet-stream", "T");
        format!("{} {}", answer.status, body.replace("Content-Range: bytes ", ""))
    }

    #[test]
    fn every_way_to_take_ranges_is_told_apart() {
        let whole = "200 0123456789abcdefghij";
        let table = [
            (Ranges::Many, "bytes=0-1", "206 01"),
            (Ranges::Many, "bytes=18-", "206 ij"),
            (Ranges::Many, "bytes=-3", "206 hij"),
            (Ranges::Many, "bytes=18-99", "206 ij"),
            (Ranges::Many, "bytes=0-1,5-6", "206 --B|T|0-1/20||01|--B|T|5-6/20||56|--B--|"),
            (Ranges::Many, "bytes=0-1,50-60", "206 01"),
            (Ranges::Many, "bytes=0-15,0-15", whole),
            (Ranges::Many, "bytes=50-60", "416 "),
            (Ranges::Many, "lines=1-2", whole),
            (
                Ranges::Coalesced { gap: 1 },
                "bytes=0-1,3-4,8-8",
                "206 --B|T|0-4/20||01234|--B|T|8-8/20||8|--B--|",
            ),
            (Ranges::Coalesced { gap: 3 }, "bytes=0-1,3-4,8-8", "206 012345678"),
            (Ranges::Reordered, "bytes=0-1,5-6", "206 --B|T|5-6/20||56|--B|T|0-1/20||01|--B--|"),
            (Ranges::OnePartForMany, "bytes=0-1,5-6", "206 0123456"),
            (Ranges::IgnoresMany, "bytes=0-1", "206 01"),
            (Ranges::IgnoresMany, "bytes=0-1,5-6", whole),
            (Ranges::IgnoresAll, "bytes=0-1", whole),
            (Ranges::Refuses(416), "bytes=0-1,5-6", "416 "),
        ];
        for (ranges, header, expected) in table {
            assert_eq!(ask(ranges, header), expected, "{ranges:?} {header}");
        }
    }
}
