//! Settings that are right alone and wrong together.

use std::net::SocketAddr;

use super::inputs::InputMode;
use super::reader::Reader;
use super::storage::StoreUrl;
use super::table::{ACCEPT_TIMEOUT, MAX_LIVE_WINDOW};
use super::url::RegistryUrl;
use super::{Config, Service};

/// Notes every combination that cannot work.
pub(super) fn check_config(config: &Config, service: Service, reader: &mut Reader) {
    let Config { proxy, server, origin, hls, .. } = config;
    let mut refuse = |wrong: bool, names: &[&str], text: &str| {
        if wrong {
            let given = names.iter().map(|name| reader.origin_of(name)).max();
            reader
                .add_error(given.unwrap_or(super::Origin::Default), format!("{}: {text}", names.join(", ")));
        }
    };
    refuse(
        hls.segment_duration.subsec_millis() != 0,
        &["hls.segment_duration"],
        "a segment lasts whole seconds: EXT-X-TARGETDURATION knows no fractions",
    );
    refuse(
        hls.part_duration * 2 > hls.segment_duration,
        &["hls.part_duration", "hls.segment_duration"],
        "a part is at most half as long as a segment",
    );
    refuse(
        hls.segment_duration * hls.window_segments > MAX_LIVE_WINDOW,
        &["hls.window_segments", "hls.segment_duration"],
        "a live window is ten minutes long at most: for going back further there is recording.dvr_window",
    );
    refuse(
        server.silent_publisher > proxy.idle_timeout,
        &["server.silent_publisher", "proxy.idle_timeout"],
        "a silent publisher is closed before it could be replaced: lower the first or raise the second",
    );
    refuse(
        server.worker_stop_timeout > config.drain_timeout,
        &["server.worker_stop_timeout", "drain_timeout"],
        "a worker may not take longer to stop than its server",
    );
    refuse(
        server.worker_start_timeout + server.worker_stop_timeout >= ACCEPT_TIMEOUT,
        &["server.worker_start_timeout", "server.worker_stop_timeout"],
        "a proxy gives a server 20 s to stop the last worker of a broadcast and to start the next one: lower one of them",
    );
    refuse(
        config.registry.url == RegistryUrl::Memory && service != Service::AllInOne,
        &["registry.url"],
        "the registry in memory serves `headwater up` only: a service on its own needs a Redis, such as \
            \"redis://localhost:6379\"",
    );
    refuse(
        config.cluster.previous_secret.is_some() && config.cluster.secret.is_none(),
        &["cluster.previous_secret", "cluster.secret"],
        "the secret before is accepted beside the secret of today: set cluster.secret",
    );
    let cluster_files =
        [&config.cluster.tls_certificate, &config.cluster.tls_key, &config.cluster.tls_authority];
    refuse(
        cluster_files.iter().any(|file| file.is_some()) && cluster_files.iter().any(|file| file.is_none()),
        &["cluster.tls_certificate", "cluster.tls_key", "cluster.tls_authority"],
        "TLS between the services needs all three: a certificate to show, its key, and an authority to check others by",
    );
    refuse(
        config.control.token.is_none()
            && config.control.listen.is_some_and(|listen| !listen.ip().is_loopback()),
        &["control.listen", "control.token"],
        "without a token anybody could delete recordings: set control.token, or listen on 127.0.0.1",
    );
    refuse(
        config.input_mode == InputMode::Open && !config.inputs.is_empty(),
        &["inputs.mode"],
        "with \"open\" every key would be a stream's name, also those of [inputs]: set \"keys\"",
    );
    // A process by itself makes a secret for a directory in a folder.
    let asks_directory = match service {
        Service::Proxy | Service::Origin => true,
        Service::AllInOne => matches!(config.directory.url, StoreUrl::S3 { .. }),
        Service::Server => false,
    };
    refuse(
        config.input_mode == InputMode::Keys
            && asks_directory
            && config.directory.url != StoreUrl::None
            && config.directory.secret.is_none(),
        &["inputs.mode", "directory.secret"],
        "the keys of the directory are sealed under a secret, the same for all services: set directory.secret, or \
            directory.url = \"none\" for the inputs of the configuration alone",
    );
    refuse(
        proxy.rtmps_listen.is_some() == proxy.tls_certificates.is_empty(),
        &["proxy.rtmps_listen", "proxy.tls_certificates"],
        "RTMPS needs both, an address to listen on, such as \"0.0.0.0:1936\", and a certificate",
    );
    refuse(
        origin.https_listen.is_some() == origin.tls_certificates.is_empty(),
        &["origin.https_listen", "origin.tls_certificates"],
        "HTTPS needs both, an address to listen on, such as \"0.0.0.0:8443\", and a certificate",
    );
    refuse(
        config.control.listen.is_none() && !config.control.tls_certificates.is_empty(),
        &["control.tls_certificates", "control.listen"],
        "a certificate needs an address to listen on: set control.listen",
    );
    refuse(
        config.store.public_url.is_some() && config.store.url == StoreUrl::None,
        &["store.public_url", "store.url"],
        "viewers can't be sent to a store that is not there: set store.url",
    );
    let mut listeners = vec![
        (Service::Proxy, "proxy.rtmp_listen", proxy.rtmp_listen),
        (Service::Proxy, "proxy.metrics_listen", proxy.metrics_listen),
        (Service::Server, "server.grpc_listen", server.grpc_listen),
        (Service::Server, "server.metrics_listen", server.metrics_listen),
        (Service::Origin, "origin.http_listen", origin.http_listen),
        (Service::Origin, "origin.metrics_listen", origin.metrics_listen),
        (Service::AllInOne, "up.metrics_listen", config.up.metrics_listen),
    ];
    listeners.extend(config.control.listen.map(|listen| (Service::Origin, "control.listen", listen)));
    listeners.extend(origin.https_listen.map(|listen| (Service::Origin, "origin.https_listen", listen)));
    listeners.extend(proxy.rtmps_listen.map(|listen| (Service::Proxy, "proxy.rtmps_listen", listen)));
    for (names, address) in find_collisions(&listeners, service) {
        refuse(true, &names, &format!("both listen on port {}", address.port()));
    }
    // The limits of the single settings leave only mistakes of the rungs as a whole.
    for mistake in config.ladder.validate().err().unwrap_or_default() {
        refuse(true, &["ladder.rungs"], &mistake.to_string());
    }
}

type Listener = (Service, &'static str, SocketAddr);

/// Pairs of listeners of one process that cannot be bound together. Port 0 stands for any free one.
fn find_collisions(listeners: &[Listener], service: Service) -> Vec<([&'static str; 2], SocketAddr)> {
    let is_metrics = |name: &str| name.ends_with(".metrics_listen");
    let runs = |(owner, name, _): &&Listener| match service {
        Service::AllInOne => *owner == Service::AllInOne || !is_metrics(name),
        _ => *owner == service,
    };
    let bound: Vec<_> = listeners.iter().filter(runs).filter(|(_, _, address)| address.port() != 0).collect();
    let mut found = Vec::new();
    for (at, (_, name, address)) in bound.iter().enumerate() {
        for (_, other, taken) in &bound[..at] {
            let overlap =
                address.ip() == taken.ip() || address.ip().is_unspecified() || taken.ip().is_unspecified();
            if overlap && address.port() == taken.port() {
                found.push(([*other, *name], *address));
            }
        }
    }
    found
}
