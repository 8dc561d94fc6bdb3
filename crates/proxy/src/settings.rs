//! The sections of the configuration that a proxy reads.

use headwater_runtime::config::{Config, Input, ProxyConfig};

/// The settings of a proxy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[proxy]`.
    pub proxy: ProxyConfig,
    /// `[[inputs]]`: the streams that keys open.
    pub inputs: Vec<Input>,
}

impl From<Config> for Settings {
    fn from(Config { proxy, inputs, .. }: Config) -> Self {
        Self { proxy, inputs }
    }
}
