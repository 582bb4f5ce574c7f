//! URLs without their secrets.

use std::fmt;

use reqwest::Url;

use crate::error::shorten;

/// A URL as it may be shown: without user, password, query and fragment, where passwords and signatures are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(String);

impl From<&Url> for Place {
    fn from(url: &Url) -> Self {
        let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let query = if url.query().is_some() { "?..." } else { "" };
        Self(format!("{scheme}://{host}{port}{}{query}", shorten_path(url.path())))
    }
}

/// Paths hold digests; two of them are what there may be.
fn shorten_path(path: &str) -> String {
    const LEN_MAX: usize = 400;
    if path.len() <= LEN_MAX { path.to_owned() } else { format!("{}...", shorten(path)) }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let shown = |text: &str| Place::from(&text.parse::<Url>().unwrap()).to_string();
        assert_eq!(
            shown("https://user:password@h.io:5000/v2/a?X-Signature=b#c"),
            "https://h.io:5000/v2/a?..."
        );
        assert_eq!(shown("http://[::1]/v2/"), "http://[::1]/v2/");
        assert!(shown(&format!("https://h.io/{}", "a".repeat(5000))).len() < 500);
    }
}
