//! The table of metrics: HELP at each scrape, and the reference in `docs/metrics.md`, follow from it.

use std::fmt::Write;

use metrics::{describe_counter, describe_gauge, describe_histogram};

/// Type of a metric as Prometheus names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Counter,
    Gauge,
    Histogram,
    /// Quantiles, the sum and the number of values: a histogram for which there are no buckets.
    Summary,
}

/// Metric with its description.
struct Metric {
    name: &'static str,
    kind: Type,
    unit: &'static str,
    /// Labels, each with its values: `reason: total, address; listener: the setting`.
    labels: &'static str,
    /// HELP of the metric: the quantity, in one sentence.
    meaning: &'static str,
    /// Advice to operators: the value to watch for, and the cure.
    action: &'static str,
}

/// Metrics of one service, or of all.
struct Group {
    title: &'static str,
    metrics: &'static [Metric],
}

macro_rules! metrics {
    ($( $name:literal: $type:ident, $unit:literal, $labels:literal, $meaning:literal, $action:literal; )+) => {
        &[ $( Metric {
            name: $name, kind: Type::$type, unit: $unit, labels: $labels, meaning: $meaning, action: $action,
        } ),+ ]
    };
}

const GROUPS: [Group; 5] = [
    Group {
        title: "Every service",
        metrics: metrics! {
            "headwater_connections_refused_total": Counter, "connections", "listener: the setting; reason: total, address, untrusted_header, missing_header, malformed_header, tls_handshake",
                "Connections that a listener closed before they said anything: a limit was reached, the PROXY protocol header is wrong, or the TLS handshake failed.",
                "`total`, `address`: raise the limit beside the named setting, or find the address that opens so many; a load balancer without the PROXY protocol is one address. `missing_header`, `malformed_header`: let the load balancers in `proxy.trusted_peers` send the header. `tls_handshake`: the log has the reason. `untrusted_header`: strangers, or a load balancer that `proxy.trusted_peers` lacks ([load-balancers.md](load-balancers.md)).";
            "headwater_connections_displaced_total": Counter, "connections", "listener: the setting",
                "Idle connections that were closed to make room for new ones.",
                "A steady rate means that the listener is full: raise its limit, or add instances.";
            "headwater_tls_certificate_expiry_seconds": Gauge, "seconds", "certificate: its file",
                "Time at which a certificate expires, in seconds since 1970.",
                "Alert when it is less than some days from now, which is when its renewal has failed.";
            "headwater_tls_reloads_total": Counter, "reloads", "result: replaced, failed",
                "Certificates whose files have changed, by whether the new ones are in use.",
                "`failed`: the certificate before is still shown, and the log has the reason. Mend the files before that one expires.";
        },
    },
    Group {
        title: "Proxy",
        metrics: metrics! {
            "headwater_proxy_connections": Gauge, "connections", "",
                "RTMP connections that are open, publishing or not.",
                "Compare with `proxy.max_connections`. Many more connections than publishers are strangers or encoders without a valid key.";
            "headwater_proxy_publishers": Gauge, "publishers", "",
                "Publishers that a server has accepted.",
                "A sudden drop with `headwater_proxy_failed_total` rising is a fault behind the proxy; without it, encoders have stopped.";
            "headwater_proxy_received_bytes_total": Counter, "bytes", "",
                "Bytes that publishers sent after they were accepted.",
                "Its rate is the incoming bandwidth: plan network and proxies by it.";
            "headwater_proxy_refused_total": Counter, "publish requests",
                "reason: app, key, key_disabled, key_expired, blocked, address, directory, deadline, in_use, capacity, no_server, owner_unreachable, registry, server, stopping",
                "Publish requests that were refused before they went on air.",
                "`app` and `key`: wrong settings of an encoder. `key_disabled`, `key_expired`, `blocked`, `address`: what the live input says. `directory`: the directory's store does not answer. `capacity`, `no_server`: add servers. `owner_unreachable`, `registry`: check the network and Redis. `server`: read that server's log.";
            "headwater_proxy_failed_total": Counter, "publishers", "reason: media, protocol, idle, stalled, server, stopping, key, key_disabled, blocked, disconnected, address",
                "Publishers that were sent away after their connection was accepted.",
                "`stalled`: servers or the network to them are too slow. `server`: no server could go on. `idle`: the encoder's network. `media`, `protocol`: the encoder; the log has its address. `key`, `key_disabled`, `blocked`, `address`: the live input was deleted, disabled, blocked or changed. `disconnected`: an operator has ended it.";
            "headwater_proxy_failovers_total": Counter, "failovers", "",
                "Broadcasts that went on with another call, on another server or with another worker.",
                "Expected during updates. At any other time look for servers that restart or workers that fail.";
            "headwater_proxy_failover_seconds": Histogram, "seconds", "",
                "Time from the loss of a call to the end of its replay on the next one.",
                "Times beyond the players' buffer (about a second) are seen by viewers. Check the load of servers and the latency of Redis.";
            "headwater_proxy_reconnects_requested_total": Counter, "publishers", "",
                "Publishers that were asked to connect again because the proxy stops (Enhanced RTMP v2).",
                "None: it tells how many encoders leave a stopping proxy without an interruption.";
            "headwater_proxy_replay_bytes": Gauge, "bytes", "",
                "Media held for the case that another server has to take over, of all publishers.",
                "Plan memory by it. It grows while servers are away or slow, up to `proxy.replay_memory` for each publisher.";
            "headwater_proxy_replay_lost_tags_total": Counter, "tags", "",
                "Tags that a server would have needed and that the replay limits had dropped.",
                "Viewers missed media. Raise `proxy.replay_memory` or `proxy.replay_duration`, or bring servers back sooner.";
            "headwater_proxy_timestamps_moved_total": Counter, "moves", "of: picture, sound, composition",
                "Corrections of timestamps of one track that did not fit the other track's.",
                "The encoder's clocks are wrong; the log names the stream and the distance. Update the encoder or change its audio source.";
            "headwater_proxy_source_bits_per_second": Gauge, "bits per second", "kind: video, audio",
                "Bit rates of all publishers' sources by their own timestamps, added up.",
                "Below the rate of received bytes for long: encoders send faster than real time.";
            "headwater_proxy_source_frames_per_second": Gauge, "frames per second", "",
                "Frame rates of all publishers' sources by their own timestamps, added up.",
                "None: over the number of publishers it is their mean frame rate, which the servers' CPU time follows.";
            "headwater_proxy_source_keyframe_interval_seconds": Histogram, "seconds", "",
                "Time from a keyframe of a source to the next one, every two seconds for each publisher.",
                "Above the length of a segment: a failover replays more media and takes longer. Set the encoders' keyframe interval to it.";
            "headwater_proxy_rare_keyframes": Gauge, "publishers", "",
                "Publishers whose keyframes are more than one and a half segments apart.",
                "Set the keyframe interval of these encoders to the length of a segment: the log names their streams.";
            "headwater_proxy_slow_encoders": Gauge, "publishers", "",
                "Publishers whose server encodes more slowly than media comes, for six seconds or longer.",
                "Any: viewers fall behind. Lower the sources' frame rate or picture size, choose a smaller ladder or a faster preset, or add servers.";
            "headwater_proxy_oddities_total": Counter, "tags", "",
                "Clock jumps that were taken out and media that was left out because nothing could decode it.",
                "A steady rate is one broken encoder: the log names its stream.";
        },
    },
    Group {
        title: "Server",
        metrics: metrics! {
            "headwater_grpc_refused_total": Counter, "calls", "reason: missing, wrong",
                "gRPC calls of peers that don't know `cluster.secret`.",
                "None in a closed network. A proxy, an origin or another server with an old secret says so in its own log; otherwise strangers reach the port ([cluster.md](cluster.md)).";
            "headwater_server_broadcasts": Gauge, "broadcasts", "",
                "Broadcasts that this server owns, with a publisher or waiting for one.",
                "Compare with `server.max_broadcasts`.";
            "headwater_server_publishers": Gauge, "publishers", "",
                "Broadcasts whose publisher is connected.",
                "Fewer than broadcasts for long: encoders that have lost their network.";
            "headwater_server_renditions": Gauge, "renditions", "",
                "Renditions of all broadcasts, audio included.",
                "None: it explains the CPU time.";
            "headwater_server_used_cores": Gauge, "cores", "",
                "Processor cores that the broadcasts are expected to need, first estimated and then measured.",
                "Scale servers by the sum of used over the sum of capacity; above 0.8 add one.";
            "headwater_server_capacity_cores": Gauge, "cores", "",
                "Processor cores that the server takes broadcasts for; 0 while it can start no worker.",
                "0 on a running server: its log says why no worker starts (plugins, descriptors, sandbox).";
            "headwater_server_failed_starts_total": Counter, "workers", "",
                "Attempts to start a worker process that failed.",
                "Read the log: missing GStreamer plugins, limits of processes or descriptors, or a machine too slow for `server.worker_start_timeout`.";
            "headwater_server_publishers_too_often_total": Counter, "publishers", "",
                "Publishers that were refused because they followed each other on one stream too fast.",
                "Any growth: an encoder reconnects all the time. The log of the server names the stream; look at its network and settings.";
            "headwater_server_cut_short_total": Counter, "broadcasts", "",
                "Sessions whose worker made nothing of the last media before it was stopped.",
                "The end of a recording may be missing. Raise `server.worker_stop_timeout`, or reduce the load.";
            "headwater_server_frames_total": Counter, "frames", "",
                "Video access units that workers were given.",
                "Its rate over publishers is the mean frame rate of sources.";
            "headwater_server_frames_dropped_total": Counter, "frames", "",
                "Decoded pictures that were left out because they came too late to be shown, or because the ladder has a lower frame rate.",
                "Half of a source of twice the ladder's frame rate is normal. Otherwise an encoder sends irregular timestamps.";
            "headwater_server_frames_repeated_total": Counter, "frames", "",
                "Pictures that were shown again because the source had none in time.",
                "A high share is an encoder that drops frames: its machine or network is overloaded.";
            "headwater_server_encode_speed": Summary, "seconds of media per second", "",
                "Media that a worker put out, over the time it took.",
                "Below 1 for long the worker falls behind: too many broadcasts for the machine, or a ladder too large.";
            "headwater_server_encode_delay_seconds": Histogram, "seconds", "",
                "Distance between the newest media given to a worker and the newest that it put out.",
                "Part of every viewer's latency. Above a second: as for the encode speed.";
            "headwater_server_parts_total": Counter, "parts", "",
                "Parts that workers put out, of all renditions.",
                "Zero while there are publishers: workers are stuck; they are replaced after `server.worker_stall_timeout`.";
            "headwater_server_part_bytes_total": Counter, "bytes", "",
                "Bytes of these parts.",
                "Its rate is what one watching origin receives from this server for all its broadcasts.";
            "headwater_server_part_delay_seconds": Histogram, "seconds", "",
                "Time from the arrival of a moment's media at the server to the part that shows it.",
                "The server's share of the latency: with the default parts about half a second. Growing: the machine is overloaded.";
            "headwater_server_watches_total": Counter, "calls", "",
                "Watch calls that origins opened.",
                "A high rate without new streams means that connections between origins and this server break.";
        },
    },
    Group {
        title: "Recording (server)",
        metrics: metrics! {
            "headwater_recording_uploaded_bytes_total": Counter, "bytes", "",
                "Bytes of objects that the store has taken.",
                "Its rate is the growth of the store; compare with `headwater_recording_spool_bytes` during outages.";
            "headwater_recording_upload_seconds": Histogram, "seconds", "",
                "Time from handing an object over to the moment it is stored, all attempts included.",
                "Longer than a segment for long: the store or the network to it is too slow.";
            "headwater_recording_store_errors_total": Counter, "requests", "kind: refused, unavailable, not_found",
                "Requests to the store that failed and are tried again.",
                "`refused`: credentials, bucket or rights are wrong. `unavailable`: the store or the network.";
            "headwater_recording_spool_bytes": Gauge, "bytes", "",
                "Bytes that wait on the disk for the store.",
                "Near `recording.spool_size` segments will be lost: mend the store, or enlarge the spool.";
            "headwater_recording_dropped_segments_total": Counter, "objects", "",
                "Media objects that were given up because the spool or its disk was full.",
                "The recordings have gaps. Enlarge `recording.spool_size`, and mend the store.";
            "headwater_recording_untold_segments_total": Counter, "entries", "",
                "Segments of which the upload tracker was not told because it was too far behind.",
                "Should be zero. Otherwise the machine has stalled: check its CPU and disk.";
        },
    },
    Group {
        title: "Origin",
        metrics: metrics! {
            "headwater_origin_connections": Gauge, "connections", "",
                "HTTP connections of viewers.",
                "Compare with `origin.max_connections`.";
            "headwater_origin_viewers": Gauge, "viewers", "",
                "Pairs of address and User-Agent that asked for a stream's media playlist in the last 15 s; behind a CDN these are its nodes.",
                "An estimate for planning, not for billing.";
            "headwater_origin_requests_total": Counter, "requests",
                "kind: page, asset, multivariant, presentation, playlist, init, segment, part, mp4, thumbnail, storyboard, recordings, time, other; status: the HTTP status code",
                "Answered requests, by the kind of object and by status.",
                "Watch the share of 5xx, and of 404 for parts and segments: players that ask for what has left the window are too far behind.";
            "headwater_origin_sent_bytes_total": Counter, "bytes", "kind: as above",
                "Bytes of bodies that were handed to connections.",
                "Its rate is the outgoing bandwidth: add origins or a CDN before the network card is full.";
            "headwater_origin_blocked_requests": Gauge, "requests", "",
                "Requests that wait for media to be made (blocking playlist reload, RFC 8216bis §6.2.5.2).",
                "About one for each rendition of each viewer is normal. Falling to zero with viewers there: media has stopped.";
            "headwater_origin_playlist_renders_total": Counter, "playlists", "",
                "Playlists that were rendered.",
                "It grows with streams and renditions, not with viewers.";
            "headwater_origin_playlist_hits_total": Counter, "playlists", "",
                "Playlists that were answered as rendered before.",
                "None: compared with renders it tells how well rendering is shared.";
            "headwater_origin_mirrors": Gauge, "streams", "",
                "Streams that are followed, including those that are not on air.",
                "Many more than streams on air: viewers wait for streams that do not come.";
            "headwater_origin_upstream_watches": Gauge, "calls", "",
                "Watch calls that are open, one for each stream on air here.",
                "Below the number of watched streams: servers can't be reached.";
            "headwater_origin_stills_total": Counter, "pictures", "result: made, failed",
                "Still pictures and storyboard sheets that were tried, by result.",
                "`failed`: the log has the reason; on every try, GStreamer plugins are missing in the origin's image.";
        },
    },
];

