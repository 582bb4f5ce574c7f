//! Answers with several ranges: `multipart/byteranges` (RFC 9110 §14.6).
//!
//! Servers differ in all the details: boundaries with colons and without quotes, a blank line before the first part,
//! headers in any order and case, one part for several ranges that were asked for, no delimiter at the end. A part says by
//! its `Content-Range` how long it is, so its bytes are never searched for anything.

use std::io::{self, BufRead, BufReader, Read};

use chunked::BlobRange;

use crate::error::shorten;

/// Most bytes of a header line or a boundary's line.
const LINE_LEN_MAX: usize = 1024;
/// Most header lines of a part, and most lines before the first.
const LINES_MAX: usize = 16;
/// Most bytes of a boundary: RFC 2046 allows 70.
const BOUNDARY_LEN_MAX: usize = 200;
/// Bytes read ahead; longer reads go past the buffer.
const BUFFER_LEN: usize = 16 << 10;

/// Says why an answer with ranges is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The content type names no usable boundary.
    #[error("content type `{}` names no boundary", shorten(.0))]
    Boundary(String),
    /// A line is too long.
    #[error("a line between the parts is longer than {LINE_LEN_MAX} bytes")]
    LineTooLong,
    /// There are too many lines.
    #[error("there are more than {LINES_MAX} lines between two parts")]
    TooManyLines,
    /// There are no parts.
    #[error("there are no parts")]
    NoParts,
    /// There are more parts than ranges were asked for.
    #[error("there are more parts than the {limit} ranges asked for")]
    TooManyParts {
        /// Ranges asked for.
        limit: usize,
    },
    /// Something else is where a part has to start.
    #[error("found `{}`, expected the boundary of a part", shorten(.0))]
    NoDelimiter(String),
    /// A part does not say which bytes it has.
    #[error("a part has no `Content-Range`")]
    NoContentRange,
    /// A `Content-Range` is malformed.
    #[error("`Content-Range: {}` is malformed, expected `bytes FIRST-LAST/LENGTH`", shorten(.0))]
    ContentRange(String),
    /// The blob has another length than it should have.
    #[error("the answer is about a blob of {found} bytes, expected {expected}")]
    BlobLen {
        /// Bytes the blob should have.
        expected: u64,
        /// Bytes it has, as the answer says.
        found: u64,
    },
}

impl From<Invalid> for io::Error {
    fn from(invalid: Invalid) -> Self {
        Self::new(io::ErrorKind::InvalidData, invalid)
    }
}

/// What a `Content-Range` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The bytes that follow; `None` for `*`, where the range asked for cannot be had.
    pub range: Option<BlobRange>,
    /// Bytes of the whole blob; `None` for `*`.
    pub blob_len: Option<u64>,
}

impl ContentRange {
    /// Parses the header's value.
    ///
    /// # Errors
    /// [`Invalid::ContentRange`] for other units, numbers beyond 64 bits, and ranges that end before they start or beyond
    /// the blob.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        parse_content_range(value).ok_or_else(|| Invalid::ContentRange(value.to_owned()))
    }

    /// Returns the range, of a blob that has to be `blob_len` bytes long.
    ///
    /// # Errors
    /// [`Invalid::BlobLen`] when it is not, [`Invalid::NoContentRange`] when there is no range.
    pub fn of_blob(self, blob_len: u64) -> Result<BlobRange, Invalid> {
        let found = self.blob_len.unwrap_or(blob_len).max(self.range.map_or(0, |range| range.end()));
        match self.range {
            _ if found != blob_len => Err(Invalid::BlobLen { expected: blob_len, found }),
            Some(range) => Ok(range),
            None => Err(Invalid::NoContentRange),
        }
    }
}

fn parse_content_range(value: &str) -> Option<ContentRange> {
    let (unit, rest) = value.trim().split_once([' ', '\t'])?;
    let (range, blob_len) = rest.split_once('/')?;
    let blob_len = if blob_len.trim() == "*" { None } else { Some(number(blob_len)?) };
    let range = if range.trim() == "*" { None } else { Some(parse_range(range)?) };
    let ends_inside = range.zip(blob_len).is_none_or(|(range, blob_len)| range.end() <= blob_len);
    (unit.eq_ignore_ascii_case("bytes") && ends_inside).then_some(ContentRange { range, blob_len })
}

