//! The preload library as programs meet it: C programs, for glibc and for musl, that check each their own property.
#![cfg(all(target_os = "linux", not(loom), not(miri)))]

mod common;

use common::{LIBRARY, Libc, build_with, compile, library, plain, preloaded, preloaded_with, run, scratch};
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall time after which a program counts as hung: many times what a slow machine needs.
const LIMIT: Duration = Duration::from_secs(120);
/// Reads that must have met a change of the very variable they look for. A library whose remove moves the head before it copies
/// the first entry is found out after 10 to 100 of them, one whose add moves the head before it fills the slot after 100 to 500.
const MEETINGS: &str = "10000";
/// Wall time of the long variants. `MTSAFE_TEST_SECONDS` overrides it.
const LONG_SECONDS: u64 = 60;

fn long_seconds() -> u64 {
    std::env::var("MTSAFE_TEST_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(LONG_SECONDS)
}

/// Runs `tests/c/NAME.c` with `arguments` under the library.
fn check(libc: Libc, name: &'static str, arguments: &[&str], limit: Duration) {
    let program = compile(libc, name, &[]);
    check_program(&program, arguments, limit);
}

fn check_program(program: &Path, arguments: &[&str], limit: Duration) {
    let mut command = preloaded(program);
    command.args(arguments).envs([("INHERITED", "yes"), ("MALLOC_BYSTANDER", "here")]);
    let outcome = run(command, limit).succeeded(&format!("{} {arguments:?}", program.display()));
    print!("{}", String::from_utf8_lossy(&outcome.stdout));
}

/// Many processes: each has one first change only.
fn first_changes_at_once(libc: Libc) {
    let program = compile(libc, "first_use", &[]);
    for _ in 0..100 {
        // A long list, so that the first change takes long enough for the others to come in.
        let mut command = preloaded(&program);
        command.env("INHERITED", "yes").envs((0..600).map(|i| (format!("LONG_{i}"), "list")));
        run(command, LIMIT).succeeded("first_use");
    }
}

/// The arguments of the differential test: a seed, which it prints, and its steps.
fn differential_arguments() -> [String; 2] {
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64 | 1;
    let steps = if common::is_emulated() { "300" } else { "30000" };
    [std::env::var("MTSAFE_TEST_SEED").unwrap_or(fresh.to_string()), steps.into()]
}

/// With `more` arguments for the program.
fn differential(libc: Libc, library: &Path, more: &[&str]) {
    let mut arguments = differential_arguments().to_vec();
    arguments.extend(more.iter().map(ToString::to_string));
    let mut command = preloaded_with(library, compile(libc, "differential", &[]));
    command.args(&arguments);
    run(command, LIMIT).succeeded(&format!("differential {arguments:?}"));
}

/// A program linked with the library: its children need no `LD_PRELOAD`, so that their environment can be empty.
fn inherited(libc: Libc, rounds: &str) {
    // It is named by its soname, without a folder: the program says where to look.
    let folder = library().parent().expect("it lies in a folder").display().to_string();
    let search = format!("-Wl,-rpath,{folder}");
    let arguments = [library().as_os_str(), OsStr::new(&search), OsStr::new("-Wl,--allow-shlib-undefined")];
    check_program(&compile(libc, "inherited", &arguments), &[rounds], LIMIT);
}

/// The variables that `tests/c/bounds.c` expects.
fn of_every_length() -> impl Iterator<Item = (String, &'static str)> {
    let letter = |i, length| char::from(b'A' + ((i * 7 + length) % 26) as u8);
    (1..=70usize).map(move |length| ((0..length).map(|i| letter(i, length)).collect(), "inherited"))
}

fn bounds(libc: Libc) {
    let mut command = preloaded(compile(libc, "bounds", &[]));
    command.envs(of_every_length());
    run(command, LIMIT).succeeded("bounds");
}

/// The properties that each libc must have; the sizes are for the whole to take seconds.
macro_rules! properties {
    ($libc:expr, $available:expr) => {
        use super::*;

        fn program(name: &'static str, arguments: &[&str]) {
            if $available {
                check($libc, name, arguments, LIMIT);
            }
        }

        #[test]
        fn every_call_answers_as_documented() {
            if $available {
                // The program replaces `getauxval` for the library: exported.
                let table = compile($libc, "table", &[OsStr::new("-rdynamic")]);
                check_program(&table, &[], LIMIT);
            }
        }

        #[test]
        fn lists_that_the_program_assigns_are_adopted() {
            program("adopt", &[]);
        }

        #[test]
        fn programs_may_walk_the_list_while_it_changes() {
            program("walks", &[]);
        }

        #[test]
        fn a_variable_that_nobody_changes_is_found_beside_writers() {
            program("threads", &[MEETINGS, "20", "3"]);
        }

        #[test]
        fn first_changes_at_once_are_all_kept() {
            if $available {
                first_changes_at_once($libc);
            }
        }

        #[test]
        fn children_of_busy_parents_can_change_their_environment() {
            program("forks", &["500"]);
        }

        #[test]
        fn a_handler_may_fork_and_return_into_an_interrupted_change() {
            program("fork_in_handler", &["500"]);
        }

        #[test]
        fn a_handler_may_fork_and_return_into_a_read() {
            program("reads_in_forks", &["100", "A1=x"]);
        }

        #[test]
        fn a_handler_finds_the_old_value_or_the_new() {
            program("signals", &["10000"]);
        }

        #[test]
        fn every_read_finds_what_a_plain_scan_finds() {
            if $available {
                differential($libc, library(), &[]);
            }
        }

        #[test]
        fn the_first_list_is_read_as_any_other() {
            if $available {
                inherited($libc, "8");
            }
        }

        #[test]
        fn nothing_is_read_behind_a_name_or_an_entry() {
            if $available {
                bounds($libc);
            }
        }

        #[test]
        fn a_malloc_may_use_the_environment() {
            program("own_malloc", &[]);
        }

        #[test]
        fn constructors_and_destructors_may_use_the_environment() {
            if $available {
                let library = compile($libc, "libhooks", &[]);
                check_program(&compile($libc, "hooks", &[library.as_os_str()]), &[], LIMIT);
            }
        }
    };
}

mod system {
    properties!(Libc::System, true);

    #[test]
    fn many_variables_and_large_values() {
        program("many", &["10000"]);
    }

    #[test]
    fn save_and_restore_loops_keep_the_memory_bounded() {
        program("bounded", &[if common::is_emulated() { "50000" } else { "1000000" }]);
    }

    #[test]
    #[ignore = "a minute; MTSAFE_TEST_SECONDS sets another length"]
    fn a_variable_that_nobody_changes_is_found_beside_writers_for_long() {
        let seconds = long_seconds();
        let half = (seconds / 2).to_string();
        check(Libc::System, "threads", &["1000000000", &half, &half], Duration::from_secs(seconds) + LIMIT);
    }

    #[test]
    fn memcheck_sees_nothing_read_behind_a_name_or_an_entry() {
        let found = common::exists("valgrind");
        assert!(found || std::env::var_os("CI").is_none(), "valgrind is missing");
        if !found {
            eprintln!("skipped: valgrind is missing");
            return;
        }
        let mut command = preloaded("valgrind");
        command.args(["-q", "--error-exitcode=9"]).arg(compile(Libc::System, "bounds", &[]));
        command.envs(of_every_length());
        let outcome = run(command, LIMIT).succeeded("bounds under memcheck");
        assert_eq!(String::from_utf8_lossy(&outcome.stderr), "");
    }

    #[test]
    fn leak_checkers_find_what_only_an_array_of_ours_holds() {
        let program = compile(Libc::System, "leaks", &["-fsanitize=leak".as_ref()]);
        check_program(&program, &[], LIMIT);
    }

    /// The build option without hints, for who doubts them.
    #[test]
    fn built_for_plain_scans_it_finds_the_same() {
        let arguments = ["--release", "-p", "mtsafe-env-preload"];
        let plain =
            build_with("--cfg mtsafe_env_plain", &arguments, LIBRARY, &scratch().join("preload-plain"));
        let read = |path: &Path| std::fs::read(path).expect("readable");
        assert!(read(&plain) != read(library()), "the option changes nothing");
        // Large lists tell of hints, and take a scan a minute on a small machine.
        differential(Libc::System, &plain, &["short"]);
    }

    #[test]
    #[ignore = "a minute"]
    fn the_first_list_is_read_as_any_other_for_long() {
        inherited(Libc::System, "150");
    }

    #[test]
    #[ignore = "minutes"]
    fn forks_at_every_moment_for_long() {
        let long = LIMIT * 5;
        check(Libc::System, "forks", &["20000"], long);
        check(Libc::System, "fork_in_handler", &["20000"], long);
        check(Libc::System, "signals", &["1000000"], long);
    }
}

mod musl {
    properties!(Libc::Musl, available());

    /// Where musl is part of the job (`CI` is set), its absence is a failure.
    fn available() -> bool {
        let found = common::exists("musl-gcc");
        assert!(found || std::env::var_os("CI").is_none(), "musl-gcc is missing");
        if !found {
            eprintln!("skipped: musl-gcc is missing");
        }
        found
    }

    #[test]
    fn many_variables_and_large_values() {
        program("many", &["2000"]);
    }

    #[test]
    fn save_and_restore_loops_keep_the_memory_bounded() {
        program("bounded", &["100000"]);
    }
}

/// The example: the demonstration of the README.
fn race() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        common::build(&["-p", "mtsafe-env-preload", "--example", "race"], "race", &scratch().join("preload"))
    })
}

