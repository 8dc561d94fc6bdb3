//! The configuration of all services: one TOML file, and a variable `HEADWATER_…` for every setting.
//!
//! A configuration is a pure function of the file's text and the variables. Either it is right as a whole and comes out
//! as types that cannot be wrong, or every mistake is reported at once, each with its line or its variable.

mod certificates;
mod check;
mod error;
mod injected;
mod inputs;
mod network;
mod print;
mod reader;
mod secret;
mod source;
mod storage;
mod streams;
mod suggest;
mod table;
mod types;
mod url;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_media::SegmentSettings;
use headwater_media::ladder::Ladder;

pub use certificates::{CertificateFiles, CertificateName, PemFile};
pub use error::{ConfigError, ConfigErrors, Origin};
pub use inputs::{Input, InputMode};
pub use network::Network;
pub use print::reference;
pub use secret::Secret;
pub use source::{VARIABLE_PREFIX, variable};
pub use storage::{Directory, Encryption, RecordingMode, S3Name, StoreUrl};
pub use streams::StreamOverrides;
pub use table::{
    ACCEPT_TIMEOUT, ClusterConfig, ControlConfig, DirectoryConfig, HlsConfig, LogConfig, MAX_LEASE,
    MAX_LIVE_WINDOW, MAX_REPLAY_DURATION, MAX_WORKER_RESTARTS, OriginConfig, ProxyConfig, RecordingConfig,
    RegistryConfig, ServerConfig, StoreConfig, UpConfig,
};
pub use types::{Advertise, AppName, Bitrate, Capacity, LogFilter, LogFormat, Preset, Size, WorkerSandbox};
pub use url::{PublicUrl, RegistryUrl};

use reader::Reader;
use table::{LadderConfig, ProcessConfig};

/// Names the configuration file; the only variable that is no setting.
pub const FILE_VARIABLE: &str = "HEADWATER_CONFIG";

/// The configuration of all services.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How long a process that was told to stop may take.
    pub drain_timeout: Duration,
    pub registry: RegistryConfig,
    pub cluster: ClusterConfig,
    pub proxy: ProxyConfig,
    pub input_mode: InputMode,
    /// Live inputs of the configuration; those of the directory come beside them.
    pub inputs: Vec<Input>,
    pub directory: DirectoryConfig,
    pub server: ServerConfig,
    pub origin: OriginConfig,
    pub hls: HlsConfig,
    pub ladder: Ladder,
    pub store: StoreConfig,
    pub recording: RecordingConfig,
    /// Settings of single streams that differ from the general ones; [`Config::policy`] tells what holds for one.
    pub streams: Vec<StreamOverrides>,
    pub control: ControlConfig,
    pub up: UpConfig,
    pub log: LogConfig,
}

/// Which services a process runs: some settings are wrong for some processes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Proxy,
    Server,
    Origin,
    AllInOne,
}

/// A configuration file that was read.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// As it is shown in mistakes.
    pub path: &'a str,
    pub text: &'a str,
}

/// A configuration, and how it came to be.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// The effective configuration as commented TOML that can be fed back. What is secret is commented out.
    pub effective: String,
    /// Variables that were left aside, as a container platform sets them by itself.
    pub ignored: Vec<String>,
    /// Source of each setting, by its name.
    pub origins: BTreeMap<String, Origin>,
}

/// Makes the configuration of a process from its file and its environment. Variables of others are ignored.
///
/// # Errors
/// Every mistake there is.
pub fn load(
    service: Service,
    file: Option<File<'_>>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    let flat = file.map_or_else(|| Ok(Default::default()), |file| source::from_toml(file.path, file.text));
    let (flat, broken) = flat.map_or_else(|error| (Default::default(), Some(error)), |flat| (flat, None));
    let mut reader = Reader::new(flat, variables.into_iter().filter(|(name, _)| name != FILE_VARIABLE));
    reader.errors.extend(broken);
    let mut config = read_config(&mut reader);
    reader.refuse_the_rest();
    if let Some(config) = &mut config {
        config.store.url.resolve_auto(service);
        config.directory.url.settle_directory(service, &config.store.url);
        check::check_config(config, service, &mut reader);
    }
    match config {
        Some(config) if reader.errors.is_empty() => {
            let effective = print::print_toml(&reader.sections);
            let origins = reader.origins();
            Ok(Loaded { config, effective, ignored: reader.ignored, origins })
        }
        _ => Err(sort_errors(reader.errors)),
    }
}

