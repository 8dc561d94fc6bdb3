use std::sync::Arc;
use std::time::Duration;

use crate::{
    KeyPrefixError, MemoryRegistry, RedisRegistry, RedisSettings, RedisUrlError, Registry, RegistryError,
    Ttls,
};

/// Why a registry can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("registry.url: {0}")]
    Url(#[from] RedisUrlError),
    #[error("registry.prefix: {0}")]
    Prefix(#[from] KeyPrefixError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// The registry that a configuration names: the Redis at this URL, where every key starts with `<prefix>:`, or the
/// memory of this process. `lease` is how long an ownership holds without being renewed.
///
/// # Errors
/// When the URL or the prefix is none, or TLS can't be set up. A Redis that is down is waited for.
pub fn open(redis: Option<&str>, prefix: &str, lease: Duration) -> Result<Arc<dyn Registry>, OpenError> {
    let ttls = Ttls { lease, ..Ttls::default() };
    let Some(url) = redis else { return Ok(Arc::new(MemoryRegistry::new(ttls))) };
    // For `rediss://`. Another part of the process may have installed one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = RedisSettings { url: url.parse()?, prefix: format!("{prefix}:").parse()?, ttls };
    Ok(Arc::new(RedisRegistry::connect(settings)?))
}
