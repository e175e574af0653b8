//! A sandbox for tests: `confined ERRNO SYSCALL… -- PROGRAM ARG…` runs PROGRAM where those system calls fail with ERRNO, as
//! a container's seccomp profile makes them. `SYSCALL:N` fails only when the argument that says how much is
//! wanted is at least N: the operations that are submitted at once, or the entries of a queue. `confined profile FILE -- …` lets pass only what a
//! profile of Docker's form names.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter, compile_from_json,
};
use serde_json::{Value, json};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [flags, program] = words.split(|word| word == "--").take(2).collect::<Vec<_>>()[..] else {
        panic!("usage: confined ERRNO SYSCALL[:N]… -- PROGRAM ARG…");
    };
    let filter = match flags {
        [mode, file] if mode == "profile" => {
            allowing(&std::fs::read_to_string(file).expect("a profile to read"))
        }
        [errno, calls @ ..] => refusing(errno.parse().expect("ERRNO is a number"), calls),
        [] => panic!("what is to be refused?"),
    };
    apply_filter(&filter).expect("the kernel takes the filter");
    panic!("{} does not start: {}", program[0], Command::new(&program[0]).args(&program[1..]).exec());
}

fn refusing(errno: u32, calls: &[String]) -> BpfProgram {
    let rules: BTreeMap<i64, Vec<SeccompRule>> = calls.iter().map(|flag| rule(flag)).collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), arch());
    filter.and_then(TryInto::try_into).expect("the rules make a filter")
}

/// Everything that `profile` names with the action to allow it, whatever its arguments; all else is not implemented.
fn allowing(profile: &str) -> BpfProgram {
    let profile: Value = serde_json::from_str(profile).expect("a profile is JSON");
    let rules = profile["syscalls"].as_array().expect("a profile has rules").iter();
    let allowing = rules.filter(|rule| rule["action"] == "SCMP_ACT_ALLOW");
    let names = allowing.flat_map(|rule| rule["names"].as_array().expect("a rule has names"));
    // Names of other architectures' system calls are no fault, to Docker neither.
    let known: Vec<Value> = names
        .map(|name| json!({ "syscall": name }))
        .filter(|rule| compile(std::slice::from_ref(rule)).is_some())
        .collect();
    compile(&known).expect("each of the rules makes a filter")
}

fn compile(rules: &[Value]) -> Option<BpfProgram> {
    const NOT_IMPLEMENTED: i32 = 38;
    let filter = json!({ "all": {
        "mismatch_action": { "errno": NOT_IMPLEMENTED }, "match_action": "allow", "filter": rules
    } });
    compile_from_json(filter.to_string().as_bytes(), arch()).ok()?.remove("all")
}

fn arch() -> TargetArch {
    std::env::consts::ARCH.try_into().expect("seccomp knows this machine")
}

fn rule(flag: &str) -> (i64, Vec<SeccompRule>) {
    let (name, least) = flag.split_once(':').map_or((flag, None), |(name, least)| (name, Some(least)));
    let (number, argument) = match name {
        "io_uring_setup" => (425, 0),
        "io_uring_enter" => (426, 1),
        "io_uring_register" => (427, 3),
        _ => panic!("{name}: not a system call of io_uring"),
    };
    let rules = least.map(|least| {
        let least = least.parse().expect("N is a number");
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ge, least)
            .expect("a condition");
        SeccompRule::new(vec![condition]).expect("a rule")
    });
    (number, rules.into_iter().collect())
}