/// Variables that may hold a secret: each may be given as a file, in a variable of the same name with `_FILE` behind it.
pub fn secret_variables() -> Vec<String> {
    let mut reader = Reader::default();
    read_config(&mut reader);
    let inputs = [inputs::SECTION.to_owned()];
    reader.secret_names.iter().chain(&inputs).map(|name| variable(name)).collect()
}

impl Config {
    /// The configuration of a process to which nobody said anything; for tests and examples.
    pub fn defaults() -> Self {
        read_config(&mut Reader::default()).expect("a test reads all defaults")
    }
}

impl RegistryConfig {
    /// The URL of the Redis; none for the memory of the process.
    pub fn redis_url(&self) -> Option<&str> {
        match &self.url {
            RegistryUrl::Memory => None,
            RegistryUrl::Redis(url) => Some(url),
        }
    }
}

impl ClusterConfig {
    /// Texts of the secret and of the one before it.
    pub fn secrets(&self) -> [Option<&str>; 2] {
        [&self.secret, &self.previous_secret].map(|secret| secret.as_ref().map(Secret::expose))
    }

    /// Files of the certificate that the service shows, and of its key.
    pub fn certificate_files(&self) -> Option<CertificateFiles> {
        let [certificate, key] =
            [&self.tls_certificate, &self.tls_key].map(|file| Some(file.as_ref()?.path().into()));
        Some(CertificateFiles { certificate: certificate?, key: key? })
    }
}

impl HlsConfig {
    /// Durations of segments and parts in whole milliseconds.
    pub fn segments(&self) -> SegmentSettings {
        let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        SegmentSettings { segment_ms: millis(self.segment_duration), part_ms: millis(self.part_duration) }
    }
}

impl From<LadderConfig> for Ladder {
    fn from(config: LadderConfig) -> Self {
        Self {
            rungs: config.rungs,
            preset: config.preset.as_str().into(),
            crf: config.crf,
            max_frame_rate: config.max_frame_rate,
            audio_bitrate: config.audio_bitrate.0,
        }
    }
}

/// Reads every section, and only then gives up on one that has a mistake.
fn read_config(reader: &mut Reader) -> Option<Config> {
    let process = ProcessConfig::read(reader);
    let registry = RegistryConfig::read(reader);
    let cluster = ClusterConfig::read(reader);
    let proxy = ProxyConfig::read(reader);
    let (input_mode, inputs) = inputs::read_inputs(reader);
    let directory = DirectoryConfig::read(reader);
    let server = ServerConfig::read(reader);
    let origin = OriginConfig::read(reader);
    let hls = HlsConfig::read(reader);
    let ladder = LadderConfig::read(reader);
    let store = StoreConfig::read(reader);
    let recording = RecordingConfig::read(reader);
    let streams = streams::read_streams(reader);
    let control = ControlConfig::read(reader);
    let up = UpConfig::read(reader);
    let log = LogConfig::read(reader);
    Some(Config {
        drain_timeout: process?.drain_timeout,
        registry: registry?,
        cluster: cluster?,
        proxy: proxy?,
        input_mode: input_mode?,
        inputs,
        directory: directory?,
        server: server?,
        origin: origin?,
        hls: hls?,
        ladder: ladder?.into(),
        store: store?,
        recording: recording?,
        streams,
        control: control?,
        up: up?,
        log: log?,
    })
}

fn sort_errors(mut errors: Vec<ConfigError>) -> ConfigErrors {
    errors.sort();
    ConfigErrors(errors)
}
