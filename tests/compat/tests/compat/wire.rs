//! Messages of the gRPC calls as a release has sent them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use headwater_compat::{
    NEXT_RELEASE, clear_documents, is_cut, is_update, release_folder, releases_with, write_document,
};

use crate::{contract, fields, messages};

/// Encoded messages of a release: type, name, and the file without its ending.
fn documents(release: &str) -> Vec<(String, PathBuf)> {
    let folders = fs::read_dir(release_folder(release).join("wire")).unwrap().flatten();
    let mut documents = Vec::new();
    for folder in folders {
        let message = folder.file_name().into_string().unwrap();
        let files = fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path());
        let encoded = files.filter(|path| path.extension().is_some_and(|kind| kind == "bin"));
        documents.extend(encoded.map(|path| (message.clone(), path)));
    }
    documents.sort();
    documents
}

fn make_documents() {
    let pool = contract::today();
    clear_documents("wire");
    for sample in messages::samples() {
        let name = format!("wire/{}/{}", sample.message, sample.name);
        let text = fields::describe(&fields::read(&pool, sample.message, &sample.bytes));
        write_document(&format!("{name}.txt"), text);
        write_document(&format!("{name}.bin"), sample.bytes);
    }
}

#[test]
fn messages_of_every_release_are_read_whole() {
    if is_update() {
        make_documents();
    }
    let pool = contract::today();
    for release in releases_with("wire") {
        let documents = documents(&release);
        assert!(documents.len() > 20, "{release} has {} messages", documents.len());
        for (message, path) in documents {
            let at = path.display();
            let bytes = fs::read(&path).unwrap();
            assert_eq!(messages::read_and_write(&message, &bytes), bytes, "{at} is not read whole");
            let text = fields::describe(&fields::read(&pool, &message, &bytes));
            assert_eq!(
                text,
                fs::read_to_string(path.with_extension("txt")).unwrap(),
                "{at} is read as something else"
            );
            messages::check(&message, &bytes).unwrap_or_else(|error| panic!("{at} is refused: {error}"));
        }
    }
}

/// Before a release is cut, its documents have to say all that it can say.
#[test]
fn every_field_of_the_next_release_is_in_a_document() {
    if is_cut(NEXT_RELEASE) {
        return;
    }
    let pool = contract::today();
    let samples = messages::samples();
    let types: BTreeSet<_> = samples.iter().map(|sample| sample.message).collect();
    assert_eq!(types, messages::MESSAGES.iter().copied().collect(), "types without a message");
    let calls = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let carried: BTreeSet<_> = calls
        .flat_map(|call| [call.input(), call.output()])
        .map(|message| message.name().to_owned())
        .collect();
    assert!(carried.iter().map(String::as_str).eq(types), "types of calls that are not in `messages!`");
    let mut set = BTreeSet::new();
    for sample in &samples {
        fields::collect_names(&fields::read(&pool, sample.message, &sample.bytes), &mut set);
    }
    let missing: Vec<_> = fields::all_names(&pool).difference(&set).cloned().collect();
    assert!(
        missing.is_empty(),
        "give these fields a value in values.rs or messages.rs:\n{}",
        missing.join("\n")
    );
}
