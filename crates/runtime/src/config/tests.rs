//! The configuration as a whole: what comes out, what is refused, and where.

use std::time::Duration;

use headwater_media::broadcast::Policy;
use headwater_media::ladder::Ladder;
use headwater_media::segmentation::SegmentSettings;

use super::*;

fn try_load(service: Service, text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    load(service, Some(File { path: "hw.toml", text }), variables)
}

fn config(text: &str, variables: &[(&str, &str)]) -> Config {
    try_load(Service::AllInOne, text, variables).unwrap().config
}

fn mistakes(text: &str, variables: &[(&str, &str)]) -> String {
    try_load(Service::AllInOne, text, variables).unwrap_err().to_string()
}

/// All defaults, as `headwater up` has them.
fn defaults() -> Config {
    let mut config = Config::defaults();
    config.store.url = StoreUrl::Directory("headwater-data".into());
    config.directory.url = StoreUrl::Directory("headwater-directory".into());
    config
}

#[test]
fn nothing_said_gives_the_defaults() {
    let config = load(Service::AllInOne, None, []).unwrap().config;
    assert_eq!(config, defaults());
    assert_eq!(config.ladder, Ladder::default());
    assert_eq!(config.hls.segments(), SegmentSettings::default());
    assert_eq!(config.proxy.rtmp_listen.to_string(), "0.0.0.0:1935");
    assert_eq!(config.registry.url, RegistryUrl::Memory);
    assert_eq!(config.server.advertise, None);
    assert_eq!(config.control.listen, None);
}

#[test]
fn only_all_in_one_stores_without_being_told_to() {
    let store = |service, text| try_load(service, text, &[]).unwrap().config.store.url;
    assert_eq!(store(Service::AllInOne, ""), StoreUrl::Directory("headwater-data".into()));
    assert_eq!(store(Service::AllInOne, "store.url = \"none\""), StoreUrl::None);
    assert_eq!(store(Service::Server, "registry.url = \"redis://redis\""), StoreUrl::None);
}

#[test]
fn every_setting_is_right_alone_and_its_default_too() {
    let mut reader = Reader::default();
    assert!(read_config(&mut reader).is_some());
    assert_eq!(reader.errors, []);
    for entry in reader.sections.iter().flat_map(|section| &section.entries) {
        let Some(default) = &entry.default else { continue };
        let line = format!("{} = {default}", entry.name);
        assert_eq!(config(&line, &[]), defaults(), "{line}");
    }
}

