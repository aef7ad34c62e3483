//! A number that tells one set of rules from another; `build.rs` makes that of the built-in ones.

/// FNV-1a, 32 bits, going on from `start`: tells builds' rules apart, nothing more.
pub(crate) fn fingerprint(start: u32, bytes: &[u8]) -> u32 {
    let start = if start == 0 { 0x811c_9dc5 } else { start };
    bytes.iter().fold(start, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