fn parse_range(text: &str) -> Option<BlobRange> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    BlobRange::new(first, last.checked_add(1)?).filter(|range| !range.is_empty())
}

/// Parses digits only: no sign.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Reads the parts of an answer one after another. Reading it as [`Read`] gives the bytes of the part at hand.
#[derive(Debug)]
pub struct Byteranges<R> {
    input: BufReader<R>,
    boundary: String,
    blob_len: u64,
    /// Parts that may still come.
    parts_left: usize,
    parts_max: usize,
    /// Bytes left of the part at hand.
    left: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first part, where anything may stand.
    Preamble,
    /// In a part or after it.
    Parts,
    /// After the last one.
    End,
}

impl<R: Read> Byteranges<R> {
    /// Starts to read the body `input` of an answer with the header `content_type`, about a blob of `blob_len` bytes of
    /// which `parts_max` ranges were asked for.
    ///
    /// # Errors
    /// [`Invalid::Boundary`].
    pub fn new(input: R, content_type: &str, blob_len: u64, parts_max: usize) -> Result<Self, Invalid> {
        let boundary = boundary(content_type).ok_or_else(|| Invalid::Boundary(content_type.to_owned()))?;
        let input = BufReader::with_capacity(BUFFER_LEN, input);
        Ok(Self {
            input,
            boundary,
            blob_len,
            parts_left: parts_max,
            parts_max,
            left: 0,
            state: State::Preamble,
        })
    }

    /// Goes to the next part, past what is left of the one at hand; `None` after the last.
    ///
    /// # Errors
    /// Those of the body; `InvalidData` with an [`Invalid`] in it for what no reading makes sense of, and `UnexpectedEof`
    /// for a body that ends within a part or its header. A body that ends between parts has ended.
    pub fn next_part(&mut self) -> io::Result<Option<BlobRange>> {
        io::copy(&mut self.by_ref().take(u64::MAX), &mut io::sink())?;
        if !self.find_delimiter()? {
            self.state = State::End;
            return Ok(None);
        }
        self.state = State::Parts;
        let limit = self.parts_max;
        self.parts_left = self.parts_left.checked_sub(1).ok_or(Invalid::TooManyParts { limit })?;
        let range = self.header()?.of_blob(self.blob_len)?;
        self.left = range.len();
        Ok(Some(range))
    }

    /// Returns the body, for what may follow the last part. What was read ahead is gone.
    pub fn into_inner(self) -> R {
        self.input.into_inner()
    }

    /// Reads up to and including the delimiter of a part; false at the end.
    fn find_delimiter(&mut self) -> io::Result<bool> {
        for _ in 0..LINES_MAX {
            if self.state == State::End {
                return Ok(false);
            }
            let Some(line) = self.line()? else { return Ok(false) };
            match line.strip_prefix("--").and_then(|line| line.strip_prefix(self.boundary.as_str())) {
                Some(rest) if rest.trim().is_empty() => return Ok(true),
                Some(rest) if rest.trim() == "--" => return Ok(false),
                _ if self.state == State::Preamble || line.is_empty() => {}
                _ => return Err(Invalid::NoDelimiter(line).into()),
            }
        }
        Err(Invalid::TooManyLines.into())
    }

    fn header(&mut self) -> io::Result<ContentRange> {
        let mut range = None;
        for _ in 0..LINES_MAX {
            let line = self.line()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if line.is_empty() {
                return Ok(range.ok_or(Invalid::NoContentRange)?);
            }
            match line.split_once(':') {
                Some((name, value)) if name.trim().eq_ignore_ascii_case("content-range") => {
                    range = Some(ContentRange::parse(value.trim())?);
                }
                _ => {}
            }
        }
        Err(Invalid::TooManyLines.into())
    }

