//! Real programs under the preload library, compared with the same run without it: the same output, the same status.
#![cfg(all(target_os = "linux", not(loom), not(miri)))]

mod common;

use common::{LIBRARY, Outcome, exists, library, plain, preloaded, run, scratch};
use std::process::Command;
use std::time::Duration;

/// Wall time after which a program counts as hung.
const LIMIT: Duration = Duration::from_secs(120);

/// How the output may differ.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// Not at all.
    Same,
    /// Listings of the environment: new entries come first, so the lines are sorted.
    Any,
}

/// Runs the command with and without the library.
#[track_caller]
fn compare(program: &str, arguments: &[&str], order: Order) {
    if !exists(program) {
        eprintln!("skipped: {program} is missing");
        return;
    }
    same_outcome(program, arguments, order);
}

/// The same for programs that the tests cannot do without.
#[track_caller]
fn compare_required(program: &str, arguments: &[&str], order: Order) {
    assert!(exists(program), "{program} is missing");
    same_outcome(program, arguments, order);
}

#[track_caller]
fn same_outcome(program: &str, arguments: &[&str], order: Order) {
    let with = |mut command: Command| {
        command.args(arguments).current_dir(scratch());
        let outcome = run(command, LIMIT);
        let errors = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert!(!errors.contains("cannot be preloaded"), "{errors}");
        outcome
    };
    let (plain, under) = (with(plain(program)), with(preloaded(program)));
    let text = |outcome: &Outcome| {
        let text = String::from_utf8_lossy(&outcome.stdout).into_owned();
        let mut lines: Vec<_> =
            text.lines().filter(|line| !line.starts_with("LD_PRELOAD=")).map(str::to_owned).collect();
        if order == Order::Any {
            lines.sort();
        }
        lines
    };
    let errors = |outcome: &Outcome| String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert_eq!(
        (plain.status, text(&plain)),
        (under.status, text(&under)),
        "{program} {arguments:?}\nwithout: {}\nunder the library: {}",
        errors(&plain),
        errors(&under),
    );
    // A run that fails either way, say for a missing module, would prove nothing.
    assert!(plain.status.success(), "{program} {arguments:?} fails by itself: {}", errors(&plain));
    assert!(!text(&plain).is_empty(), "{program} {arguments:?} says nothing");
}

#[test]
fn the_library_reaches_programs() {
    let mut command = preloaded("grep");
    command.args(["-c", LIBRARY, "/proc/self/maps"]);
    run(command, LIMIT).succeeded("grep");
    let mut command = plain("grep");
    command.args(["-c", LIBRARY, "/proc/self/maps"]);
    assert_eq!(run(command, LIMIT).status.code(), Some(1));
}

#[test]
fn sh() {
    for script in [
        "A=1; export A; echo $A; unset A; echo ${A-gone}; B=2 sh -c 'echo $B $LANG'",
        "for i in 1 2 3 4 5 6 7 8 9; do export V$i=$i; done; env | grep -c ^V; sh -c 'echo $V1 $V9'",
        "export A=1; (unset A; sh -c 'echo ${A-gone}'); sh -c 'echo $A'; A=2 exec sh -c 'echo $A'",
        "TZ=UTC0 date -d @0; TZ=FAR-5 date -d @0; LC_ALL=C sort </dev/null; exit 0",
    ] {
        compare_required("sh", &["-c", script], Order::Same);
    }
    compare_required("sh", &["-c", "export NEW=1; unset HOME; env"], Order::Any);
}

#[test]
fn bash() {
    for script in [
        "A=1; export A; printenv A; unset A; printenv A || echo gone; declare -x B=2; bash -c 'echo $B'",
        "f() { local -x L=1; printenv L; }; f; printenv L || echo gone; export TZ=FAR-5; printf '%(%H)T\\n' 0",
        "for i in {1..500}; do export V$i=$i; done; env | grep -c ^V; unset ${!V*}; env | grep -c ^V || true",
    ] {
        compare("bash", &["-c", script], Order::Same);
    }
}

