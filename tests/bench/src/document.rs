//! Writes a section of a document, between two markers that no reader sees.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Replaces what stands between the markers of this name; appends both where there are none.
pub fn write(path: &Path, name: &str, section: &str) -> Result<()> {
    let old = fs::read_to_string(path).unwrap_or_default();
    fs::write(path, with(&old, name, section)).with_context(|| format!("{} can't be written", path.display()))
}

fn with(old: &str, name: &str, section: &str) -> String {
    let begin = format!("<!-- {name}: begin -->");
    let end = format!("<!-- {name}: end -->");
    let new = format!("{begin}\n{}\n{end}", section.trim());
    let found = old.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    match found {
        Some((before, after)) => format!("{before}{new}{after}"),
        None => format!("{}\n\n{new}\n", old.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_appended_once_and_replaced_afterwards() {
        let first = with("# Benchmarks\n", "a", "one");
        assert_eq!(first, "# Benchmarks\n\n<!-- a: begin -->\none\n<!-- a: end -->\n");
        let both = with(&first, "b", "other");
        let replaced = with(&both, "a", "two\n");
        assert_eq!(replaced, both.replace("one", "two"));
    }
}
