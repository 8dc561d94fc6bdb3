//! Links between documents: each one leads to a file of the repository, and to a heading that is there.

use crate::sources::{self, Source};

#[test]
fn links_of_documents_lead_somewhere() {
    let root = sources::root();
    let mut documents: Vec<Source> = sources::files_below(&["docs"], "md");
    for entry in std::fs::read_dir(&root).expect("the root") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            documents.push(Source { path: name, text: std::fs::read_to_string(&path).expect("UTF-8") });
        }
    }
    let mut dead = Vec::new();
    for document in &documents {
        let folder = root.join(&document.path).parent().expect("a folder").to_owned();
        for target in targets(&document.text) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let text = match file {
                "" => Some(document.text.clone()),
                _ if folder.join(file).is_dir() => continue,
                _ => std::fs::read(folder.join(file))
                    .ok()
                    .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            };
            let is_alive = text.is_some_and(|text| heading.is_empty() || has_heading(&text, heading));
            if !is_alive {
                dead.push(format!("{}: {target}", document.path));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

/// Targets of the links within the repository.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

/// Whether a document has the heading that GitHub gives this anchor.
fn has_heading(text: &str, anchor: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor_of(line.trim_start_matches('#').trim())).any(|found| found == anchor)
}

fn anchor_of(heading: &str) -> String {
    let kept = heading.to_lowercase();
    kept.chars()
        .filter(|char| char.is_alphanumeric() || " -_".contains(*char))
        .collect::<String>()
        .replace(' ', "-")
}

#[test]
fn an_anchor_is_a_heading_without_signs() {
    assert!(has_heading("x\n## The trip of a frame\n", "the-trip-of-a-frame"));
    assert!(has_heading("# `[server]`, once\n", "server-once"));
    assert!(!has_heading("The trip\n", "the-trip"));
    assert_eq!(targets("a [b](c.md#d) [e](https://f) [g](h)").collect::<Vec<_>>(), ["c.md#d", "h"]);
}
