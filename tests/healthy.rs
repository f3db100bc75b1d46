//! A healthy program stays healthy: what works with plain libc in a process that never had a second thread works under the library.
//! C programs that check each one kind of it, in scenes (`tests/c/scenes.h`); most run without the library, too, so that libc itself
//! says what programs are used to.
#![cfg(all(target_os = "linux", not(loom), not(miri)))]

mod common;

use common::{Libc, Outcome, compile, plain, preloaded, run};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall time after which a program counts as hung, also the long variants. Each scene of theirs has a limit of CPU time of its own,
/// which a slow machine does not touch, and within which who hangs is found.
const LIMIT: Duration = Duration::from_secs(3600);

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

/// A seed for what is random, fresh unless `MTSAFE_TEST_SEED` repeats one. Programs print it where they fail.
fn seed() -> String {
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64 | 1;
    std::env::var("MTSAFE_TEST_SEED").unwrap_or(fresh.to_string())
}

/// The program's own arrays after random changes, as each program prints them: with the library as without.
fn own_lists(libc: Libc) {
    if available(libc) {
        let seed = seed();
        let print = |mode| {
            let text = String::from_utf8(scenes(libc, "own_lists", mode, &[&seed]).stdout).expect("ASCII");
            // A list that became empty is a digit alone.
            let lists = text.lines().filter(|line| matches!(line.split(' ').next(), Some("0" | "1")));
            lists.map(String::from).collect::<Vec<_>>()
        };
        let (plain, library) = (print("plain"), print("library"));
        assert_eq!(plain.len(), 3600);
        assert_eq!(library, plain, "seed {seed}");
    }
}

macro_rules! kinds {
    ($libc:expr) => {
        use super::*;

        #[test]
        fn the_order_is_that_of_libc() {
            both($libc, "order", &[&seed()]);
        }

        #[test]
        fn loops_that_unset_with_one_pointer_end() {
            both($libc, "one_pointer", &[]);
        }

        #[test]
        fn a_kept_list_follows_removals_and_replacements() {
            both($libc, "kept_list", &[]);
        }

        #[test]
        fn titles_are_written_over_the_kernels_block() {
            both($libc, "titles", &[]);
        }

        #[test]
        fn an_own_list_is_changed_as_libc_does_it() {
            own_lists($libc);
        }

        #[test]
        fn saved_lists_stay_whole_in_bounded_memory() {
            both($libc, "saved_lists", &[]);
        }

        #[test]
        fn what_is_appended_or_cut_by_hand_counts_at_once() {
            both($libc, "by_hand", &[]);
        }

        #[test]
        fn a_string_stays_its_owners() {
            both($libc, "owners", &["ARG=baz"]);
        }

        #[test]
        fn changes_are_linear_and_memory_is_flat() {
            both($libc, "costs", &[]);
        }

        #[test]
        fn readers_of_every_kind_miss_nothing() {
            library_only($libc, "readers", &[]);
        }

        #[test]
        fn children_beside_changes_are_whole() {
            library_only($libc, "children_beside", &[]);
        }

        #[test]
        fn libc_finds_a_zone_that_nobody_touches() {
            library_only($libc, "zone", &[]);
        }

        #[test]
        fn after_each_instruction_the_list_is_right() {
            library_only($libc, "single_step", &["97", &seed()]);
        }

        #[test]
        #[ignore = "half an hour"]
        fn at_length() {
            library_only($libc, "readers", &["300000"]);
            library_only($libc, "children_beside", &["1600"]);
            library_only($libc, "zone", &["4500"]);
            library_only($libc, "single_step", &["31", &seed(), "all"]);
        }
    };
}

mod system {
    kinds!(Libc::System);
}

mod musl {
    kinds!(Libc::Musl);

    /// A thread that never calls us, in a program that defines the variable by which glibc would tell of it.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_thread_that_keeps_quiet_is_company() {
        if available(Libc::Musl) {
            let program = compile(Libc::Musl, "company", &["-rdynamic".as_ref()]);
            run(preloaded(&program), LIMIT).succeeded("company");
        }
    }
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

/// The table of `tests/growth` has a row for each change, and bad input gets one line.
#[test]
fn the_growth_table_is_complete() {
    let growth = || {
        let mut command = plain(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/growth"));
        command.env("MTSAFE_ENV_SO", common::library());
        command
    };
    for names in [&[][..], &["--colliding"]] {
        let mut command = growth();
        command.args(names).args(["--runs", "1", "10", "100"]);
        let table = String::from_utf8(run(command, LIMIT).succeeded("growth").stdout).expect("ASCII");
        assert_eq!(table.lines().count(), 2 + 2 * 10, "{table}");
        assert!(table.lines().skip(2).all(|line| line.split('|').count() == 7), "{table}");
    }
    for bad in [&["x"][..], &["0"], &["100001"], &["--runs"], &["--runs", "0", "10"], &["-10"]] {
        let mut command = growth();
        command.args(bad);
        let outcome = run(command, LIMIT);
        assert_eq!(outcome.status.code(), Some(2), "{bad:?}");
        assert_eq!(String::from_utf8_lossy(&outcome.stderr).lines().count(), 1, "{bad:?}");
    }
}
