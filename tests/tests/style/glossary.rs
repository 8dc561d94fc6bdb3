//! The glossary: each word has one line and one meaning.

use std::collections::BTreeSet;

use crate::sources;

#[test]
fn each_word_stands_once_with_its_meaning() {
    let text = std::fs::read_to_string(sources::root().join("GLOSSARY.md")).expect("GLOSSARY.md");
    let mut words = BTreeSet::new();
    for row in text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")) {
        let (names, meaning) = row.split_once(" | ").expect("two columns");
        if ["Word", "---"].contains(&names) {
            continue;
        }
        assert!(!meaning.is_empty() && !meaning.contains(" | "), "{names} has not one meaning");
        for name in names.split(", ") {
            assert!(words.insert(name.to_owned()), "{name} stands twice");
        }
    }
    assert!(words.len() > 100, "{} words", words.len());
}
