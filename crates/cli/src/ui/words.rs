//! Numbers as people read them.

use std::fmt;
use std::time::Duration;

use chunked::BlobDigest;

/// A number of bytes: `731 B`, `4.0 KiB`, `276.4 MiB`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut value, mut unit) = (self.0 as f64, "B");
        for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
            // 1023.95 would be printed as 1024.0.
            if value < 1023.95 {
                break;
            }
            (value, unit) = (value / 1024.0, larger);
        }
        let text = if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") };
        f.pad(&text)
    }
}

/// A part of a whole: `42.0 %`; `-` of nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Percent {
    pub(crate) part: u64,
    pub(crate) whole: u64,
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole {
            0 => f.pad("-"),
            whole => f.pad(&format!("{:.1} %", self.part as f64 * 100.0 / whole as f64)),
        }
    }
}

/// A time that passed: `0.24 s`, `41.3 s`, `12 min 5 s`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Elapsed(pub(crate) Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let text = match self.0.as_secs() {
            0..10 => format!("{seconds:.2} s"),
            10..120 => format!("{seconds:.1} s"),
            whole => format!("{} min {} s", whole / 60, whole % 60),
        };
        f.pad(&text)
    }
}

/// Writes a number of seconds as [`Elapsed`] does.
pub(crate) fn seconds(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    Elapsed(time).to_string()
}

/// Returns how many bytes went by in a second.
pub(crate) fn per_second(bytes: u64, elapsed: Duration) -> Bytes {
    Bytes((bytes as f64 / elapsed.as_secs_f64().max(1e-9)) as u64)
}

/// Returns enough of a digest to find it among others, as container tools show it.
pub(crate) fn short(digest: &BlobDigest) -> String {
    digest.0.hex().chars().take(12).collect()
}

/// Counts things: `1 file`, `2 files`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_that_keeps_them_short() {
        let text = |bytes| Bytes(bytes).to_string();
        assert_eq!(text(0), "0 B");
        assert_eq!(text(1023), "1023 B");
        assert_eq!(text(1024), "1.0 KiB");
        assert_eq!(text((1 << 20) - 1), "1.0 MiB");
        assert_eq!(text(289_833_788), "276.4 MiB");
        assert_eq!(text(u64::MAX), "16.0 EiB");
        assert_eq!(format!("{:>9}|{:<9}", Bytes(1), Bytes(2048)), "      1 B|2.0 KiB  ");
    }

    #[test]
    fn parts_of_nothing_are_no_number() {
        assert_eq!(Percent { part: 1, whole: 3 }.to_string(), "33.3 %");
        assert_eq!(Percent { part: 1, whole: 0 }.to_string(), "-");
    }

    #[test]
    fn long_times_lose_their_fractions() {
        let text = |millis| Elapsed(Duration::from_millis(millis)).to_string();
        assert_eq!([text(240), text(41_300), text(725_900)], ["0.24 s", "41.3 s", "12 min 5 s"]);
    }
}