#[test]
fn the_race_program_loses_nothing_under_the_library() {
    let mut command = preloaded(race());
    command.arg("3");
    let outcome = run(command, LIMIT).succeeded("race");
    let text = String::from_utf8_lossy(&outcome.stdout);
    print!("{text}");
    assert!(text.contains("libmtsafe_env_preload.so") && text.contains(" 0 lost"), "{text}");
}

#[test]
fn the_race_program_refuses_bad_arguments_in_one_line() {
    for arguments in [&["x"][..], &["0"], &["-1"], &["1", "2"], &[""]] {
        let mut command = plain(race());
        command.args(arguments);
        let outcome = run(command, LIMIT);
        assert_eq!(outcome.status.code(), Some(2), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&outcome.stderr).lines().count(), 1, "{arguments:?}");
    }
}

/// An IFUNC resolver of a library that is bound when loaded runs before the preload library has its relocations, and before libc has
/// set `environ`. (musl has no resolvers.)
#[test]
fn a_resolver_may_use_the_environment() {
    let resolver = compile(Libc::System, "libresolver", &[OsStr::new("-Wl,-z,now")]);
    let program = compile(Libc::System, "resolver", &[resolver.as_os_str()]);
    let [libcs, ours] = [plain(&program), preloaded(&program)].map(|mut command| {
        command.env("INHERITED", "yes");
        run(command, LIMIT)
    });
    // With libc's own functions it crashes on 64-bit PowerPC.
    if let Some(signal) = libcs.status.signal() {
        return eprintln!("skipped: without the library it is killed by signal {signal}");
    }
    let found = [libcs, ours].map(|outcome| outcome.succeeded("resolver").stdout);
    assert_eq!(found[0], found[1]);
}

/// A check that could not tell the library from libc would be worth nothing.
#[test]
fn the_programs_notice_that_the_library_is_missing() {
    for name in ["adopt", "signals"] {
        let mut command = plain(compile(Libc::System, name, &[]));
        command.arg("1");
        let outcome = run(command, LIMIT);
        assert_eq!(outcome.status.code(), Some(1), "{name} passes without the library");
        assert!(String::from_utf8_lossy(&outcome.stderr).contains("is not the library's"));
    }
}
