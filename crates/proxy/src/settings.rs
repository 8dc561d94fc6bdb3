//! Configuration sections that a proxy reads.

use headwater_runtime::config::{
    ClusterConfig, Config, DirectoryConfig, Input, InputMode, ProxyConfig, StoreConfig,
};

/// Settings of a proxy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Section `[proxy]`.
    pub proxy: ProxyConfig,
    /// Section `[cluster]`.
    pub cluster: ClusterConfig,
    /// Meaning of a stream key: `inputs.mode`.
    pub input_mode: InputMode,
    /// Section `[inputs]`: the streams that keys open, beside those of the directory.
    pub inputs: Vec<Input>,
    /// Section `[directory]`.
    pub directory: DirectoryConfig,
    /// Section `[store]`: settings that the directory's store shares with the store of recordings.
    pub store: StoreConfig,
}

impl From<Config> for Settings {
    fn from(Config { proxy, cluster, input_mode, inputs, directory, store, .. }: Config) -> Self {
        Self { proxy, cluster, input_mode, inputs, directory, store }
    }
}