    /// Reads a line without its end; `None` at the end of the body, and for a line that is cut off there. Only the last
    /// delimiter needs no end.
    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        self.input.by_ref().take(LINE_LEN_MAX as u64).read_until(b'\n', &mut line)?;
        let text =
            |line: &[u8]| String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        match line.strip_suffix(b"\n") {
            Some(line) => Ok(Some(text(line))),
            None if line.len() == LINE_LEN_MAX => Err(Invalid::LineTooLong.into()),
            None => Ok(Some(text(&line)).filter(|line| *line == format!("--{}--", self.boundary))),
        }
    }
}

impl<R: Read> Read for Byteranges<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..wanted).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        let count = self.input.read(buffer)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer ends within a part"));
        }
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

/// Finds the boundary that a content type names, quoted or not; some servers leave out quotes that colons call for.
fn boundary(content_type: &str) -> Option<String> {
    let (media_type, mut rest) = content_type.split_once(';')?;
    if !is_multipart(media_type) {
        return None;
    }
    loop {
        let (name, value) = rest.split_once('=')?;
        let (value, after) = match value.trim_start().strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (value, after) = value.split_once(';').unwrap_or((value, ""));
                (value.trim().to_owned(), after)
            }
        };
        if name.trim().eq_ignore_ascii_case("boundary") {
            return (1..=BOUNDARY_LEN_MAX).contains(&value.len()).then_some(value);
        }
        rest = after.trim_start().trim_start_matches(';');
    }
}

/// Tells whether a content type is that of an answer with several ranges.
pub fn is_multipart(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.get(.."multipart/".len()).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"))
}

