//! The types of settings that are more than a number, an address or a duration.

use std::fmt;
use std::str::FromStr;
use std::thread::available_parallelism;

use headwater_media::ladder::Rung;
use tracing_subscriber::EnvFilter;

use super::source::Raw;
use super::value::{ListMember, Value, expected_kind, parse_scaled, parse_text, print_scaled, quote_toml};

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const SIZE_UNITS: &[(&str, u64)] = &[("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

impl Value for Size {
    const KIND: &'static str = "a number of bytes, such as 65536 or \"64MiB\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        let number = raw.as_integer().and_then(|number| number.try_into().ok());
        let number = number.or_else(|| parse_scaled(raw.as_text()?, SIZE_UNITS));
        number.map(Self).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        if self.0 == 0 { quote_toml("0") } else { quote_toml(print_scaled(self.0, SIZE_UNITS)) }
    }
}

/// Bits a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bitrate(pub u32);

const BITRATE_UNITS: &[(&str, u64)] = &[("", 1), ("k", 1_000), ("M", 1_000_000)];

impl Value for Bitrate {
    const KIND: &'static str = "bits a second, such as 128000 or \"128k\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        let number = raw.as_integer().and_then(|number| number.try_into().ok());
        let number = number.or_else(|| parse_scaled(raw.as_text()?, BITRATE_UNITS));
        number.and_then(|number| number.try_into().ok()).map(Self).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(print_scaled(self.0.into(), BITRATE_UNITS))
    }
}

/// How much a server takes on, in processor cores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Capacity {
    /// As many cores as this process may use.
    Auto,
    Cores(f64),
}

impl Capacity {
    /// Number of processor cores.
    pub fn cores(self) -> f64 {
        match self {
            Self::Auto => available_parallelism().map_or(1.0, |cores| cores.get() as f64),
            Self::Cores(cores) => cores,
        }
    }
}

impl Value for Capacity {
    const KIND: &'static str = "a number of cores above 0, or \"auto\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        let cores = || raw.as_float().filter(|cores| cores.is_finite() && *cores > 0.0).map(Self::Cores);
        let auto = raw.as_text().filter(|text| *text == "auto").map(|_| Self::Auto);
        auto.or_else(cores).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        match self {
            Self::Auto => quote_toml("auto"),
            Self::Cores(cores) => cores.show_toml(),
        }
    }
}

/// A host, with or without a port, that others reach this process by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// A name or an IP address, the latter without brackets.
    pub host: String,
    pub port: Option<u16>,
}

impl FromStr for Advertise {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, port) = match (bracketed, text.rsplit_once(':')) {
            (Some((host, "")), _) => (host, None),
            (Some((host, rest)), _) => {
                (host, Some(rest.strip_prefix(':').ok_or_else(expected_kind::<Self>)?))
            }
            (None, Some((host, port))) if !host.contains(':') => (host, Some(port)),
            (None, _) => (text, None),
        };
        let port =
            port.map(|port| port.parse().ok().filter(|port| *port > 0).ok_or_else(expected_kind::<Self>));
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let named = !host.is_empty() && host.chars().all(allowed);
        let numbered = host.parse::<std::net::Ipv6Addr>().is_ok();
        if !named && !numbered {
            return Err(expected_kind::<Self>());
        }
        Ok(Self { host: host.into(), port: port.transpose()? })
    }
}

impl fmt::Display for Advertise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port) {
            (false, None) => f.write_str(&self.host),
            (false, Some(port)) => write!(f, "{}:{port}", self.host),
            (true, None) => write!(f, "[{}]", self.host),
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
        }
    }
}

impl Value for Advertise {
    const KIND: &'static str = "a host or a host and a port, such as \"10.0.0.7\" or \"server-1:7000\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        parse_text(raw)
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(self)
    }
}

/// An application of an RTMP URL: `live` in `rtmp://host/live/key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppName(String);

impl AppName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for AppName {
    const KIND: &'static str = "letters, digits, '-', '_' and '/'";
    fn parse(raw: &Raw) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/');
        let text = raw.as_text().filter(|text| !text.is_empty() && text.chars().all(allowed));
        text.map(|text| Self(text.into())).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(&self.0)
    }
}

impl ListMember for AppName {
    const LIST_KIND: &'static str = "a list of names, such as [\"live\", \"stream\"]";
}

/// An x264 speed preset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset(String);

/// The slower ones are not for live encoding.
const PRESETS: &[&str] = &["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"];

