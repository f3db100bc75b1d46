//! The tracer as people meet it: programs run under it, unchanged, and its reports.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(loom), not(miri)))]

mod common;

use common::{Libc, Outcome, build, exists, plain, run, scratch};
use serde_json::Value;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// Wall time after which a program counts as hung.
const LIMIT: Duration = Duration::from_secs(240);

/// The front end, with both libraries beside it.
fn tracer() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let packages = ["mtsafe-env-trace", "mtsafe-env-trace-cli", "mtsafe-env-preload"];
        let arguments: Vec<_> = packages.iter().flat_map(|package| ["-p", package]).collect();
        build(&[&["--release"], &arguments[..]].concat(), "mtsafe-env-trace", &scratch().join("trace"))
    })
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// A compiled program or library, made once.
fn made(name: &str, make: impl FnOnce(&Path) -> Command) -> PathBuf {
    static DONE: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut done = DONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let done = done.get_or_insert_default();
    done.entry(name.into())
        .or_insert_with(|| {
            let folder = scratch().join("traced");
            std::fs::create_dir_all(&folder).expect("the scratch folder is writable");
            let path = folder.join(name);
            let mut command = make(&path);
            let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            path
        })
        .clone()
}

/// `tests/FILE` compiled for this libc.
fn c(libc: Libc, file: &str, arguments: &[&OsStr]) -> PathBuf {
    let stem = Path::new(file).file_stem().expect("a name").to_str().expect("UTF-8").to_owned();
    let shared = stem.starts_with("lib");
    let name = format!("{stem}-{libc:?}{}", if shared { ".so" } else { "" });
    made(&name, |path| {
        let mut command = match libc {
            Libc::System => Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".into())),
            Libc::Musl => Command::new("musl-gcc"),
        };
        // -gdwarf-4: also old tools can read what is left in the scratch folder.
        command.args(["-std=gnu11", "-O2", "-g", "-fno-builtin", "-Wall", "-Wextra", "-Werror", "-pthread"]);
        if shared {
            command.args(["-shared", "-fPIC"]);
        }
        command.arg("-o").arg(path).arg(source(file)).args(arguments).arg("-ldl");
        command
    })
}

fn roles(libc: Libc) -> PathBuf {
    c(libc, "trace/roles.c", &[])
}

/// A line that a source marks, as reports name it.
fn line_of(file: &str, mark: &str) -> u64 {
    let text = std::fs::read_to_string(source(file)).expect("a source of the tests");
    text.lines().position(|line| line.contains(mark)).expect("the mark is there") as u64 + 1
}

/// A name in the scratch folder that nobody else has.
fn fresh(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    scratch().join(format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// The front end with a small, known environment.
fn trace() -> Command {
    plain(tracer())
}

/// Runs a program under the tracer, and returns what was left and the JSON report.
#[track_caller]
fn traced(options: &[&str], program: &Path, arguments: &[&str]) -> (Outcome, Value) {
    traced_by(trace(), options, program, arguments)
}

#[track_caller]
fn traced_by(mut command: Command, options: &[&str], program: &Path, arguments: &[&str]) -> (Outcome, Value) {
    let report = fresh("report.json");
    command.args(options).arg("--json").arg(&report).arg("--").arg(program).args(arguments);
    let outcome = run(command, LIMIT);
    let text =
        std::fs::read_to_string(&report).unwrap_or_else(|error| panic!("no report: {error}; {outcome:?}"));
    let _ = std::fs::remove_file(report);
    (outcome, serde_json::from_str(&text).expect("the report is JSON"))
}

/// The process of the command itself.
fn main_process(report: &Value) -> &Value {
    let processes = report["processes"].as_array().expect("a list");
    processes.iter().find(|process| process["id"] == report["process"]).expect("the command was recorded")
}

/// The first of these places or readers with this function and this line anywhere in its stack.
#[track_caller]
fn at_line<'a>(list: &'a Value, function: &str, line: u64) -> &'a Value {
    let on_stack = |place: &&Value| {
        let frames = ["python", "stack"].iter().filter_map(|stack| place[stack].as_array()).flatten();
        place["function"] == function && frames.into_iter().any(|frame| frame["line"] == line)
    };
    list.as_array()
        .expect("a list")
        .iter()
        .find(on_stack)
        .unwrap_or_else(|| panic!("no {function} from line {line} in {list:#}"))
}

/// The effects of a place's changes.
fn effects(place: &Value) -> Vec<&str> {
    let events = place["events"].as_array().expect("a list");
    events.iter().map(|event| event["effect"].as_str().expect("a text")).collect()
}

