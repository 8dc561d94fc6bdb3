//! Parts of the configuration that an origin reads.

use std::collections::HashMap;
use std::time::Duration;

use headwater_media::{MediaTime, StreamId};
use headwater_runtime::config::{
    ClusterConfig, Config, ControlConfig, DirectoryConfig, InputMode, OriginConfig, StoreConfig,
    WorkerSandbox,
};

/// Settings of an origin.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Section `[origin]`.
    pub origin: OriginConfig,
    /// Section `[cluster]`.
    pub cluster: ClusterConfig,
    /// Section `[control]`.
    pub control: ControlConfig,
    /// Section `[store]`.
    pub store: StoreConfig,
    /// Section `[directory]`.
    pub directory: DirectoryConfig,
    /// Setting `inputs.mode`: whether stream keys are secrets.
    pub input_mode: InputMode,
    /// Streams of the configuration's own live inputs.
    pub file_inputs: Vec<StreamId>,
    /// Setting `registry.lease`: how long a server has a stream without renewing it.
    pub lease: Duration,
    /// Setting `proxy.replay_duration`: how long a proxy keeps media for the next server of its stream.
    pub replay_duration: Duration,
    /// Setting `server.worker_sandbox`, which also confines the processes that make still pictures.
    pub worker_sandbox: WorkerSandbox,
    /// Setting `recording.dvr_window`: how far viewers can go back; zero for not beyond the live window.
    pub dvr_window: MediaTime,
    /// The DVR window of each stream that has settings of its own in `[streams]`.
    pub dvr_windows: HashMap<StreamId, MediaTime>,
}

impl From<Config> for Settings {
    fn from(config: Config) -> Self {
        let window = |stream: &StreamId| (stream.clone(), config.policy(stream).dvr_window.into());
        Self {
            dvr_windows: config.streams.iter().map(|own| window(&own.stream)).collect(),
            dvr_window: config.recording.dvr_window.into(),
            lease: config.registry.lease,
            replay_duration: config.proxy.replay_duration,
            worker_sandbox: config.server.worker_sandbox,
            origin: config.origin,
            cluster: config.cluster,
            control: config.control,
            store: config.store,
            directory: config.directory,
            input_mode: config.input_mode,
            file_inputs: config.inputs.into_iter().map(|input| input.stream).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_runtime::config::{File, Service, load};

    use super::*;

    #[test]
    fn settings_of_other_services_that_an_origin_heeds_are_handed_on() {
        let text = "registry.lease = \"7s\"\nproxy.replay_duration = \"9s\"\nserver.worker_sandbox = \"off\"\n\
                    store.url = \"file:///tmp/store\"\nrecording.dvr_window = \"2h\"\ninputs.mode = \"keys\"\n\
                    inputs.studio = \"hunter2\"\n[streams.short]\ndvr_window = \"1h\"";
        let config = load(Service::AllInOne, Some(File { path: "hw.toml", text }), []).unwrap().config;
        let settings = Settings::from(config);
        assert_eq!(settings.lease, Duration::from_secs(7));
        assert_eq!(settings.replay_duration, Duration::from_secs(9));
        assert_eq!(settings.worker_sandbox, WorkerSandbox::Off);
        assert_eq!(settings.input_mode, InputMode::Keys);
        assert_eq!(settings.file_inputs, ["studio".parse().unwrap()]);
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert_eq!(settings.dvr_window, MediaTime::from_millis(7_200_000));
        let of_short = MediaTime::from_millis(3_600_000);
        assert_eq!(settings.dvr_windows, HashMap::from([("short".parse().unwrap(), of_short)]));
    }
}