#[test]
fn env_and_printenv() {
    assert!(exists("env") && exists("printenv"), "env or printenv is missing");
    compare_required("env", &[], Order::Any);
    compare_required("env", &["A=1", "B=", "A=2", "env"], Order::Any);
    compare_required("env", &["-u", "HOME", "-u", "NOTHING", "env"], Order::Any);
    compare_required("env", &["-i", "ONLY=1", "env"], Order::Same);
    compare_required("printenv", &["HOME", "LANG"], Order::Same);
    // `env -i` assigns an empty list to `environ`; with the library named again, the child runs under it.
    let mut command = preloaded("env");
    command.arg("-i").arg(format!("LD_PRELOAD={}", library().display())).args(["A=1", "printenv", "A"]);
    assert_eq!(run(command, LIMIT).succeeded("env -i").stdout, b"1\n");
}

const PYTHON: &[&str] = &[
    "
import os, subprocess, sys
os.environ['A'] = '1'
os.environ['B'] = '2' * 100000
del os.environ['A']
os.environ.setdefault('C', 'x')
print(sorted(k for k in os.environ if k != 'LD_PRELOAD'), len(os.environ['B']), os.getenv('A'))
print(subprocess.run(['printenv', 'C'], capture_output=True, text=True).stdout)
print(subprocess.check_output(['sh', '-c', 'echo $D'], env=dict(os.environ, D='4'), text=True))
os.putenv('E', '5'); os.system('echo $E'); os.unsetenv('E'); os.system('echo ${E-gone}')
sys.stdout.flush()
os.environ.clear()
os.execve('/bin/sh', ['sh', '-c', 'echo ${HOME-gone}'], os.environ)
",
    "
import os, threading, time, subprocess
stop = threading.Event()
def write(n):
    i = 0
    while not stop.is_set():
        os.environ['V%d_%d' % (n, i % 300)] = str(i % 5)
        os.environ.pop('V%d_%d' % (n, (i + 150) % 300), None)
        os.environ['TZ'] = 'UTC0' if i % 2 else 'FAR-5'
        i += 1
hours = set()
def read():
    while not stop.is_set():
        time.tzset()
        hours.add(time.localtime(12 * 3600).tm_hour)
        assert os.environ['HOME'] == '/'
threads = [threading.Thread(target=write, args=(n,)) for n in range(2)] + [threading.Thread(target=read) for _ in range(2)]
for thread in threads: thread.start()
for i in range(5):
    assert subprocess.run(['true']).returncode == 0
    time.sleep(0.1)
stop.set()
for thread in threads: thread.join()
print(hours <= {12, 17}, os.environ['HOME'])
",
];

/// The first script runs both ways. The second, a race, may crash without the library: it has to end well under it.
#[test]
fn python() {
    compare_required("python3", &["-c", PYTHON[0]], Order::Same);
    let mut command = preloaded("python3");
    command.args(["-c", PYTHON[1]]);
    assert_eq!(run(command, LIMIT).succeeded("python3 with threads").stdout, b"True /\n");
}