fn beside(libc: Libc) {
    let (outcome, report) = traced(&[], &roles(libc), &["beside"]);
    outcome.succeeded("beside");
    let process = main_process(&report);
    // Nothing of what was changed by one thread alone, also in the instant after a thread was joined; the refused one is none.
    assert_eq!(
        (&process["changes"], &process["changes_beside_threads"]),
        (&510.into(), &8.into()),
        "{process:#}"
    );
    assert_eq!((&report["faults"], &process["most_threads"]), (&8.into(), &2.into()));
    let change = line_of("trace/roles.c", "/* line: change */");
    let places = process["places"].as_array().expect("a list");
    let mut zone: Vec<_> = places
        .iter()
        .filter(|place| place["stack"][0]["line"] == change)
        .map(|place| {
            assert_eq!(place["stack"][0]["function"], "set_zone");
            assert_eq!(place["events"][0]["name"], "ZONE");
            (effects(place)[0], place["crashes_glibc_before_2_41"] == true, place["crashes_musl"] == true)
        })
        .collect();
    zone.sort_unstable();
    assert_eq!(zone, [("added", true, true), ("same value", false, true)], "two callers, two places");
    let mut all: Vec<_> = places.iter().flat_map(effects).collect();
    all.sort_unstable();
    assert_eq!(
        all,
        ["added", "added", "cleared", "nothing", "nothing", "removed", "replaced", "same value"],
        "{places:#?}"
    );
    // Readers: those on both sides of a change are at risk, the one that was before all of them is not.
    let risky = |function, mark| at_line(&process["readers"], function, line_of("trace/roles.c", mark));
    for reader in [risky("getenv", "/* line: read */"), risky("localtime_r", "/* line: door */")] {
        assert_eq!((&reader["at_risk"], &reader["reads"]), (&true.into(), &2.into()), "{reader:#}");
        assert_eq!(reader["threads"][0]["name"], "worker");
    }
    let elsewhere = process["readers"].as_array().expect("a list").iter();
    let elsewhere: Vec<_> = elsewhere.filter(|r| r["stack"][0]["function"] == "read_elsewhere").collect();
    assert_eq!((elsewhere.len(), &elsewhere[0]["at_risk"]), (1, &false.into()));
    let libc_name = process["libc"].as_str().expect("a text");
    assert!(libc_name.starts_with(if libc == Libc::Musl { "musl" } else { "glibc" }), "{libc_name}");
}

#[test]
fn changes_and_readers_are_told_with_their_lines() {
    beside(Libc::System);
}

#[test]
fn changes_and_readers_are_told_with_their_lines_on_musl() {
    if exists("musl-gcc") {
        beside(Libc::Musl);
    } else {
        eprintln!("skipped: musl-gcc is missing");
    }
}

#[test]
fn one_thread_alone_is_no_fault() {
    let (outcome, report) = traced(&["--error-exitcode", "9"], &roles(Libc::System), &["alone"]);
    outcome.succeeded("alone");
    assert_eq!((&report["faults"], &main_process(&report)["changes"]), (&0.into(), &501.into()));
}

#[test]
fn a_crash_leaves_the_report() {
    let (outcome, report) = traced(&[], &roles(Libc::System), &["crash"]);
    assert_eq!(
        (outcome.status.code(), &report["signal"]),
        (Some(128 + libc::SIGSEGV), &libc::SIGSEGV.into())
    );
    let process = main_process(&report);
    at_line(&process["places"], "setenv", line_of("trace/roles.c", "/* line: change */"));
    let reader = at_line(&process["readers"], "getenv", line_of("trace/roles.c", "/* line: read */"));
    assert_eq!((&reader["at_risk"], &process["threads_at_risk"]), (&true.into(), &1.into()));
    let (outcome, _) = traced(&["--error-exitcode", "9"], &roles(Libc::System), &["crash"]);
    assert_eq!(outcome.status.code(), Some(9));
}

#[test]
fn known_places_can_be_allowed() {
    let rules = fresh("rules");
    let check = |text: &str, status| {
        std::fs::write(&rules, text).expect("the scratch folder is writable");
        let rules = rules.to_str().expect("UTF-8");
        let options = ["--error-exitcode", "9", "--allow", rules];
        let (outcome, report) = traced(&options, &roles(Libc::System), &["beside"]);
        assert_eq!(outcome.status.code(), Some(status), "{text}: {:#}", report["processes"]);
        report["faults"].as_u64().expect("a number")
    };
    assert_eq!(check("function=set_zone name=ZONE # by design", 9), 6);
    assert_eq!(check("function=beside library=roles-*", 0), 0);
    assert_eq!(check("function=beside library=libc.*", 9), 8);
    assert_eq!(check("name=ZONE\nname=PUT\nname=NO_*\nfunction=other", 9), 1, "clearenv has no name");
    std::fs::write(&rules, "function set_zone\n").expect("the scratch folder is writable");
    let mut command = trace();
    command.arg("--allow").arg(&rules).arg("true");
    let outcome = run(command, LIMIT);
    let error = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert_eq!((outcome.status.code(), error.lines().count()), (Some(125), 1), "{error}");
    let _ = std::fs::remove_file(rules);
}

