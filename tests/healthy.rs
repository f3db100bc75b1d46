//! A healthy program stays healthy: what works with plain libc in a process that never had a second thread works under the library.
//! C programs that check each one kind of it, in scenes (`tests/c/scenes.h`); most run without the library, too, so that libc itself
//! says what programs are used to.
#![cfg(all(target_os = "linux", not(loom), not(miri)))]

mod common;

use common::{Libc, Outcome, compile, plain, preloaded, run};
use std::process::Command;
use std::time::Duration;

/// Wall time after which a program counts as hung. Each scene has a limit of CPU time of its own, which a slow machine does not touch.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs `tests/c/NAME.c` with a mode and `arguments`.
fn scenes(libc: Libc, name: &'static str, mode: &str, arguments: &[&str]) -> Outcome {
    let program = compile(libc, name, &[]);
    let mut command = if mode == "plain" { plain(&program) } else { preloaded(&program) };
    command.arg(mode).args(arguments);
    let outcome = run(command, LIMIT).succeeded(&format!("{name} {mode} {arguments:?}, {libc:?}"));
    print!("{name} {mode}: {}", String::from_utf8_lossy(&outcome.stdout));
    outcome
}

/// With the library, and without it, where that is the reference.
fn both(libc: Libc, name: &'static str, arguments: &[&str]) {
    if available(libc) {
        scenes(libc, name, "plain", arguments);
        scenes(libc, name, "library", arguments);
    }
}

/// Where plain libc crashes, loses or overruns.
fn library_only(libc: Libc, name: &'static str, arguments: &[&str]) {
    if available(libc) {
        scenes(libc, name, "library", arguments);
    }
}

/// Where musl is part of the job (`CI` is set), its absence is a failure.
fn available(libc: Libc) -> bool {
    let found = libc != Libc::Musl || common::exists("musl-gcc");
    assert!(found || std::env::var_os("CI").is_none(), "musl-gcc is missing");
    if !found {
        eprintln!("skipped: musl-gcc is missing");
    }
    found
}

macro_rules! kinds {
    ($libc:expr) => {
        use super::*;

        #[test]
        fn the_order_is_that_of_libc() {
            both($libc, "order", &[]);
        }

        #[test]
        fn loops_that_unset_with_one_pointer_end() {
            both($libc, "one_pointer", &[]);
        }

        #[test]
        fn a_kept_list_follows_removals_and_replacements() {
            both($libc, "kept_list", &[]);
        }
    };
}

mod system {
    kinds!(Libc::System);
}

mod musl {
    kinds!(Libc::Musl);
}

/// `env` itself, which sets and removes before it prints.
#[test]
fn env_prints_the_same_order() {
    if !common::exists("env") {
        return;
    }
    for arguments in [
        &["-i", "A=1", "B=2", "C=3", "env"][..],
        &["-i", "C=3", "A=1", "B=2", "A=9", "env"],
        &["-u", "HOME", "Z=1", "LANG=other", "Y=2", "env"],
        &["-u", "LANG", "-u", "TZ", "LANG=again", "env"],
    ] {
        let print = |mut command: Command| {
            command.args(arguments);
            let text = run(command, LIMIT).succeeded("env").stdout;
            let text = String::from_utf8(text).expect("the environment is UTF-8");
            text.lines().filter(|line| !line.starts_with("LD_PRELOAD=")).map(String::from).collect::<Vec<_>>()
        };
        assert_eq!(print(preloaded("env")), print(plain("env")), "env {arguments:?}");
    }
}
