//! Queries of URLs: pairs of names and values, in any order, with percent escapes (WHATWG URL §5.1).

use std::borrow::Cow;

/// All pairs, decoded. What has no equals sign has an empty value.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(query.as_bytes())
}

/// The first value of this name.
pub fn value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    pairs(query).find(|(other, _)| other == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_wherever_it_stands() {
        for query in [
            "rendition=480p",
            "x=1&rendition=480p",
            "rendition=480p&token=x",
            "renditio%6E=480%70&rendition=1",
        ] {
            assert_eq!(value(query, "rendition").as_deref(), Some("480p"), "{query}");
        }
        for query in ["", "xrendition=480p", "x=rendition=480p"] {
            assert_eq!(value(query, "rendition"), None, "{query}");
        }
        assert_eq!(value("rendition", "rendition").as_deref(), Some(""));
    }
}