#[test]
fn the_first_change_can_stop_the_program() {
    let (outcome, report) = traced(&["--first"], &roles(Libc::System), &["beside"]);
    assert_eq!(
        (outcome.status.code(), &report["signal"]),
        (Some(128 + libc::SIGTRAP), &libc::SIGTRAP.into())
    );
    let process = main_process(&report);
    assert_eq!(process["changes_beside_threads"], 1);
    let place = at_line(&process["places"], "setenv", line_of("trace/roles.c", "/* line: change */"));
    assert_eq!(place["events"][0]["result"], Value::Null, "it never returned");
    let (outcome, _) = traced(&["--first"], &roles(Libc::System), &["alone"]);
    outcome.succeeded("no change to stop at");
}

#[test]
fn calls_can_go_to_the_preload_library() {
    for (options, answer) in [(&[][..], "plain secret value\n"), (&["--protect"], "protected secret value\n")]
    {
        let (outcome, report) = traced(options, &roles(Libc::System), &["protected"]);
        assert_eq!(String::from_utf8_lossy(&outcome.succeeded("protected").stdout), answer);
        assert_eq!(main_process(&report)["changes"], 2);
    }
}

#[test]
fn values_are_recorded_only_if_asked_for() {
    let (_, report) = traced(&[], &roles(Libc::System), &["beside"]);
    assert!(!report.to_string().contains("secret value"));
    let (_, report) = traced(&["--values"], &roles(Libc::System), &["beside"]);
    let process = main_process(&report);
    let place = at_line(&process["places"], "setenv", line_of("trace/roles.c", "/* line: change */"));
    assert_eq!(place["events"][0]["value"], "secret value");
}

#[test]
fn direct_changes_are_noticed() {
    let (outcome, report) = traced(&[], &roles(Libc::System), &["direct"]);
    outcome.succeeded("direct");
    let process = main_process(&report);
    let direct = process["direct_changes"].as_array().expect("a list");
    let mut kinds: Vec<_> = direct.iter().map(|place| place["function"].as_str().expect("a text")).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["environ = ...", "environ[i] = ..."], "{direct:#?}");
    assert!(direct.iter().all(|place| place["beside_threads"] == 1));
    assert_eq!(report["faults"], 4, "two calls and two without");
}

#[test]
fn each_process_has_its_report() {
    let (outcome, report) = traced(&[], &roles(Libc::System), &["children"]);
    outcome.succeeded("children");
    let processes = report["processes"].as_array().expect("a list");
    let names = |process: &Value| {
        let lists = ["places", "changes_by_one_thread_alone"].iter().filter_map(|l| process[l].as_array());
        let events = lists.flatten().filter_map(|place| place["events"].as_array()).flatten();
        events.map(|event| event["name"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    // A child by vfork changes its parent's list, beside its parent's threads.
    let parent = main_process(&report);
    assert_eq!((names(parent), &parent["faults"]), (vec!["IN_VFORK".into()], &1.into()));
    let forked = processes.iter().find(|process| names(process) == ["IN_CHILD"]).expect("the fork's report");
    assert_eq!((&forked["parent"], &forked["faults"]), (&parent["id"], &0.into()));
    let leaf = processes.iter().find(|process| names(process) == ["ZONE"]).expect("the program after exec");
    assert!(leaf["command"].as_str().expect("a text").ends_with(" leaf"));
    assert_eq!((processes.len(), &leaf["faults"], &report["faults"]), (3, &1.into(), &2.into()));
}

#[test]
fn what_is_kept_is_bounded() {
    let (outcome, report) = traced(&[], &roles(Libc::System), &["many"]);
    outcome.succeeded("many");
    let process = main_process(&report);
    let places = process["places"].as_array().expect("a list");
    let changes: u64 = places.iter().map(|place| place["changes"].as_u64().expect("a number")).sum();
    // All are counted, also those of which no more is known.
    assert_eq!((changes, &process["changes_beside_threads"]), (6000, &6000.into()));
    assert_eq!(process["changes_only_counted"], 6000 - 4096);
}

#[test]
fn a_program_sees_nothing_of_it() {
    let plain_run = {
        let mut command = plain(roles(Libc::System));
        command.arg("untouched");
        run(command, LIMIT).succeeded("untouched, not traced")
    };
    let (outcome, report) = traced(&[], &roles(Libc::System), &["untouched"]);
    let outcome = outcome.succeeded("untouched");
    assert_eq!((outcome.stdout, outcome.stderr), (plain_run.stdout, plain_run.stderr));
    assert_eq!(main_process(&report)["changes_beside_threads"], 2);
}

#[test]
fn a_report_can_be_had_at_any_time_and_signals_are_passed_on() {
    use std::io::{BufRead, BufReader};
    let report = fresh("report.json");
    let mut command = trace();
    command.arg("--json").arg(&report).arg(roles(Libc::System)).arg("wait");
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("the tracer runs");
    let pid = libc::pid_t::try_from(child.id()).expect("a process id");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    // SAFETY: our child, which nobody has waited for.
    unsafe { libc::kill(pid, libc::SIGUSR1) };
    let between = (0..6000)
        .find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            serde_json::from_str::<Value>(&std::fs::read_to_string(&report).ok()?).ok()
        })
        .expect("a report");
    assert_eq!((&between["faults"], &between["exit_status"]), (&1.into(), &Value::Null));
    // SAFETY: as above.
    unsafe { libc::kill(pid, libc::SIGTERM) };
    assert_eq!(child.wait().expect("it ends").code(), Some(5), "the program's handler ran");
    let _ = std::fs::remove_file(report);
}

#[test]
fn a_command_that_cannot_run_is_one_line() {
    for (arguments, status) in [
        (&["/no/such/program"][..], 127),
        (&["/"], 126),
        (&["--no-such-option", "true"], 125),
        (&["--tracer", "/no/such/library", "true"], 125),
        (&["--error-exitcode", "x", "true"], 125),
        (&[], 125),
    ] {
        let mut command = trace();
        command.args(arguments);
        let outcome = run(command, LIMIT);
        let error = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert_eq!(
            (outcome.status.code(), error.lines().count()),
            (Some(status), 1),
            "{arguments:?}: {error}"
        );
    }
}

/// Nothing is left in memory where recordings lie.
#[test]
fn recordings_go_with_the_report() {
    let own = fresh("tmp");
    std::fs::create_dir_all(&own).expect("the scratch folder is writable");
    let left = || {
        let folder = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
        folder.filter(|entry| entry.file_name().to_string_lossy().starts_with("mtsafe-env-trace.")).count()
    };
    let mut command = trace();
    command.env("TMPDIR", &own).args([
        "-o",
        "/dev/null",
        "sh",
        "-c",
        "ls /dev/shm | grep -c ^mtsafe-env-trace",
    ]);
    let outcome = run(command, LIMIT);
    let during: usize = String::from_utf8_lossy(&outcome.stdout).trim().parse().expect("a number");
    // Other tests run at the same time: theirs may come and go, ours was there.
    assert!(during >= 1 || std::fs::read_dir(&own).is_ok());
    let gone = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        left() < during || left() == 0
    });
    assert!(gone && std::fs::read_dir(&own).expect("it is there").count() == 0);
}

