//! Signs of life between two programs of ours (WIRE.md §14): when to say something although there is nothing to say, and
//! when a peer that is not heard counts as dead.
//!
//! No clock is read: who owns one looks every [`LOOK_PERIOD_MS`], and time is counted in looks. So a program that was
//! held up itself does not take its own pause for its peer's silence: however long that was, it is one look.

/// How often to look, in ms.
pub const LOOK_PERIOD_MS: u64 = 1_000;

/// Whole periods without a byte sent until a ping is due: the peer is left without a sign for 2 s at most.
const MUTE_LOOKS: u8 = 1;

/// Whole periods without a byte from a peer that pings until it counts as dead: 8 to 9 s of silence. A peer that is held
/// up for 5 s, by a handler that blocks its core, is silent for 7 s at most.
const SILENT_LOOKS: u8 = 8;

/// The same for a gateway of PHP's, which pings every 25 s, whatever else it says (WIRE.md §4): two pings stayed away.
const PHP_SILENT_LOOKS: u8 = 55;

/// Whole periods without a byte from a peer that does not ping until there is reason to ask the kernel about it. It may have
/// nothing to say, and it may not read, for as long as its handlers have something to wait for.
const UNHEARD_LOOKS: u8 = 60;

/// Looks in a row that found an acknowledgement overdue until a peer counts as dead. One may fall just between the kernel's
/// question and the answer.
const UNANSWERED_LOOKS: u8 = 5;

/// Whole periods without a byte up to which a peer that pings is certainly alive: it pings every 2 s.
const FRESH_LOOKS: u8 = 3;

/// Looks without a word of a register that does not answer, until it gets PHP's ping (WIRE.md §2).
const PHP_PING_LOOKS: u8 = 25;

/// One connection's signs of life.
///
/// Invariants: counters are whole periods since the event they are about, at most 255.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pulse {
    /// The peer understands pings.
    pings: bool,
    /// After how many silent periods the peer counts as dead; 0: it never pinged, and may be silent.
    silent_max: u8,
    heard: bool,
    said: bool,
    silent: u8,
    mute: u8,
    unanswered: u8,
}

/// What to do after a look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// Nothing.
    Well,
    /// Send a ping.
    Ping,
    /// The peer is dead: close.
    Silent,
    /// Nothing was heard for a minute of a peer that does not ping: the kernel knows whether its machine is there. See
    /// [`Pulse::is_dead`].
    Unheard,
}

impl Pulse {
    /// The peer understands pings. The first one is to be sent at once: only who was pinged is taken for dead when it
    /// hears nothing, and so knows from then on that we mean it.
    pub fn begin(&mut self) {
        self.pings = true;
    }

    /// A ping came: from here on silence means death.
    pub fn pinged(&mut self) {
        self.silent_max = SILENT_LOOKS;
    }

    /// The same of a ping as PHP's gateways send it, by which more patience is needed.
    pub fn php_pinged(&mut self) {
        if self.silent_max == 0 {
            self.silent_max = PHP_SILENT_LOOKS;
        }
    }

    /// Bytes came; or they might have, if we had read.
    pub fn heard(&mut self) {
        self.heard = true;
    }

    /// Bytes went out.
    pub fn said(&mut self) {
        self.said = true;
    }

    /// For how long nothing was heard, in ms.
    pub fn silent_ms(&self) -> u64 {
        u64::from(self.silent) * LOOK_PERIOD_MS
    }

    /// Whether the peer is not known to be silent: it was heard lately, or never pinged.
    pub fn is_fresh(&self) -> bool {
        self.silent_max == 0 || self.silent <= FRESH_LOOKS
    }

    /// After [`Sign::Unheard`]: `overdue`, the peer's kernel has acknowledged nothing for too long. Whether it is dead.
    pub fn is_dead(&mut self, overdue: bool) -> bool {
        count(&mut self.unanswered, overdue);
        self.unanswered >= UNANSWERED_LOOKS
    }

