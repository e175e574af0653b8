use super::*;

const SECOND: Duration = Duration::from_secs(1);
const END_TIMEOUT: Duration = Duration::from_secs(50);

/// A plan, its clock, and the names of what it wants done. Process `n` has the pid `100 + n`.
struct Stage {
    plan: Plan,
    now: Duration,
}

impl Stage {
    fn new() -> Stage {
        let mut stage = Stage { plan: Plan::new(END_TIMEOUT), now: SECOND };
        stage.plan.start(stage.now);
        assert_eq!(stage.done(), ["start 1 A"]);
        stage
    }

    /// With a first process that serves two gateways.
    fn serving() -> Stage {
        let mut stage = Stage::new();
        stage.ready(1, &["10.0.0.1:2900", "10.0.0.2:2900"]);
        assert_eq!(stage.done(), NOTHING);
        stage
    }

    /// What it wants done; processes start well.
    fn done(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        for action in self.plan.take_actions() {
            done.push(match action {
                Action::Start { id, side, patient } => {
                    self.plan.on_started(id, 100 + id as u32);
                    format!("start {id} {side:?}{}", if patient { " patient" } else { "" })
                }
                Action::Terminate(id) => format!("terminate {id}"),
                Action::Kill(id) => format!("kill {id}"),
                Action::Exit(code) => format!("exit {code}"),
                Action::Tell(what) | Action::Warn(what) => what,
            });
        }
        done
    }

    fn ready(&mut self, id: Id, gateways: &[&str]) {
        self.gateways(id, gateways);
        self.plan.on_report(self.now, id, Report::Ready);
    }

    fn gateways(&mut self, id: Id, gateways: &[&str]) {
        let gateways = gateways.iter().map(|gateway| gateway.parse().unwrap()).collect();
        self.plan.on_report(self.now, id, Report::Gateways(gateways));
    }

    fn ends(&mut self, id: Id, how: &str) {
        let code = how.strip_prefix("exit code ").map(|code| code.parse().unwrap());
        self.plan.on_end(self.now, id, &End { how: how.to_owned(), code });
    }

    /// Time passes up to the next deadline, which is this far.
    #[track_caller]
    fn passes(&mut self, expected: Duration) {
        let deadline = self.plan.deadline().expect("a deadline");
        assert_eq!(deadline - self.now, expected);
        self.plan.on_time(deadline - Duration::from_nanos(1));
        assert_eq!(self.done(), NOTHING);
        self.now = deadline;
        self.plan.on_time(self.now);
    }
}

#[test]
fn a_reload_waits_for_all_links_and_then_changes_roles() {
    let mut stage = Stage::serving();
    stage.plan.reload(stage.now);
    assert_eq!(stage.done(), ["start 2 B patient"]);
    stage.ready(2, &["10.0.0.2:2900"]);
    assert_eq!(stage.done(), NOTHING);
    stage.gateways(2, &["10.0.0.1:2900", "10.0.0.2:2900", "10.0.0.3:2900"]);
    let told = "reloaded: worker process 102 takes over from 101, which hands its clients over";
    assert_eq!(stage.done(), [told, "terminate 1"]);
    stage.ends(1, "exit code 0");
    assert_eq!(stage.done(), ["the old worker process 101 has ended: exit code 0"]);
    assert_eq!(stage.plan.deadline(), None);
    // The next one has the first key again.
    stage.plan.reload(stage.now);
    assert_eq!(stage.done(), ["start 3 A patient"]);
}

#[test]
fn a_gateway_that_the_old_process_loses_too_is_not_waited_for() {
    let mut stage = Stage::serving();
    stage.plan.reload(stage.now);
    stage.ready(2, &["10.0.0.2:2900"]);
    stage.done();
    stage.gateways(1, &["10.0.0.2:2900"]);
    assert_eq!(stage.done()[1..], ["terminate 1"]);
}

#[test]
fn a_new_process_that_ends_or_is_never_ready_changes_nothing() {
    let mut stage = Stage::serving();
    stage.plan.reload(stage.now);
    stage.done();
    stage.ends(2, "exit code 101");
    assert_eq!(
        stage.done(),
        ["not reloaded, the worker goes on as it is: the new process ended: exit code 101"]
    );
    stage.plan.reload(stage.now);
    assert_eq!(stage.done(), ["start 3 B patient"]);
    stage.gateways(3, &["10.0.0.2:2900"]);
    stage.passes(SUCCESSOR_TIMEOUT);
    let why = "the new worker process is not ready after 30s: it has no link to 10.0.0.1:2900 (1 gateways are missing)";
    assert_eq!(stage.done(), [why, "kill 3"]);
    stage.ends(3, "killed by SIGKILL");
    assert_eq!(stage.done().len(), 1);
    assert_eq!(stage.plan.deadline(), None);
}

