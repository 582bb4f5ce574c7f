//! What a registry says of a failure.

use std::fmt;

use serde::Deserialize;

use crate::error::shorten;
use crate::http::Body;

/// Longest answer that is looked at, in bytes.
const LEN_MAX: u64 = 16 << 10;

/// The server's own words about a failure, shortened; nothing where it says none that are meant for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Detail(String);

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
}

impl Detail {
    /// Reads the body of an answer that says no.
    pub(crate) fn read(body: Body) -> Self {
        match body.read_limited(LEN_MAX) {
            Ok(Some(bytes)) => Self::parse(&bytes),
            Ok(None) | Err(_) => Self::default(),
        }
    }

    fn parse(bytes: &[u8]) -> Self {
        let Ok(Answer { errors, details }) = serde_json::from_slice(bytes) else { return Self::default() };
        let words =
            |problem: Problem| if problem.message.is_empty() { problem.code } else { problem.message };
        Self(shorten(&errors.into_iter().next().map_or(details, words)))
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
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
}
