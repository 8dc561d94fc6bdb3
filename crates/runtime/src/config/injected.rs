//! Variables that a container platform sets by itself for each of its services.
//!
//! Kubernetes describes every Service of a namespace in the environment of each pod, under the Service's name in capitals:
//! a Service called `headwater` or `headwater-proxy` gives `HEADWATER_SERVICE_HOST`, `HEADWATER_PROXY_PORT` and so on.
//! Docker's links do the same. None of these is a setting, and nobody wrote it by mistake.

use super::source::VARIABLE_PREFIX;

/// Whether a platform sets a variable of this name to such a value by itself.
pub(super) fn is_injected(name: &str, value: &str) -> bool {
    let Some(bare) = name.strip_prefix(VARIABLE_PREFIX) else { return false };
    // Some forms come with nothing before them: the Service is called `headwater`.
    let bare = format!("_{bare}");
    is_host(&bare) || is_number(&bare, value) || is_url(&bare, value) || is_part_of_port(&bare)
}

/// `…_SERVICE_HOST`
fn is_host(bare: &str) -> bool {
    bare.ends_with("_SERVICE_HOST")
}

/// `…_SERVICE_PORT` and `…_SERVICE_PORT_<NAME>`: a number.
fn is_number(bare: &str, value: &str) -> bool {
    let is_named = bare.ends_with("_SERVICE_PORT") || bare.contains("_SERVICE_PORT_");
    is_named && value.trim().parse::<u16>().is_ok()
}

/// `…_PORT` and `…_PORT_<NUMBER>_<PROTOCOL>`: `tcp://10.0.0.1:1935`.
fn is_url(bare: &str, value: &str) -> bool {
    let is_named = bare.ends_with("_PORT") || port_and_rest(bare).is_some_and(|rest| rest.is_empty());
    is_named && ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.trim().starts_with(scheme))
}

/// `…_PORT_<NUMBER>_<PROTOCOL>_ADDR`, `_PORT` and `_PROTO`
fn is_part_of_port(bare: &str) -> bool {
    port_and_rest(bare).is_some_and(|rest| ["_ADDR", "_PORT", "_PROTO"].contains(&rest))
}

/// Rest of a name behind `_PORT_<NUMBER>_<PROTOCOL>`, where that is in it.
fn port_and_rest(bare: &str) -> Option<&str> {
    // A Service may itself be called `my-port`.
    bare.match_indices("PORT_").filter(|(at, _)| bare[..*at].ends_with('_')).find_map(|(at, found)| {
        let (number, after) = bare[at + found.len()..].split_once('_')?;
        number.parse::<u16>().ok()?;
        ["TCP", "UDP", "SCTP"].iter().find_map(|protocol| after.strip_prefix(protocol))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_platforms_set_is_told_from_what_somebody_misspelt() {
        let injected = [
            ("HEADWATER_SERVICE_HOST", "10.0.0.1"),
            ("HEADWATER_SERVICE_PORT", "1935"),
            ("HEADWATER_SERVICE_PORT_RTMP", "1935"),
            ("HEADWATER_PORT", "tcp://10.0.0.1:1935"),
            ("HEADWATER_PORT_1935_TCP", "tcp://10.0.0.1:1935"),
            ("HEADWATER_PORT_1935_TCP_ADDR", "10.0.0.1"),
            ("HEADWATER_PORT_1935_TCP_PORT", "1935"),
            ("HEADWATER_PORT_8890_UDP_PROTO", "udp"),
            ("HEADWATER_PROXY_SERVICE_HOST", "fd00::1"),
            ("HEADWATER_PROXY_SERVICE_PORT_RTMP_TLS", "1936"),
            ("HEADWATER_ORIGIN_PORT", "tcp://[fd00::1]:8080"),
            ("HEADWATER_MY_PORT_PORT_53_UDP", "udp://10.0.0.1:53"),
        ];
        for (name, value) in injected {
            assert!(is_injected(name, value), "{name}={value}");
        }
        let misspelt = [
            ("HEADWATER_PORT", "1935"),
            ("HEADWATER_SERVER_PORT", "7000"),
            ("HEADWATER_SERVICE_PORT", "rtmp"),
            ("HEADWATER_PROXY_RTMP_PORT", "0.0.0.0:1935"),
            ("HEADWATER_HOST", "10.0.0.1"),
            ("HEADWATER_PORT_RTMP_TCP", "tcp://10.0.0.1:1935"),
            ("OTHER_SERVICE_HOST", "10.0.0.1"),
        ];
        for (name, value) in misspelt {
            assert!(!is_injected(name, value), "{name}={value}");
        }
    }
}
