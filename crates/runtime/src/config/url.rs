//! The URLs among the settings.

use std::fmt;

use http::Uri;

use super::source::Raw;
use super::value::{Value, expected_kind, quote_toml};

/// Address of the registry.
#[derive(Clone, PartialEq, Eq)]
pub enum RegistryUrl {
    /// In this process: for all services in one.
    Memory,
    /// The URL of a Redis, which may hold a password.
    Redis(String),
}

const REDIS_SCHEMES: &[&str] = &["redis", "rediss"];

impl Value for RegistryUrl {
    const KIND: &'static str = "\"memory\" or a URL, such as \"redis://host:6379\"";
    const SECRET: bool = true;
    fn parse(raw: &Raw) -> Result<Self, String> {
        match raw.as_text() {
            Some("memory") => Ok(Self::Memory),
            Some(text) if url_parts(text, REDIS_SCHEMES).is_some() => Ok(Self::Redis(text.into())),
            _ => Err(expected_kind::<Self>()),
        }
    }
    fn show_toml(&self) -> Option<String> {
        match self {
            Self::Memory => quote_toml("memory"),
            Self::Redis(url) => quote_toml(redact_url(url)),
        }
    }
    fn is_secret(&self) -> bool {
        matches!(self, Self::Redis(url) if redact_url(url) != *url)
    }
}

impl fmt::Debug for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show_toml().unwrap_or_default())
    }
}

/// URL that viewers reach the origins by, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for PublicUrl {
    const KIND: &'static str = "a URL, such as \"https://live.example.com\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        let text = raw.as_text().map(|text| text.trim_end_matches('/')).unwrap_or_default();
        let uri = url_parts(text, &["http", "https"])
            .filter(|uri| uri.query().is_none() && redact_url(text) == text);
        uri.map(|_| Self(text.into())).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(&self.0)
    }
}

/// An absolute URL with one of these schemes and a host.
fn url_parts(text: &str, schemes: &[&str]) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let known = schemes.contains(&uri.scheme_str()?);
    let hosted = uri.host().is_some_and(|host| !host.is_empty());
    (known && hosted).then_some(uri)
}

/// The URL without user, password and query, any of which may be secret.
fn redact_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?(hidden)"));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://(hidden)@{host}{query}"),
        None => format!("{scheme}://{rest}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(text: &str) -> Result<RegistryUrl, String> {
        RegistryUrl::parse(&Raw::Text(text.into()))
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = registry("rediss://user:pass@redis.example:6379/0").unwrap();
        assert!(url.is_secret());
        assert_eq!(format!("{url:?}"), "\"rediss://(hidden)@redis.example:6379/0\"");
        let open = registry("redis://redis:6379").unwrap();
        assert!(!open.is_secret());
        assert_eq!(open.show_toml().unwrap(), "\"redis://redis:6379\"");
    }

    #[test]
    fn only_what_can_be_dialled_is_taken() {
        assert_eq!(registry("memory"), Ok(RegistryUrl::Memory));
        for bad in ["redis", "redis:6379", "http://redis:6379", "redis://", "redis-cluster://redis:6379", ""]
        {
            assert!(registry(bad).is_err(), "{bad}");
        }
        assert_eq!(
            PublicUrl::parse(&Raw::Text("https://a.example/tv/".into())).unwrap().as_str(),
            "https://a.example/tv"
        );
        assert!(PublicUrl::parse(&Raw::Text("a.example".into())).is_err());
    }
}
