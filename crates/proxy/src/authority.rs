//! Authority: decides which stream a publisher's key opens, and whether this publisher may publish it now.

mod supervision;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use headwater_access::InputAccess;
use headwater_directory::{Directory, DirectoryCopy, DirectoryError, Found, LiveInput};
use headwater_media::broadcast::PolicyOverrides;
use headwater_media::{StreamId, StreamKey};
use headwater_registry::{Registry, RegistryEvent};
use headwater_runtime::clock;
use headwater_runtime::config::{Input, InputMode};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

pub use self::supervision::Supervision;

/// Time after which changes are looked for again while the registry, which tells of them, does not answer. With the time that the
/// registry and the store may take, a publisher whose permit is withdrawn is found within two seconds.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Longest wait for the registry's answer before a recheck.
const REGISTRY_TIME: Duration = Duration::from_millis(250);

/// Authority over the streams of one proxy.
#[derive(Debug)]
pub struct Authority {
    mode: InputMode,
    /// Inputs of the configuration.
    inputs: HashMap<StreamKey, StreamId>,
    directory: Option<DirectoryCopy>,
    /// Count of changes that the registry told of, or that may have been missed.
    changes: watch::Sender<u64>,
}

/// Leave to publish a stream.
#[derive(Debug)]
pub struct Permit {
    pub stream: StreamId,
    /// Live input of the directory; none for a key of the configuration, or where keys are names.
    pub input: Option<LiveInput>,
}

impl Permit {
    /// Settings of the live input that count over the configuration of the server.
    pub fn policy_overrides(&self) -> PolicyOverrides {
        self.input.as_ref().map(|input| input.settings.policy_overrides()).unwrap_or_default()
    }
}

/// Fault of a key that opens nothing, or not now. It never holds the key, which is a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the stream key is not known: copy it again from where you were given it")]
    Unknown,
    #[error("the stream key is no stream name: {0}")]
    NotAName(#[from] headwater_media::ids::NameError),
    #[error("this live input is disabled: enable it, or use another stream key")]
    Disabled,
    #[error("this live input is blocked{}", show_reason(.0))]
    Blocked(String),
    #[error("the stream key has expired, as nobody has used it: ask for a new one")]
    Expired,
    #[error("this live input may not be published from your address")]
    AddressNotAllowed,
    /// The cause concerns the operator, and is in the log.
    #[error("stream keys can't be looked up just now: try again in a moment")]
    Unavailable(#[source] DirectoryError),
}

impl Authority {
    /// Authority that goes by these inputs of the configuration, and by the directory if there is one.
    pub fn new(
        mode: InputMode,
        inputs: impl IntoIterator<Item = Input>,
        directory: Option<Directory>,
    ) -> Self {
        let inputs = inputs.into_iter().map(|input| (input.key, input.stream)).collect();
        let directory = directory.map(DirectoryCopy::new);
        Self { mode, inputs, directory, changes: watch::Sender::default() }
    }

    /// Asks whether a publisher with this key and address may publish now, and which stream.
    ///
    /// # Errors
    /// When the key opens nothing, or not now, or not from there.
    pub async fn permit(&self, key: &StreamKey, client: IpAddr) -> Result<Permit, KeyError> {
        if self.mode == InputMode::Open {
            return Ok(Permit { stream: key.expose().parse()?, input: None });
        }
        if let Some(stream) = self.inputs.get(key) {
            return Ok(Permit { stream: stream.clone(), input: None });
        }
        let copy = self.directory.as_ref().ok_or(KeyError::Unknown)?;
        let input = match copy.find_input(key).await {
            Found::Input(input) => *input,
            Found::Unknown => return Err(KeyError::Unknown),
            Found::Unavailable(error) => return Err(KeyError::Unavailable(error)),
        };
        match input.publish_rule().check_access(client, clock::now()) {
            InputAccess::Admitted => Ok(Permit { stream: input.uid.clone(), input: Some(input) }),
            InputAccess::Blocked(reason) => Err(KeyError::Blocked(reason.into())),
            InputAccess::Disabled => Err(KeyError::Disabled),
            InputAccess::Expired => Err(KeyError::Expired),
            InputAccess::AddressNotAllowed => Err(KeyError::AddressNotAllowed),
        }
    }

    /// Hears of changed inputs from the registry, until it is dropped; ends at once where there is no directory. While the
    /// registry does not answer, every input is taken for changed now and then, so that one that was withdrawn is found in
    /// the store.
    pub async fn follow(&self, registry: Arc<dyn Registry>) {
        let Some(copy) = &self.directory else { return };
        let mut events = registry.watch();
        let mut recheck = interval(RECHECK_INTERVAL);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(RegistryEvent::InputChanged(uid)) => copy.forget(&uid),
                    Some(RegistryEvent::Missed) => copy.forget_all(),
                    Some(_) => continue,
                    None => return,
                },
                _ = recheck.tick() => match timeout(REGISTRY_TIME, registry.ready()).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(_)) | Err(_) => copy.forget_all(),
                },
            }
            self.changes.send_modify(|changes| *changes += 1);
        }
    }
}

/// End of a text with a reason, which may be empty.
fn show_reason(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

impl KeyError {
    /// Value of the metrics' label `reason`.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::Unknown | Self::NotAName(_) => "key",
            Self::Disabled => "key_disabled",
            Self::Blocked(_) => "blocked",
            Self::Expired => "key_expired",
            Self::AddressNotAllowed => "address",
            Self::Unavailable(_) => "directory",
        }
    }
}

#[cfg(test)]
mod tests;
