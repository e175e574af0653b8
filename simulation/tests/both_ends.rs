//! Thousands of seeds: gateways and workers together lose nothing, repeat nothing without saying so, and find each other again.

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

/// Makes a world of a seed.
type Make = fn(u64, Faults) -> World;

fn run(faults: Faults) {
    let let_in: usize = seeds().map(|seed| run_one(World::new, faults, seed).let_in()).sum();
    assert!(!are_all() || let_in > 1_000, "{let_in} websockets");
}

fn run_embedded(faults: Faults) {
    let (mut pushes, mut stops) = (0, 0);
    for seed in seeds() {
        let world = run_one(World::embedded, faults, seed);
        pushes += world.pushes_from_elsewhere();
        stops += world.embedded_stops();
    }
    assert!(!are_all() || pushes > 250 && stops > 250, "{pushes} pushes and {stops} stops");
}

fn seeds() -> std::ops::Range<u64> {
    let only = std::env::var("RINGWAY_SEED").ok().and_then(|seed| seed.parse().ok());
    only.map_or(0..SEEDS, |seed| seed..seed + 1)
}

fn are_all() -> bool {
    std::env::var_os("RINGWAY_SEED").is_none()
}

fn run_one(make: Make, faults: Faults, seed: u64) -> World {
    let _seed = Seed(seed);
    let mut world = make(seed, faults);
    (0..STEPS).for_each(|_| world.step());
    world.settle();
    world.check();
    world
}

const STEPS: usize = 600;
const SEEDS: u64 = 1_000;

#[test]
fn while_workers_are_replaced_each_message_is_handled_and_answered_once_and_in_order() {
    run(Faults::Reloads);
}

#[test]
fn while_processes_and_connections_stand_still_for_a_while_nothing_is_lost() {
    run(Faults::Pauses);
}

#[test]
fn when_they_stand_still_for_long_nothing_is_lost_and_all_are_connected_in_the_end() {
    run(Faults::Freezes);
}

#[test]
fn when_machines_go_without_a_word_nothing_is_lost_or_out_of_order_and_all_are_connected_in_the_end() {
    run(Faults::Outages);
}

#[test]
fn when_workers_die_nothing_is_lost_or_out_of_order_and_all_are_connected_in_the_end() {
    run(Faults::Deaths);
}

#[test]
fn when_links_are_cut_nothing_is_lost_and_all_are_connected_in_the_end() {
    run(Faults::Cuts);
}

#[test]
fn a_seed_repeats_itself() {
    use Faults::{Cuts, Deaths, Freezes, Outages, Pauses, Reloads};
    for faults in [Reloads, Pauses, Deaths, Cuts, Freezes, Outages] {
        for seed in 0..20 {
            for make in [World::new as Make, World::embedded] {
                let [one, other] = [(); 2].map(|()| run_one(make, faults, seed).history());
                assert_eq!(one, other, "seed {seed}, {faults:?}");
            }
        }
    }
}

// The same with gateways that have a worker in their process, which hears of their clients, and no other worker does.

#[test]
fn embedded_while_workers_and_gateways_are_replaced_each_message_is_handled_once_and_in_order() {
    run_embedded(Faults::Reloads);
}

#[test]
fn embedded_while_processes_and_connections_stand_still_for_a_while_nothing_is_lost() {
    run_embedded(Faults::Pauses);
}

#[test]
fn embedded_when_they_stand_still_for_long_nothing_is_lost_and_all_are_connected_in_the_end() {
    run_embedded(Faults::Freezes);
}

#[test]
fn embedded_when_machines_go_without_a_word_nothing_is_lost_or_out_of_order() {
    run_embedded(Faults::Outages);
}

#[test]
fn embedded_when_processes_die_nothing_is_lost_or_out_of_order() {
    run_embedded(Faults::Deaths);
}

#[test]
fn embedded_when_links_are_cut_nothing_is_lost_and_all_are_connected_in_the_end() {
    run_embedded(Faults::Cuts);
}
