//! What an engine asks.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, bail, ensure};
use registry::Name;
use registry::auth::Credentials;
use serde::Deserialize;

/// Longest question in bytes: a name and a token.
const LEN_MAX: u64 = 1 << 20;

/// An image that an engine is about to pull: where it is, after mirrors, and what convinces that place.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) credentials: Option<Credentials>,
}

/// What containers/image writes about an image; what is not known is left out, or empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Written {
    username: String,
    password: String,
    identity_token: String,
}

impl Question {
    /// Reads a question, and returns the JSON as well, to be passed on.
    pub(super) fn read(input: &mut dyn Read) -> anyhow::Result<(Self, Vec<u8>)> {
        let mut json = Vec::new();
        input.take(LEN_MAX + 1).read_to_end(&mut json).context("cannot read standard input")?;
        ensure!(json.len() as u64 <= LEN_MAX, "the question is longer than {LEN_MAX} bytes");
        Ok((Self::parse(&json)?, json))
    }

    /// Parses the JSON. What is wrong with it is said without quoting it: there are passwords in it.
    fn parse(json: &[u8]) -> anyhow::Result<Self> {
        let Ok(asked) = serde_json::from_slice::<BTreeMap<String, Written>>(json) else {
            bail!("standard input is not what engines write: JSON with an image and its credentials");
        };
        let mut asked = asked.into_iter();
        let (Some((name, written)), None) = (asked.next(), asked.next()) else {
            bail!("standard input does not name one image");
        };
        let name = name.parse().with_context(|| format!("`{name}` is not an image name"))?;
        Ok(Self { name, credentials: written.credentials() })
    }
}

impl Written {
    fn credentials(self) -> Option<Credentials> {
        if !self.identity_token.is_empty() {
            return Some(Credentials::Identity(self.identity_token));
        }
        let is_given = !self.username.is_empty() || !self.password.is_empty();
        is_given.then_some(Credentials::Password { user: self.username, password: self.password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_credentials_are_read() {
        let parse = |json: &str| Question::parse(json.as_bytes()).unwrap();
        let question = parse(r#"{"127.0.0.1:5000/two:zc":{}}"#);
        assert_eq!(
            (question.name.to_string().as_str(), question.credentials),
            ("127.0.0.1:5000/two:zc", None)
        );
        let question = parse(r#"{"docker.io/a/b@sha256:aa":{"username":"u","password":"p"}}"#.replace("aa", &"a".repeat(64)).as_str());
        assert_eq!(
            question.credentials,
            Some(Credentials::Password { user: "u".into(), password: "p".into() })
        );
        let question = parse(r#"{"a.example/b":{"identityToken":"t","more":1}}"#);
        assert_eq!(question.credentials, Some(Credentials::Identity("t".into())));
    }

    #[test]
    fn errors_do_not_quote() {
        for json in [
            "",
            "{}",
            "[]",
            r#"{"a/b":{"password":secret}}"#,
            r#"{"a/b":{"password":"secret"},"c/d":{}}"#,
            r#"{"A B":{"password":"secret"}}"#,
        ] {
            let error = format!("{:#}", Question::parse(json.as_bytes()).unwrap_err());
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
