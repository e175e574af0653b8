//! How many frames of a link a gateway has taken (WIRE.md §14).

/// Body of RECEIPT: frames of the link that the gateway has taken, counted from the one behind WORKER_CONNECT. The first has
/// number 0, and after the last number comes 0 again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The number of the first frame that is not taken.
    pub taken: u32,
}

impl Receipt {
    /// Whether the frame of this number is taken. Numbers that are closer ahead than behind are not.
    pub fn covers(self, number: u32) -> bool {
        let ahead = self.taken.wrapping_sub(number);
        (1..=u32::MAX / 2).contains(&ahead)
    }

    /// `None`: too short; the gateway ends, and will take nothing more. What is left over at the end is ignored.
    pub fn decode(body: &[u8]) -> Option<Receipt> {
        body.first_chunk().map(|taken| Receipt { taken: u32::from_be_bytes(*taken) })
    }

    /// The body.
    pub fn encode(self) -> [u8; 4] {
        self.taken.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cmd, Frame};
    use super::*;

    #[test]
    fn frames_before_the_first_that_is_not_taken_are() {
        for (taken, number, is_taken) in [
            (0, 0, false),
            (1, 0, true),
            (1, 1, false),
            (7, 0, true),
            (0, u32::MAX, true),
            (5, u32::MAX, true),
            (u32::MAX, 0, false),
        ] {
            assert_eq!(Receipt { taken }.covers(number), is_taken, "{number} of {taken}");
        }
    }

    /// As docs/WIRE.md has it.
    #[test]
    fn receipt_is_this_on_the_wire() {
        let mut bytes = Vec::new();
        let receipt = Receipt { taken: 300 };
        Frame { body: &receipt.encode(), ..Frame::command(Cmd::Receipt) }.encode(&mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "00000020f90000000000000000000000000000000001000000000000".to_owned() + "0000012c");
        assert_eq!(Receipt::decode(b"\0\0\x01\x2cmore"), Some(receipt));
        assert_eq!(Receipt::decode(&[0; 3]), None);
    }
}