/// Reads a quoted string up to its closing quote; returns what follows as well.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, quoted.get(at.saturating_add(1)..)?)),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEN: u64 = 100;

    /// Reads all parts as `start..end=bytes`, and the error that ends them.
    fn read(content_type: &str, body: &str) -> (Vec<String>, Option<String>) {
        let mut parts = Vec::new();
        let error = read_into(content_type, body, &mut parts).err().map(|error| error.to_string());
        (parts, error)
    }

    fn read_into(content_type: &str, body: &str, parts: &mut Vec<String>) -> io::Result<()> {
        let mut input = Byteranges::new(body.as_bytes(), content_type, LEN, 3)?;
        while let Some(range) = input.next_part()? {
            let mut bytes = String::new();
            input.read_to_string(&mut bytes)?;
            parts.push(format!("{range}={bytes}"));
        }
        Ok(())
    }

    #[test]
    fn answers_of_real_servers_are_read() {
        let nginx = "\r\n--00000000000000000001\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 0-2/100\r\n\r\n\
            abc\r\n--00000000000000000001\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 9-9/100\r\n\r\n\
            j\r\n--00000000000000000001--\r\n";
        let go = "--a1f0\r\nContent-Range: bytes 0-2/100\r\nContent-Type: application/octet-stream\r\n\r\n\
            abc\r\n--a1f0\r\nContent-Range: bytes 9-9/100\r\nContent-Type: application/octet-stream\r\n\r\nj\r\n--a1f0--\r\n";
        let cdn = "--CDN:3F75:x\r\ncontent-range:bytes 0-2/*\r\n\r\nabc\r\n--CDN:3F75:x\r\nCONTENT-RANGE:  Bytes 9 - 9 / 100\r\n\r\nj\r\n--CDN:3F75:x--";
        let odd = "ignore me\n\n--q;q\nContent-Range: bytes 0-2/100\n\nabc\n--q;q \nX: y\nContent-Range: bytes 9-9/100\n\nj";
        for (content_type, body) in [
            ("multipart/byteranges; boundary=00000000000000000001", nginx),
            ("Multipart/ByteRanges;boundary=\"a1f0\"", go),
            ("multipart/byteranges; boundary=CDN:3F75:x", cdn),
            ("multipart/byteranges; charset=\"a;b\\\"\"; BOUNDARY=\"q;\\q\" ; x=y", odd),
        ] {
            assert_eq!(read(content_type, body), (vec!["0..3=abc".into(), "9..10=j".into()], None), "{body}");
        }
    }

    #[test]
    fn parts_may_be_skipped() {
        let body = "--b\r\nContent-Range: bytes 0-2/100\r\n\r\nabc\r\n--b\r\nContent-Range: bytes 4-5/100\r\n\r\nef\r\n--b--";
        let mut input = Byteranges::new(body.as_bytes(), "multipart/byteranges; boundary=b", LEN, 2).unwrap();
        assert_eq!(input.next_part().unwrap(), BlobRange::new(0, 3));
        assert_eq!(input.next_part().unwrap(), BlobRange::new(4, 6));
        assert_eq!(io::read_to_string(&mut input).unwrap(), "ef");
        assert_eq!(input.next_part().unwrap(), None);
        assert_eq!(input.next_part().unwrap(), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let part = |header: &str| format!("--b\r\n{header}\r\n\r\nabc\r\n--b--");
        let range = |value: &str| part(&format!("Content-Range: {value}"));
        let four = "--b\r\nContent-Range: bytes 0-0/100\r\n\r\na\r\n".repeat(4);
        let errors: Vec<String> = [
            range("bytes 0-2/99"),
            range("bytes 98-100/*"),
            range("bytes 2-0/100"),
            range("bytes 0-18446744073709551615/*"),
            range("bytes +0-2/100"),
            range("lines 0-2/100"),
            range("bytes 0-2"),
            range("bytes */100"),
            part("Content-Type: text/plain"),
            part(&"X: y\r\n".repeat(20)),
            part(&"X".repeat(5000)),
            "\r\n".repeat(50),
            "--b\r\nContent-Range: bytes 0-2/100\r\n\r\nabcX\r\n--b--".into(),
            "--b\r\nContent-Range: bytes 0-2/100\r\n\r\na".into(),
            "--b\r\nContent-Range: bytes 0-2/100".into(),
            four,
        ]
        .iter()
        .filter_map(|body| read("multipart/byteranges; boundary=b", body).1)
        .collect();
        assert_eq!(errors.len(), 16);
        insta::assert_snapshot!(errors.join("\n"), @"
        the answer is about a blob of 99 bytes, expected 100
        the answer is about a blob of 101 bytes, expected 100
        `Content-Range: bytes 2-0/100` is malformed, expected `bytes FIRST-LAST/LENGTH`
        `Content-Range: bytes 0-18446744073709551615/*` is malformed, expected `bytes FIRST-LAST/LENGTH`
        `Content-Range: bytes +0-2/100` is malformed, expected `bytes FIRST-LAST/LENGTH`
        `Content-Range: lines 0-2/100` is malformed, expected `bytes FIRST-LAST/LENGTH`
        `Content-Range: bytes 0-2` is malformed, expected `bytes FIRST-LAST/LENGTH`
        a part has no `Content-Range`
        a part has no `Content-Range`
        there are more than 16 lines between two parts
        a line between the parts is longer than 1024 bytes
        there are more than 16 lines between two parts
        found `X`, expected the boundary of a part
        the answer ends within a part
        unexpected end of file
        there are more parts than the 3 ranges asked for
        ");
    }

    #[test]
    fn a_content_type_has_to_name_a_boundary() {
        for content_type in [
            "text/plain; boundary=x",
            "multipart/byteranges",
            "multipart/byteranges; boundary=",
            "multipart/byteranges; boundary=\"x",
            "",
        ] {
            assert!(Byteranges::new(io::empty(), content_type, LEN, 1).is_err(), "{content_type}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic_or_read_more_than_there_is(body in proptest::collection::vec(
            prop_oneof![Just("--b"), Just("\r\n"), Just("--"), Just("Content-Range: bytes "), Just("0-5"), Just("/100"), Just("abcdef")], 0..40,
        )) {
            let body = body.concat();
            let (parts, _) = read("multipart/byteranges; boundary=b", &body);
            prop_assert!(parts.iter().map(String::len).sum::<usize>() <= body.len() + parts.len() * 50);
        }
    }
}