    /// To be called every [`LOOK_PERIOD_MS`]. `queued`: something waits to go out.
    pub fn look(&mut self, queued: bool) -> Sign {
        let (heard, said) = (std::mem::take(&mut self.heard), std::mem::take(&mut self.said));
        count(&mut self.silent, !heard);
        count(&mut self.mute, !said);
        if self.silent_max > 0 && self.silent >= self.silent_max {
            return Sign::Silent;
        }
        // What is queued will be heard; a ping behind it would tell nothing more.
        if self.pings && !queued && self.mute >= MUTE_LOOKS {
            return Sign::Ping;
        }
        if self.silent >= UNHEARD_LOOKS { Sign::Unheard } else { Sign::Well }
    }
}

fn count(periods: &mut u8, one_more: bool) {
    *periods = if one_more { periods.saturating_add(1) } else { 0 };
}

/// The same towards a register, which answers pings if it is one of ours and says nothing if it is PHP's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegisterPulse {
    pulse: Pulse,
    /// The register is on another machine, where PHP's programs ping it.
    remote: bool,
    looks: u8,
}

/// What to do after a look at a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegisterSign {
    /// Nothing.
    Well,
    /// Send [`crate::register::Request::RingwayPing`].
    RingwayPing,
    /// Send [`crate::register::Request::Ping`].
    Ping,
    /// The register is dead: close.
    Silent,
}

impl RegisterPulse {
    /// For a fresh connection, whose first request is followed by a [`crate::register::Request::RingwayPing`].
    pub fn new(register: &str) -> RegisterPulse {
        // PHP tells local registers by this prefix, not by what the name resolves to (WIRE.md §2).
        RegisterPulse { pulse: Pulse::default(), remote: !register.starts_with("127.0.0.1"), looks: 0 }
    }

    /// The register answered a ping: it is one of ours.
    pub fn answered(&mut self) {
        self.pulse.begin();
        self.pulse.pinged();
    }

    /// Bytes came.
    pub fn heard(&mut self) {
        self.pulse.heard();
    }

