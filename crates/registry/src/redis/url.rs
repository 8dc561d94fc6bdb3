use std::fmt;
use std::str::FromStr;

use fred::types::config::Config;

/// Address of a Redis: `redis://[user:password@]host[:port][/database]`, or `rediss://…` for TLS with the certificates of
/// the system. User and password are percent-encoded. Neither `Debug` nor `Display` shows them.
#[derive(Clone)]
pub struct RedisUrl {
    scheme: &'static str,
    config: Config,
}

/// Why a text is not the URL of a Redis.
#[derive(Debug, thiserror::Error)]
pub enum RedisUrlError {
    #[error("the URL of Redis begins with redis:// or rediss://")]
    Scheme,
    #[error("not a URL of the form redis://[user:password@]host[:port][/database]: {0}")]
    Form(String),
}

impl RedisUrl {
    /// Host and port, for people.
    pub fn backend(&self) -> String {
        let hosts = self.config.server.hosts();
        hosts.first().map(|server| format!("{}:{}", server.host, server.port)).unwrap_or_default()
    }

    pub(super) fn client_config(&self) -> Config {
        self.config.clone()
    }
}

impl FromStr for RedisUrl {
    type Err = RedisUrlError;
    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        let scheme = match text.split_once("://") {
            Some(("redis", _)) => "redis",
            Some(("rediss", _)) => "rediss",
            _ => return Err(RedisUrlError::Scheme),
        };
        // The details name the fault, not the text.
        let form = |error: fred::error::Error| RedisUrlError::Form(error.details().to_owned());
        Ok(Self { scheme, config: Config::from_url_centralized(text).map_err(form)? })
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = if self.config.password.is_some() { "…@" } else { "" };
        write!(f, "{}://{user}{}", self.scheme, self.backend())?;
        self.config.database.map_or(Ok(()), |database| write!(f, "/{database}"))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_its_password_is_not_shown() {
        let url: RedisUrl = "redis://me:hunter%402@example.org:7000/3".parse().unwrap();
        assert_eq!(url.config.username.as_deref(), Some("me"));
        assert_eq!(url.config.password.as_deref(), Some("hunter@2"));
        assert_eq!(url.to_string(), "redis://…@example.org:7000/3");
        assert_eq!(format!("{url:?}"), url.to_string());
        assert_eq!("redis://localhost".parse::<RedisUrl>().unwrap().backend(), "localhost:6379");
    }

    #[test]
    fn what_is_not_a_url_of_redis_is_refused_without_repeating_it() {
        for bad in [
            "",
            "hunter2",
            "http://hunter2@h",
            "redis-cluster://h",
            "redis://",
            "redis://:hunter2@h:x/0",
            "redis://:hunter2@h/zero",
            "redis://:hunter2@h/300",
            "redis://:hunter2@h/1/2",
        ] {
            let error = bad.parse::<RedisUrl>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
