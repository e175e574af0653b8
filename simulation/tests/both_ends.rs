//! Thousands of seeds: gateways and workers together lose nothing, double nothing, and find each other again.

use ringway_simulation::{Faults, World};

/// Prints the seed of a run that failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}: set RINGWAY_SEED={} to repeat it alone", self.0, self.0);
        }
    }
}

fn run(faults: Faults, seeds: u64) {
    let only = std::env::var("RINGWAY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..seeds, |seed| seed..seed + 1);
    for seed in seeds {
        run_one(faults, seed);
    }
}

fn run_one(faults: Faults, seed: u64) -> World {
    let _seed = Seed(seed);
    let mut world = World::new(seed, faults);
    (0..STEPS).for_each(|_| world.step());
    world.settle();
    world.check();
    world
}

const STEPS: usize = 600;

#[test]
fn while_workers_are_replaced_each_message_is_handled_and_answered_once_and_in_order() {
    run(Faults::Reloads, 1_000);
}

#[test]
fn while_processes_and_connections_stand_still_for_a_while_nothing_is_lost() {
    run(Faults::Pauses, 1_000);
}

#[test]
fn when_they_stand_still_for_long_nothing_is_doubled_and_all_are_connected_in_the_end() {
    run(Faults::Freezes, 1_000);
}

#[test]
fn when_machines_go_without_a_word_nothing_is_doubled_or_out_of_order_and_all_are_connected_in_the_end() {
    run(Faults::Outages, 1_000);
}

#[test]
fn when_workers_die_nothing_is_doubled_or_out_of_order_and_all_are_connected_in_the_end() {
    run(Faults::Deaths, 1_000);
}

#[test]
fn when_links_are_cut_nothing_is_doubled_and_all_are_connected_in_the_end() {
    run(Faults::Cuts, 1_000);
}

#[test]
fn a_seed_repeats_itself() {
    use Faults::{Cuts, Deaths, Freezes, Outages, Pauses, Reloads};
    for faults in [Reloads, Pauses, Deaths, Cuts, Freezes, Outages] {
        for seed in 0..20 {
            let [one, other] = [(); 2].map(|()| run_one(faults, seed).history());
            assert_eq!(one, other, "seed {seed}, {faults:?}");
        }
    }
}
