//! XML as a reader sees it.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

#[derive(Debug, Default)]
pub(crate) struct Element {
    pub name: String,
    attributes: BTreeMap<String, String>,
    pub children: Vec<Element>,
}

impl Element {
    pub(crate) fn parse(text: &str) -> Self {
        let mut reader = Reader::from_str(text);
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().unwrap_or_else(|error| panic!("{error}: {text}")) {
                Event::Start(start) => open.push(Self::new(&start)),
                Event::Empty(start) => open.last_mut().unwrap().children.push(Self::new(&start)),
                Event::End(_) => {
                    let done = open.pop().unwrap();
                    open.last_mut().unwrap().children.push(done);
                }
                Event::Eof => break,
                Event::Text(text) => assert!(text.trim().is_empty()),
                Event::Decl(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let root = open.pop().unwrap();
        assert!(open.is_empty() && root.children.len() == 1, "{text}");
        root.children.into_iter().next().unwrap()
    }

    fn new(start: &BytesStart<'_>) -> Self {
        let attributes = start.attributes().map(|found| {
            let found = found.unwrap();
            (
                found.key.as_ref().to_owned(),
                found.normalized_value(XmlVersion::Implicit1_0).unwrap().into_owned(),
            )
        });
        let attributes = attributes.collect();
        Self { name: start.name().as_ref().to_owned(), attributes, children: Vec::new() }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.attributes.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap()
    }

    /// `xs:duration`, in seconds.
    pub(crate) fn seconds(&self, name: &str) -> f64 {
        self.text(name).strip_prefix("PT").unwrap().strip_suffix('S').unwrap().parse().unwrap()
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    pub(crate) fn one(&self, name: &str) -> &Self {
        let mut all = self.all(name);
        let first = all.next().unwrap_or_else(|| panic!("no {name}: {self:?}"));
        assert!(all.next().is_none(), "more than one {name}");
        first
    }
}
