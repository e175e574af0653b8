//! Masking, which is its own inverse (RFC 6455 §5.3).

/// Applies `mask` to `data`, whose first byte meets the mask's first byte.
pub(super) fn apply(mask: [u8; 4], data: &mut [u8]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    // Whole words without a branch in between, so that the compiler makes vector instructions of them.
    let (words, rest) = data.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// The mask as the bytes behind the first `done` ones of a payload meet it.
pub(super) fn advance(mut mask: [u8; 4], done: usize) -> [u8; 4] {
    mask.rotate_left(done % 4);
    mask
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(mask: [u8; 4], data: &[u8]) -> Vec<u8> {
        data.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]).collect()
    }

    proptest! {
        #[test]
        fn same_as_byte_by_byte(
            mask: [u8; 4],
            data in prop::collection::vec(any::<u8>(), 0..200),
            skip in 0usize..9,
        ) {
            // An odd start makes the words unaligned.
            let skip = skip.min(data.len());
            let mut masked = data.clone();
            apply(mask, &mut masked[skip..]);
            prop_assert_eq!(&masked[..skip], &data[..skip]);
            prop_assert_eq!(&masked[skip..], &naive(mask, &data[skip..])[..]);
        }

        #[test]
        fn same_in_two_pieces(mask: [u8; 4], data in prop::collection::vec(any::<u8>(), 0..100), cut in 0usize..100) {
            let cut = cut.min(data.len());
            let mut masked = data.clone();
            let (front, back) = masked.split_at_mut(cut);
            apply(mask, front);
            apply(advance(mask, cut), back);
            prop_assert_eq!(masked, naive(mask, &data));
        }
    }
}
