//! Compression of playlists by `Accept-Encoding` (RFC 9110 §12.5.3).

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Whether the client takes gzip.
pub(crate) fn accepts_gzip(header: &str) -> bool {
    let weight_of = |name: &str| {
        header.split(',').find_map(|item| {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
            coding.trim().eq_ignore_ascii_case(name).then(|| weight(parameters))
        })
    };
    weight_of("gzip").or_else(|| weight_of("*")).is_some_and(|weight| weight > 0.0)
}

fn weight(parameters: &str) -> f32 {
    let value = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
    value.map_or(1.0, |value| value.trim().parse().unwrap_or(0.0))
}

/// Playlists repeat themselves, so a low level already brings 90 %; what is left would cost several times the effort.
const GZIP_LEVEL: u32 = 4;

pub(crate) fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::new(GZIP_LEVEL));
    encoder.write_all(text).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_heeded() {
        for header in ["gzip", "deflate, gzip;q=0.5", "*", "GZIP", "br;q=1, *;q=0.1"] {
            assert!(accepts_gzip(header), "{header}");
        }
        for header in ["", "identity", "gzip;q=0", "*;q=0", "gzip; q=0.000, *", "br"] {
            assert!(!accepts_gzip(header), "{header}");
        }
    }
}
