//! Access of publishers that have shown the stream key of a live input.

use std::net::IpAddr;
use std::time::Duration;

use headwater_media::UnixMillis;
use ipnet::IpNet;

/// Rule of a live input about who may publish with its stream key, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishRule<'a> {
    /// Whether the stream key opens the stream.
    pub enabled: bool,
    /// Reason for which an operator has blocked the input, whatever `enabled` says.
    pub blocked: Option<&'a str>,
    /// Networks that may publish; all where there is none.
    pub allowed_addresses: &'a [IpNet],
    /// Time that the stream key works for without being used; none where it does not expire.
    pub unused_lifetime: Option<Duration>,
    /// Time at which the stream key was made or last seen in use.
    pub key_seen: UnixMillis,
}

/// Answer to a publisher that has shown the stream key of a live input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputAccess<'a> {
    Admitted,
    /// An operator has blocked the input, for this reason.
    Blocked(&'a str),
    Disabled,
    /// The key was not used for as long as the input allows.
    Expired,
    AddressNotAllowed,
}

impl<'a> PublishRule<'a> {
    /// Whether a publisher from this address may publish now.
    pub fn check_access(&self, address: IpAddr, now: UnixMillis) -> InputAccess<'a> {
        // First: elsewhere nobody is told anything about the input.
        if !self.allows_address(address) {
            InputAccess::AddressNotAllowed
        } else if let Some(reason) = self.blocked {
            InputAccess::Blocked(reason)
        } else if !self.enabled {
            InputAccess::Disabled
        } else if self.is_expired(now) {
            InputAccess::Expired
        } else {
            InputAccess::Admitted
        }
    }

    fn is_expired(&self, now: UnixMillis) -> bool {
        let unused = Duration::from_millis(now.0.saturating_sub(self.key_seen.0));
        self.unused_lifetime.is_some_and(|lifetime| unused > lifetime)
    }

    /// An IPv4 address is the same in its IPv6 form (RFC 4291 §2.5.5.2).
    fn allows_address(&self, address: IpAddr) -> bool {
        let networks = self.allowed_addresses;
        networks.is_empty() || networks.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: UnixMillis = UnixMillis(1_800_000_000_000);
    const OPEN: PublishRule<'_> = PublishRule {
        enabled: true,
        blocked: None,
        allowed_addresses: &[],
        unused_lifetime: None,
        key_seen: SEEN,
    };

    fn after(seconds: u64) -> UnixMillis {
        UnixMillis(SEEN.0 + seconds * 1_000)
    }

    #[test]
    fn addresses_of_the_networks_may_publish_in_either_form() {
        let networks = ["192.0.2.0/24", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let rule = PublishRule { allowed_addresses: &networks, ..OPEN };
        let asked = |address: &str| rule.check_access(address.parse().unwrap(), SEEN);
        for address in ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"] {
            assert_eq!(asked(address), InputAccess::Admitted, "{address}");
        }
        for address in ["192.0.3.7", "::ffff:192.0.3.7", "2001:db9::1"] {
            assert_eq!(asked(address), InputAccess::AddressNotAllowed, "{address}");
        }
    }

    #[test]
    fn a_key_that_nobody_used_for_so_long_is_expired() {
        let rule = PublishRule { unused_lifetime: Some(Duration::from_secs(600)), ..OPEN };
        let asked = |rule: PublishRule<'static>, seconds| {
            rule.check_access("192.0.2.7".parse().unwrap(), after(seconds))
        };
        assert_eq!(asked(rule, 600), InputAccess::Admitted);
        assert_eq!(asked(rule, 601), InputAccess::Expired);
        assert_eq!(asked(OPEN, 1_000_000), InputAccess::Admitted);
    }

    #[test]
    fn an_address_that_may_not_publish_is_told_nothing_else_of_the_input() {
        let networks = ["192.0.2.0/24".parse().unwrap()];
        let unused_lifetime = Some(Duration::from_secs(1));
        let blocked = Some("a claim");
        let rule =
            PublishRule { enabled: false, blocked, allowed_addresses: &networks, unused_lifetime, ..OPEN };
        let asked = rule.check_access("192.0.3.7".parse().unwrap(), after(2));
        assert_eq!(asked, InputAccess::AddressNotAllowed);
    }

    #[test]
    fn a_block_is_told_with_its_reason_whatever_else_holds() {
        let rule = PublishRule { enabled: false, blocked: Some("a claim"), ..OPEN };
        assert_eq!(rule.check_access("192.0.2.7".parse().unwrap(), SEEN), InputAccess::Blocked("a claim"));
    }

    #[test]
    fn a_disabled_input_admits_nobody() {
        let rule = PublishRule { enabled: false, ..OPEN };
        assert_eq!(rule.check_access("192.0.2.7".parse().unwrap(), SEEN), InputAccess::Disabled);
    }
}
