//! Names and comments, measured: how doc comments begin, one-word function names, `pub` items without a doc comment, and tuple
//! lets. `cargo test -p headwater-tests --test style measure -- --nocapture` prints the figures of each crate.

use std::collections::BTreeMap;
use std::fmt;

use crate::sources::{self, Source, code_only};

/// Ceiling that only ever goes down: lower it with each change that makes it too high.
const MAX_ONE_WORD_FUNCTIONS_PERCENT: f64 = 38.1;

/// First words that leave the reader to find out what is described.
const VAGUE: [&str; 8] = ["What", "Where", "Who", "Whoever", "One", "Those", "Somebody", "Nothing"];
/// Beginnings that no doc comment of a `pub` item may have.
const REFUSED: [&str; 5] = ["What ", "Whoever ", "Those ", "One that ", "Where it "];

/// Figures of some files.
#[derive(Default)]
struct Figures {
    docs: usize,
    vague_docs: usize,
    functions: usize,
    one_word_functions: usize,
    tuple_lets: usize,
    undocumented: Vec<String>,
    refused: Vec<String>,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.docs += other.docs;
        self.vague_docs += other.vague_docs;
        self.functions += other.functions;
        self.one_word_functions += other.one_word_functions;
        self.tuple_lets += other.tuple_lets;
        self.undocumented.extend(other.undocumented);
        self.refused.extend(other.refused);
    }

    fn vague_percent(&self) -> f64 {
        percent(self.vague_docs, self.docs)
    }

    fn one_word_percent(&self) -> f64 {
        percent(self.one_word_functions, self.functions)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:5} docs, {:4.1} % vague | {:4} functions, {:4.1} % of one word | {:3} undocumented, {:3} refused | {:3} tuple lets",
            self.docs,
            self.vague_percent(),
            self.functions,
            self.one_word_percent(),
            self.undocumented.len(),
            self.refused.len(),
            self.tuple_lets,
        )
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// Figures of one file.
fn measure(source: &Source) -> Figures {
    let mut figures = Figures::default();
    let code = code_only(&source.text);
    let mut doc: Option<(&str, &str)> = None;
    let mut is_test = false;
    let mut is_shipped = source.is_shipped();
    let mut is_in_doc = "";
    for (number, (line, code)) in source.text.lines().zip(code.lines()).enumerate() {
        let line = line.trim();
        if let Some((marker, text)) = doc_line(line) {
            if is_in_doc != marker {
                figures.docs += 1;
                figures.vague_docs += usize::from(VAGUE.contains(&first_word(text)));
                doc = Some((marker, text));
            }
            is_in_doc = marker;
            continue;
        }
        is_in_doc = "";
        let code = code.trim();
        if line.contains("#[test]") || line.contains("#[tokio::test") || line.contains("#[cfg(test)]") {
            is_test = true;
        }
        if code.is_empty() || code.starts_with("#[") {
            continue;
        }
        figures.tuple_lets += usize::from(is_tuple_let(code));
        // A module of tests is the last thing in its file.
        is_shipped &= !(is_test && code.contains("mod ") && code.ends_with('{'));
        if is_shipped {
            if let Some(name) = function_name(code).filter(|_| !is_test) {
                figures.functions += 1;
                figures.one_word_functions += usize::from(!name.trim_matches('_').contains('_'));
            }
            if let Some(item) = public_item(code).filter(|_| !is_test) {
                let place = format!("{}:{}: {item}", source.path, number + 1);
                match doc.filter(|(marker, _)| *marker == "///") {
                    Some((_, text)) if REFUSED.iter().any(|word| text.starts_with(word)) => {
                        figures.refused.push(place);
                    }
                    Some(_) => {}
                    // The module's own file has its doc comment.
                    None if item.starts_with("mod ") && code.ends_with(';') => {}
                    None => figures.undocumented.push(place),
                }
            }
        }
        doc = None;
        is_test = false;
    }
    figures
}

/// Marker and text of a line of a doc comment.
fn doc_line(line: &str) -> Option<(&'static str, &str)> {
    let text = |marker| line.strip_prefix(marker).filter(|text| !text.starts_with('/')).map(str::trim);
    text("///").map(|text| ("///", text)).or_else(|| text("//!").map(|text| ("//!", text)))
}

