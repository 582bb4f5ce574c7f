//! Makes layers and their parts for tests, here and in other crates.

/// Compresses `content` into one zstd frame.
///
/// # Panics
/// When zstd fails, which takes a machine without memory.
pub fn zstd_frame(content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; zstd_safe::compress_bound(content.len())];
    let len = zstd_safe::compress(frame.as_mut_slice(), content, 3)
        .expect("the buffer is as large as it has to be");
    frame.truncate(len);
    frame
}

/// Puts `payload` into a skippable frame as zstd:chunked has them.
pub fn skippable_frame(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&[0x50, 0x2a, 0x4d, 0x18], len.to_le_bytes().as_slice(), payload].concat()
}
