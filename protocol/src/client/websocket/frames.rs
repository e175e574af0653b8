//! From frames to messages and control frames, the same for both sides.
//!
//! Owns the message that is still being collected, and nothing else: what to answer to a control frame is for the
//! caller to decide.

use std::ops::Range;

use super::super::{Kind, Limits, Malformed};
use super::header::{CONTROL_PAYLOAD_SIZE_MAX, Header, Opcode, Sender};
use super::mask;

/// The decoding state of a stream of frames: one pointer while no message is half done.
#[derive(Debug, Default)]
pub(super) struct Frames {
    partial: Option<Box<Partial>>,
    /// Text need not be UTF-8.
    lenient_text: bool,
    /// Messages may be compressed.
    deflates: bool,
}

/// The sender broke a rule of the framing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Broken {
    pub(super) malformed: Malformed,
    /// Bytes of the input in front of the frame at fault, or those of it that were taken over already.
    pub(super) consumed: usize,
}

/// What the next frames are. Ranges are places in the input, unmasked.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Nothing whole behind the first `consumed` bytes.
    NeedMore { consumed: usize },
    /// A message in one piece.
    Message { consumed: usize, body: Range<usize>, kind: Kind },
    /// The same, still compressed.
    Deflated { consumed: usize, payload: Range<usize>, kind: Kind },
    /// A message that had to be put together: it is [`Frames::collected`] until the next step.
    Collected { consumed: usize, kind: Kind, deflated: bool },
    /// A control frame; the message around it, if there is one, goes on.
    Control { consumed: usize, opcode: Opcode, payload: Range<usize> },
}

impl Frames {
    pub(super) fn new(lenient_text: bool, deflates: bool) -> Self {
        Self { partial: None, lenient_text, deflates }
    }

    pub(super) fn deflates(&self) -> bool {
        self.deflates
    }

    /// Takes the next message or control frame from `input`.
    ///
    /// Data that belongs to an unfinished frame is taken over as it comes, so at most a header or a control frame is
    /// left to wait in the input. `package_size_max` bounds the payloads of a message before its last frame, plus
    /// that frame with its header, as PHP counts.
    pub(super) fn step(&mut self, sender: Sender, limits: &Limits, input: &mut [u8]) -> Result<Step, Broken> {
        self.partial.take_if(|partial| partial.progress == Progress::Finished);
        let mut consumed = 0;
        loop {
            if let Some(partial) = &mut self.partial {
                consumed += partial.take(&mut input[consumed..]);
                if !self.lenient_text {
                    partial.check_text().map_err(|malformed| Broken { malformed, consumed })?;
                }
                match partial.progress {
                    Progress::InFrame(_) => return Ok(Step::NeedMore { consumed }),
                    Progress::Finished => {
                        let Partial { kind, deflated, .. } = **partial;
                        return Ok(Step::Collected { consumed, kind, deflated });
                    }
                    Progress::BetweenFrames => {}
                }
            }
            let broken = |malformed| Broken { malformed, consumed };
            let header = Header::parse(sender, self.deflates, &input[consumed..]);
            let Some(header) = header.map_err(broken)? else {
                return Ok(Step::NeedMore { consumed });
            };
            let rest = &mut input[consumed + header.size..];
            if header.opcode.is_control() {
                return Ok(control(&header, consumed, rest));
            }
            let kind = self.admit(&header, limits.package_size_max).map_err(broken)?;
            let start = consumed + header.size;
            let whole = usize::try_from(header.payload_size).ok().and_then(|size| rest.get_mut(..size));
            if let (None, true, Some(body)) = (&self.partial, header.fin, whole) {
                let end = start + body.len();
                if header.deflated {
                    mask::apply(header.mask, body);
                    return Ok(Step::Deflated { consumed: end, payload: start..end, kind });
                }
                let checked = if self.lenient_text { Kind::Binary } else { kind };
                open_whole(&header, checked, body).map_err(broken)?;
                return Ok(Step::Message { consumed: end, body: start..end, kind });
            }
            let partial = self.partial.get_or_insert_with(|| Box::new(Partial::new(kind, header.deflated)));
            partial.begin(&header, limits.fragments_max).map_err(broken)?;
            consumed = start;
        }
    }

    /// The message that the last step said is put together; empty at other times.
    pub(super) fn collected(&self) -> &[u8] {
        match &self.partial {
            Some(partial) if partial.progress == Progress::Finished => &partial.body,
            _ => &[],
        }
    }

    /// Payload bytes of the frame under way that are still to come.
    pub(super) fn remaining(&self) -> u64 {
        match self.partial.as_deref() {
            Some(Partial { progress: Progress::InFrame(frame), .. }) => frame.remaining,
            _ => 0,
        }
    }