#[test]
fn a_service_manager_knows_when_it_serves_reloads_and_stops() {
    let mut stage = Stage::new();
    assert_eq!(stage.plan.phase(), None);
    stage.ready(1, &["10.0.0.1:2900"]);
    assert_eq!(stage.plan.phase(), Some(Phase::Ready));
    for successor_serves in [true, false] {
        stage.plan.reload(stage.now);
        stage.done();
        assert_eq!(stage.plan.phase(), Some(Phase::Reloading));
        if successor_serves {
            stage.ready(2, &["10.0.0.1:2900"]);
            // The old process still hands over.
            assert_eq!(stage.plan.phase(), Some(Phase::Ready));
            stage.ends(1, "exit code 0");
        } else {
            stage.ends(3, "exit code 2");
        }
        assert_eq!(stage.plan.phase(), Some(Phase::Ready));
    }
    // It is started again.
    stage.ends(2, "killed by SIGSEGV");
    assert_eq!(stage.plan.phase(), Some(Phase::Ready));
    stage.plan.stop(stage.now, 143);
    assert_eq!(stage.plan.phase(), Some(Phase::Stopping));
}

#[test]
fn a_reload_during_another_follows_when_that_is_done() {
    let mut stage = Stage::serving();
    stage.plan.reload(stage.now);
    stage.done();
    for _ in 0..3 {
        stage.plan.reload(stage.now);
    }
    assert_eq!(stage.done(), ["another reload follows when this one is done"; 3]);
    stage.ready(2, &["10.0.0.1:2900", "10.0.0.2:2900"]);
    stage.done();
    stage.ends(1, "exit code 0");
    assert_eq!(stage.done()[1..], ["start 3 A patient"]);
    stage.ready(3, &["10.0.0.1:2900", "10.0.0.2:2900"]);
    stage.done();
    stage.ends(2, "exit code 0");
    assert_eq!(stage.done().len(), 1, "only one more");
}

#[test]
fn a_process_that_crashes_is_started_again_less_and_less_soon() {
    let mut stage = Stage::serving();
    let mut delays = Vec::new();
    for id in 1..=9 {
        stage.ends(id, "killed by SIGSEGV");
        let delay = stage.plan.deadline().unwrap() - stage.now;
        let told = format!(
            "the worker process {} ended: killed by SIGSEGV; starting it again in {delay:?}",
            100 + id
        );
        assert_eq!(stage.done(), [told]);
        stage.passes(delay);
        assert_eq!(stage.done(), [format!("start {} A patient", id + 1)]);
        delays.push(delay.as_millis());
    }
    assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    // One that lived for long begins anew.
    stage.now += STABLE_AGE;
    stage.ends(10, "exit code 0");
    stage.done();
    stage.passes(RESTART_DELAY);
}

#[test]
fn a_first_process_that_says_what_is_wrong_is_believed() {
    for code in [1, 2] {
        let mut stage = Stage::new();
        stage.ends(1, &format!("exit code {code}"));
        assert_eq!(stage.done(), [format!("exit {code}")]);
    }
    // A crash is something else, also one that a program of ours says itself, and so is a complaint of a worker that has served.
    for code in [70, 101] {
        let mut stage = Stage::new();
        stage.ends(1, &format!("exit code {code}"));
        assert!(stage.plan.deadline().is_some());
    }
    let mut stage = Stage::serving();
    stage.ends(1, "exit code 1");
    assert!(stage.plan.deadline().is_some());
}

#[test]
fn a_process_of_which_no_core_turns_is_replaced() {
    let mut stage = Stage::serving();
    // Its start may take as long as it likes.
    assert_eq!(stage.plan.deadline(), None);
    for _ in 0..3 {
        stage.plan.on_report(stage.now, 1, Report::Alive);
        stage.now += SILENCE_MAX - SECOND;
        stage.plan.on_time(stage.now);
        assert_eq!(stage.done(), NOTHING);
    }
    stage.passes(SECOND);
    let why =
        "no core of the worker process 101 has turned for 30s, killing it: does a handler of each block?";
    assert_eq!(stage.done(), [why, "kill 1"]);
    assert_eq!(stage.plan.deadline(), None);
    stage.ends(1, "killed by SIGKILL");
    stage.done();
    stage.passes(RESTART_DELAY);
    assert_eq!(stage.done(), ["start 2 A patient"]);
}

#[test]
fn a_master_that_was_held_up_itself_does_not_judge() {
    let mut stage = Stage::serving();
    stage.plan.on_report(stage.now, 1, Report::Alive);
    stage.now += SILENCE_MAX + MASTER_HOLD_UP + SECOND;
    stage.plan.on_time(stage.now);
    assert_eq!(stage.done(), NOTHING);
    stage.passes(SILENCE_MAX);
    assert_eq!(stage.done().len(), 2);
}

