//! Points in time as a TOC writes them: RFC 3339.

use std::io;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::entry::Timestamp;

/// Seconds of 0001-01-01T00:00:00Z, which Go programs write for a time that is not set.
const GO_ZERO: i64 = -62_135_596_800;

/// Appends `timestamp` in UTC, the fraction of the second only where there is one.
///
/// # Errors
/// `InvalidInput` when the year is not one of 0 to 9999, which RFC 3339 cannot write.
pub(crate) fn write(out: &mut Vec<u8>, timestamp: Timestamp) -> io::Result<()> {
    let instant = OffsetDateTime::from_unix_timestamp(timestamp.seconds)
        .and_then(|second| second.replace_nanosecond(timestamp.nanoseconds))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    match instant.format_into(out, &Rfc3339) {
        Ok(_) => Ok(()),
        Err(time::error::Format::StdIo(error)) => Err(error),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
    }
}

/// Parses an RFC 3339 time with any offset; Go's zero time is `None`.
pub(super) fn parse(text: &str) -> Result<Option<Timestamp>, String> {
    let instant =
        OffsetDateTime::parse(text, &Rfc3339).map_err(|_| format!("`{text}` is not an RFC 3339 time"))?;
    let timestamp = Timestamp { seconds: instant.unix_timestamp(), nanoseconds: instant.nanosecond() };
    let unset = timestamp == Timestamp { seconds: GO_ZERO, nanoseconds: 0 };
    Ok((!unset).then_some(timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: i64, nanoseconds: u32) -> io::Result<String> {
        let mut out = Vec::new();
        write(&mut out, Timestamp { seconds, nanoseconds })?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn times_are_utc_with_as_many_digits_as_needed() {
        assert_eq!(text(0, 0).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(text(1_700_000_000, 120_000_000).unwrap(), "2023-11-14T22:13:20.12Z");
        assert_eq!(text(-1, 1).unwrap(), "1969-12-31T23:59:59.000000001Z");
        assert_eq!(text(253_402_300_799, 999_999_999).unwrap(), "9999-12-31T23:59:59.999999999Z");
        assert_eq!(text(-62_167_219_200, 0).unwrap(), "0000-01-01T00:00:00Z");
    }

    #[test]
    fn years_that_rfc_3339_cannot_write_are_refused() {
        for seconds in [253_402_300_800, -62_167_219_201, i64::MAX, i64::MIN] {
            assert_eq!(text(seconds, 0).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{seconds}");
        }
        assert_eq!(text(0, 1_000_000_000).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn parsing_knows_offsets_and_the_unset_time() {
        let seconds = |text| parse(text).unwrap().map(|timestamp| timestamp.seconds);
        assert_eq!(seconds("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(seconds("0001-01-01T00:00:00Z"), None);
        assert_eq!(parse("2023-11-14T22:13:20.12Z").unwrap().unwrap().nanoseconds, 120_000_000);
        for text in
            ["", "1970-01-01", "1970-01-01T00:00:00", "0", "1970-13-01T00:00:00Z", "1970-01-01T00:00:00Zx"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
