//! Bodies of the commands by which a worker hands its clients over to others (WIRE.md §14).

/// Body of DRAIN: no more events for this worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drain {
    /// Comes back in DRAINED; grows by one with each DRAIN of a link.
    pub round: u32,
    /// In ms from now: after this the worker will have said of every client that it is free, or be gone.
    pub within_ms: u32,
}

impl Drain {
    /// `None`: not as long as it must be.
    pub fn decode(body: &[u8]) -> Option<Drain> {
        let (round, within_ms) = body.split_first_chunk::<4>()?;
        Some(Drain { round: u32::from_be_bytes(*round), within_ms: decode_round(within_ms)? })
    }

    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        [self.round.to_be_bytes(), self.within_ms.to_be_bytes()].concat()
    }
}

/// Body of DRAINED: the round that it answers. `None`: not as long as it must be.
pub fn decode_round(body: &[u8]) -> Option<u32> {
    body.try_into().ok().map(u32::from_be_bytes)
}

/// Body of DRAIN_BUSY and DRAIN_FREE: connection ids.
pub fn encode_ids(ids: impl IntoIterator<Item = u32>) -> Vec<u8> {
    ids.into_iter().flat_map(u32::to_be_bytes).collect()
}

/// The connection ids in the body of DRAIN_BUSY or DRAIN_FREE; what is left over at its end is ignored.
pub fn decode_ids(body: &[u8]) -> impl Iterator<Item = u32> {
    body.as_chunks::<4>().0.iter().map(|id| u32::from_be_bytes(*id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let drain = Drain { round: 7, within_ms: 30_000 };
        assert_eq!(drain.encode(), [0, 0, 0, 7, 0, 0, 0x75, 0x30]);
        assert_eq!(Drain::decode(&drain.encode()), Some(drain));
        assert_eq!(decode_round(&7_u32.to_be_bytes()), Some(7));
        let ids = encode_ids([1, u32::MAX]);
        assert_eq!(ids, [0, 0, 0, 1, 255, 255, 255, 255]);
        assert_eq!(decode_ids(&ids).collect::<Vec<_>>(), [1, u32::MAX]);
    }

    #[test]
    fn bodies_of_another_length_are_refused() {
        for body in [&[][..], &[0; 3], &[0; 7], &[0; 9]] {
            assert_eq!(Drain::decode(body), None, "{body:?}");
        }
        assert_eq!(decode_round(&[0; 5]), None);
        assert_eq!(decode_ids(&[0, 0, 0, 1, 9]).collect::<Vec<_>>(), [1]);
    }
}