/// The C programs of the preload library's tests, with the tracer in front of it: reentrant, early, late, in children.
fn under_both(libc: Libc) {
    let hooks = c(libc, "c/libhooks.c", &[]);
    let programs: [(&str, &[&str], &[&OsStr]); 8] = [
        ("c/own_malloc.c", &[], &[]),
        ("c/hooks.c", &[], &[hooks.as_os_str()]),
        ("c/adopt.c", &[], &[]),
        ("c/forks.c", &["60"], &[]),
        ("c/fork_in_handler.c", &["50"], &[]),
        ("c/reads_in_forks.c", &["20", "A1=x"], &[]),
        ("c/signals.c", &["200"], &[]),
        ("c/threads.c", &["100", "5", "3"], &[]),
    ];
    for (file, arguments, libraries) in programs {
        let mut command = trace();
        command.envs([("INHERITED", "yes"), ("MALLOC_BYSTANDER", "here")]);
        let (outcome, report) = traced_by(command, &["--protect"], &c(libc, file, libraries), arguments);
        outcome.succeeded(file);
        let changes = report["processes"].as_array().expect("a list").iter().map(|p| p["changes"].as_u64());
        // One starts itself anew with a list that lacks the tracer's variable: passed on all the same, but not recorded.
        let recorded = file != "c/reads_in_forks.c";
        assert_eq!(changes.map(Option::unwrap_or_default).sum::<u64>() > 0, recorded, "{file}");
    }
}

#[test]
fn it_is_reentrant() {
    under_both(Libc::System);
}

#[test]
fn it_is_reentrant_on_musl() {
    if exists("musl-gcc") {
        under_both(Libc::Musl);
    } else {
        eprintln!("skipped: musl-gcc is missing");
    }
}

/// Runs before the library is relocated.
#[test]
fn a_resolver_may_call_it() {
    let resolver = c(Libc::System, "c/libresolver.c", &[OsStr::new("-Wl,-z,now")]);
    let program = c(Libc::System, "c/resolver.c", &[resolver.as_os_str()]);
    let mut untraced = plain(&program);
    untraced.env("INHERITED", "yes");
    let expected = run(untraced, LIMIT).succeeded("resolver").stdout;
    let mut command = trace();
    command.env("INHERITED", "yes").args(["-o", "/dev/null"]).arg(program);
    assert_eq!(run(command, LIMIT).succeeded("resolver, traced").stdout, expected);
}

