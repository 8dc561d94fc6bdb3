//! The configuration as text: the effective one as TOML, and the reference as Markdown.

use std::fmt::Write;

use super::reader::{Entry, Reader, Redacted, Section};
use super::source::variable;

/// The longest line of a comment.
const COMMENT_WIDTH: usize = 110;

/// The effective configuration as TOML that can be fed back. A value that holds a secret is commented out.
pub(super) fn print_toml(sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections {
        write_comment(&mut text, section.doc);
        if !section.name.is_empty() {
            write_line(&mut text, &format!("[{}]", section.name));
        }
        for entry in &section.entries {
            toml_entry(&mut text, entry);
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

fn toml_entry(text: &mut String, entry: &Entry) {
    let Entry { key, doc, kind, origin, .. } = entry;
    if !doc.is_empty() {
        write_line(text, "");
        write_comment(text, doc);
    }
    write_comment(text, &format!("({kind}; from {origin})"));
    match &entry.value {
        Redacted::Value(value) => write_line(text, &format!("{key} = {value}")),
        Redacted::Secret(value) => write_line(text, &format!("# {key} = {value}")),
        Redacted::Unset => write_line(text, &format!("# {key} =")),
    }
}

fn write_comment(text: &mut String, words: &str) {
    let mut current = String::from("#");
    for word in words.split_whitespace() {
        if current.len() + word.len() >= COMMENT_WIDTH {
            write_line(text, &current);
            current = String::from("#");
        }
        let _ = write!(current, " {word}");
    }
    write_line(text, &current);
}

fn write_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// The reference of all settings as Markdown: the contents of `docs/configuration.md`.
pub fn reference() -> String {
    let mut reader = Reader::default();
    super::read_config(&mut reader);
    let mut text = String::from(REFERENCE_HEAD);
    for section in &reader.sections {
        let title =
            if section.name.is_empty() { "Top level".into() } else { format!("`[{}]`", section.name) };
        let _ = write!(text, "\n## {title}\n\n{}\n", section.doc);
        if !section.entries.is_empty() {
            text.push_str(
                "\n| Setting | Variable | Default | Meaning | Takes |\n| --- | --- | --- | --- | --- |\n",
            );
        }
        for entry in &section.entries {
            write_line(&mut text, &table_row(entry));
        }
    }
    text
}

const REFERENCE_HEAD: &str = "# Configuration

<!-- Made from crates/runtime/src/config/table.rs: `UPDATE=1 cargo test -p headwater-runtime reference`. -->

All services read the same settings: from one TOML file (`--config FILE`, or the variable `HEADWATER_CONFIG`) and from
environment variables, which win over the file. An empty variable counts as not set. Lists are separated by commas in a
variable. A name that is no setting is a mistake, in the file as in a variable that starts with `HEADWATER_`; only the
variables that Kubernetes sets by itself for a Service (`HEADWATER_SERVICE_HOST`, `HEADWATER_PROXY_PORT=tcp://…`) are ignored,
with a line in the log. All mistakes are reported together, each with its line or its variable, and the process exits with code 2. `--print-config` shows the
effective configuration, without its secrets, as a file that can be fed back.
";

fn table_row(entry: &Entry) -> String {
    let Entry { key, name, doc, kind, default, .. } = entry;
    let default = default.as_ref().map_or_else(|| "none".into(), |default| format!("`{default}`"));
    let kind = kind.replace('|', "\\|");
    format!("| `{key}` | `{}` | {default} | {doc} | {kind} |", variable(name))
}