#[test]
fn perl() {
    for script in [
        "$ENV{A} = 1; print `printenv A`; delete $ENV{A}; print `printenv A || echo gone`; print \"$ENV{HOME}\\n\"",
        "$ENV{\"V$_\"} = $_ for 1..500; print scalar(grep /^V/, `env`), \"\\n\"; { local $ENV{V1} = 'x'; print `printenv V1`; }
         print `printenv V1`; delete @ENV{map \"V$_\", 1..400}; print scalar(grep /^V/, `env`), \"\\n\";",
        "use POSIX; $ENV{TZ} = 'FAR-5'; POSIX::tzset(); print((localtime(0))[2], \"\\n\");
         if (fork == 0) { $ENV{A} = 2; exec 'printenv', 'A' } wait; %ENV = (); print system('/usr/bin/env'), \"\\n\"",
    ] {
        compare_required("perl", &["-e", script], Order::Same);
    }
}

#[test]
fn git() {
    compare_required("git", &["--version"], Order::Same);
    let script = "
        set -e
        rm -rf repository && mkdir repository && cd repository
        export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=c GIT_COMMITTER_EMAIL=c@d
        export GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000'
        git init -q -b main
        printf '#!/bin/sh\\necho $GIT_INDEX_FILE\\nprintenv GIT_AUTHOR_NAME\\n' > .git/hooks/pre-commit
        chmod +x .git/hooks/pre-commit
        echo text > file
        git add file
        git commit -m message 2>&1
        git -c alias.show-env='!printenv GIT_PREFIX || true' show-env
        git rev-parse HEAD
        git log --format='%an %cn %ad'
    ";
    compare_required("sh", &["-c", script], Order::Same);
}

#[test]
fn make() {
    let makefile = scratch().join("Makefile.environment");
    let text = "export A = 1\nB = 2\nunexport HOME\nall: sub\n\t@echo $$A $${B-gone} $${HOME-gone} $$MAKELEVEL\n\
                sub:\n\t@C=3 $(MAKE) -s --no-print-directory -f $(firstword $(MAKEFILE_LIST)) leaf\n\
                leaf:\n\t@echo $$A $$C $$MAKELEVEL\n";
    std::fs::write(makefile, text).expect("the scratch folder is writable");
    compare_required("make", &["-s", "-j2", "-f", "Makefile.environment"], Order::Same);
}

#[test]
fn node() {
    let script = "
        process.env.A = '1'; process.env.B = '2'; delete process.env.A;
        const { execFileSync } = require('child_process');
        console.log(process.env.A, process.env.B, 'HOME' in process.env, execFileSync('printenv', ['B']).toString());
        process.env.TZ = 'UTC'; console.log(new Date(0).getHours());
        const { Worker } = require('worker_threads');
        new Worker(`require('worker_threads').parentPort.postMessage(process.env.B)`, { eval: true })
            .on('message', m => console.log(m));
    ";
    compare("node", &["-e", script], Order::Same);
}

#[test]
fn java() {
    let source = scratch().join("Environment.java");
    let text = "
        public class Environment {
            public static void main(String[] a) throws Exception {
                System.out.println(System.getenv(\"HOME\") + System.getenv().containsKey(\"NOTHING\"));
                ProcessBuilder child = new ProcessBuilder(\"printenv\", \"CHILD\", \"LANG\");
                child.environment().put(\"CHILD\", \"1\");
                System.out.print(new String(child.start().getInputStream().readAllBytes()));
            }
        }";
    std::fs::write(source, text).expect("the scratch folder is writable");
    // Some Javas run a source file only where there is a compiler.
    let works = exists("java") && {
        let mut command = plain("java");
        command.arg("Environment.java").current_dir(scratch());
        run(command, LIMIT).status.success()
    };
    if works {
        compare("java", &["Environment.java"], Order::Same);
    } else if exists("java") {
        eprintln!("java runs no source files here; only its version is compared");
        compare("java", &["-XshowSettings:system", "--version"], Order::Same);
    } else {
        eprintln!("skipped: java is missing");
    }
}

#[test]
fn awk_find_xargs() {
    compare(
        "awk",
        &["BEGIN { print ENVIRON[\"HOME\"]; \"printenv LANG\" | getline x; print x }"],
        Order::Same,
    );
    compare("find", &["/bin/sh", "-exec", "printenv", "HOME", ";"], Order::Same);
    compare("sh", &["-c", "echo HOME LANG | xargs -n1 -P2 printenv"], Order::Any);
    compare(
        "sh",
        &["-c", "TZ=FAR-5 date -d @0 +%H; LANGUAGE=de LC_ALL=C ls /nothing 2>&1 || true"],
        Order::Same,
    );
}
