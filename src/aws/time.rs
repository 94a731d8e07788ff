//! Times as AWS writes them. The calendar is aws-smithy-types', as in every AWS SDK for Rust.

use super::Error;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// RFC 3339 in UTC, in whole seconds: `2026-11-24T01:22:03Z`.
///
/// # Errors
/// [`Error::Time`] beyond the year 9999.
pub fn rfc3339(unix_seconds: u64) -> Result<String, Error> {
    let seconds = i64::try_from(unix_seconds).map_err(|_beyond_i64| Error::Time)?;
    DateTime::from_secs(seconds).fmt(Format::DateTime).map_err(|_beyond_year_9999| Error::Time)
}

/// The basic form of ISO 8601 that SigV4 wants: `20261124T012203Z`.
pub(super) fn amz_date(unix_seconds: u64) -> Result<String, Error> {
    Ok(rfc3339(unix_seconds)?.replace(['-', ':'], ""))
}

/// The date alone: `20261124`.
pub(super) fn date_stamp(unix_seconds: u64) -> Result<String, Error> {
    amz_date(unix_seconds)?.get(..8).map(ToOwned::to_owned).ok_or(Error::Time)
}

/// Reads RFC 3339, with or without fractions and offset; fractions are cut off.
pub(super) fn parse_rfc3339(text: &str) -> Option<u64> {
    let time = DateTime::from_str(text, Format::DateTimeWithOffset).ok()?;
    u64::try_from(time.secs()).ok()
}

/// Reads the date of an HTTP header (RFC 9110 section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn parse_http_date(text: &str) -> Option<u64> {
    let time = DateTime::from_str(text, Format::HttpDate).ok()?;
    u64::try_from(time.secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        for bad in ["", "Sun, 06 Nov 1994", "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 PST"] {
            assert_eq!(parse_http_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_are_written_and_read() {
        assert_eq!(rfc3339(1_440_938_160).unwrap(), "2015-08-30T12:36:00Z");
        assert_eq!(amz_date(1_440_938_160).unwrap(), "20150830T123600Z");
        assert_eq!(date_stamp(1_440_938_160).unwrap(), "20150830");
        assert_eq!(rfc3339(951_782_400).unwrap(), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(u64::MAX), Err(Error::Time));
        assert_eq!(rfc3339(400_000_000_000), Err(Error::Time));
        for text in ["2015-08-30T12:36:00Z", "2015-08-30T12:36:00.999Z", "2015-08-30T14:36:00+02:00"] {
            assert_eq!(parse_rfc3339(text), Some(1_440_938_160), "{text}");
        }
        for text in ["", "2015-08-30", "2015-13-30T12:36:00Z", "1960-08-30T12:36:00Z", "now"] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
