//! Configuration sections that a proxy reads.

use headwater_runtime::config::{Config, Input, ProxyConfig};

/// Settings of a proxy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Section `[proxy]`.
    pub proxy: ProxyConfig,
    /// Sections `[[inputs]]`: the streams that keys open.
    pub inputs: Vec<Input>,
}

impl From<Config> for Settings {
    fn from(Config { proxy, inputs, .. }: Config) -> Self {
        Self { proxy, inputs }
    }
}
