//! The Rust sources of the repository, without what a generator wrote.

use std::fs;
use std::path::{Path, PathBuf};

/// Rust file of the repository.
pub struct Source {
    /// Path from the root of the repository, with slashes.
    pub path: String,
    /// Contents of the file.
    pub text: String,
}

impl Source {
    /// Short name of the crate that the file belongs to; the end-to-end tests and their tools are all `tests`.
    pub fn crate_name(&self) -> &str {
        match self.path.strip_prefix("crates/") {
            Some(rest) => rest.split('/').next().unwrap_or(rest),
            None => "tests",
        }
    }

    /// Whether the file is compiled into what users run: neither a test nor a benchmark nor an example.
    pub fn is_shipped(&self) -> bool {
        let mut names = self.path.split('/').skip(2);
        let is_test = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        self.path.starts_with("crates/") && names.next() == Some("src") && !is_test
    }
}

/// Root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust files of `crates` and `tests`, in the order of their paths.
pub fn all() -> Vec<Source> {
    let files = files_below(&["crates", "tests"], "rs");
    files.into_iter().filter(|source| !source.path.contains("/generated/")).collect()
}

/// Files with the given extension below the given folders of the repository.
pub fn files_below(folders: &[&str], extension: &str) -> Vec<Source> {
    let root = root();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry of a folder").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !["target", "node_modules", "dist"].contains(&&*name) {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = fs::read_to_string(&path).expect("UTF-8");
                let path = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Replaces comments, and the contents of strings and characters, by spaces; lines stay where they are.
pub fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (kept, skipped) = next_piece(rest);
        code.push_str(&rest[..kept]);
        code.extend(rest[kept..kept + skipped].chars().map(|char| if char == '\n' { '\n' } else { ' ' }));
        rest = &rest[kept + skipped..];
    }
    code
}

/// Numbers of bytes of code at the start of `text`, and of what follows it and is none.
fn next_piece(text: &str) -> (usize, usize) {
    if text.starts_with("//") {
        return (0, text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return (0, text.find("*/").map_or(text.len(), |end| end + 2));
    }
    if let Some(quoted) = text.strip_prefix('"') {
        return (0, 1 + string_end(quoted));
    }
    if let Some(hashes) = raw_string(text) {
        let close = format!("\"{}", "#".repeat(hashes));
        let start = 2 + hashes;
        return (0, text[start..].find(&close).map_or(text.len(), |end| start + end + close.len()));
    }
    let mut chars = text.chars();
    let first = chars.next().map_or(0, char::len_utf8);
    if first == 1 && text.starts_with('\'') {
        return (0, char_literal(text).unwrap_or(1));
    }
    // A word is taken whole, so that the `r` at its end begins no raw string.
    let word = text.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(text.len());
    (word.max(first), 0)
}

/// Bytes up to and with the quote that ends a string.
fn string_end(quoted: &str) -> usize {
    let mut is_escaped = false;
    for (at, char) in quoted.char_indices() {
        match char {
            '"' if !is_escaped => return at + 1,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    quoted.len()
}

/// Number of hashes of the raw string that `text` begins with.
fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some(hashes)
}

/// Bytes of the character literal that `text` begins with; a lifetime is none.
fn char_literal(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        let after_escaped = 3;
        return text.get(after_escaped..)?.find('\'').map(|end| after_escaped + end + 1);
    }
    let (end, quote) = chars.next()?;
    (quote == '\'').then_some(end + 1)
}

#[test]
fn code_is_told_from_comments_and_strings() {
    let text = "let a = \"x // \\\" y\"; // fn b\nlet c: &'a str = r#\"fn \"d\" \"#; '\"' '\\'' /* fn */ e";
    let code = code_only(text);
    assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), "let a = ; let c: & a str = ; e");
    assert_eq!(code.matches('\n').count(), 1);
}
