//! What of a benchmark is counted: the inside of [`counted`], whose name callgrind is told.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;

/// A benchmark.
#[derive(Clone)]
pub(crate) struct Bench {
    /// `topic/what, with what`.
    pub name: String,
    /// Operations in a round: deliveries of a fan-out, messages of a batch.
    pub parts: u64,
    rounds: Rounds,
    run: Rc<dyn Fn(&Meter)>,
}

/// How often an operation is carried out.
#[derive(Clone, Copy)]
pub(crate) struct Rounds {
    /// At first and not counted, until buffers have grown and allocations are reused.
    warm: u32,
    counted: u32,
}

/// For what takes up to some thousand instructions.
pub(crate) const MANY: Rounds = Rounds { warm: 20, counted: 100 };

/// For what takes a million.
pub(crate) const FEW: Rounds = Rounds { warm: 4, counted: 4 };

/// Carries operations out, and has callgrind count them.
pub(crate) struct Meter {
    rounds: Rounds,
    counted: Cell<u64>,
}

impl Bench {
    /// A benchmark that `run` prepares and then hands to [`Meter::each`], once.
    pub(crate) fn new(name: impl Into<String>, rounds: Rounds, run: impl Fn(&Meter) + 'static) -> Bench {
        Bench { name: name.into(), parts: 1, rounds, run: Rc::new(run) }
    }

    /// The same, each round of which is this many operations.
    pub(crate) fn per(self, parts: u64) -> Bench {
        Bench { parts, ..self }
    }

    /// How many operations are counted in a run.
    pub(crate) fn operations(&self) -> u64 {
        u64::from(self.rounds.counted) * self.parts
    }

    /// Runs it. Returns the rounds that were counted.
    pub(crate) fn run(&self) -> u64 {
        let meter = Meter { rounds: self.rounds, counted: Cell::new(0) };
        (self.run)(&meter);
        meter.counted.get()
    }
}

impl Meter {
    /// Makes an input by `prepare` and carries `operation` out on it, again and again. Only the operation is counted;
    /// what it leaves in its input is dropped outside.
    pub(crate) fn each<I>(&self, mut prepare: impl FnMut() -> I, mut operation: impl FnMut(&mut I)) {
        for _ in 0..self.rounds.warm {
            operation(black_box(&mut prepare()));
        }
        for _ in 0..self.rounds.counted {
            let mut input = black_box(prepare());
            counted(&mut || operation(&mut input));
            black_box(input);
            self.counted.set(self.counted.get() + 1);
        }
    }
}

/// callgrind counts what happens in here (`--toggle-collect`), this call's own handful of instructions included.
#[inline(never)]
fn counted(operation: &mut dyn FnMut()) {
    operation();
    // Keeps the call above from becoming a jump, which callgrind would not see return here.
    black_box(());
}
