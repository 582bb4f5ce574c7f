//! What options mean that are more than a word.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use chunked::DiffId;
use chunked::convert::Level;
use chunked::digest::InvalidDigest;
use registry::platform::{self, Selector};
use store::unpack::{InvalidIdMap, Owners};

pub(super) fn parse_level(text: &str) -> Result<Level, &'static str> {
    text.parse().ok().and_then(Level::new).ok_or("expected a number from 1 to 22")
}

pub(super) fn parse_diff_id(text: &str) -> Result<DiffId, InvalidDigest> {
    text.parse()
}

pub(super) fn parse_platform(text: &str) -> Result<Selector, platform::Invalid> {
    text.parse()
}

pub(super) fn parse_owners(text: &str) -> Result<Owners, String> {
    match text {
        "as-is" => Ok(Owners::AsIs),
        "squash" => Ok(Owners::Squash),
        _ => match text.strip_prefix("map:") {
            Some(map) => map.parse().map(Owners::Map).map_err(|error: InvalidIdMap| error.to_string()),
            None => Err("expected `as-is`, `squash` or `map:INSIDE:OUTSIDE:COUNT`".to_owned()),
        },
    }
}

pub(super) fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(
        |_| "expected an IP address and a port, such as `127.0.0.1:5000`, `0.0.0.0:5000` or `[::]:5000`; names are not looked up",
    )
}

pub(super) fn parse_jobs(text: &str) -> Result<NonZeroUsize, &'static str> {
    /// More threads than any machine of today has processors.
    const MOST_JOBS: usize = 1024;
    let jobs: Option<NonZeroUsize> = text.parse().ok();
    jobs.filter(|jobs| jobs.get() <= MOST_JOBS).ok_or("expected a number from 1 to 1024")
}

pub(super) fn parse_memory(text: &str) -> Result<usize, &'static str> {
    const LEAST: usize = 24 << 20;
    let memory = parse_size(text).ok_or("expected a number of bytes such as `64M` or `1G`")?;
    if memory < LEAST { Err("expected at least 24M") } else { Ok(memory) }
}

pub(crate) fn parse_bytes(text: &str) -> Result<u64, &'static str> {
    let bytes = parse_size(text).and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
    bytes.ok_or("expected a number of bytes such as `64M` or `1G`")
}

/// Reads `64M`, `64MiB`, `1G`: units are powers of 1024.
fn parse_size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..)? {
        "" | "B" => 0,
        "K" | "k" | "KiB" => 10,
        "M" | "m" | "MiB" => 20,
        "G" | "g" | "GiB" => 30,
        "T" | "t" | "TiB" => 40,
        _ => return None,
    };
    let number: usize = digits.parse().ok()?;
    number.checked_mul(1_usize.checked_shl(shift)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024() {
        let cases =
            [("64M", Some(64 << 20)), ("64MiB", Some(64 << 20)), ("1g", Some(1 << 30)), ("12", Some(12))];
        for (text, size) in cases {
            assert_eq!(parse_size(text), size, "{text}");
        }
        for text in ["", "M", "-1M", "1.5G", "64MB", "64 M", "99999999999999999999", "99999999T", "1Ł"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        assert!(parse_memory("24M").is_ok() && parse_memory("23M").is_err());
        assert!(parse_jobs("1").is_ok() && parse_jobs("0").is_err() && parse_jobs("9999").is_err());
        assert!(parse_level("22").is_ok() && parse_level("23").is_err());
    }
}
