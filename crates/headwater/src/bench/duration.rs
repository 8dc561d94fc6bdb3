//! Durations as people type them.

use std::time::Duration;

const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// A whole number and a unit: `10ms`, `60s`, `5m`, `1h`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = UNITS.iter().find(|(name, _)| *name == &text[digits..]);
    let millis = text[..digits].parse::<u64>().ok().zip(unit).and_then(|(n, (_, ms))| n.checked_mul(*ms));
    millis.map(Duration::from_millis).ok_or_else(|| "it looks like 10ms, 60s or 5m".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(parse("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "10", "s", "1.5s", "-1s", "99999999999999999999h", "18446744073709551615h"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
