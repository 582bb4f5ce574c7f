//! Tokens (distribution's "Token Authentication Specification").

use std::fmt;
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use serde::Deserialize;

/// Longest answer of a token server in bytes; tokens of large organizations have some thousand.
pub(super) const ANSWER_LEN_MAX: u64 = 256 << 10;
/// Life of a token that does not say: what the specification asks clients to assume.
const LIFE_DEFAULT: u64 = 60;

/// A token, and until when it will do. Never shown.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    pub(super) end: Instant,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Token {
    /// Reads the answer of a token server, asked at `asked`.
    pub(super) fn parse(bytes: &[u8], asked: Instant) -> Result<Self, &'static str> {
        let answer: Answer = serde_json::from_slice(bytes).map_err(|_| "its answer is malformed")?;
        let text = if answer.token.is_empty() { &answer.access_token } else { &answer.token };
        if text.is_empty() {
            return Err("its answer has none");
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| "it cannot be sent")?;
        header.set_sensitive(true);
        // A tenth early: it has to be valid when it arrives. A year is as good as for ever.
        let life = Duration::from_secs(answer.expires_in.unwrap_or(LIFE_DEFAULT).min(365 * 86_400));
        Ok(Self { header, end: asked + life.mul_f64(0.9) })
    }

    pub(super) fn is_valid(&self) -> bool {
        Instant::now() < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_two_names_and_an_end() {
        let now = Instant::now();
        let read = |text: &str| {
            let token = Token::parse(text.as_bytes(), now)?;
            Ok((token.header.to_str().unwrap().to_owned(), (token.end - now).as_secs()))
        };
        assert_eq!(
            read(r#"{"token":"a","access_token":"b","expires_in":300}"#),
            Ok(("Bearer a".to_owned(), 270))
        );
        assert_eq!(read(r#"{"access_token":"b"}"#), Ok(("Bearer b".to_owned(), 54)));
        assert!(read(&format!(r#"{{"token":"a","expires_in":{}}}"#, u64::MAX)).is_ok());
        assert_eq!(read("{}"), Err("its answer has none"));
        assert_eq!(read("7"), Err("its answer is malformed"));
        assert_eq!(read("{\"token\":\"a\\n\"}"), Err("it cannot be sent"));
        assert!(!format!("{:?}", Token::parse(br#"{"token":"secret"}"#, now)).contains("secret"));
    }
}
