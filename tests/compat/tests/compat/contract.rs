//! The gRPC contract: what a release has said may be added to, and never changes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use headwater_compat::{is_update, release_folder, releases_with, write_document};
use protox::prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};

const PROTOS: [&str; 2] = ["headwater/v2/media.proto", "headwater/v2/services.proto"];

/// Messages and services of the contract as it is today. The worker's protocol is none of it: a worker is of its server's version.
pub fn today() -> DescriptorPool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/wire/proto");
    let files = protox::compile(PROTOS, [root]).expect("the .proto files compile");
    DescriptorPool::from_file_descriptor_set(files).expect("the descriptors fit")
}

/// A line for each message, field, enum value and call.
fn describe(pool: &DescriptorPool) -> BTreeSet<String> {
    let messages = pool.all_messages().filter(is_ours);
    let fields =
        messages.flat_map(|message| message.fields().map(|field| describe_field(&field)).collect::<Vec<_>>());
    let values = pool.all_enums().flat_map(|of| describe_enum(&of));
    let calls = pool
        .services()
        .flat_map(|service| service.methods().map(|call| describe_call(&call)).collect::<Vec<_>>());
    let messages =
        pool.all_messages().filter(is_ours).map(|message| format!("message {}", message.full_name()));
    messages.chain(fields).chain(values).chain(calls).collect()
}

fn is_ours(message: &MessageDescriptor) -> bool {
    message.package_name() == "headwater.v2"
}

fn describe_field(field: &FieldDescriptor) -> String {
    let label = match field.containing_oneof() {
        _ if field.is_list() => "repeated ".into(),
        Some(oneof) if field.supports_presence() && oneof.is_synthetic() => "optional ".into(),
        Some(oneof) => format!("oneof {} ", oneof.name()),
        None => String::new(),
    };
    let kind = match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(of) => of.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    format!("{} = {}: {label}{kind}", field.full_name(), field.number())
}

fn describe_enum(of: &EnumDescriptor) -> Vec<String> {
    let value = |(name, number): (String, i32)| format!("{}.{name} = {number}", of.full_name());
    of.values().map(|of| (of.name().to_owned(), of.number())).map(value).collect()
}

fn describe_call(call: &MethodDescriptor) -> String {
    let stream = |is_stream| if is_stream { "stream " } else { "" };
    format!(
        "rpc {}({}{}) returns ({}{})",
        call.full_name(),
        stream(call.is_client_streaming()),
        call.input().full_name(),
        stream(call.is_server_streaming()),
        call.output().full_name()
    )
}

#[test]
fn the_contract_keeps_all_that_a_release_has_said() {
    let today = describe(&today());
    if is_update() {
        let lines: Vec<_> = today.iter().map(String::as_str).collect();
        write_document("contract.txt", lines.join("\n") + "\n");
    }
    for release in releases_with("contract.txt") {
        let said = fs::read_to_string(release_folder(&release).join("contract.txt")).unwrap();
        let gone: Vec<_> = said.lines().filter(|line| !today.contains(*line)).collect();
        assert!(gone.is_empty(), "{release} has said this, and it is changed or gone:\n{}", gone.join("\n"));
    }
}

#[test]
fn a_field_is_described_by_name_number_label_and_type() {
    let today = describe(&today());
    for line in [
        "message headwater.v2.ResumePoint",
        "headwater.v2.ResumePoint.start_us = 4: optional uint64",
        "headwater.v2.ResumePoint.kept = 7: repeated headwater.v2.Rendition",
        "headwater.v2.PublishResponse.rejected = 2: oneof message headwater.v2.Failure",
        "headwater.v2.Failure.Code.CODE_FENCED = 3",
        "rpc headwater.v2.Ingest.Publish(stream headwater.v2.PublishRequest) returns (stream headwater.v2.PublishResponse)",
    ] {
        assert!(today.contains(line), "{line} is missing in {today:#?}");
    }
}
