//! What other servers saw: access logs in the form that Apache's `combined` made common.

use std::fs;
use std::path::Path;

/// A request, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// `GET`, `HEAD` and so on.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// The status answered.
    pub status: u16,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// The program that asked, as it calls itself.
    pub agent: String,
}

/// Reads a log; lines that are no access are left out.
///
/// # Panics
///
/// When there is no such file.
pub(crate) fn read(log: &Path) -> Vec<Access> {
    let text = fs::read_to_string(log).expect("the log can be read");
    text.lines().filter_map(parse).collect()
}

/// Reads `ADDRESS - - [TIME] "METHOD PATH PROTOCOL" STATUS BYTES "REFERER" "AGENT"`.
fn parse(line: &str) -> Option<Access> {
    let mut quoted = line.split('"').skip(1);
    let mut request = quoted.next()?.split(' ').map(str::to_owned);
    let mut numbers = quoted.next()?.split_whitespace();
    Some(Access {
        method: request.next()?,
        path: request.next()?,
        protocol: request.next()?,
        status: numbers.next()?.parse().ok()?,
        sent: numbers.next()?.parse().ok()?,
        agent: quoted.nth(2).unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_servers_are_read() {
        let nginx =
            r#"127.0.0.1 - - [22/Nov/2026:03:20:00 +0000] "GET /a?b HTTP/1.1" 206 5 "-" "curl/7.88.1""#;
        let registry = r#"127.0.0.1 - - [22/Nov/2026:03:20:00 +0000] "HEAD /v2/ HTTP/1.1" 200 2 "" "x""#;
        let access = |method: &str, path: &str, status, sent, agent: &str| Access {
            method: method.to_owned(),
            path: path.to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            status,
            sent,
            agent: agent.to_owned(),
        };
        assert_eq!(parse(nginx), Some(access("GET", "/a?b", 206, 5, "curl/7.88.1")));
        assert_eq!(parse(registry), Some(access("HEAD", "/v2/", 200, 2, "x")));
        assert_eq!(parse("time=\"2026\" level=info msg=\"listening\""), None);
    }
}