    /// Bytes of a message that is being put together.
    pub(super) fn kept_size(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.body.len())
    }

    /// Judges a data frame by what came before it; tells its message's kind.
    fn admit(&self, header: &Header, size_max: usize) -> Result<Kind, Malformed> {
        let (kind, collected) = match (header.opcode, &self.partial) {
            (Opcode::Text, None) => (Kind::Text, 0),
            (Opcode::Binary, None) => (Kind::Binary, 0),
            (Opcode::Continuation, Some(partial)) => (partial.kind, partial.body.len()),
            _ => return Err(Malformed::Protocol),
        };
        // A length has 63 bits, so this does not overflow.
        if header.payload_size + (header.size + collected) as u64 > size_max as u64 {
            return Err(Malformed::TooLarge);
        }
        Ok(kind)
    }
}

/// A control frame, if all of it is at the start of `rest`, which begins behind its header at `consumed`.
fn control(header: &Header, consumed: usize, rest: &mut [u8]) -> Step {
    let size = usize::try_from(header.payload_size).unwrap_or(usize::MAX);
    debug_assert!(size <= CONTROL_PAYLOAD_SIZE_MAX);
    let Some(payload) = rest.get_mut(..size) else {
        return Step::NeedMore { consumed };
    };
    mask::apply(header.mask, payload);
    let start = consumed + header.size;
    Step::Control { consumed: start + size, opcode: header.opcode, payload: start..start + size }
}

/// Unmasks and checks a message that came in one frame.
fn open_whole(header: &Header, kind: Kind, body: &mut [u8]) -> Result<(), Malformed> {
    mask::apply(header.mask, body);
    if kind == Kind::Text && simdutf8::basic::from_utf8(body).is_err() {
        return Err(Malformed::Utf8);
    }
    Ok(())
}

/// A message of which some is still to come. For text, `checked <= body.len() <= checked + 3` between calls.
#[derive(Debug)]
struct Partial {
    /// What has arrived, unmasked. Grows with that, never by what a header announces.
    body: Vec<u8>,
    /// How much of a text is known to be UTF-8; what follows is the start of one character.
    checked: usize,
    /// How many frames it has had so far.
    fragments: usize,
    progress: Progress,
    kind: Kind,
    /// It is compressed, and so not to be judged yet.
    deflated: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    BetweenFrames,
    InFrame(FrameRest),
    Finished,
}

/// The part of a data frame that has not arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct FrameRest {
    /// Payload bytes to come.
    remaining: u64,
    /// The mask as the next byte meets it first.
    mask: [u8; 4],
    fin: bool,
}

impl Partial {
    fn new(kind: Kind, deflated: bool) -> Self {
        Self { body: Vec::new(), checked: 0, fragments: 0, progress: Progress::BetweenFrames, kind, deflated }
    }

    /// The next frame, if there may be another one.
    fn begin(&mut self, header: &Header, fragments_max: usize) -> Result<(), Malformed> {
        debug_assert_eq!(self.progress, Progress::BetweenFrames);
        if self.fragments >= fragments_max {
            return Err(Malformed::Fragments);
        }
        self.fragments += 1;
        self.progress = Progress::InFrame(FrameRest {
            remaining: header.payload_size,
            mask: header.mask,
            fin: header.fin,
        });
        Ok(())
    }

    /// Takes over what `input` has of the frame that is under way, and returns how many bytes that was.
    fn take(&mut self, input: &mut [u8]) -> usize {
        let Progress::InFrame(frame) = self.progress else {
            return 0;
        };
        let size =
            usize::try_from(frame.remaining).map_or(input.len(), |remaining| remaining.min(input.len()));
        let piece = &mut input[..size];
        mask::apply(frame.mask, piece);
        self.body.extend_from_slice(piece);
        let remaining = frame.remaining - size as u64;
        self.progress = match remaining {
            0 if frame.fin => Progress::Finished,
            0 => Progress::BetweenFrames,
            _ => Progress::InFrame(FrameRest { remaining, mask: mask::advance(frame.mask, size), ..frame }),
        };
        size
    }

    /// Checks what is new in a text, and fails at the first byte that no continuation can make good.
    fn check_text(&mut self) -> Result<(), Malformed> {
        if self.kind != Kind::Text || self.deflated {
            return Ok(());
        }
        let ends = self.progress == Progress::Finished;
        match simdutf8::compat::from_utf8(&self.body[self.checked..]) {
            Ok(_) => self.checked = self.body.len(),
            Err(error) if error.error_len().is_none() && !ends => self.checked += error.valid_up_to(),
            Err(_) => return Err(Malformed::Utf8),
        }
        Ok(())
    }
}
