//! The generated code is committed, so that a build needs no generator. This test fails when it is not what the
//! `.proto` files say; `UPDATE=1 cargo test -p headwater-wire --test generated` writes it anew.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};

use prost::Message as _;

const PROTOS: [&str; 3] =
    ["headwater/v2/media.proto", "headwater/v2/services.proto", "headwater/v2/worker.proto"];

fn generate(out: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors = protox::compile(PROTOS, [&root]).expect("the .proto files compile");
    let set = out.join("descriptors.bin");
    std::fs::write(&set, descriptors.encode_to_vec()).unwrap();
    tonic_prost_build::configure()
        .out_dir(out)
        .bytes(".")
        .file_descriptor_set_path(&set)
        .skip_protoc_run()
        .compile_protos(&PROTOS.map(PathBuf::from), &[root])
        .expect("code generation");
}

#[test]
fn generated_code_is_current() {
    let out = tempfile::tempdir().unwrap();
    generate(out.path());
    let fresh = std::fs::read_to_string(out.path().join("headwater.v2.rs")).unwrap();
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated/headwater.v2.rs");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&committed, fresh).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&committed).unwrap_or_default();
    assert!(kept == fresh, "{} is out of date: run this test with UPDATE=1", committed.display());
}
