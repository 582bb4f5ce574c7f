//! A link, as people write it: `100Mbit,20ms`.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use crate::Link;

/// A text that is no link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a rate and a round trip, such as `100Mbit,20ms` or `12.5MB,0.02s`")?;
        f.write_str(
            "; after them may come `jitter=5ms`, `each=10Mbit` (a connection) and `connections=8`; or `none`",
        )
    }
}

impl std::error::Error for Invalid {}

/// Reads a rate and a round trip. The rate is one a second, of bits (`kbit`, `Mbit`, `Gbit`) or of bytes (`kB`, `MB`, `GB`,
/// `KiB`, `MiB`, `GiB`), and may say so (`Mbit/s`); the round trip is in `us`, `ms` or `s`.
impl FromStr for Link {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "none" {
            return Ok(Self::NONE);
        }
        let mut words = text.split(',').map(str::trim);
        let rate = words.next().and_then(parse_rate).ok_or(Invalid)?;
        let round_trip = words.next().and_then(parse_time).ok_or(Invalid)?;
        words.try_fold(Self::new(rate, round_trip), Self::with).ok_or(Invalid)
    }
}

impl Link {
    fn with(self, word: &str) -> Option<Self> {
        let (name, value) = word.split_once('=')?;
        Some(match name {
            "jitter" => Self { jitter: parse_time(value)?, ..self },
            "each" => Self { connection_rate: Some(parse_rate(value)?), ..self },
            "connections" => Self { connections: Some(value.parse::<NonZeroUsize>().ok()?), ..self },
            _ => return None,
        })
    }
}

/// Writes it as it can be read.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rate.is_infinite() {
            return f.write_str("none");
        }
        write!(f, "{},{}", Rate(self.rate), Time(self.round_trip))?;
        if !self.jitter.is_zero() {
            write!(f, ",jitter={}", Time(self.jitter))?;
        }
        if let Some(rate) = self.connection_rate {
            write!(f, ",each={}", Rate(rate))?;
        }
        match self.connections {
            Some(connections) => write!(f, ",connections={connections}"),
            None => Ok(()),
        }
    }
}

/// Bytes a second, written in bits.
struct Rate(f64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0 * 8.0;
        match bits {
            1e9.. => write!(f, "{}Gbit", bits / 1e9),
            1e6.. => write!(f, "{}Mbit", bits / 1e6),
            1e3.. => write!(f, "{}kbit", bits / 1e3),
            _ => write!(f, "{bits}bit"),
        }
    }
}

struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_micros() {
            micros if micros % 1000 == 0 => write!(f, "{}ms", micros / 1000),
            micros => write!(f, "{micros}us"),
        }
    }
}

/// Returns bytes a second.
fn parse_rate(text: &str) -> Option<f64> {
    let (number, unit) = split(text.strip_suffix("/s").unwrap_or(text))?;
    let factor = match unit {
        "bit" => 1.0 / 8.0,
        "kbit" => 1e3 / 8.0,
        "Mbit" => 1e6 / 8.0,
        "Gbit" => 1e9 / 8.0,
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return None,
    };
    // Slower links are none, faster ones are not made.
    Some(number * factor).filter(|rate| (1.0..=1e15).contains(rate))
}

fn parse_time(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Some(number * factor).filter(|seconds| *seconds <= 3600.0).map(Duration::from_secs_f64)
}

/// Splits a decimal number, which is not negative, from its unit.
fn split(text: &str) -> Option<(f64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_have_units() {
        let table = [
            ("100Mbit,20ms", 12.5e6, 20_000),
            ("100Mbit/s,20ms", 12.5e6, 20_000),
            ("1Gbit, 1ms", 125e6, 1000),
            ("56kbit,0.3s", 7e3, 300_000),
            ("12.5MB,0.5ms", 12.5e6, 500),
            ("1MiB/s,250us", 1_048_576.0, 250),
            ("8bit,0s", 1.0, 0),
        ];
        for (text, bandwidth, micros) in table {
            assert_eq!(text.parse(), Ok(Link::new(bandwidth, Duration::from_micros(micros))), "{text}");
        }
    }

    #[test]
    fn what_is_no_link_is_refused() {
        let texts = [
            "",
            ",",
            "100Mbit",
            "100Mbit,",
            ",20ms",
            "100,20ms",
            "100Mbit,20",
            "Mbit,20ms",
            "100mbit,20ms",
            "-1Mbit,20ms",
            "100Mbit,-20ms",
            "1e3Mbit,20ms",
            "infMbit,20ms",
            "1.2.3Mbit,1ms",
            "0Mbit,1ms",
            "7bit,1ms",
            "100Mbit,20ms,1",
            "100Mbit,20ms,connections=0",
            "100Mbit,20ms,loss=1",
            "None",
            "100Mbit,2h",
            "100Mbit,9999s",
            "99999999999Gbit,1ms",
            "1Ł,1ms",
        ];
        for text in texts {
            assert_eq!(text.parse::<Link>(), Err(Invalid), "{text}");
        }
    }

    #[test]
    fn links_are_written_as_they_are_read() {
        let texts =
            ["none", "100Mbit,20ms", "1.5Gbit,250us", "56kbit,300ms,jitter=20ms,each=8bit,connections=6"];
        for text in texts {
            assert_eq!(text.parse::<Link>().unwrap().to_string(), text);
        }
    }
}