fn all_metrics() -> impl Iterator<Item = &'static Metric> {
    GROUPS.iter().flat_map(|group| group.metrics)
}

/// Gives the recorder the HELP text of every metric.
pub(super) fn describe_metrics() {
    for Metric { name, kind, meaning, .. } in all_metrics() {
        match kind {
            Type::Counter => describe_counter!(*name, *meaning),
            Type::Gauge => describe_gauge!(*name, *meaning),
            Type::Histogram | Type::Summary => describe_histogram!(*name, *meaning),
        }
    }
}

/// The reference of all metrics as Markdown: the contents of `docs/metrics.md`.
pub fn reference() -> String {
    let mut text = String::from(REFERENCE_HEAD);
    for Group { title, metrics } in &GROUPS {
        let _ = write!(text, "\n## {title}\n\n| Metric | Type, unit | Labels | Meaning | Action |\n");
        text.push_str("| --- | --- | --- | --- | --- |\n");
        for Metric { name, kind, unit, labels, meaning, action } in *metrics {
            let labels = if labels.is_empty() { "none" } else { labels };
            let _ = writeln!(text, "| `{name}` | {kind:?}, {unit} | {labels} | {meaning} | {action} |");
        }
    }
    text
}

const REFERENCE_HEAD: &str = "# Metrics

