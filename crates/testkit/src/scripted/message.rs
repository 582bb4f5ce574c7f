//! Requests and answers of HTTP/1.1, as plain as the tests need them.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

/// What a client that takes us for a server with TLS begins with (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

/// The head of a request.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: String,
    /// Path and query as sent.
    pub(super) target: String,
    /// Length of the longest line, in bytes.
    pub(super) longest_line: usize,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head; `None` where the client has closed the connection instead.
    ///
    /// # Errors
    ///
    /// `InvalidData` for the start of a TLS handshake, which has no line that could be waited for.
    pub(super) fn read(input: &mut impl BufRead) -> io::Result<Option<Self>> {
        if input.fill_buf()?.first() == Some(&TLS_HANDSHAKE) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let first = read_line(input)?;
        let mut words = first.split(' ').map(str::to_owned);
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
        let mut head = Self { method, target, longest_line: first.len(), headers: Vec::new() };
        loop {
            let line = read_line(input)?;
            let Some((name, value)) = line.split_once(':') else { return Ok(Some(head)) };
            head.longest_line = head.longest_line.max(line.len());
            head.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Returns the value of a header, whose name is given in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Returns the path.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Returns the values of a query parameter.
    pub(super) fn query(&self, name: &str) -> Vec<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        parameters(query, name)
    }
}

fn read_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// Returns the values of a parameter in `a=b&c=d`, decoded.
pub(super) fn parameters(query: &str, name: &str) -> Vec<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(own, _)| *own == name).map(|(_, value)| decode(value)).collect()
}

/// Undoes percent encoding; `+` is a space.
fn decode(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| str::from_utf8(hex).ok());
        let escaped = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%');
        bytes.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer before it is written.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<Piece>,
    /// A `Content-Length` that is not the body's.
    pub(super) claimed_len: Option<u64>,
}

impl Answer {
    /// An answer without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), claimed_len: None }
    }

    pub(super) fn json(status: u16, value: &Value) -> Self {
        let body = vec![Piece::Bytes(value.to_string().into_bytes())];
        Self { body, ..Self::empty(status) }.with("Content-Type", "application/json")
    }

    /// An error as the distribution specification writes it.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({"errors": [{"code": code, "message": message}]}))
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Returns the length of the body.
    pub(super) fn body_len(&self) -> u64 {
        self.body.iter().map(Piece::len).sum()
    }

    /// Writes status line and headers.
    pub(super) fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let len = self.claimed_len.unwrap_or(self.body_len());
        // 204 has no body and must not say how long it is.
        if self.status != 204 {
            head += &format!("Content-Length: {len}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n"
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200..300 => "Fine",
        300..400 => "Elsewhere",
        400..500 => "Your Mistake",
        _ => "My Mistake",
    }
}

/// A piece of a body.
#[derive(Debug)]
pub(super) enum Piece {
    Bytes(Vec<u8>),
    Content(Content, Range<u64>),
}

impl Piece {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Content(_, range) => range.end - range.start,
        }
    }

    /// Fills `out` with the bytes from `offset` on, and returns how many there are.
    pub(super) fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(self.len() - offset).map_or(out.len(), |rest| rest.min(out.len()));
        let out = &mut out[..len];
        match self {
            Self::Bytes(bytes) => (&bytes[offset as usize..]).read_exact(out)?,
            Self::Content(content, range) => content.read_at(range.start + offset, out)?,
        }
        Ok(len)
    }
}

/// The bytes of a blob or manifest.
#[derive(Debug, Clone)]
pub(super) struct Content {
    bytes: Bytes,
    flipped: Option<u64>,
}

#[derive(Debug, Clone)]
enum Bytes {
    Memory(Arc<[u8]>),
    File(Arc<File>, u64),
}

impl Content {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { bytes: Bytes::Memory(bytes.into()), flipped: None }
    }

    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { bytes: Bytes::File(Arc::new(file), len), flipped: None })
    }

    /// Flips the lowest bit of one byte.
    pub(super) fn flip(&mut self, offset: u64) {
        self.flipped = Some(offset);
    }

    pub(super) fn len(&self) -> u64 {
        match &self.bytes {
            Bytes::Memory(bytes) => bytes.len() as u64,
            Bytes::File(_, len) => *len,
        }
    }

    /// Returns all of it.
    pub(super) fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len() as usize];
        self.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &self.bytes {
            Bytes::Memory(bytes) => (&bytes[offset as usize..]).read_exact(out)?,
            Bytes::File(file, _) => file.read_exact_at(out, offset)?,
        }
        let flipped = self.flipped.and_then(|flipped| flipped.checked_sub(offset));
        if let Some(byte) = flipped.and_then(|at| out.get_mut(at as usize)) {
            *byte ^= 1;
        }
        Ok(())
    }
}
