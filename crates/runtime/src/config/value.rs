//! From what was written to a type that cannot be wrong, and back to TOML.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::source::Raw;

/// A type that a setting can have.
pub(super) trait Value: Sized {
    /// Description of valid values, with an example where that helps: "expected …".
    const KIND: &'static str;
    /// Whether what was written may hold a secret, so that no mistake may quote it.
    const SECRET: bool = false;

    /// The value, or what is wrong with what was written.
    fn parse(raw: &Raw) -> Result<Self, String>;

    /// The value as TOML; none when it is not set.
    fn show_toml(&self) -> Option<String>;

    /// Whether this value holds a secret and must not be shown.
    fn is_secret(&self) -> bool {
        false
    }

    /// The value of a setting that nobody set and that has no default.
    fn unset_value() -> Option<Self> {
        None
    }
}

/// The values that a setting may have.
pub(super) struct Limits<T> {
    pub(super) allows: Box<dyn Fn(&T) -> bool>,
    pub(super) text: String,
}

/// From the least to the greatest allowed value.
pub(super) fn range_limits<T: Value + PartialOrd + 'static>(range: RangeInclusive<T>) -> Limits<T> {
    let shown = |value: &T| value.show_toml().unwrap_or_default().replace('"', "");
    let text = format!(", from {} to {}", shown(range.start()), shown(range.end()));
    Limits { allows: Box::new(move |value| range.contains(value)), text }
}

pub(super) fn expected_kind<T: Value>() -> String {
    format!("expected {}", T::KIND)
}

/// Parses text, and passes on what the type says about a mistake in it.
pub(super) fn parse_text<T: Value + FromStr<Err: fmt::Display>>(raw: &Raw) -> Result<T, String> {
    raw.as_text().ok_or_else(expected_kind::<T>)?.parse().map_err(|error| format!("{error}"))
}

/// A TOML string.
pub(super) fn quote_toml(text: impl fmt::Display) -> Option<String> {
    Some(toml_edit::Value::from(text.to_string()).to_string())
}

/// A whole number followed by one of `units`, in the smallest unit.
pub(super) fn parse_scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..digits].parse::<u64>().ok()?;
    let unit = text[digits..].trim();
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.checked_mul(factor)
}

/// `number`, which is not 0, in the greatest of `units` that leaves no remainder.
pub(super) fn print_scaled(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| number.is_multiple_of(*factor);
    let (unit, factor) = units.iter().filter(fits).max_by_key(|(_, factor)| *factor).unwrap_or(&("", 1));
    format!("{}{unit}", number / factor)
}

macro_rules! whole_number {
    ($($type:ty),+) => {$(
        impl Value for $type {
            const KIND: &'static str = "a whole number";
            fn parse(raw: &Raw) -> Result<Self, String> {
                raw.as_integer().and_then(|number| number.try_into().ok()).ok_or_else(expected_kind::<Self>)
            }
            fn show_toml(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )+};
}
whole_number!(u32, u64, usize);

impl Value for f64 {
    const KIND: &'static str = "a number";
    fn parse(raw: &Raw) -> Result<Self, String> {
        raw.as_float().filter(|number| number.is_finite()).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for bool {
    const KIND: &'static str = "true or false";
    fn parse(raw: &Raw) -> Result<Self, String> {
        raw.as_bool().ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for SocketAddr {
    const KIND: &'static str = "an address and a port, such as \"0.0.0.0:1935\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        raw.as_text().and_then(|text| text.parse().ok()).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(self)
    }
}

const TIME_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Value for Duration {
    const KIND: &'static str = "a duration, such as \"10s\" or \"500ms\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        let millis = raw.as_text().and_then(|text| parse_scaled(text, TIME_UNITS));
        millis.map(Self::from_millis).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        match self.as_millis() as u64 {
            0 => quote_toml("0s"),
            millis => quote_toml(print_scaled(millis, TIME_UNITS)),
        }
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: &'static str = T::KIND;
    const SECRET: bool = T::SECRET;
    fn parse(raw: &Raw) -> Result<Self, String> {
        T::parse(raw).map(Some)
    }
    fn show_toml(&self) -> Option<String> {
        self.as_ref().and_then(T::show_toml)
    }
    fn is_secret(&self) -> bool {
        self.as_ref().is_some_and(T::is_secret)
    }
    fn unset_value() -> Option<Self> {
        Some(None)
    }
}

/// Lists have at least one member, unless their type says otherwise.
impl<T: ListMember> Value for Vec<T> {
    const KIND: &'static str = T::LIST_KIND;
    fn parse(raw: &Raw) -> Result<Self, String> {
        let members = raw.as_list().filter(|members| T::MAY_BE_EMPTY || !members.is_empty());
        let members = members.ok_or_else(expected_kind::<Self>)?;
        let parsed = |raw: &Raw| T::parse(raw).map_err(|text| format!("{}: {text}", raw.quote_value()));
        members.iter().map(parsed).collect()
    }
    fn show_toml(&self) -> Option<String> {
        let members: Vec<_> = self.iter().filter_map(T::show_toml).collect();
        Some(format!("[{}]", members.join(", ")))
    }
    fn unset_value() -> Option<Self> {
        T::MAY_BE_EMPTY.then(Vec::new)
    }
}

/// A type that can be a member of a list.
pub(super) trait ListMember: Value {
    const LIST_KIND: &'static str;
    /// Whether a list of these may have no members, which is then its default.
    const MAY_BE_EMPTY: bool = false;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(Duration::parse(&text("10s")), Ok(Duration::from_secs(10)));
        assert_eq!(Duration::parse(&text("334ms")), Ok(Duration::from_millis(334)));
        assert_eq!(Duration::parse(&text("2 m")), Ok(Duration::from_secs(120)));
        assert_eq!(Duration::parse(&text("30d")), Ok(Duration::from_secs(30 * 86_400)));
        for bad in
            [text("10"), text("s"), text("-1s"), text("99999999999999999h"), text("1.5s"), Raw::Integer(10)]
        {
            assert!(Duration::parse(&bad).is_err(), "{bad:?}");
        }
        let shown = |millis| Duration::from_millis(millis).show_toml().unwrap();
        assert_eq!(
            [shown(0), shown(334), shown(90_000), shown(120_000)],
            ["\"0s\"", "\"334ms\"", "\"90s\"", "\"2m\""]
        );
    }

    #[test]
    fn truth_is_written_without_quotes_except_in_a_variable() {
        assert_eq!(bool::parse(&Raw::Bool(true)), Ok(true));
        assert_eq!(bool::parse(&Raw::Variable("false ".into())), Ok(false));
        assert!(bool::parse(&text("true")).is_err());
        assert!(bool::parse(&Raw::Variable("yes".into())).is_err());
    }

    #[test]
    fn numbers_in_a_file_are_not_quoted_and_in_a_variable_they_are_text() {
        assert_eq!(u32::parse(&Raw::Integer(7)), Ok(7));
        assert_eq!(u32::parse(&Raw::Variable(" 7".into())), Ok(7));
        assert!(u32::parse(&text("7")).is_err());
        assert!(u32::parse(&Raw::Integer(-1)).is_err());
        assert_eq!(f64::parse(&Raw::Integer(21)), Ok(21.0));
        assert!(f64::parse(&Raw::Float(f64::NAN)).is_err());
    }
}
