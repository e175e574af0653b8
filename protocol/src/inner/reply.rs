//! Replies to queries: a u32 length, then a PHP-serialized value (WIRE.md §3).

use super::FrameError;

/// Appends `value`, already serialized, as a reply. Values of 4 GiB and more cannot be told (asserted).
pub fn encode(value: &[u8], out: &mut Vec<u8>) {
    let start = begin(out);
    out.extend_from_slice(value);
    finish(start, out);
}

/// Begins a reply whose value is appended piece by piece; hand the result to [`finish`].
#[must_use]
pub fn begin(out: &mut Vec<u8>) -> Begun {
    out.extend_from_slice(&[0; LENGTH_SIZE]);
    Begun { value_at: out.len() }
}

/// Sets the length of the reply begun as `start`, whose value is all that has been appended to the same `out` since.
pub fn finish(start: Begun, out: &mut [u8]) {
    let length = u32::try_from(out.len() - start.value_at).expect("a reply is shorter than 4 GiB");
    out[start.value_at - LENGTH_SIZE..start.value_at].copy_from_slice(&length.to_be_bytes());
}

/// Appends the length alone; a value of `size` bytes is to follow.
pub fn encode_size(size: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&size.to_be_bytes());
}

/// A reply whose length is not written yet.
#[derive(Debug)]
pub struct Begun {
    value_at: usize,
}

/// The value of the first reply in `input` and the bytes the reply takes, or `None` while it is not whole.
/// `Err`: the value is longer than `size_max` bytes.
pub fn decode(input: &[u8], size_max: usize) -> Result<Option<(&[u8], usize)>, FrameError> {
    let Some((length, rest)) = input.split_first_chunk::<LENGTH_SIZE>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length > size_max {
        return Err(FrameError);
    }
    Ok(rest.get(..length).map(|value| (value, LENGTH_SIZE + length)))
}

const LENGTH_SIZE: usize = 4;
