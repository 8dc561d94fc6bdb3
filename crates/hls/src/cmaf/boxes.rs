//! Writing boxes whose size is known only when they are full.

/// Appends a box whose payload `fill` writes.
pub(crate) fn plain(out: &mut Vec<u8>, kind: &[u8; 4], fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(kind);
    fill(out);
    let size = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Appends a full box: a box that starts with a version and 24 bits of flags.
pub(crate) fn full(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    plain(out, kind, |out| {
        u32(out, u32::from(version) << 24 | flags);
        fill(out);
    });
}

/// Appends a descriptor of ISO/IEC 14496-1 §8.3.3, its length in as many groups of seven bits as it takes.
pub(crate) fn descriptor(out: &mut Vec<u8>, tag: u8, payload: &[u8]) {
    out.push(tag);
    let length = payload.len();
    for shift in [21, 14, 7] {
        if length >> shift > 0 {
            out.push((length >> shift) as u8 & 0x7f | 0x80);
        }
    }
    out.push(length as u8 & 0x7f);
    out.extend_from_slice(payload);
}

pub(crate) fn u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn zeros(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, 0);
}
