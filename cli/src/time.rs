//! Durations and times as people write them.

use std::time::Duration;

use mirrordna::record::Timestamp;

/// Reads a duration: a whole number and one of `s`, `m`, `h`, `d`, `w`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const FORM: &str = "give a whole number and a unit: 90s, 15m, 12h, 30d or 8w";
    let unit = text.chars().next_back().ok_or(FORM)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(FORM.to_owned()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FORM.to_owned());
    }
    let count: u64 = number.parse().map_err(|_| "that is longer than anything lasts".to_owned())?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "that is longer than anything lasts".to_owned())
}

/// Reads a number of seconds, with or without a fraction.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "give a number of seconds, such as 5 or 0.2".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// A moment: absolute, or so long before the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// At this time.
    At(Timestamp),
    /// This long ago.
    Ago(Duration),
}

impl Moment {
    /// Reads an RFC 3339 date-time, a date (its first moment in UTC), or a duration (so long ago).
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Timestamp::parse(text)
            .or_else(|| Timestamp::parse(&format!("{text}T00:00:00Z")))
            .map(Self::At)
            .or_else(|| duration(text).ok().map(Self::Ago))
            .ok_or_else(|| {
                "give a time such as 2025-03-01T08:00:00Z, a date such as 2025-03-01, or how long ago, such as 2h or 30d"
                    .to_owned()
            })
    }

    /// The time, seen from `now`.
    pub(crate) fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(duration) => before(now, duration),
        }
    }
}

/// The time so long before another.
pub(crate) fn before(time: Timestamp, duration: Duration) -> Timestamp {
    time.plus_micros(i64::try_from(duration.as_micros()).map_or(i64::MIN, |micros| -micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("8w", 4_838_400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in
            ["", "s", "30", "-1d", "+1d", "1.5h", "1y", "1 d", "99999999999999999999d", "999999999999999999w", "é"]
        {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn moments_are_times_dates_or_how_long_ago() {
        let now = Timestamp::parse("2025-03-01T08:00:00Z").unwrap();
        let at = |text: &str| Moment::parse(text).map(|moment| moment.resolve(now).to_string());
        assert_eq!(at("2025-02-28").as_deref(), Ok("2025-02-28T00:00:00.000000Z"));
        assert_eq!(at("2025-02-28T10:00:00+01:00").as_deref(), Ok("2025-02-28T09:00:00.000000Z"));
        assert_eq!(at("2h").as_deref(), Ok("2025-03-01T06:00:00.000000Z"));
        assert!(at("yesterday").is_err());
        assert_eq!(Moment::Ago(Duration::MAX).resolve(now), Timestamp::from_micros(i64::MIN));
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(seconds("0.2"), Ok(Duration::from_millis(200)));
        for text in ["", "-1", "nan", "inf", "1e300", "x"] {
            assert!(seconds(text).is_err(), "{text:?}");
        }
    }
}