impl Preset {
    /// The preset's name as x264 knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Preset {
    const KIND: &'static str =
        "a preset of x264: ultrafast, superfast, veryfast, faster, fast, medium or slow";
    fn parse(raw: &Raw) -> Result<Self, String> {
        let text = raw.as_text().filter(|text| PRESETS.contains(text));
        text.map(|text| Self(text.into())).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(&self.0)
    }
}

impl Value for Rung {
    const KIND: &'static str = "a rung, such as \"1280x720@2800k\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        parse_text(raw)
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(self)
    }
}

impl ListMember for Rung {
    const LIST_KIND: &'static str = "a list of rungs, such as [\"1280x720@2800k\", \"640x360@800k\"]";
}

/// Whether workers must be shut in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerSandbox {
    Required,
    Preferred,
    Off,
}

impl Value for WorkerSandbox {
    const KIND: &'static str = "\"required\", \"preferred\" or \"off\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        match raw.as_text() {
            Some("required") => Ok(Self::Required),
            Some("preferred") => Ok(Self::Preferred),
            Some("off") => Ok(Self::Off),
            _ => Err(expected_kind::<Self>()),
        }
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(match self {
            Self::Required => "required",
            Self::Preferred => "preferred",
            Self::Off => "off",
        })
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Value for LogFormat {
    const KIND: &'static str = "\"text\" or \"json\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        match raw.as_text() {
            Some("text") => Ok(Self::Text),
            Some("json") => Ok(Self::Json),
            _ => Err(expected_kind::<Self>()),
        }
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(if *self == Self::Json { "json" } else { "text" })
    }
}

/// Which events are logged: a level, or directives such as `info,headwater_proxy=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The filter for `tracing`.
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl Value for LogFilter {
    const KIND: &'static str = "a level (error, warn, info, debug, trace, off), or directives such as \
        \"info,headwater_proxy=debug\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        let text = raw.as_text().filter(|text| text.split(',').all(is_directive));
        text.map(|text| Self(text.into())).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(&self.0)
    }
}

/// A bare word that is no level would be taken for a target, and a misspelt level would turn everything on.
fn is_directive(text: &str) -> bool {
    let bare = text.chars().all(|c| c.is_ascii_alphanumeric());
    let level = || text.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    !text.is_empty() && EnvFilter::try_new(text).is_ok() && (!bare || level())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: Value>(text: &str) -> Option<T> {
        T::parse(&Raw::Text(text.into())).ok()
    }

    #[test]
    fn an_advertised_host_may_have_a_port() {
        for (text, host, port) in [
            ("server-1", "server-1", None),
            ("10.0.0.7:7000", "10.0.0.7", Some(7000)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[fd00::7]:7000", "fd00::7", Some(7000)),
        ] {
            assert_eq!(parse(text), Some(Advertise { host: host.into(), port }), "{text}");
        }
        for bad in ["", ":7000", "host:", "host:0", "host:70000", "http://host", "[::1]7000", "a b"] {
            assert_eq!(parse::<Advertise>(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_and_bit_rates_have_units() {
        assert_eq!(parse("64MiB"), Some(Size(64 << 20)));
        assert_eq!(parse("65536"), Some(Size(65536)));
        assert_eq!(Size::parse(&Raw::Integer(7)), Ok(Size(7)));
        assert_eq!(parse::<Size>("64MB"), None);
        assert_eq!(Size(64 << 20).show_toml().unwrap(), "\"64MiB\"");
        assert_eq!(Size(0).show_toml().unwrap(), "\"0\"");
        assert_eq!(parse("128k"), Some(Bitrate(128_000)));
        assert_eq!(parse::<Bitrate>("9999M"), None);
    }

    #[test]
    fn a_misspelt_log_level_is_a_mistake() {
        for good in ["info", "off", "info,headwater_proxy=debug", "warn,h2=off"] {
            assert!(parse::<LogFilter>(good).is_some(), "{good}");
        }
        for bad in ["", "inof", "info,headwater_proxy=debgu", "info,"] {
            assert!(parse::<LogFilter>(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn capacity_is_auto_or_a_number() {
        assert_eq!(parse("auto"), Some(Capacity::Auto));
        assert_eq!(Capacity::parse(&Raw::Float(1.5)), Ok(Capacity::Cores(1.5)));
        assert_eq!(Capacity::parse(&Raw::Variable("3".into())), Ok(Capacity::Cores(3.0)));
        assert!(Capacity::parse(&Raw::Integer(0)).is_err());
        assert!(Capacity::Auto.cores() >= 1.0);
    }
}