#[test]
fn one_core_that_does_not_turn_is_what_a_watchdog_is_for() {
    let mut stage = Stage::serving();
    assert!(stage.plan.turns(stage.now + TURN_TIMEOUT), "it has its time to start");
    stage.plan.on_report(stage.now, 1, Report::AllAlive);
    let hangs_at = stage.now + TURN_TIMEOUT;
    for (now, turns) in [(hangs_at - SECOND, true), (hangs_at, false)] {
        // The others do.
        stage.plan.on_report(now, 1, Report::Alive);
        assert_eq!(stage.plan.turns(now), turns);
    }
    stage.plan.on_report(hangs_at, 1, Report::AllAlive);
    assert!(stage.plan.turns(hangs_at));
    // When none does, the process is replaced, and the next one has its time.
    stage.now = hangs_at + SILENCE_MAX;
    stage.plan.on_time(stage.now);
    assert_eq!(stage.done().last().unwrap(), "kill 1");
    assert!(stage.plan.turns(stage.now));
}

#[test]
fn a_process_that_ends_is_not_waited_for_to_turn() {
    let mut stage = Stage::serving();
    stage.plan.on_report(stage.now, 1, Report::Alive);
    stage.plan.stop(stage.now, 143);
    stage.done();
    stage.passes(END_TIMEOUT);
}

#[test]
fn a_reload_makes_a_restart_that_waits_happen_at_once() {
    let mut stage = Stage::serving();
    stage.ends(1, "killed by SIGABRT");
    stage.done();
    stage.plan.reload(stage.now);
    assert_eq!(stage.done(), ["start 2 A patient"]);
    assert_eq!(stage.plan.deadline(), None);
}

#[test]
fn a_crash_during_a_reload_leaves_the_new_process() {
    let mut stage = Stage::serving();
    stage.plan.reload(stage.now);
    stage.done();
    stage.ends(1, "killed by SIGKILL");
    assert_eq!(stage.done(), ["the worker process 101 ended: killed by SIGKILL; 102 takes over"]);
    stage.ready(2, &[]);
    assert_eq!((stage.done().len(), stage.plan.deadline()), (0, None));
    // And a new one that crashes while the old hands over is started again under its own key.
    stage.plan.reload(stage.now);
    stage.ready(3, &[]);
    stage.done();
    stage.ends(3, "killed by SIGKILL");
    stage.done();
    stage.passes(RESTART_DELAY);
    assert_eq!(stage.done(), ["start 4 A patient"]);
}

#[test]
fn an_old_process_that_does_not_end_is_killed() {
    let mut stage = Stage::serving();
    stage.plan.reload(stage.now);
    stage.ready(2, &["10.0.0.1:2900", "10.0.0.2:2900"]);
    stage.done();
    stage.passes(END_TIMEOUT);
    assert_eq!(stage.done(), ["the worker process 101 does not end, killing it", "kill 1"]);
    stage.ends(1, "killed by SIGKILL");
    assert_eq!(stage.plan.deadline(), None);
}

#[test]
fn a_stop_ends_all_and_is_clean_if_the_worker_was() {
    let mut stage = Stage::serving();
    stage.plan.reload(stage.now);
    stage.done();
    stage.plan.stop(stage.now, 143);
    assert_eq!(stage.done(), ["terminate 1", "terminate 2"]);
    stage.ends(2, "killed by SIGTERM");
    stage.plan.reload(stage.now);
    stage.done();
    stage.ends(1, "exit code 0");
    assert_eq!(stage.done(), ["exit 0"]);

    let mut stage = Stage::serving();
    stage.plan.stop(stage.now, 143);
    stage.done();
    stage.ends(1, "killed by SIGSEGV");
    assert_eq!(stage.done()[1..], ["exit 1"]);
}

#[test]
fn a_stop_while_nothing_runs_is_the_end() {
    let mut stage = Stage::serving();
    stage.ends(1, "killed by SIGSEGV");
    stage.done();
    stage.plan.stop(stage.now, 143);
    assert_eq!(stage.done(), ["exit 0"]);
}

#[test]
fn a_second_stop_does_not_wait() {
    let mut stage = Stage::serving();
    stage.plan.stop(stage.now, 130);
    stage.done();
    stage.plan.stop(stage.now, 130);
    assert_eq!(stage.done(), ["kill 1"]);
    stage.ends(1, "killed by SIGKILL");
    assert_eq!(stage.done()[1..], ["exit 130"]);
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_worker_whose_name_another_one_has_is_not_started_again() {
    let mut stage = Stage::new();
    stage.ends(1, "exit code 69");
    assert_eq!(stage.done(), ["exit 69"]);
    // Neither is one that had it until it crashed.
    let mut stage = Stage::serving();
    stage.ends(1, "exit code 69");
    assert_eq!(stage.done(), ["exit 69"]);
    // A reload's process may be refused: the one that serves has another key.
    let mut stage = Stage::serving();
    stage.plan.reload(stage.now);
    assert_eq!(stage.done(), ["start 2 B patient"]);
    stage.ends(2, "exit code 69");
    assert_eq!(
        stage.done(),
        ["not reloaded, the worker goes on as it is: the new process ended: exit code 69"]
    );
}