fn first_word(text: &str) -> &str {
    text.split(|char: char| !char.is_alphabetic()).next().unwrap_or_default()
}

/// Name of the function that a line of code begins to declare.
fn function_name(code: &str) -> Option<&str> {
    let (before, after) = code.split_once("fn ")?;
    let is_declaration = before.split_whitespace().all(|word| {
        word.starts_with("pub") || ["async", "const", "unsafe", "extern", "crate)", "super)"].contains(&word)
    });
    let name = after.split(|char: char| !char.is_alphanumeric() && char != '_').next()?;
    (is_declaration && !name.is_empty()).then_some(name)
}

/// Kind and name of the `pub` item that a line of code begins to declare. Imports and fields are none.
fn public_item(code: &str) -> Option<String> {
    let mut words = code.strip_prefix("pub ")?.split_whitespace().peekable();
    while words.next_if(|word| ["async", "unsafe", "extern"].contains(word)).is_some() {}
    let mut kind = words.next()?;
    if kind == "const" && words.peek() == Some(&"fn") {
        kind = words.next()?;
    }
    let kinds = ["fn", "struct", "enum", "trait", "const", "static", "type", "mod", "union"];
    let name = words.next()?.split(|char: char| !char.is_alphanumeric() && char != '_').next()?;
    // A macro gives names, and the comments, from where it is used.
    (kinds.contains(&kind) && !name.is_empty()).then(|| format!("{kind} {name}"))
}

/// Whether a line binds several names to as many independent values.
fn is_tuple_let(code: &str) -> bool {
    let Some((names, value)) = code.strip_prefix("let (").and_then(|rest| rest.split_once(" = (")) else {
        return false;
    };
    // `let (Some(a), Some(b)) = (x, y) else` asks for both at once, which takes a tuple.
    let is_refutable = names.contains(char::is_uppercase);
    names.contains(',') && value.contains(',') && !is_refutable
}

#[test]
fn measure_names_and_comments() {
    let mut crates: BTreeMap<String, Figures> = BTreeMap::new();
    let mut total = Figures::default();
    for source in sources::all() {
        crates.entry(source.crate_name().to_owned()).or_default().add(measure(&source));
        total.add(measure(&source));
    }
    for (name, figures) in crates.iter().chain([(&"all".to_owned(), &total)]) {
        println!("{name:12}{figures}");
    }
    let one_word = total.one_word_percent();
    assert!(one_word <= MAX_ONE_WORD_FUNCTIONS_PERCENT, "{one_word:.2} % of functions have one-word names");
    assert_eq!(total.vague_docs, 0, "doc comments that begin with one of {VAGUE:?}");
    let undocumented = total.undocumented.join("\n");
    assert_eq!(undocumented, "", "`pub` items without a doc comment");
    let refused = total.refused.join("\n");
    assert_eq!(refused, "", "doc comments of `pub` items that begin with one of {REFUSED:?}");
    assert_eq!(total.tuple_lets, 0, "lets of the kind `let (a, b) = (x, y)`");
}

#[test]
fn figures_count_what_they_name() {
    let text = [
        "//! Where files are.",
        "",
        "/// One that counts.",
        "#[derive(Debug)]",
        "pub struct Counter {",
        "    pub field: u8,",
        "}",
        "pub const fn new() {}",
        "pub struct $name(String);",
        "/// Adds two numbers.",
        "/// What else.",
        "pub async fn add_up() {",
        "    let (a, b) = (1, 2);",
        "    let (a, b) = pair();",
        "    let (Some(a), Some(b)) = (x, y) else { return };",
        "    let c = \"let (a, b) = (1, 2);\";",
        "}",
        "#[test]",
        "fn works() {}",
        "#[cfg(test)]",
        "mod tests {",
        "    fn help() {}",
    ]
    .join("\n");
    let figures = measure(&Source { path: "crates/media/src/x.rs".into(), text });
    assert_eq!((figures.docs, figures.vague_docs), (3, 2));
    assert_eq!((figures.functions, figures.one_word_functions), (2, 1));
    assert_eq!(figures.undocumented, ["crates/media/src/x.rs:8: fn new"]);
    assert_eq!(figures.refused, ["crates/media/src/x.rs:5: struct Counter"]);
    assert_eq!(figures.tuple_lets, 1);
}