/// Runs a story with libc and protected, and looks for the line that changes and the function that reads.
fn story(program: &Path, arguments: &[&str], file: &str, change: &str, reader: &str) {
    for options in [&[][..], &["--protect"]] {
        let (outcome, report) = traced(options, program, arguments);
        if options.is_empty() {
            // The program may die of what is told here.
            let died = outcome.status.code().is_some_and(|code| code > 128);
            assert!(outcome.status.success() || died, "{outcome:?}");
        } else {
            outcome.succeeded(file);
        }
        let process = main_process(&report);
        at_line(&process["places"], change, line_of(file, "culprit"));
        let readers = process["readers"].as_array().expect("a list");
        let risky: Vec<_> =
            readers.iter().filter(|r| r["at_risk"] == true && r["function"] == reader).collect();
        assert!(!risky.is_empty(), "{reader}: {readers:#?}");
    }
}

#[test]
fn the_story_in_python() {
    let python = Path::new("/usr/bin/python3");
    if !python.exists() {
        eprintln!("skipped: {} is missing", python.display());
        return;
    }
    let extension = c(Libc::System, "trace/libextension.c", &[]);
    let script = source("trace/story.py");
    let arguments = [script.to_str().expect("UTF-8"), extension.to_str().expect("UTF-8")];
    let (_, report) = traced(&[], python, &arguments);
    let places = &main_process(&report)["places"];
    let told = places.as_array().expect("a list").iter().any(|p| p["python"] != Value::Array(Vec::new()));
    if told {
        story(python, &arguments, "trace/story.py", "setenv", "getenv");
    } else {
        eprintln!("skipped: this interpreter does not tell its lines");
    }
}

#[test]
fn the_story_in_rust() {
    let program = made("story-rust", |path| {
        let mut command = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()));
        command
            .args(["--edition", "2021", "-g", "-C", "opt-level=2", "-o"])
            .arg(path)
            .arg(source("trace/story.rs"));
        command
    });
    story(&program, &[], "trace/story.rs", "setenv", "getaddrinfo");
}

#[test]
fn the_story_in_cpp() {
    if !exists("c++") {
        eprintln!("skipped: c++ is missing");
        return;
    }
    let program = made("story-cpp", |path| {
        let mut command = Command::new("c++");
        command.args(["-O2", "-g", "-pthread", "-o"]).arg(path).arg(source("trace/story.cpp"));
        command
    });
    story(&program, &[], "trace/story.cpp", "setenv", "setlocale");
}