    /// To be called every [`LOOK_PERIOD_MS`].
    pub fn look(&mut self) -> RegisterSign {
        match self.pulse.look(false) {
            Sign::Silent => return RegisterSign::Silent,
            Sign::Ping => {
                self.pulse.said();
                return RegisterSign::RingwayPing;
            }
            Sign::Well | Sign::Unheard => {}
        }
        if self.pulse.pings || !self.remote {
            return RegisterSign::Well;
        }
        self.looks += 1;
        if self.looks < PHP_PING_LOOKS {
            return RegisterSign::Well;
        }
        self.looks = 0;
        RegisterSign::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two programs that look once a second, `offset` tells who looks first; one is held up from `from` for `seconds`.
    /// Returns what each found in the end.
    fn held_up(seconds: u32, offset: bool) -> (Sign, Sign) {
        let (mut one, mut other) = (Pulse::default(), Pulse::default());
        for pulse in [&mut one, &mut other] {
            pulse.begin();
            pulse.pinged();
        }
        let (mut found, mut unread) = ((Sign::Well, Sign::Well), false);
        for second in 0..60 {
            let awake = !(20..20 + seconds).contains(&second);
            if offset {
                unread |= speak(&mut one, &mut found.0);
            }
            if awake {
                if std::mem::take(&mut unread) {
                    other.heard();
                }
                if speak(&mut other, &mut found.1) {
                    one.heard();
                }
            }
            if !offset {
                unread |= speak(&mut one, &mut found.0);
            }
        }
        found
    }

    fn speak(pulse: &mut Pulse, found: &mut Sign) -> bool {
        let sign = pulse.look(false);
        if sign == Sign::Ping {
            pulse.said();
        } else if sign != Sign::Well {
            *found = sign;
        }
        sign == Sign::Ping
    }

    #[test]
    fn a_pause_of_five_seconds_is_no_death_and_one_of_ten_is() {
        for offset in [false, true] {
            for seconds in 0..=5 {
                assert_eq!(held_up(seconds, offset), (Sign::Well, Sign::Well), "{seconds} s");
            }
            assert_eq!(
                held_up(11, offset),
                (Sign::Silent, Sign::Well),
                "its own pause is not the other's silence"
            );
        }
    }

    #[test]
    fn silence_is_noticed_within_nine_seconds() {
        let mut pulse = Pulse::default();
        pulse.pinged();
        pulse.heard();
        let looks = (1..).find(|_| pulse.look(false) == Sign::Silent);
        assert_eq!(looks, Some(9));
    }

    #[test]
    fn phps_gateways_have_more_time() {
        let mut pulse = Pulse::default();
        pulse.php_pinged();
        assert_eq!((1..).find(|_| pulse.look(false) == Sign::Silent), Some(u32::from(PHP_SILENT_LOOKS)));
        for ping in [Pulse::pinged, Pulse::php_pinged] {
            ping(&mut pulse);
        }
        pulse.heard();
        assert_eq!((1..).find(|_| pulse.look(false) == Sign::Silent), Some(9), "one of ours sends both");
    }

    #[test]
    fn who_never_pinged_may_be_silent_and_who_does_not_know_pings_gets_none() {
        let mut pulse = Pulse::default();
        assert!((1..UNHEARD_LOOKS).all(|_| pulse.look(false) == Sign::Well));
        assert!((0..1_000).all(|_| pulse.look(false) == Sign::Unheard));
        pulse.begin();
        assert!((0..1_000).all(|_| pulse.look(false) == Sign::Ping));
    }

    #[test]
    fn traffic_is_sign_enough() {
        let mut pulse = Pulse::default();
        pulse.begin();
        pulse.pinged();
        for _ in 0..1_000 {
            pulse.said();
            pulse.heard();
            assert_eq!(pulse.look(true), Sign::Well);
        }
    }

    #[test]
    fn who_takes_nothing_may_do_so_for_ever_while_it_pings_or_its_kernel_acknowledges() {
        let mut pulse = Pulse::default();
        pulse.pinged();
        for _ in 0..1_000 {
            pulse.heard();
            assert_eq!(pulse.look(true), Sign::Well);
        }
        let mut php = Pulse::default();
        assert!((1..UNHEARD_LOOKS).all(|_| php.look(true) == Sign::Well));
        for round in 0..1_000 {
            assert_eq!(php.look(true), Sign::Unheard);
            assert!(!php.is_dead(round % 5 != 0), "it has acknowledged something since");
        }
        assert_eq!((1..).find(|_| php.is_dead(true)), Some(u32::from(UNANSWERED_LOOKS) - 4));
    }

    #[test]
    fn who_was_heard_lately_is_fresh_and_who_never_pinged_is_not_known_to_be_silent() {
        let (mut ours, mut php) = (Pulse::default(), Pulse::default());
        ours.pinged();
        let fresh = (0..100).filter(|_| {
            let _ = (ours.look(false), php.look(false));
            ours.is_fresh()
        });
        assert_eq!(fresh.count(), usize::from(FRESH_LOOKS));
        assert!(php.is_fresh() && ours.silent_ms() == 100_000);
    }

    #[test]
    fn a_register_of_ours_is_pinged_often_and_a_php_one_as_php_does() {
        let signs = |register: &str, answers: bool| {
            let mut pulse = RegisterPulse::new(register);
            let mut signs = Vec::new();
            for _ in 0..75 {
                if answers {
                    pulse.answered();
                    pulse.heard();
                }
                signs.push(pulse.look());
            }
            move |sign| signs.iter().filter(|other| **other == sign).count()
        };
        let ours = signs("10.0.0.1:1236", true);
        assert!(ours(RegisterSign::RingwayPing) >= 37 && ours(RegisterSign::Ping) == 0);
        let php = signs("10.0.0.1:1236", false);
        assert_eq!((php(RegisterSign::RingwayPing), php(RegisterSign::Ping)), (0, 3));
        assert_eq!(signs("127.0.0.1:1236", false)(RegisterSign::Well), 75);
    }

    #[test]
    fn a_register_that_has_answered_and_is_silent_is_dead() {
        let mut pulse = RegisterPulse::new("127.0.0.1:1236");
        pulse.answered();
        pulse.heard();
        assert_eq!((1..).find(|_| pulse.look() == RegisterSign::Silent), Some(9));
    }
}
