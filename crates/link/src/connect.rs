//! The request by which a client of a proxy says where it wants to go (RFC 9110, section 9.3.6).

use std::fmt;

/// Most bytes of the head of a request.
pub const HEAD_LEN_MAX: usize = 8 << 10;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The head of a request that does not ask to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidConnect;

impl fmt::Display for InvalidConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected `CONNECT host:port HTTP/1.1`")
    }
}

impl std::error::Error for InvalidConnect {}

impl Target {
    /// Parses the head of a request, with or without the blank line at its end.
    ///
    /// # Errors
    /// When it is longer than [`HEAD_LEN_MAX`], or asks for something else.
    pub fn parse(head: &[u8]) -> Result<Self, InvalidConnect> {
        Self::of(head).ok_or(InvalidConnect)
    }

    fn of(head: &[u8]) -> Option<Self> {
        let head = str::from_utf8(head).ok().filter(|head| head.len() <= HEAD_LEN_MAX)?;
        let words: Vec<_> = head.lines().next()?.split(' ').collect();
        let ["CONNECT", target, "HTTP/1.1" | "HTTP/1.0"] = words.as_slice() else { return None };
        let (host, port) = target.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        (!host.is_empty() && host.chars().all(is_name) && is_number)
            .then(|| Some(Self { host: host.to_owned(), port: port.parse().ok()? }))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_connect_names_a_host_and_a_port() {
        let parsed = |head: &str| Target::parse(head.as_bytes()).map(|target| (target.host, target.port));
        let target = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(parsed("CONNECT quay.io:443 HTTP/1.1\r\nHost: quay.io\r\n\r\n"), target("quay.io", 443));
        assert_eq!(parsed("CONNECT [::1]:80 HTTP/1.1\r\n\r\n"), target("::1", 80));
        let long = format!("CONNECT {}:1 HTTP/1.1\r\n", "a".repeat(HEAD_LEN_MAX));
        for head in [
            "",
            "GET / HTTP/1.1\r\n",
            "CONNECT a HTTP/1.1",
            "CONNECT :1 HTTP/1.1",
            "CONNECT a:+1 HTTP/1.1",
            "CONNECT a:65536 HTTP/1.1",
            "CONNECT a/b:1 HTTP/1.1",
            "CONNECT a:1 HTTP/2",
            &long,
        ] {
            assert_eq!(parsed(head), Err(InvalidConnect), "{head}");
        }
    }
}
