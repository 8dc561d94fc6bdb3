//! Parts of the configuration that a server reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_media::StreamId;
use headwater_media::broadcast::{Policy, PolicyOverrides, RecordedRenditions};
use headwater_platform::store::ObjectStore;
use headwater_runtime::config::{
    ClusterConfig, Config, HlsConfig, RecordingConfig, ServerConfig, StoreConfig,
};

/// Settings of a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Section `[server]`.
    pub server: ServerConfig,
    /// Section `[cluster]`.
    pub cluster: ClusterConfig,
    /// Section `[hls]`.
    pub hls: HlsConfig,
    /// Section `[recording]`.
    pub recording: RecordingConfig,
    /// Store of recordings and DVR windows.
    pub store: StoreSource,
    /// Policies of the streams: sections `[ladder]`, `[recording]` and `[streams]`.
    pub policies: Policies,
    /// Setting `registry.lease`: how long a server has a stream without renewing it.
    pub lease: Duration,
    /// Setting `drain_timeout`: how long the process may take from being told to stop.
    pub drain_timeout: Duration,
}

/// Store that a server opens, or is given.
#[derive(Clone, Debug)]
pub enum StoreSource {
    /// Store that the section `[store]` names, if it names one.
    Configured(StoreConfig),
    /// Store that is open, such as one in the memory of a simulation.
    Opened(Arc<dyn ObjectStore>),
}

/// Policies of all streams, as far as the configuration says.
#[derive(Clone, Debug)]
pub struct Policies {
    general: StreamPolicy,
    own: HashMap<StreamId, StreamPolicy>,
}

#[derive(Clone, Debug)]
struct StreamPolicy {
    policy: Policy,
    /// Renditions that a recording keeps, should a live input ask for it.
    renditions: RecordedRenditions,
    /// Time that recordings are kept; none for ever.
    retention: Option<Duration>,
}

impl From<Config> for Settings {
    fn from(config: Config) -> Self {
        Self {
            policies: Policies::from(&config),
            lease: config.registry.lease,
            drain_timeout: config.drain_timeout,
            store: StoreSource::Configured(config.store),
            server: config.server,
            cluster: config.cluster,
            hls: config.hls,
            recording: config.recording,
        }
    }
}

impl From<&Config> for Policies {
    fn from(config: &Config) -> Self {
        let own_of = |stream: &StreamId| StreamPolicy {
            policy: config.policy(stream),
            renditions: config.renditions(stream),
            retention: config.retention(stream),
        };
        let general = StreamPolicy {
            policy: config.general_policy(),
            renditions: config.recording.renditions,
            retention: config.general_retention(),
        };
        let streams = config.streams.iter().map(|own| &own.stream);
        Self { general, own: streams.map(|stream| (stream.clone(), own_of(stream))).collect() }
    }
}

impl Policies {
    /// Policy of a stream without settings of its own.
    pub fn general_policy(&self) -> &Policy {
        &self.general.policy
    }

    /// Policy of a broadcast of a stream that begins without settings of a live input.
    pub fn policy_of(&self, stream: &StreamId) -> &Policy {
        &self.find(stream).policy
    }

    /// Policy of a broadcast of a stream that begins with these settings of its live input.
    pub fn policy_with(&self, stream: &StreamId, own: PolicyOverrides) -> Policy {
        let StreamPolicy { policy, renditions, .. } = self.find(stream);
        policy.clone().override_with(own, *renditions)
    }

    /// Time that recordings of a stream are kept; none for ever.
    pub fn retention_of(&self, stream: &StreamId) -> Option<Duration> {
        self.find(stream).retention
    }

    fn find(&self, stream: &StreamId) -> &StreamPolicy {
        self.own.get(stream).unwrap_or(&self.general)
    }
}

#[cfg(test)]
mod tests {
    use headwater_runtime::config::{File, Service, load};

    use super::*;

    #[test]
    fn settings_of_single_streams_and_of_other_sections_are_handed_on() {
        let text = "drain_timeout = \"40s\"\nregistry.lease = \"7s\"\nserver.reconnect_window = \"9s\"\n\
                    recording.retention = \"30d\"\n[streams.short]\nreconnect_window = \"3s\"\nretention = \"1d\"";
        let config = load(Service::AllInOne, Some(File { path: "hw.toml", text }), []).unwrap().config;
        let settings = Settings::from(config);
        assert_eq!(settings.drain_timeout, Duration::from_secs(40));
        assert_eq!(settings.lease, Duration::from_secs(7));
        let figures = |stream: &str| {
            let stream = stream.parse().unwrap();
            let window = settings.policies.policy_of(&stream).reconnect_window;
            (window.as_secs(), settings.policies.retention_of(&stream).map(|kept| kept.as_secs() / 86_400))
        };
        assert_eq!(figures("short"), (3, Some(1)));
        assert_eq!(figures("other"), (9, Some(30)));
        assert_eq!(
            settings.policies.general_policy(),
            settings.policies.policy_of(&"other".parse().unwrap())
        );
    }
}
