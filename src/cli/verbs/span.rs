//! Times and lengths of time as they are typed.

use serde_json::Value;

use crate::domain::time::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// When something ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It does not.
    Never,
    /// So many milliseconds from now.
    After(i64),
    /// At a time.
    At(Timestamp),
}

/// A length of time such as `90s`, `30m`, `12h`, `30d` or `4w`, in milliseconds.
///
/// # Errors
/// How it is to be written.
pub fn parse_span(text: &str) -> Result<i64, String> {
    let wrong = || "write a number and a unit: 90s, 30m, 12h, 30d or 4w".to_owned();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit.trim() {
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        "w" => 7 * DAY_MS,
        _ => return Err(wrong()),
    };
    let number: i64 = number.parse().map_err(|_not_a_number| wrong())?;
    number.checked_mul(unit_ms).ok_or_else(wrong)
}

/// A length of time from now, a time, or `never`.
///
/// # Errors
/// How it is to be written.
pub fn parse_end(text: &str) -> Result<End, String> {
    if text == "never" {
        return Ok(End::Never);
    }
    match (parse_span(text), Timestamp::parse(text)) {
        (Ok(0), _) => Err("it would have ended already".to_owned()),
        (Ok(ms), _) => Ok(End::After(ms)),
        (Err(_), Some(at)) => Ok(End::At(at)),
        (Err(_), None) => Err("write 30d, 12h, a time such as 2027-01-31T00:00:00Z, or never".to_owned()),
    }
}

impl End {
    /// As a field of a request.
    pub fn to_json(self) -> Value {
        match self {
            Self::Never => Value::Null,
            Self::After(ms) => Timestamp(jiff::Timestamp::now().as_millisecond()).plus_ms(ms).to_string().into(),
            Self::At(at) => at.to_string().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_spans_times_or_never() {
        assert_eq!(parse_end("30d"), Ok(End::After(30 * DAY_MS)));
        assert_eq!(parse_end("12 h"), Ok(End::After(43_200_000)));
        assert_eq!(parse_end("never"), Ok(End::Never));
        assert!(matches!(parse_end("2027-01-31T00:00:00Z"), Ok(End::At(_))));
        for wrong in ["", "30", "d", "0d", "-1d", "99999999999999999999d", "9223372036854775807w", "tomorrow"] {
            assert!(parse_end(wrong).is_err(), "{wrong}");
        }
    }
}
