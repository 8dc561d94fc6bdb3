//! The walls of the house (ARCHITECTURE.md): which crate may know which, and where a dependency may live.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// For each crate, the crates of ours that it may depend on.
const MAY_KNOW: [(&str, &[&str]); 21] = [
    ("media", &[]),
    ("access", &["media"]),
    ("rtmp", &["media"]),
    ("hls", &["media"]),
    ("wire", &["media"]),
    ("registry", &["media"]),
    ("platform", &["media", "runtime"]),
    ("runtime", &["media"]),
    // Documents in a store; who asks for them is not its business.
    ("directory", &["media", "access", "platform", "runtime"]),
    ("transcode", &["media", "hls", "wire"]),
    ("recordings", &["media", "hls", "wire", "platform", "runtime"]),
    ("proxy", &["media", "rtmp", "wire", "registry", "platform", "runtime", "access", "directory"]),
    ("server", &["media", "hls", "wire", "registry", "platform", "runtime", "recordings", "transcode"]),
    // Programs of operators see what is stored, and ask servers for what is on air.
    ("control", &["media", "wire", "registry", "platform", "directory", "runtime", "recordings"]),
    (
        "origin",
        &[
            "media",
            "hls",
            "wire",
            "registry",
            "platform",
            "directory",
            "runtime",
            "recordings",
            "transcode",
            "control",
        ],
    ),
    (
        "headwater",
        &[
            "media",
            "rtmp",
            "registry",
            "runtime",
            "transcode",
            "proxy",
            "server",
            "origin",
            "wire",
            "directory",
        ],
    ),
    ("tests", &["registry", "rtmp", "wire"]),
    // Its sinks stand in for what it does not measure.
    ("bench", &["media", "rtmp", "hls", "wire", "registry", "store"]),
    // A stand-in for Amazon's, which knows nothing of ours.
    ("store", &[]),
    // All that they know, they know as a test.
    ("compat", &[]),
    ("simulator", &[]),
];

/// Dependencies that live in one crate only.
const LIVES_IN: [(&str, &str); 6] = [
    ("gstreamer", "transcode"),
    ("fred", "registry"),
    ("rml_rtmp", "rtmp"),
    ("aws-sdk-s3", "platform"),
    ("aws-sdk-ecs", "platform"),
    ("aws-config", "platform"),
];

/// Crates without input, output, clock or environment, and what they must not depend on.
const SANS_IO: [&str; 4] = ["media", "rtmp", "hls", "access"];
const IO: [&str; 5] = ["tokio", "hyper", "tonic", "reqwest", "tracing-subscriber"];
/// Words that sans-IO code must not have.
const IO_WORDS: [&str; 5] = ["std::net::Tcp", "std::fs", "SystemTime::now", "Instant::now", "std::env::var"];

/// Files of the proxy that may name RTMP: its module, and the start that configures and budgets its sessions.
const SPEAKS_RTMP: [&str; 3] = ["/src/rtmp/", "/src/start.rs", "/src/cost.rs"];

/// Parts of the server that may name the messages of the wire: its gRPC services, and the worker's pipes.
const SPEAKS_WIRE: [&str; 3] = ["/src/grpc/", "/src/worker/", "/src/worker.rs"];

/// Licences that what we ship may have.
const LICENCES: [&str; 13] = [
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "MPL-2.0",
    "CC0-1.0",
    "0BSD",
    "CDLA-Permissive-2.0",
    "BSL-1.0",
    "Unlicense",
];

/// Cargo's metadata of what this machine would build; other systems' packages need not be there.
fn metadata() -> Value {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo's metadata is JSON")
}

/// Our crates, by their short names, with the names of what they depend on outside tests.
fn members(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let ours = packages.filter(|package| package["source"].is_null());
    let dependencies = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies").iter();
        let normal = all.filter(|dependency| dependency["kind"] != "dev");
        normal.map(|dependency| short(&dependency["name"])).collect()
    };
    ours.map(|package| (short(&package["name"]), dependencies(package))).collect()
}

fn short(name: &Value) -> String {
    let name = name.as_str().expect("a name");
    name.strip_prefix("headwater-").unwrap_or(name).to_owned()
}

#[test]
fn arrows_run_downward_only() {
    let members = members(&metadata());
    let known: BTreeMap<_, _> = MAY_KNOW.into_iter().collect();
    for (name, dependencies) in &members {
        let allowed =
            known.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no place in the house yet"));
        for dependency in dependencies.iter().filter(|dependency| known.contains_key(dependency.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn each_dependency_lives_where_it_belongs() {
    for (name, dependencies) in members(&metadata()) {
        for (dependency, home) in LIVES_IN {
            assert!(
                name == home || !dependencies.contains(dependency),
                "{dependency} lives in {home}, not in {name}"
            );
        }
    }
}

#[test]
fn sans_io_crates_do_no_io() {
    let members = members(&metadata());
    for name in SANS_IO {
        let io = members[name].iter().find(|dependency| IO.contains(&dependency.as_str()));
        assert!(io.is_none(), "{name} depends on {io:?}");
        for (path, text) in sources(name) {
            let word = IO_WORDS.iter().find(|word| text.contains(**word));
            assert!(word.is_none(), "{path} says {word:?}");
        }
    }
}

fn sources(name: &str) -> Vec<(String, String)> {
    let mut folders =
        vec![std::path::PathBuf::from(format!("{}/../crates/{name}/src", env!("CARGO_MANIFEST_DIR")))];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path)
            } else {
                found.push((path.display().to_string(), std::fs::read_to_string(&path).expect("UTF-8")))
            }
        }
    }
    found
}

#[test]
fn the_proxys_publisher_speaks_no_protocol() {
    let files = sources("proxy");
    assert!(files.iter().any(|(path, _)| path.contains("/src/publisher/")), "the publisher has moved");
    for (path, text) in files {
        let word = ["headwater_rtmp", "crate::rtmp"].into_iter().find(|word| text.contains(word));
        let may = SPEAKS_RTMP.iter().any(|place| path.contains(place));
        assert!(may || word.is_none(), "{path} says {word:?}");
    }
}

#[test]
fn the_servers_broadcasts_know_no_messages_of_the_wire() {
    let files = sources("server");
    let places = SPEAKS_WIRE.iter().filter(|place| files.iter().any(|(path, _)| path.contains(**place)));
    assert_eq!(places.count(), SPEAKS_WIRE.len(), "the server's edges have moved");
    for (path, text) in files {
        let word = ["headwater_wire::v2", "tonic::Streaming"].into_iter().find(|word| text.contains(word));
        let may = SPEAKS_WIRE.iter().any(|place| path.contains(place));
        assert!(may || word.is_none(), "{path} says {word:?}");
    }
}

#[test]
fn every_dependency_has_a_licence_that_we_may_ship() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().expect("packages") {
        let licence = package["license"].as_str().unwrap_or("none").replace('/', " OR ");
        let fine = licence.split(" OR ").any(|choice| {
            let parts = choice.trim_matches(['(', ')', ' ']).split(" AND ");
            parts.into_iter().all(|part| {
                let name = part.trim_matches(['(', ')', ' ']).split(" WITH ").next().unwrap_or_default();
                LICENCES.contains(&name)
            })
        });
        assert!(fine, "{} has the licence {licence}", package["name"]);
    }
}
