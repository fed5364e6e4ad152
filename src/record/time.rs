//! Time: UTC, microseconds, RFC 3339.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

/// A moment in UTC, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// Microseconds in a day; UTC has no other days.
    pub const DAY: i64 = 86_400_000_000;

    /// From microseconds since 1970-01-01T00:00:00Z; beyond the years -9999 to 9999 the nearest end.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(jiff::Timestamp::MIN.as_microsecond(), jiff::Timestamp::MAX.as_microsecond()))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Reads an RFC 3339 date-time with any offset; digits below the microsecond are cut off, and a leap second counts as
    /// the second before it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = text.parse::<jiff::Timestamp>().ok().or_else(|| without_fine_digits(text)?.parse().ok())?;
        Some(Self(time.as_microsecond()))
    }

    /// `YYYYmmdd_HHMMSS`, as it stands in generated ids.
    #[must_use]
    pub fn compact(self) -> String {
        self.format("%Y%m%d_%H%M%S")
    }

    /// The day, `YYYY-MM-DD`.
    #[must_use]
    pub fn day(self) -> String {
        self.format("%Y-%m-%d")
    }

    /// Reads a day as [`Timestamp::day`] writes it: the moment at which it begins.
    #[must_use]
    pub fn parse_day(text: &str) -> Option<Self> {
        let date = jiff::civil::Date::strptime("%Y-%m-%d", text).ok()?;
        let begin = Self(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond());
        (begin.day() == text).then_some(begin)
    }

    /// The moment at which the day began.
    #[must_use]
    pub fn start_of_day(self) -> Self {
        Self::from_micros(self.0 - self.0.rem_euclid(Self::DAY))
    }

    /// In a format of `strftime`.
    #[must_use]
    pub fn format(self, format: &str) -> String {
        self.to_jiff().strftime(format).to_string()
    }

    /// This moment moved by a number of microseconds (saturating).
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros(self.0.saturating_add(micros))
    }

    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

/// The text with only nine digits after the point, which is all that the parser takes; RFC 3339 allows any number.
fn without_fine_digits(text: &str) -> Option<String> {
    let (seconds, rest) = text.split_once('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    Some(format!("{seconds}.{}{}", rest.get(..digits.min(9))?, rest.get(digits..)?))
}

/// RFC 3339 with six fractional digits and `Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_jiff().strftime("%Y-%m-%dT%H:%M:%S.%6fZ"))
    }
}

/// Where the time comes from; tests give their own.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Timestamp;
}

/// The clock of the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_microsecond())
    }
}

/// A clock for tests: starts at a moment and moves on by a fixed step each time it is read.
#[derive(Debug)]
pub struct SteppingClock {
    next: AtomicI64,
    step: i64,
}

impl SteppingClock {
    /// A clock that says `start` first and `step` microseconds more each time.
    #[must_use]
    pub fn new(start: Timestamp, step: i64) -> Self {
        Self { next: AtomicI64::new(start.0), step }
    }
}

impl Clock for SteppingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.next.fetch_add(self.step, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_offsets_and_writes_utc_microseconds() {
        for (text, canonical) in [
            ("2025-03-01T08:00:00Z", "2025-03-01T08:00:00.000000Z"),
            ("2025-03-01T08:00:00.1234567+05:30", "2025-03-01T02:30:00.123456Z"),
            ("2025-03-01T08:00:00.123456789012Z", "2025-03-01T08:00:00.123456Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Timestamp::parse(text).map(|t| t.to_string()).as_deref(), Some(canonical));
        }
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp::parse("2025-03-01"), None);
    }

    #[test]
    fn parts_for_ids_and_days() {
        let time = Timestamp::parse("2025-03-01T08:09:10.5Z").unwrap_or_default();
        assert_eq!(time.compact(), "20250301_080910");
        assert_eq!(time.day(), "2025-03-01");
        assert_eq!(Timestamp::parse_day("2025-03-01"), Some(time.start_of_day()));
        assert_eq!(Timestamp::parse_day("2025-3-1"), None);
        assert_eq!(Timestamp::parse_day("2025-02-30"), None);
        let before = Timestamp::from_micros(-1);
        assert_eq!(Timestamp::parse_day(&before.day()), Some(before.start_of_day()));
    }
}
