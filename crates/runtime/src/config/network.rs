//! Networks of IP addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::source::Raw;
use super::value::{ListMember, Value, expected_kind, quote_toml};

/// Network of IP addresses, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address is in the network. One of IPv4 may also be written as one of IPv6 (`::ffff:10.0.0.7`), as sockets
    /// for both do.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse().ok().or_else(address).map(Self).ok_or_else(expected_kind::<Self>)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Value for Network {
    const KIND: &'static str = "a network or an address, such as \"10.0.0.0/8\" or \"fd00::7\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        raw.as_text().ok_or_else(expected_kind::<Self>)?.parse()
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(self)
    }
}

impl ListMember for Network {
    const LIST_KIND: &'static str = "a list of networks, such as [\"10.0.0.0/8\", \"fd00::/8\"]";
    const MAY_BE_EMPTY: bool = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_addresses_of_their_family() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
            ("::/0", "::1", "127.0.0.1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network} {outside}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0", "host", "10.0.0.0/255.0.0.0"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
