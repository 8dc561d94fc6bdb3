use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest server id; an ECS task id has 32 characters, a host name at most 253.
const SERVER_ID_LIMIT: usize = 253;

/// Names one run of a transcode server. A server that restarts takes a new id, so that nobody mistakes it for the
/// one before. 1 to 253 letters, digits, `-`, `_`, `.` and `:`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerId(Box<str>);

/// The text is not a server id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a server id has 1 to {SERVER_ID_LIMIT} letters, digits, '-', '_', '.' and ':'")]
pub struct ServerIdError;

impl ServerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerId {
    type Err = ServerIdError;
    fn from_str(text: &str) -> Result<Self, ServerIdError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        let fits = (1..=SERVER_ID_LIMIT).contains(&text.len());
        if fits && text.chars().all(allowed) { Ok(Self(text.into())) } else { Err(ServerIdError) }
    }
}

impl TryFrom<String> for ServerId {
    type Error = ServerIdError;
    fn try_from(text: String) -> Result<Self, ServerIdError> {
        text.parse()
    }
}

impl From<ServerId> for String {
    fn from(id: ServerId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A server's own record: address, load and state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRecord {
    pub id: ServerId,
    /// Address of its gRPC, `host:port`.
    pub address: String,
    /// Thousandths of a core that it may use for broadcasts.
    pub capacity_millicores: u32,
    /// Thousandths of a core that are in use or reserved.
    pub used_millicores: u32,
    /// How many broadcasts it works on.
    pub broadcasts: u32,
    /// Takes no new broadcasts.
    pub draining: bool,
    /// Version of the program.
    pub version: String,
}

impl ServerRecord {
    /// Whether something other than the load differs: what [`crate::RegistryEvent::ServersChanged`] tells.
    pub(crate) fn stands_as(&self, other: &Self) -> bool {
        let standing = |r: &Self| (r.address.clone(), r.capacity_millicores, r.draining, r.version.clone());
        standing(self) == standing(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_also_when_they_are_read() {
        assert_eq!("ip-10-0-0-1.ec2:7000".parse::<ServerId>().unwrap().as_str(), "ip-10-0-0-1.ec2:7000");
        for bad in ["", "a b", "{a}", "ü"] {
            assert_eq!(bad.parse::<ServerId>(), Err(ServerIdError), "{bad}");
            assert!(serde_json::from_str::<ServerId>(&format!("{bad:?}")).is_err(), "{bad}");
        }
    }
}
