//! Every benchmark, tiny: that it runs to its end and its figures are sound, not what they are.

use benches::echo::{self, Setup};

#[test]
fn echo_runs() {
    let setup = Setup { rounds: 2, conns: 10, hold_seconds: 0.3, warmup_seconds: 0.05, ..Setup::default() };
    let mut told = 0;
    let figures = echo::run(setup, |index, round| {
        assert_eq!(index, told);
        assert!(round.bare.echoes > 0 && round.path.echoes > 0 && round.path.cpu_seconds.len() == 2);
        told += 1;
    });
    assert_eq!((told, figures.rounds.len()), (2, 2));
    assert!(!figures.to_string().is_empty());
}