<!-- Made from crates/runtime/src/telemetry/table.rs: `UPDATE=1 cargo test -p headwater-runtime metrics`. -->

Each service answers Prometheus at `/metrics` of its operations port (`proxy.metrics_listen`, `server.metrics_listen`,
`origin.metrics_listen`; `up.metrics_listen` for all in one), with the column \"Meaning\" as HELP. A metric appears with its first
value. No label is ever a stream, a key or an address. Histograms whose names end in `_seconds` have buckets from 1 ms to 30 s.
";

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::PathBuf;

    use super::*;

    /// `UPDATE=1 cargo test -p headwater-runtime metrics` writes the page anew.
    #[test]
    fn the_reference_of_metrics_is_the_one_in_docs() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == reference(),
            "docs/metrics.md is out of date: UPDATE=1 cargo test -p headwater-runtime metrics"
        );
    }

    #[test]
    fn every_metric_of_the_code_is_in_the_table() {
        let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for text in shipped_sources() {
            for (at, _) in text.match_indices("\"headwater_") {
                let name = text[at + 1..].split('"').next().unwrap();
                if text[at + 1 + name.len()..].starts_with('"') {
                    used.entry(name.to_owned()).or_default().extend(labels_behind(&text[at..]));
                }
            }
        }
        let described = all_metrics().map(|metric| {
            let labels = metric.labels.split("; ").filter_map(|label| label.split_once(": "));
            (metric.name.to_owned(), labels.map(|(label, _)| label.to_owned()).collect())
        });
        assert_eq!(described.collect::<BTreeMap<_, _>>(), used);
    }

    /// Labels in the call of a macro that `text` begins in the midst of.
    fn labels_behind(text: &str) -> Vec<String> {
        let call = text.split([')', ';']).next().unwrap();
        let labels =
            call.split(" => ").map(|before| before.rsplit('"').nth(1).unwrap_or_default().to_owned());
        let count = call.matches(" => ").count();
        labels.take(count).collect()
    }

    /// Code of all crates, without tests and without this table.
    fn shipped_sources() -> Vec<String> {
        let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let is_skipped = ["tests", "tests.rs", "web", "fuzz", "telemetry/table.rs"]
                    .iter()
                    .any(|name| path.ends_with(name));
                if is_skipped {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|name| name == "rs") {
                    let text = std::fs::read_to_string(path).unwrap();
                    found.push(text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned());
                }
            }
        }
        found
    }

    #[test]
    fn every_metric_has_its_help_at_the_scrape() {
        let recorder = crate::telemetry::prometheus_builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe_metrics();
            for Metric { name, kind, .. } in all_metrics() {
                match kind {
                    Type::Counter => metrics::counter!(*name).increment(1),
                    Type::Gauge => metrics::gauge!(*name).set(1.0),
                    Type::Histogram | Type::Summary => metrics::histogram!(*name).record(1.0),
                }
            }
        });
        let text = handle.render();
        for Metric { name, kind, meaning, .. } in all_metrics() {
            let kind = format!("{kind:?}").to_lowercase();
            let head = format!("# HELP {name} {meaning}\n# TYPE {name} {kind}\n");
            assert!(text.contains(&head), "{head} is missing in {text}");
        }
    }

    #[test]
    fn names_say_what_is_counted() {
        for Metric { name, kind, unit, meaning, action, .. } in all_metrics() {
            let is_seconds = *unit == "seconds";
            assert_eq!(name.ends_with("_total"), *kind == Type::Counter, "{name}");
            assert_eq!(is_seconds, name.ends_with("_seconds"), "{name}");
            assert!(*kind != Type::Histogram || is_seconds, "{name} would have no buckets");
            assert!(*unit != "bytes" || name.contains("bytes"), "{name}");
            assert!(meaning.ends_with('.') && action.ends_with('.') && !action.contains('|'), "{name}");
        }
    }
}
