//! Sizes and times with units, read and shown.

use std::time::Duration;

/// Units of size, largest first; binary ones before the decimal ones.
const SIZES: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

/// Units of time in milliseconds, largest first; the first spelling of a unit is the one that is shown.
const TIMES: &[(&str, u64)] =
    &[("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads a size such as `64 KiB`, `64KiB` or `65536` (bytes); the case of units does not matter.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit, rest) = split_number(text)?;
    let factor = match unit {
        "" => 1,
        unit => SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    if rest.is_empty() { number.checked_mul(factor) } else { None }
}

/// Shows a size in the largest unit that says it exactly.
pub(super) fn show_bytes(bytes: u64) -> String {
    let binary = SIZES.iter().take(4).find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    binary.map_or_else(|| format!("{bytes} B"), |(unit, factor)| format!("{} {unit}", bytes / factor))
}

/// Reads a time such as `30 s`, `500ms` or `1h 30min`. A bare number has no unit and is none, but for `0`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    if text.trim() == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = 0_u64;
    let mut rest = text;
    loop {
        let (number, unit, after) = split_number(rest)?;
        let factor = TIMES.iter().find(|(name, _)| *name == unit)?.1;
        total = total.checked_add(number.checked_mul(factor)?)?;
        if after.is_empty() {
            return Some(Duration::from_millis(total));
        }
        rest = after;
    }
}

/// Shows a time (in whole milliseconds) as its units, such as `1 h 30 min`.
pub(super) fn show_duration(duration: Duration) -> String {
    let mut ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (unit, factor) in TIMES.iter().filter(|(unit, _)| !matches!(*unit, "w" | "m")) {
        if ms >= *factor {
            parts.push(format!("{} {unit}", ms / factor));
            ms %= factor;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// Splits ` 12 kB rest` into 12, `kB` and `rest`.
fn split_number(text: &str) -> Option<(u64, &str, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    Some((number.parse().ok()?, unit, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_binary_and_decimal_units() {
        for (text, expected) in [
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("64 KiB", Some(65_536)),
            ("64kib", Some(65_536)),
            (" 1 GiB ", Some(1 << 30)),
            ("10 MB", Some(10_000_000)),
            ("16 TiB", Some(1 << 44)),
            ("5 B", Some(5)),
            ("", None),
            ("KiB", None),
            ("1.5 GiB", None),
            ("-1", None),
            ("64 K", None),
            ("64 KiB/s", None),
            ("1 KiB 5 B", None),
            ("99999999 TiB", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn times_need_a_unit() {
        for (text, expected_ms) in [
            ("0", Some(0)),
            ("0 s", Some(0)),
            ("10 s", Some(10_000)),
            ("500ms", Some(500)),
            ("1h30min", Some(5_400_000)),
            ("1 h 30 m", Some(5_400_000)),
            ("2 w", Some(1_209_600_000)),
            ("10", None),
            ("", None),
            ("s", None),
            ("10 sec", None),
            ("-1 s", None),
            ("1.5 h", None),
            ("1 h 30", None),
            ("99999999999999999 w", None),
        ] {
            assert_eq!(parse_duration(text), expected_ms.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        for bytes in [0, 1, 512, 1000, 1024, 1536, 65_536, 1 << 30, (1 << 30) + 1, u64::MAX] {
            assert_eq!(parse_bytes(&show_bytes(bytes)), Some(bytes));
        }
        for ms in [0, 1, 999, 1000, 61_001, 86_400_000, 90_061_001] {
            let time = Duration::from_millis(ms);
            assert_eq!(parse_duration(&show_duration(time)), Some(time));
        }
        assert_eq!(show_bytes(1 << 30), "1 GiB");
        assert_eq!(show_duration(Duration::from_mins(90)), "1 h 30 min");
    }
}
