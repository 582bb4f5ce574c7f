//! What a registry says of a failure.

use std::fmt;

use chunked::BlobDigest;
use serde::Deserialize;
use serde_json::Value;

use crate::error::shorten;
use crate::http::Body;

/// Longest answer that is looked at, in bytes: room for some 400 missing manifests.
const LEN_MAX: u64 = 64 << 10;

/// The code for what a manifest or index refers to and the registry does not have.
const REFERENCE_UNKNOWN: &str = "MANIFEST_BLOB_UNKNOWN";

/// The server's own words about a failure, shortened; nothing where it says none that are meant for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Detail {
    words: String,
    codes: Vec<String>,
    digests: Vec<BlobDigest>,
}

/// The errors of a registry (OCI distribution-spec, "Error Codes"), or the one of a token server.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    errors: Vec<Problem>,
    #[serde(default)]
    details: String,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: Value,
}

impl Detail {
    /// Tells whether the server misses something that a manifest or index refers to.
    pub fn misses_references(&self) -> bool {
        self.codes.iter().any(|code| code == REFERENCE_UNKNOWN)
    }

    /// Returns the digests it speaks of, in its order.
    pub fn digests(&self) -> &[BlobDigest] {
        &self.digests
    }

    /// Reads the body of an answer that says no.
    pub(crate) fn read(body: Body) -> Self {
        match body.read_limited(LEN_MAX) {
            Ok(Some(bytes)) => Self::parse(&bytes),
            Ok(None) | Err(_) => Self::default(),
        }
    }

    fn parse(bytes: &[u8]) -> Self {
        let Ok(Answer { errors, details }) = serde_json::from_slice(bytes) else { return Self::default() };
        let mut digests = Vec::new();
        errors.iter().for_each(|problem| problem.add_digests(&mut digests));
        let codes = errors.iter().map(|problem| problem.code.clone()).collect();
        let words =
            |problem: Problem| if problem.message.is_empty() { problem.code } else { problem.message };
        Self { words: shorten(&errors.into_iter().next().map_or(details, words)), codes, digests }
    }
}

impl Problem {
    /// Adds what its message and its detail name: distribution has the digest as the detail, Quay in an object.
    fn add_digests(&self, digests: &mut Vec<BlobDigest>) {
        let text = format!("{} {}", self.message, self.detail);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != ':');
        for digest in words.filter_map(|word| word.parse().ok()) {
            if !digests.contains(&digest) {
                digests.push(digest);
            }
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.words.is_empty() { Ok(()) } else { write!(f, ": {}", self.words) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_servers_are_found() {
        let cases = [
            (
                r#"{"errors":[{"code":"DENIED","message":"access denied","detail":{"x":1}}]}"#,
                ": access denied",
            ),
            (r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#, ": NAME_UNKNOWN"),
            (r#"{"details":"incorrect username or password"}"#, ": incorrect username or password"),
            (r#"{"errors":[]}"#, ""),
            ("<html>", ""),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(Detail::parse(text.as_bytes()).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn missing_references_are_found_in_every_form() {
        let (one, other) = (BlobDigest::of(b"1"), BlobDigest::of(b"2"));
        let texts = [
            format!(
                r#"{{"errors":[{{"code":"MANIFEST_BLOB_UNKNOWN","detail":"{one}"}},{{"code":"MANIFEST_BLOB_UNKNOWN","detail":"{other}"}}]}}"#
            ),
            format!(
                r#"{{"errors":[{{"code":"MANIFEST_BLOB_UNKNOWN","message":"no {one}","detail":{{"digests":["{one}","{other}"]}}}}]}}"#
            ),
        ];
        for text in texts {
            let detail = Detail::parse(text.as_bytes());
            assert!(detail.misses_references());
            assert_eq!(detail.digests(), [one, other]);
        }
        assert!(!Detail::parse(br#"{"errors":[{"code":"DENIED"}]}"#).misses_references());
    }
}