/// What a program is that is compared: its arguments, and whether it changes its environment beside threads of its own.
struct Real(&'static str, &'static [&'static str], Alarm);

#[derive(Clone, Copy, PartialEq)]
enum Alarm {
    /// It does not: an alarm would be a false one.
    Never,
    /// It does, in this run at least now and then.
    Rightly,
}
use Alarm::{Never, Rightly};

const REAL: &[Real] = &[
    Real(
        "sh",
        &[
            "-c",
            "A=1; export A; printenv A; unset A; printenv A || echo gone; (exit 3); echo $?; nothing-such",
        ],
        Never,
    ),
    Real(
        "bash",
        &[
            "-c",
            "export A=1; printenv A; f() { local -x L=1; printenv L; }; f; ls /proc/self/fd | wc -l; exit 7",
        ],
        Never,
    ),
    Real("dash", &["-c", "for i in 1 2 3; do export V$i=$i; done; env | grep -c ^V; kill -TERM $$"], Never),
    Real("env", &["-i", "ONLY=1", "env"], Never),
    Real("env", &["A=1", "-u", "HOME", "printenv", "A", "HOME"], Never),
    Real("printenv", &["HOME", "NOTHING"], Never),
    Real(
        "awk",
        &["BEGIN { print ENVIRON[\"HOME\"]; \"printenv LANG\" | getline x; print x; exit 4 }"],
        Never,
    ),
    Real("gawk", &["BEGIN { ENVIRON[\"A\"] = 1; system(\"printenv A\"); print strftime(\"%H\", 0) }"], Never),
    Real(
        "perl",
        &["-e", "$ENV{A} = 1; print `printenv A`; delete $ENV{A}; print `printenv A || echo gone`; exit 2"],
        Never,
    ),
    Real(
        "python3",
        &[
            "-c",
            "import os, time\nos.environ['TZ'] = 'FAR-5'\ntime.tzset()\nprint(time.localtime(0).tm_hour)\nos.system('printenv TZ')",
        ],
        Never,
    ),
    Real(
        "python3",
        &[
            "-c",
            "import os, threading\nos.environ['A'] = '1'\nt = threading.Thread(target=lambda: print(os.environ['A']))\nt.start(); t.join()\ndel os.environ['A']\nprint('A' in os.environ)",
        ],
        Rightly, // join() may come back before the thread itself has ended: Python before 3.13
    ),
    Real("make", &["-f", "/dev/null", "--eval", "all: ; @printenv MAKELEVEL A", "A=1", "export A=2"], Never),
    Real("git", &["-c", "alias.e=!printenv GIT_PREFIX || echo none", "e"], Never),
    Real("date", &["-d", "@0", "+%H %Z"], Never),
    Real("date", &["-d", "TZ=\"FAR-5\" 1970-01-01 00:00", "+%s"], Never),
    Real("find", &["/bin/sh", "-exec", "printenv", "HOME", ";"], Never),
    Real("sort", &["--parallel=4", "-S1M", "/etc/passwd"], Never),
    Real("xargs", &["-n1", "echo"], Never),
    Real("tar", &["-cf", "/dev/null", "/etc/passwd"], Never),
    Real("grep", &["-c", "x", "/nothing"], Never),
    Real("sed", &["-n", "1p", "/etc/os-release"], Never),
    Real("nice", &["-n1", "printenv", "HOME"], Never),
    Real("timeout", &["5", "printenv", "HOME"], Never),
    Real("stdbuf", &["-oL", "printenv", "_STDBUF_O"], Never),
    Real("ls", &["-ld", "/etc/passwd"], Never),
    Real("id", &["-u"], Never),
    Real("gcc", &["-E", "-x", "c", "/dev/null"], Never),
    Real("rustc", &["--print", "sysroot"], Never),
    Real("xz", &["-T2", "--robot", "--info-memory"], Never),
    Real("curl", &["-sS", "file:///etc/os-release"], Never),
    Real("cmake", &["-E", "env", "A=1", "printenv", "A"], Never),
    Real(
        "node",
        &[
            "-e",
            "process.env.A = '1'; console.log(process.env.A, require('child_process').execFileSync('printenv', ['A']).toString())",
        ],
        Rightly,
    ),
    Real("ruby", &["-e", "ENV['A'] = '1'; puts `printenv A`; ENV.delete('A'); puts ENV['A'].inspect"], Never),
    Real("openssl", &["version"], Never),
    Real("gdb", &["--batch", "-ex", "set environment A 1", "-ex", "show environment A"], Rightly),
    Real("ssh", &["-V"], Never),
    Real("tclsh", &["/dev/null"], Never),
    Real("php", &["-r", "putenv('A=1'); echo getenv('A'), shell_exec('printenv A');"], Never),
    Real("lua", &["-e", "print(os.getenv('HOME'))"], Never),
    Real("sqlite3", &["-version"], Never),
    Real(
        "emacs",
        &[
            "-Q",
            "--batch",
            "--eval",
            "(progn (setenv \"TZ\" \"FAR-5\") (princ (format-time-string \"%H\" 0)))",
        ],
        Rightly,
    ),
    Real(
        "fish",
        &["--no-config", "-c", "set -x A 1; printenv A; set -e A; printenv A; or echo gone"],
        Rightly,
    ),
    Real("tcsh", &["-f", "-c", "setenv A 1; printenv A; unsetenv A; printenv A || echo gone"], Never),
    Real("busybox", &["sh", "-c", "A=1; export A; busybox printenv A"], Never),
];

/// Programs that people run: the same output on both streams and the same status as without the tracer, and no false alarm.
#[test]
fn real_programs_run_unchanged() {
    const FAULT: i32 = 99;
    let mut compared = Vec::new();
    for Real(program, arguments, alarm) in REAL.iter().filter(|real| exists(real.0)) {
        let mut untraced = plain(program);
        untraced.args(*arguments);
        let expected = run(untraced, LIMIT);
        let report = fresh("report");
        let mut command = trace();
        command.args(["--error-exitcode", "99", "-o"]).arg(&report).arg("--").arg(program).args(*arguments);
        let outcome = run(command, LIMIT);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = std::fs::read_to_string(&report).unwrap_or_default();
        assert!(!told.is_empty(), "{program}: no report");
        let _ = std::fs::remove_file(report);
        assert_eq!(text(&outcome.stdout), text(&expected.stdout), "{program}");
        assert_eq!(text(&outcome.stderr), text(&expected.stderr), "{program}");
        let status = expected.status.code().or(expected.status.signal().map(|signal| 128 + signal));
        if *alarm == Never || outcome.status.code() != Some(FAULT) {
            assert_eq!(outcome.status.code(), status, "{program}: {told}");
        }
        compared
            .push(format!("{program}{}", if outcome.status.code() == Some(FAULT) { " (alarm)" } else { "" }));
    }
    println!("{} programs: {}", compared.len(), compared.join(", "));
    assert!(compared.len() >= 20, "{compared:?}");
}

fn denied() -> PathBuf {
    c(Libc::System, "trace/denied.c", &[])
}

/// Runs a case of `denied.c` with and without the tracer, and returns the report.
#[track_caller]
fn unchanged(case: &str) -> Value {
    let mut untraced = plain(denied());
    untraced.arg(case);
    let expected = run(untraced, LIMIT);
    let (outcome, report) = traced(&[], &denied(), &[case]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        !expected.stdout.is_empty() && expected.status.code().is_some_and(|code| code < 98),
        "{expected:?}"
    );
    assert_eq!(
        (outcome.status.code(), text(&outcome.stdout), text(&outcome.stderr)),
        (expected.status.code(), text(&expected.stdout), text(&expected.stderr)),
        "{case}"
    );
    report
}

/// Changes that `denied.c` makes in one round.
const ROUND: u64 = 601;

#[test]
fn a_program_may_limit_its_system_calls() {
    for (case, known) in [("prctl", ROUND), ("seccomp", ROUND), ("unused", 0)] {
        let report = unchanged(case);
        let process = main_process(&report);
        assert_eq!(
            (&process["changes_beside_threads"], &process["changes_under_a_filter"]),
            (&known.into(), &ROUND.into()),
            "{case}"
        );
    }
    // Only to ask for filters makes nothing unknown.
    let report = unchanged("asks");
    assert_eq!(main_process(&report)["changes_beside_threads"], ROUND);
    assert_eq!(main_process(&report)["changes_under_a_filter"], 0);
}

#[test]
fn who_cannot_be_recorded_runs_on_and_is_named() {
    for (case, reason) in
        [("start", "filter"), ("size", "size"), ("memory", "memory"), ("descriptors", "file")]
    {
        let report = unchanged(case);
        assert_eq!(report["not_recorded"][0]["reason"], reason, "{case}: {report:#}");
    }
}

#[test]
fn a_recording_grows_whatever_the_program_gives_up() {
    for case in ["work", "size-later", "descriptors-later", "user", "closed"] {
        let report = unchanged(case);
        let process = main_process(&report);
        let expected = ROUND + u64::from(case == "closed");
        assert_eq!(process["changes_beside_threads"], expected, "{case}");
        assert_eq!(process["changes_only_counted"], 0, "{case}: {process:#}");
    }
    // Without /proc nobody knows the threads. Where this is no root, its root stays.
    let report = unchanged("root");
    let process = main_process(&report);
    let (uncounted, beside) =
        (&process["changes_with_threads_not_counted"], &process["changes_beside_threads"]);
    assert!(
        matches!((uncounted.as_u64(), beside.as_u64()), (Some(ROUND), Some(0)) | (Some(0), Some(ROUND))),
        "{process:#}"
    );
}

/// The tracer itself under a kernel that refuses: `denied.c` runs it.
#[test]
fn a_kernel_may_refuse() {
    let refusing = |case: &str| {
        let report = fresh("report.json");
        let mut command = plain(denied());
        command.arg(case).arg(tracer()).arg("--json").arg(&report).arg(denied()).arg("work");
        let outcome = run(command, LIMIT).succeeded(case);
        assert_eq!(String::from_utf8_lossy(&outcome.stdout), "591 even\n");
        let text = std::fs::read_to_string(&report).expect("a report");
        let _ = std::fs::remove_file(report);
        serde_json::from_str::<Value>(&text).expect("the report is JSON")
    };
    let report = refusing("refuse");
    let process = main_process(&report);
    assert_eq!(process["changes_beside_threads"], ROUND);
    // The list could not be read, so nothing is known of effects; the caller is.
    assert_eq!(effects(&process["places"][0])[0], "unknown");
    assert!(
        process["places"].as_array().expect("a list").iter().any(|p| p["stack"][0]["function"] == "work")
    );
    let report = refusing("full");
    assert_eq!(report["not_recorded"][0]["reason"], "room", "{report:#}");
}

/// Every interpreter that is here tells its lines, or the report says that it does not.
#[test]
fn each_python_tells_its_lines_or_the_report_says_so() {
    let home = std::env::var("HOME").unwrap_or_default();
    let installed = std::fs::read_dir(format!("{home}/.pyenv/versions")).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = installed.map(|version| version.path().join("bin/python")).collect();
    found.push("/usr/bin/python3".into());
    found.retain(|path| path.exists());
    let script = source("trace/lines.py");
    let mut told = Vec::new();
    for python in found {
        let (outcome, report) = traced(&[], &python, &[script.to_str().expect("UTF-8")]);
        let version = String::from_utf8_lossy(&outcome.succeeded("lines.py").stdout).trim().to_owned();
        let process = main_process(&report);
        if process["python_cannot_be_asked"] == true {
            assert!(
                !matches!(
                    version.as_str(),
                    "3.6" | "3.7" | "3.8" | "3.9" | "3.10" | "3.11" | "3.12" | "3.13"
                ),
                "{version}"
            );
            told.push(format!("{version} no"));
            continue;
        }
        let place = &process["places"][0];
        let stack: Vec<_> = place["python"].as_array().expect("a list").iter().skip(1).collect();
        let line = |mark| line_of("trace/lines.py", mark);
        let expected = [
            ("change", line("# line: change")),
            ("<lambda>", line("# line: lambda")),
            ("generator", line("# line: generator")),
            ("<module>", line("# line: module")),
        ];
        let seen: Vec<_> = stack
            .iter()
            .map(|f| (f["function"].as_str().expect("a text"), f["line"].as_u64().expect("a number")))
            .collect();
        assert_eq!(seen, expected, "{version}");
        told.push(version);
    }
    println!("told: {}", told.join(", "));
}

/// A library before libc's that asks for the environment while the tracer looks for what is behind it.
#[test]
fn another_library_may_call_it_while_it_looks_around() {
    let other = c(Libc::System, "trace/libphdr.c", &[]);
    let mut untraced = plain(roles(Libc::System));
    untraced.arg("untouched").env("LD_PRELOAD", &other);
    let expected = run(untraced, LIMIT).succeeded("untouched, not traced").stdout;
    let mut command = trace();
    command.env("LD_PRELOAD", &other);
    let (outcome, report) = traced_by(command, &[], &roles(Libc::System), &["untouched"]);
    assert_eq!(outcome.succeeded("untouched").stdout, expected);
    assert_eq!(main_process(&report)["changes_beside_threads"], 2);
}

/// Of processes that have ended and tell nothing no more is kept than their number.
#[test]
fn many_processes_take_little_room() {
    let script = "i=0; while [ $i -lt 400 ]; do printenv HOME; i=$((i + 1)); done >/dev/null; sleep 3; ls -d /proc/[0-9]* >/dev/null
        for folder in /dev/shm/mtsafe-env-trace.*; do case $MTSAFE_ENV_TRACE in *$folder) ls $folder | wc -l ;; esac; done";
    let (outcome, report) = traced(&[], Path::new("sh"), &["-c", script]);
    let left: u64 =
        String::from_utf8_lossy(&outcome.succeeded("sh").stdout).trim().parse().expect("a number of files");
    let kept = report["processes"].as_array().expect("a list").len() as u64;
    let removed = report["processes_not_kept"].as_u64().expect("a number");
    assert!(left < 256 && removed > 100 && kept + removed >= 400, "{left} left, {kept} kept, {removed} not");
}

/// What it costs, for the README: `cargo test --release --test trace -- --ignored --nocapture overhead`.
#[test]
#[ignore = "measures"]
fn overhead() {
    use std::time::Instant;
    const RUNS: usize = 15;
    let loops = c(Libc::System, "trace/loops.c", &[]);
    let loops = loops.to_str().expect("UTF-8");
    let source = source("trace/roles.c");
    let source = source.to_str().expect("UTF-8");
    let object = fresh("object.o");
    let object = object.to_str().expect("UTF-8");
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    for role in ["getenv", "setenv", "setenv-beside"] {
        let ns = |mut command: Command| {
            let outcome = run(
                {
                    command.arg(loops).arg(role);
                    command
                },
                LIMIT,
            )
            .succeeded(role);
            String::from_utf8_lossy(&outcome.stdout).trim().parse::<f64>().expect("ns")
        };
        let traced = || {
            let mut command = trace();
            command.args(["-o", "/dev/null"]);
            command
        };
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            without.push(ns(plain("env")));
            with.push(ns(traced()));
        }
        println!("{role}: {:.0} ns without, {:.0} ns with", middle(without), middle(with));
    }
    let programs: [&[&str]; 3] = [
        &["/bin/true"],
        &["/usr/bin/python3", "-c", "pass"],
        &["gcc", "-O2", "-pthread", "-c", source, "-o", object],
    ];
    for words in programs.into_iter().filter(|words| exists(words[0].rsplit('/').next().expect("a name"))) {
        let time = |mut command: Command| {
            command.args(words);
            let begin = Instant::now();
            run(command, LIMIT).succeeded(words[0]);
            begin.elapsed().as_secs_f64() * 1e3
        };
        // In turns, and both below a process that starts them: the machine is shared.
        let (mut without, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let mut command = trace();
            command.args(["-o", "/dev/null"]);
            without.push(time(plain("env")));
            ratios.push(time(command) / without[without.len() - 1]);
        }
        println!("{}: {:.1} ms without, ratio {:.2}", words[0], middle(without), middle(ratios));
    }
    let script = "import os, glob; os.environ['A'] = '1'; print(sum(os.stat(f).st_blocks for f in glob.glob(os.environ['MTSAFE_ENV_TRACE'].split(':')[1] + '/*')) // 2)";
    if exists("python3") {
        let mut command = trace();
        command.args(["-o", "/dev/null", "/usr/bin/python3", "-c", script]);
        println!("recording of python3: {} KiB", String::from_utf8_lossy(&run(command, LIMIT).stdout).trim());
    }
}
