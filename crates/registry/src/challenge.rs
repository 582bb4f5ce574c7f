//! `WWW-Authenticate`: how a server wants to be convinced (RFC 9110 §11.6.1).

use std::collections::BTreeMap;

use crate::error::shorten;

/// Longest header in bytes.
const LEN_MAX: usize = 8 << 10;
/// Most challenges in a header, and most parameters of a challenge.
const COUNT_MAX: usize = 32;

/// Names what is wrong with a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The header is too long.
    #[error("it is {0} bytes long, the limit is {LEN_MAX}")]
    Length(usize),
    /// There are too many challenges or parameters.
    #[error("it has more than {COUNT_MAX} challenges, or parameters of one")]
    Count,
    /// The header breaks the grammar.
    #[error("it breaks the grammar at `{0}`")]
    Grammar(String),
    /// A parameter is there twice.
    #[error("it has the parameter `{0}` twice")]
    Twice(String),
}

/// One way in which a server wants to be convinced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Challenge {
    /// The scheme, such as `basic` or `bearer`, in lower case.
    pub scheme: String,
    /// The parameters, by name in lower case.
    pub parameters: BTreeMap<String, String>,
}

/// Parses the value of a `WWW-Authenticate` header.
///
/// # Errors
/// [`Invalid`] when it breaks the grammar, or is longer than any server's.
pub fn parse(text: &str) -> Result<Vec<Challenge>, Invalid> {
    if text.len() > LEN_MAX {
        return Err(Invalid::Length(text.len()));
    }
    let mut cursor = Cursor { rest: text };
    let mut challenges = Vec::new();
    while cursor.next_item() {
        if challenges.len() == COUNT_MAX {
            return Err(Invalid::Count);
        }
        challenges.push(cursor.challenge()?);
    }
    Ok(challenges)
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// Goes to the next item of the list; lists may have empty items.
    fn next_item(&mut self) -> bool {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
        !self.rest.is_empty()
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn challenge(&mut self) -> Result<Challenge, Invalid> {
        let scheme = self.token()?.to_ascii_lowercase();
        let mut parameters = BTreeMap::new();
        self.skip_spaces();
        while let Some((name, value)) = self.parameter()? {
            if parameters.len() == COUNT_MAX {
                return Err(Invalid::Count);
            }
            if parameters.insert(name.clone(), value).is_some() {
                return Err(Invalid::Twice(shorten(&name)));
            }
            self.skip_spaces();
            // What follows a comma is a parameter or the next challenge.
            if !self.rest.starts_with(',') || !self.next_item() {
                break;
            }
        }
        if parameters.is_empty() {
            self.skip_token68();
        }
        Ok(Challenge { scheme, parameters })
    }

    /// Reads `name=value`; nothing is read where there is something else.
    fn parameter(&mut self) -> Result<Option<(String, String)>, Invalid> {
        let mut ahead = Cursor { rest: self.rest };
        let Ok(name) = ahead.token() else { return Ok(None) };
        ahead.skip_spaces();
        let Some(rest) = ahead.rest.strip_prefix('=') else { return Ok(None) };
        ahead.rest = rest;
        ahead.skip_spaces();
        let value = match ahead.rest.strip_prefix('"') {
            Some(rest) => {
                ahead.rest = rest;
                ahead.quoted()?
            }
            None => match ahead.token() {
                Ok(value) => value.to_owned(),
                Err(_) => return Ok(None),
            },
        };
        self.rest = ahead.rest;
        Ok(Some((name.to_ascii_lowercase(), value)))
    }

    fn token(&mut self) -> Result<&'a str, Invalid> {
        let end = self.rest.find(|c| !is_token_char(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        if token.is_empty() {
            return Err(self.broken());
        }
        self.rest = rest;
        Ok(token)
    }

    /// Reads up to the closing quote.
    fn quoted(&mut self) -> Result<String, Invalid> {
        let mut value = String::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => value.extend([chars.next().ok_or_else(|| self.broken())?]),
                Some(c) => value.push(c),
                None => return Err(self.broken()),
            }
        }
        self.rest = chars.as_str();
        Ok(value)
    }

    /// Skips what some schemes have instead of parameters.
    fn skip_token68(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| {
            c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '+' | '/' | '=')
        });
    }

    fn broken(&self) -> Invalid {
        Invalid::Grammar(shorten(self.rest))
    }
}

/// RFC 9110 §5.6.2.
fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn show(text: &str) -> String {
        let one = |challenge: Challenge| format!("{} {:?}", challenge.scheme, challenge.parameters);
        parse(text).unwrap().into_iter().map(one).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn challenges_of_real_registries_are_read() {
        insta::assert_snapshot!(show(r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull""#), @r#"bearer {"realm": "https://auth.docker.io/token", "scope": "repository:library/debian:pull", "service": "registry.docker.io"}"#);
        insta::assert_snapshot!(show(r#"Basic realm="Registry Realm""#), @r#"basic {"realm": "Registry Realm"}"#);
        insta::assert_snapshot!(show(r#"BASIC Realm = plain , charset="UTF-8""#), @r#"basic {"charset": "UTF-8", "realm": "plain"}"#);
        insta::assert_snapshot!(show(r#"Bearer realm="https://h/t",scope="repository:a:pull,push repository:b:pull""#), @r#"bearer {"realm": "https://h/t", "scope": "repository:a:pull,push repository:b:pull"}"#);
    }

    #[test]
    fn lists_of_challenges_are_told_from_lists_of_parameters() {
        insta::assert_snapshot!(show(r#"Basic realm="a", Bearer realm="b", service="c""#), @r#"basic {"realm": "a"}; bearer {"realm": "b", "service": "c"}"#);
        insta::assert_snapshot!(show("Negotiate, , Basic realm=a"), @r#"negotiate {}; basic {"realm": "a"}"#);
        insta::assert_snapshot!(show("Negotiate YWJj==, Basic realm=a"), @r#"negotiate {}; basic {"realm": "a"}"#);
        insta::assert_snapshot!(show(r#"Bearer realm="a \"b\", c", x="\\""#), @r#"bearer {"realm": "a \"b\", c", "x": "\\"}"#);
        insta::assert_snapshot!(show(""), @"");
    }

    #[test]
    fn what_breaks_the_grammar_is_refused() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(message("\"a\""), @r#"it breaks the grammar at `"a"`"#);
        insta::assert_snapshot!(message("Bearer realm=\"a"), @"it breaks the grammar at `a`");
        insta::assert_snapshot!(message("Bearer realm=a, realm=b"), @"it has the parameter `realm` twice");
        insta::assert_snapshot!(message(&"a".repeat(9000)), @"it is 9000 bytes long, the limit is 8192");
        insta::assert_snapshot!(message(&"Basic,".repeat(33)), @"it has more than 32 challenges, or parameters of one");
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_value_can_be_quoted(value in "\\PC{0,40}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let parsed = parse(&format!("Bearer realm=\"{quoted}\", x=1")).unwrap();
            prop_assert_eq!(parsed[0].parameters.get("realm"), Some(&value));
        }
    }
}
