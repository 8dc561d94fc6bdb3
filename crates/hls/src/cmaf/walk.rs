//! A box walker for tests, written apart from the muxer.

pub(crate) struct Walk<'a>(Vec<(String, &'a [u8])>);

impl<'a> Walk<'a> {
    pub(crate) fn new(mut bytes: &'a [u8]) -> Self {
        let mut boxes = Vec::new();
        while !bytes.is_empty() {
            let size = be32(bytes, 0) as usize;
            let kind = String::from_utf8(bytes[4..8].to_vec()).unwrap();
            boxes.push((kind, &bytes[8..size]));
            bytes = &bytes[size..];
        }
        Self(boxes)
    }

    pub(crate) fn payload(&self, path: &[&str]) -> &'a [u8] {
        let found = self.0.iter().find(|(kind, _)| kind == path[0]);
        let payload = found.unwrap_or_else(|| panic!("no {path:?}")).1;
        match &path[1..] {
            [] => payload,
            rest => Walk::new(payload).payload(rest),
        }
    }

    /// The payload of the `nth` box of a kind, from 0.
    pub(crate) fn nth(&self, kind: &str, nth: usize) -> &'a [u8] {
        self.0.iter().filter(|(found, _)| found == kind).nth(nth).expect("so many boxes").1
    }

    pub(crate) fn kinds(&self, path: &[&str]) -> Vec<String> {
        let kinds = |walk: &Walk<'_>| walk.0.iter().map(|(kind, _)| kind.clone()).collect();
        if path.is_empty() { kinds(self) } else { kinds(&Walk::new(self.payload(path))) }
    }
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}
