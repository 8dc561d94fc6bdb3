//! The RTMP URL that a command publishes to.

use headwater_rtmp::ClientConfig;
use http::Uri;

/// RTMP's own port.
const RTMP_PORT: u16 = 1935;

/// A place to publish to. No `Debug`: the key is a secret.
#[derive(Clone)]
pub struct Target {
    pub host: String,
    pub port: u16,
    pub app: String,
    /// The stream key, with its query.
    pub key: String,
}

impl Target {
    /// Parses `rtmp://host[:port]/app/key`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = "it looks like rtmp://host[:port]/app/key";
        let uri: Uri = text.parse().map_err(|_| wanted.to_owned())?;
        if uri.scheme_str() != Some("rtmp") {
            return Err(wanted.into());
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(wanted)?;
        let path = uri.path_and_query().map_or("", |path| path.as_str()).trim_start_matches('/');
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let (app, key) =
            path.rsplit_once('/').filter(|(app, key)| !app.is_empty() && !key.is_empty()).ok_or(wanted)?;
        let key = query.map_or_else(|| key.to_owned(), |query| format!("{key}?{query}"));
        Ok(Self { host: host.into(), port: uri.port_u16().unwrap_or(RTMP_PORT), app: app.into(), key })
    }

    /// Configuration of a client session that publishes here.
    pub fn session_config(&self) -> ClientConfig {
        let Self { host, port, app, key } = self;
        ClientConfig::new(app, format!("rtmp://{host}:{port}/{app}"), key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_host_an_app_and_a_key() {
        let target = Target::parse("rtmp://media.example/app/inst/key?youtube=a").ok().unwrap();
        assert_eq!((target.host.as_str(), target.port), ("media.example", 1935));
        assert_eq!((target.app.as_str(), target.key.as_str()), ("app/inst", "key?youtube=a"));
        for bad in ["", "http://h/a/k", "rtmp://h/a", "rtmp://h", "rtmp:///a/k"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
