//! A link, as people write it: `100Mbit,20ms`.

use std::time::Duration;

use chunked::Link;

/// What a link should look like.
const EXPECTED: &str = "expected a rate and a round trip, such as `100Mbit,20ms` or `12.5MB,0.02s`";

/// Reads a rate and a round trip. The rate is one a second, of bits (`kbit`, `Mbit`, `Gbit`) or of bytes (`kB`, `MB`, `GB`,
/// `KiB`, `MiB`, `GiB`), and may say so (`Mbit/s`); the round trip is in `us`, `ms` or `s`.
pub(crate) fn parse(text: &str) -> Result<Link, &'static str> {
    let (rate, round_trip) = text.split_once(',').ok_or(EXPECTED)?;
    let bandwidth = parse_rate(rate.trim()).ok_or(EXPECTED)?;
    let round_trip = parse_time(round_trip.trim()).ok_or(EXPECTED)?;
    Ok(Link::new(round_trip, bandwidth))
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
            assert_eq!(parse(text), Ok(Link::new(Duration::from_micros(micros), bandwidth)), "{text}");
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
            "100Mbit,2h",
            "100Mbit,9999s",
            "99999999999Gbit,1ms",
            "1Ł,1ms",
        ];
        for text in texts {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