#[test]
fn a_variable_wins_over_the_file() {
    let text = "[proxy]\nrtmp_listen = \"127.0.0.1:1\"\napps = [\"a\"]\n";
    let config =
        config(text, &[("HEADWATER_PROXY_RTMP_LISTEN", "127.0.0.1:2"), ("HEADWATER_PROXY_APPS", "b, c")]);
    assert_eq!(config.proxy.rtmp_listen.port(), 2);
    assert_eq!(config.proxy.apps.iter().map(AppName::as_str).collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn an_empty_variable_is_as_none() {
    let config =
        config("drain_timeout = \"1m\"", &[("HEADWATER_DRAIN_TIMEOUT", ""), ("HEADWATER_UNHEARD_OF", " ")]);
    assert_eq!(config.drain_timeout, Duration::from_secs(60));
}

#[test]
fn variables_that_a_platform_sets_by_itself_are_left_aside_and_named() {
    let variables = [
        ("HEADWATER_SERVICE_HOST", "10.0.0.1"),
        ("HEADWATER_PROXY_PORT", "tcp://10.0.0.1:1935"),
        ("HEADWATER_LOG_LEVEL", "warn"),
    ];
    let loaded = try_load(Service::AllInOne, "", &variables).unwrap();
    assert_eq!(loaded.ignored, ["HEADWATER_PROXY_PORT", "HEADWATER_SERVICE_HOST"]);
    let said = mistakes("", &[("HEADWATER_PROXY_PORT", "1935")]);
    assert!(said.starts_with("HEADWATER_PROXY_PORT: no variable is called HEADWATER_PROXY_PORT"), "{said}");
}

#[test]
fn all_mistakes_are_reported_with_their_places() {
    let text = r#"
drain_timeout = 30
colour = "red"
[proxy]
rtmp_listn = "0.0.0.0:1935"
max_connections = "many"
apps = []
grpc_listen = "0.0.0.0:7000"
[server]
worker_restarts = 500
capacity = 0
[ladder]
rungs = ["1280x720@2800k", "640x@800k"]
crf = true
[log]
level = "inof"
[poxy]
"#;
    let variables = [
        ("HEADWATER_HLS_PART_DURATION", "3s"),
        ("HEADWATER_PROXI_APPS", "live"),
        ("HEADWATER_REGISTRY_URL", "redis://:hunter2@"),
        ("PATH", "/bin"),
    ];
    let said = mistakes(text, &variables);
    let start_of_lines = [
        "hw.toml:2: drain_timeout = 30: expected a duration, such as \"10s\" or \"500ms\"",
        "hw.toml:3: no setting is called colour",
        "hw.toml:5: no setting is called proxy.rtmp_listn: did you mean proxy.rtmp_listen?",
        "hw.toml:6: proxy.max_connections = \"many\": expected a whole number",
        "hw.toml:7: proxy.apps = []: expected a list of names, such as [\"live\", \"stream\"]",
        "hw.toml:8: no setting is called proxy.grpc_listen: did you mean server.grpc_listen?",
        "hw.toml:10: server.worker_restarts = 500: expected a whole number, from 0 to 100",
        "hw.toml:11: server.capacity = 0: expected a number of cores above 0, or \"auto\"",
        "hw.toml:13: ladder.rungs = [\"1280x720@2800k\", \"640x@800k\"]: \"640x@800k\": a rung is written",
        "hw.toml:14: ladder.crf = true: expected a number",
        "hw.toml:16: log.level = \"inof\": expected a level",
        "hw.toml:17: no setting is called poxy",
        "HEADWATER_HLS_PART_DURATION: hls.part_duration = \"3s\": expected a duration, such as \"10s\" or \"500ms\", from 100ms to 2s",
        "HEADWATER_PROXI_APPS: no variable is called HEADWATER_PROXI_APPS: did you mean HEADWATER_PROXY_APPS?",
        "HEADWATER_REGISTRY_URL: registry.url: expected \"memory\" or a URL, such as \"redis://host:6379\"",
    ];
    assert_eq!(said.lines().count(), start_of_lines.len(), "{said}");
    for (line, start) in said.lines().zip(start_of_lines) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
    assert!(!said.contains("hunter2"));
}

#[test]
fn broken_toml_does_not_hide_mistakes_of_variables() {
    let said = mistakes("[proxy\n", &[("HEADWATER_PROXY_APPS", "a b")]);
    let starts: Vec<_> = said.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(starts, ["hw.toml:1", "HEADWATER_PROXY_APPS"]);
}

#[test]
fn a_mistake_in_the_file_is_reported_even_where_a_variable_wins() {
    let said = mistakes("drain_timeout = 3", &[("HEADWATER_DRAIN_TIMEOUT", "3s")]);
    assert!(said.starts_with("hw.toml:1: drain_timeout = 3: "), "{said}");
}

#[test]
fn a_section_is_a_table() {
    let said = mistakes("proxy = 3\n[[server]]\n", &[]);
    let expected = "hw.toml:1: proxy is a table: write [proxy] and its settings below\n\
                    hw.toml:2: server is a table: write [server] and its settings below";
    assert_eq!(said, expected);
    assert_eq!(config("[proxy]\n", &[]), defaults());
}

#[test]
fn combinations_that_cannot_work_are_refused() {
    let text = r#"
[hls]
segment_duration = "1500ms"
part_duration = "1s"
window_segments = 401
[server]
grpc_listen = "127.0.0.1:8080"
silent_publisher = "20s"
worker_stop_timeout = "45s"
worker_start_timeout = "15s"
[ladder]
rungs = ["640x360@800k", "854x480@1400k", "640x360@700k"]
[cluster]
previous_secret = "0123456789abcdef"
tls_authority = "ca.pem"
[origin]
https_listen = "127.0.0.1:8443"
[control]
tls_certificates = [{ certificate = "a.pem", key = "a.key" }]
"#;
    let said = mistakes(text, &[]);
    for (start, part) in [
        ("hw.toml:3: hls.segment_duration: ", "whole seconds"),
        ("hw.toml:4: hls.part_duration, hls.segment_duration: ", "half as long"),
        ("hw.toml:5: hls.window_segments, hls.segment_duration: ", "ten minutes"),
        ("hw.toml:7: server.grpc_listen, origin.http_listen: ", "both listen on port 8080"),
        ("hw.toml:8: server.silent_publisher, proxy.idle_timeout: ", "closed before"),
        ("hw.toml:9: server.worker_stop_timeout, drain_timeout: ", "longer to stop"),
        ("hw.toml:10: server.worker_start_timeout, server.worker_stop_timeout: ", "a proxy gives"),
        ("hw.toml:12: ladder.rungs: ", "the best comes first"),
        ("hw.toml:15: cluster.tls_certificate, cluster.tls_key, cluster.tls_authority: ", "all three"),
        ("hw.toml:17: origin.https_listen, origin.tls_certificates: ", "HTTPS needs both"),
        ("hw.toml:19: control.tls_certificates, control.listen: ", "set control.listen"),
        ("hw.toml:14: cluster.previous_secret, cluster.secret: ", "set cluster.secret"),
        ("hw.toml:12: ladder.rungs: ", "two rungs are named \"360p\""),
    ] {
        assert!(
            said.lines().any(|line| line.starts_with(start) && line.contains(part)),
            "{start}{part}\n{said}"
        );
    }
    assert_eq!(said.lines().count(), 13, "{said}");
}

#[test]
fn services_apart_from_each_other_need_a_redis_and_may_share_a_port() {
    let alone = try_load(Service::Proxy, "", &[]).unwrap_err().to_string();
    assert!(alone.contains("registry.url: the registry in memory serves `headwater up` only"), "{alone}");
    let text = "registry.url = \"redis://redis\"\nserver.grpc_listen = \"0.0.0.0:8080\"";
    assert!(try_load(Service::Server, text, &[]).is_ok());
    assert!(try_load(Service::AllInOne, text, &[]).is_err());
}

#[test]
fn inputs_come_from_the_file_or_from_a_variable() {
    let text = "[inputs]\nmode = \"keys\"\ndemo = \"secret\"\n\"a.b\" = \"with, comma\"\n";
    let shown = |config: &Config| -> Vec<_> {
        config.inputs.iter().map(|input| format!("{} {}", input.stream, input.key.expose())).collect()
    };
    assert_eq!(shown(&config(text, &[])), ["a.b with, comma", "demo secret"]);
    let variable = [("HEADWATER_INPUTS", "one=s1, two=s2==")];
    assert_eq!(shown(&config(text, &variable)), ["one s1", "two s2=="]);
}

#[test]
fn what_a_key_means_is_said_and_never_guessed() {
    let secret = "directory.secret = \"0123456789abcdef\"\nregistry.url = \"redis://redis\"\n";
    let keys = "inputs.mode = \"keys\"\n";
    let said = mistakes("[inputs]\ndemo = \"hunter2\"\n", &[]);
    assert!(said.contains("inputs.mode: with \"open\" every key would be a stream's name"), "{said}");
    assert_eq!(config("", &[]).input_mode, InputMode::Open);
    assert_eq!(config(keys, &[]).input_mode, InputMode::Keys);
    for service in [Service::Proxy, Service::Origin] {
        let bare = "registry.url = \"redis://redis\"\nstore.url = \"s3://bucket\"\n";
        let said = try_load(service, &format!("{keys}{bare}"), &[]).unwrap_err().to_string();
        assert!(said.contains("inputs.mode, directory.secret: "), "{said}");
        assert!(try_load(service, &format!("{keys}{bare}directory.url = \"none\""), &[]).is_ok());
        assert!(try_load(service, &format!("{keys}{secret}"), &[]).is_ok());
    }
    let alone = format!("{keys}registry.url = \"redis://redis\"\nstore.url = \"s3://bucket\"\n");
    assert!(try_load(Service::Server, &alone, &[]).is_ok(), "a server is shown no keys");
}

#[test]
fn the_directory_lies_beside_the_recordings_and_for_one_process_by_itself() {
    let place = |service, text: &str| {
        let text = format!("registry.url = \"redis://redis\"\n{text}");
        try_load(service, &text, &[]).unwrap().config.directory.url
    };
    let own = StoreUrl::Directory("headwater-directory".into());
    assert_eq!(place(Service::AllInOne, "store.url = \"none\""), own);
    assert_eq!(place(Service::Proxy, ""), StoreUrl::None);
    let folder = StoreUrl::Directory("/data/.directory".into());
    assert_eq!(place(Service::Proxy, "store.url = \"file:///data\""), folder);
    let bucket = |prefix: &str| StoreUrl::S3 { bucket: "bucket".into(), prefix: prefix.into() };
    assert_eq!(place(Service::Origin, "store.url = \"s3://bucket\""), bucket(".directory"));
    assert_eq!(place(Service::Origin, "store.url = \"s3://bucket/a\""), bucket("a/.directory"));
}

#[test]
fn mistakes_in_inputs_do_not_tell_the_keys() {
    let text = "[inputs]\n\"-x\" = \"hunter1\"\na = \"hunter2\"\nb = \"hunter2\"\nc = \"d\"\nd = \"hunter3\"\ne = 7\n";
    let said = mistakes(text, &[("HEADWATER_INPUTS", "hunter4")]);
    for start in [
        "hw.toml:2: inputs.-x: a stream name may hold",
        "hw.toml:4: inputs.b: the same key as that of a",
        "hw.toml:5: inputs.c: the key is the name of a stream",
        "hw.toml:7: inputs.e: expected the stream key as text",
        "HEADWATER_INPUTS: input 1: expected stream=key",
    ] {
        assert!(said.lines().any(|line| line.starts_with(start)), "{start}\n{said}");
    }
    assert_eq!(said.lines().count(), 5, "{said}");
    assert!(!said.contains("hunter"));
}

#[test]
fn a_stream_has_its_own_settings_and_the_general_ones_for_the_rest() {
    let text = r#"
server.reconnect_window = "5m"
[recording]
renditions = "top"
retention = "30d"
[streams.demo]
mode = "off"
reconnect_window = "10s"
[streams."a.b"]
retention = "0s"
dvr_window = "2h"
"#;
    let policy = |config: &Config, stream: &str| {
        let stream = stream.parse().unwrap();
        let Policy { ladder, recording, dvr_window, reconnect_window, .. } = config.policy(&stream);
        assert_eq!(ladder, config.ladder);
        format!("{recording:?} {dvr_window:?} {:?} {reconnect_window:?}", config.retention(&stream))
    };
    let from_file = config(text, &[]);
    assert_eq!(policy(&from_file, "demo"), "None 3600s Some(2592000s) 10s");
    assert_eq!(policy(&from_file, "a.b"), "Some(Top) 7200s None 300s");
    assert_eq!(policy(&from_file, "other"), "Some(Top) 3600s Some(2592000s) 300s");
    let from_variable = config(text, &[("HEADWATER_STREAMS", "a.b.renditions=all, other.retention=7d")]);
    assert_eq!(policy(&from_variable, "demo"), "Some(Top) 3600s Some(2592000s) 300s");
    assert_eq!(policy(&from_variable, "a.b"), "Some(All) 3600s Some(2592000s) 300s");
    assert_eq!(policy(&from_variable, "other"), "Some(Top) 3600s Some(604800s) 300s");
}

#[test]
fn mistakes_in_streams_have_their_places() {
    let text = r#"
[streams.demo]
mode = "on"
retentoin = "1d"
dvr_window = "48h"
[streams."a b"]
mode = "off"
[streams]
dvr_window = "1h"
"#;
    let said = mistakes(text, &[("HEADWATER_STREAMS", "demo, demo.renditions=some")]);
    for start in [
        "hw.toml:3: streams.demo.mode = \"on\": expected \"automatic\" or \"off\"",
        "hw.toml:4: streams.demo.retentoin: no setting of a stream is called retentoin: did you mean retention?",
        "hw.toml:5: streams.demo.dvr_window = \"48h\": expected a duration, such as \"10s\" or \"500ms\", from 0s to 1d",
        "hw.toml:7: streams.a b.mode: a stream name may hold",
        "hw.toml:9: streams.dvr_window: a stream's settings are in a table of its own",
        "HEADWATER_STREAMS: stream 1: expected stream.setting=value",
        "HEADWATER_STREAMS: streams.demo.renditions = \"some\": expected \"top\" or \"all\"",
    ] {
        assert!(said.lines().any(|line| line.starts_with(start)), "{start}\n{said}");
    }
    assert_eq!(said.lines().count(), 7, "{said}");
}

#[test]
fn certificates_and_trusted_peers_are_lists_that_may_be_empty() {
    let files =
        |certificate: &str, key: &str| CertificateFiles { certificate: certificate.into(), key: key.into() };
    let listen = "proxy.rtmps_listen = \"[::]:1936\"\n";
    let inline = "proxy.tls_certificates = [{ certificate = \"a.pem\", key = \"a.key\" }, \"b.pem:b.key\"]\n";
    let tables = "[[proxy.tls_certificates]]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n\
        [[proxy.tls_certificates]]\ncertificate = \"b.pem\"\nkey = \"b.key\"\n";
    for text in [inline, tables] {
        let config = config(&format!("{listen}{text}"), &[]);
        assert_eq!(config.proxy.tls_certificates, [files("a.pem", "a.key"), files("b.pem", "b.key")]);
    }
    let variables = [
        ("HEADWATER_PROXY_TLS_CERTIFICATES", "c.pem:c.key"),
        ("HEADWATER_PROXY_TRUSTED_PEERS", "10.0.0.0/8,::1"),
    ];
    let from_variable = config(&format!("{listen}{inline}"), &variables);
    assert_eq!(from_variable.proxy.tls_certificates, [files("c.pem", "c.key")]);
    assert_eq!(from_variable.proxy.trusted_peers.len(), 2);
    assert_eq!(config("[proxy]\ntrusted_peers = []\ntls_certificates = []", &[]), defaults());
}

#[test]
fn mistakes_in_certificates_have_their_places() {
    let text = "[proxy]\ntls_certificates = [{ certificate = \"a.pem\", kye = \"a.key\" }]\ntrusted_peers = [\"lb\"]\n\
        rtmps_listen = \"0.0.0.0:1935\"\n";
    let said = mistakes(text, &[]);
    for start in [
        "hw.toml:2: proxy.tls_certificates = [{ certificate = \"a.pem\", kye = \"a.key\" }]: ",
        "hw.toml:3: proxy.trusted_peers = [\"lb\"]: \"lb\": expected a network or an address",
    ] {
        assert!(said.lines().any(|line| line.starts_with(start)), "{start}\n{said}");
    }
    let said = mistakes("proxy.rtmps_listen = \"0.0.0.0:1935\"", &[]);
    for start in [
        "hw.toml:1: proxy.rtmps_listen, proxy.tls_certificates: RTMPS needs both",
        "hw.toml:1: proxy.rtmp_listen, proxy.rtmps_listen: both listen on port 1935",
    ] {
        assert!(said.lines().any(|line| line.starts_with(start)), "{start}\n{said}");
    }
}

#[test]
fn the_control_api_is_not_open_to_strangers() {
    let token = "control.token = \"0123456789abcdef\"\n";
    for (text, right) in [
        ("control.listen = \"127.0.0.1:8081\"", true),
        ("control.listen = \"0.0.0.0:8081\"", false),
        (&format!("{token}control.listen = \"0.0.0.0:8081\""), true),
        (&format!("{token}control.listen = \"0.0.0.0:8080\""), false),
    ] {
        assert_eq!(try_load(Service::AllInOne, text, &[]).is_ok(), right, "{text}");
    }
}

#[test]
fn the_effective_configuration_can_be_fed_back() {
    let text = r#"
drain_timeout = "90s"
[proxy]
apps = ["a", "b"]
trusted_peers = ["10.0.0.0/8", "fd00::7"]
rtmps_listen = "0.0.0.0:1936"
[[proxy.tls_certificates]]
certificate = "a.pem"
key = "a.key"
[server]
capacity = 1.5
advertise = "[fd00::7]:7000"
[origin]
public_url = "https://live.example.com"
[ladder]
rungs = ["1920x1080@6M"]
[store]
url = "s3://bucket/a/b"
path_style = true
encryption = "aws:kms:key"
[recording]
retention = "30d"
[streams."a.b"]
mode = "off"
[streams.demo]
dvr_window = "0s"
renditions = "top"
"#;
    let first = try_load(Service::AllInOne, text, &[("HEADWATER_LOG_FORMAT", "json")]).unwrap();
    let second = try_load(Service::AllInOne, &first.effective, &[]).unwrap();
    assert_eq!(second.config, first.config);
    assert!(
        first.effective.contains("from HEADWATER_LOG_FORMAT)\nformat = \"json\"\n"),
        "{}",
        first.effective
    );
    assert!(first.effective.contains("from hw.toml:4)\napps = [\"a\", \"b\"]\n"), "{}", first.effective);
}

#[test]
fn secrets_are_shown_nowhere() {
    let text = "registry.url = \"redis://:hunter1@redis:6379\"\ninputs.mode = \"keys\"\ninputs.demo = \"hunter2\"\n\
        directory.secret = \"hunter4-hunter4-hunter4\"\ncontrol.token = \"hunter3-hunter3-hunter3\"\n";
    let loaded = try_load(Service::Proxy, text, &[]).unwrap();
    assert!(!loaded.effective.contains("hunter"), "{}", loaded.effective);
    assert!(!format!("{loaded:?}").contains("hunter"));
    assert!(loaded.effective.contains("# url = \"redis://(hidden)@redis:6379\"\n"), "{}", loaded.effective);
    assert!(loaded.effective.contains("# demo = \"(hidden)\"\n"), "{}", loaded.effective);
    assert!(loaded.effective.contains("# token = \"(hidden)\"\n"), "{}", loaded.effective);
    let said = mistakes("control.token = \"hunter4\"", &[]);
    assert!(
        said.starts_with("hw.toml:1: control.token: expected a secret") && !said.contains("hunter"),
        "{said}"
    );
    assert!(try_load(Service::AllInOne, &loaded.effective, &[]).is_ok());
}

/// `UPDATE=1 cargo test -p headwater-runtime reference` writes the page anew.
#[test]
fn the_reference_is_the_one_in_docs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == reference(),
        "docs/configuration.md is out of date: UPDATE=1 cargo test -p headwater-runtime reference"
    );
}
