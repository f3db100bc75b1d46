//! `mtsafe-env`, the program: what it says of programs of every kind before they start (`run`) and while they run (`check`), and what it
//! does to a system (`system`). What it says of crashes is tested beside it, in `cdylib/launcher/tests`.
#![cfg(all(target_os = "linux", not(loom), not(miri)))]

mod common;

use common::{LIBRARY, build, exists, library, scratch};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

/// Says where its `setenv` is, and waits until its standard input ends. `libc` stands for everything that is not the library.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef OWN
int setenv(const char *name, const char *value, int overwrite) { (void)name; (void)value; (void)overwrite; return 0; }
#endif
int main(void)
{
	char letter;
	Dl_info info = { 0 };
	setenv("A", "b", 1);
	dladdr((void *)setenv, &info);
	puts(info.dli_fname && strstr(info.dli_fname, "mtsafe_env") ? "library" : "libc");
	fflush(stdout);
	return read(0, &letter, 1) > 0;
}
"#;

/// A preload of somebody else's that has a `setenv` and calls the next one.
const OTHER: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
int setenv(const char *name, const char *value, int overwrite)
{
	return ((int (*)(const char *, const char *, int))dlsym((void *)-1L, "setenv"))(name, value, overwrite);
}
"#;

/// The program beside the library, as in the build tree.
fn launcher() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let packages = ["--release", "-p", "mtsafe-env-preload", "-p", "mtsafe-env-launcher"];
        build(&packages, "mtsafe-env", &scratch().join("launcher"))
    })
}

/// The library that belongs to it.
fn its_library() -> PathBuf {
    launcher().with_file_name(LIBRARY)
}

fn folder(name: &str) -> PathBuf {
    let folder = scratch().join("launcher-tests").join(name);
    let _ = fs::remove_dir_all(&folder); // of an earlier run
    fs::create_dir_all(&folder).expect("the scratch folder is writable");
    folder
}

/// Compiles C text; none if this compiler cannot (a class or a libc that is not installed).
fn compile(folder: &Path, name: &str, compiler: &str, text: &str, arguments: &[&str]) -> Option<PathBuf> {
    if !exists(compiler) {
        eprintln!("skipped: {compiler} is missing");
        return None;
    }
    let (source, program) = (folder.join(format!("{name}.c")), folder.join(name));
    fs::write(&source, text).expect("writable");
    let output = Command::new(compiler)
        .arg("-o")
        .args([&program, &source])
        .args(arguments)
        .output()
        .expect("it starts");
    if !output.status.success() {
        eprintln!("skipped: {compiler} {arguments:?} does not work here");
        return None;
    }
    Some(program)
}

fn compiled(folder: &Path, name: &str, text: &str, arguments: &[&str]) -> PathBuf {
    compile(folder, name, "cc", text, arguments).expect("a C compiler")
}

/// `mtsafe-env` with these words, and an environment that has no `LD_PRELOAD`.
fn mtsafe_env<S: AsRef<OsStr>>(words: &[S]) -> Command {
    let mut command = Command::new(launcher());
    command.args(words).env_remove("LD_PRELOAD").env("LC_ALL", "C");
    command
}

fn output(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("it starts");
    (
        status.code(),
        String::from_utf8_lossy(&stdout).into_owned(),
        String::from_utf8_lossy(&stderr).into_owned(),
    )
}

/// A program that waits, and that is ended with the value.
struct Running {
    child: Child,
    /// Its first line.
    says: String,
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut says = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut says).expect("a line");
        Running { child, says: says.trim_end().into() }
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// What it wrote to standard error, after its end.
    fn ended(mut self) -> String {
        drop(self.child.stdin.take());
        let output = self.child.wait_with_output().expect("it ends");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

/// Starts the program and looks at it: its own words, those of `run`, and status and words of `check`.
fn run_and_check(command: Command) -> (String, String, Option<i32>, String) {
    let running = Running::start(command);
    let (status, line, errors) = output(mtsafe_env(&["check", &running.pid()]));
    assert_eq!(line.lines().count(), 1, "{line}{errors}");
    let says = running.says.clone();
    let words = running.ended();
    (says, words, status, line)
}

/// A row of the table: started by `mtsafe-env`, a program says whose `setenv` it has; `run` has words about it or none; `check` agrees.
#[track_caller]
fn row(command: Command, says: &str, run_words: &str, check_words: &str) {
    let shown = format!("{command:?}");
    let (said, words, status, line) = run_and_check(command);
    println!("| {shown} | {} | {} |", words.trim_end(), line.trim_end());
    assert_eq!(said, says, "{shown}: {words}");
    let lines: Vec<_> = words.lines().filter(|line| line.starts_with("mtsafe-env: ")).collect();
    if run_words.is_empty() {
        assert_eq!(words, "", "{shown}");
    } else {
        assert!(lines.len() == 1 && lines[0].contains(run_words), "{shown}: {words}");
    }
    assert!(line.contains(check_words), "{shown}: {line}");
    assert_eq!(status == Some(0), line.contains(": protected"), "{shown}: {line}");
}

#[test]
fn dynamic_programs_are_protected() {
    let folder = folder("dynamic");
    let program = compiled(&folder, "program", PROGRAM, &["-ldl"]);
    row(mtsafe_env(&[&program]), "library", "", ": protected; ");
    if let Some(program) = compile(&folder, "musl", "musl-gcc", PROGRAM, &[]) {
        row(mtsafe_env(&[&program]), "library", "", ": protected; musl 1.");
    }
    let plain = Command::new(&program);
    let (said, _, status, line) = run_and_check(plain);
    assert_eq!((&*said, status), ("libc", Some(1)));
    assert!(line.contains("NOT protected: without the library"), "{line}");
}

// This very program is one of the kind.
mtsafe_env::interpose!();

#[test]
fn rust_programs_with_the_macro_are_protected() {
    let this = std::env::current_exe().expect("its own name");
    let (status, line, errors) = output(mtsafe_env(&["check", &std::process::id().to_string()]));
    assert!(status == Some(0) && line.contains(": protected; "), "{line}{errors}");
    let name = this.file_name().expect("a file").to_string_lossy();
    assert!(
        line.contains(&format!("{name} {}", env!("CARGO_PKG_VERSION"))),
        "which is in the program: {line}"
    );
    let (status, _, errors) =
        output(mtsafe_env(&[OsStr::new("--strict"), this.as_os_str(), OsStr::new("--list")]));
    assert_eq!((status, &*errors), (Some(0), ""));
}

#[test]
fn programs_that_cannot_be_protected_are_named() {
    let folder = folder("obstacles");
    if let Some(program) = compile(&folder, "static", "cc", PROGRAM, &["-static"]) {
        row(mtsafe_env(&[&program]), "libc", "statically linked", "NOT protected: statically linked");
        let (status, _, errors) = output(mtsafe_env(&[OsStr::new("--strict"), program.as_os_str()]));
        assert_eq!(status, Some(125));
        assert!(errors.contains("not started") && errors.lines().count() == 1, "{errors}");
        let (status, _, errors) = output(mtsafe_env(&[OsStr::new("--quiet"), program.as_os_str()]));
        assert_eq!((status, &*errors), (Some(0), ""));
    }
    if let Some(program) = compile(&folder, "narrow", "cc", PROGRAM, &["-m32", "-ldl"]) {
        row(
            mtsafe_env(&[&program]),
            "libc",
            "32-bit x86 program",
            "NOT protected: the library was asked for and is not there",
        );
    }
    let own = compiled(&folder, "own", PROGRAM, &["-DOWN", "-rdynamic", "-ldl"]);
    row(mtsafe_env(&[&own]), "libc", "has its own setenv", "NOT protected: the program has its own setenv");

    // A program of another user's, which the kernel starts with that user's rights.
    let program = compiled(&folder, "other-user", PROGRAM, &["-ldl"]);
    if chown(&program, Some(65534), None).is_ok() {
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).expect("ours a moment ago");
        row(
            mtsafe_env(&[&program]),
            "libc",
            "runs as user 65534 (set-user-ID)",
            "NOT protected: set-user-ID",
        );
    } else {
        eprintln!("skipped: set-user-ID needs root");
    }
}

#[test]
fn a_library_of_another_machine_is_noticed() {
    let folder = folder("machine");
    let program = compiled(&folder, "program", PROGRAM, &["-ldl"]);
    let other = folder.join(LIBRARY);
    let mut bytes = fs::read(its_library()).expect("readable");
    bytes[18..20].copy_from_slice(&[0xf3, 0]); // e_machine: RISC-V
    fs::write(&other, bytes).expect("writable");
    let words = [OsStr::new("--strict"), OsStr::new("--library"), other.as_os_str(), program.as_os_str()];
    let (status, _, errors) = output(mtsafe_env(&words));
    assert_eq!(status, Some(125));
    assert!(errors.contains("the library is 64-bit RISC-V"), "{errors}");
}

#[test]
fn scripts_are_followed_to_their_interpreters() {
    let folder = folder("scripts");
    let program = compiled(&folder, "program", PROGRAM, &["-ldl"]);
    let script = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).expect("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
        path
    };
    let through = script("through", &format!("#!{}\n", program.display()));
    row(mtsafe_env(&[&through]), "library", "", ": protected; ");
    // bash has its own functions, and the program that it starts has ours.
    let bash = script("bash", &format!("#!/bin/bash\n{} <&0\n", program.display()));
    let running = Running::start(mtsafe_env(&[&bash]));
    assert_eq!(running.says, "library");
    let words = running.ended();
    let has_own = words.contains("/bash has its own setenv, unsetenv and putenv");
    assert!(words.is_empty() || (has_own && words.lines().count() == 1), "{words}");
    let by_name = script("by-name", "#!/usr/bin/env program\n");
    let mut command = mtsafe_env(&[&by_name]);
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
    row(command, "library", "", ": protected; ");
    // Without a first line that names an interpreter it is for the shell.
    let bare = script("bare", &format!("exec {}\n", program.display()));
    assert_eq!(Running::start(mtsafe_env(&[&bare])).says, "library");
    let nowhere = script("nowhere", "#!/nonexistent/interpreter\n");
    let (status, _, errors) = output(mtsafe_env(&[&nowhere]));
    assert!(status == Some(127) && errors.contains("/nonexistent/interpreter"), "{errors}");
}

#[test]
fn other_preloads_stay_and_call_ours() {
    let folder = folder("preloads");
    let program = compiled(&folder, "program", PROGRAM, &["-ldl"]);
    let other = compiled(&folder, "libother.so", OTHER, &["-shared", "-fPIC", "-ldl"]);
    let innocent = compiled(&folder, "libinnocent.so", "int innocent;", &["-shared", "-fPIC"]);
    let value = |now: &str| {
        let mut command = mtsafe_env(&["printenv", "LD_PRELOAD"]);
        command.env("LD_PRELOAD", now);
        let (status, value, errors) = output(command);
        assert!(status == Some(0), "{errors}");
        value.trim_end().to_owned()
    };
    let ours = its_library().display().to_string();
    let (other, innocent) = (other.display().to_string(), innocent.display().to_string());
    assert_eq!(value(""), ours);
    assert_eq!(value(&innocent), format!("{ours}:{innocent}"));
    assert_eq!(value(&format!(":{other} ")), format!("{other}:{ours}"));
    let mut bare = mtsafe_env(&["printenv", "LD_PRELOAD"]);
    bare.env("LD_PRELOAD", "libother.so").env("LD_LIBRARY_PATH", &folder);
    assert_eq!(output(bare).1.trim_end(), format!("libother.so:{ours}"));
    // Another copy, and ourselves: named once.
    let copy = library().display();
    assert_eq!(value(&format!("{copy}:{ours}:{innocent}")), format!("{ours}:{innocent}"));

    let mut before = mtsafe_env(&[&program]);
    before.env("LD_PRELOAD", &other);
    let (said, _, status, line) = run_and_check(before);
    assert_eq!((&*said, status), ("libc", Some(1)), "{line}");
    assert!(line.contains("unsure: ") && line.contains("libother.so comes before the library"), "{line}");

    let mut after = Command::new(&program);
    after.env("LD_PRELOAD", format!("{ours}:{other}"));
    let (said, _, status, line) = run_and_check(after);
    assert_eq!((&*said, status), ("library", Some(0)), "{line}");
}

#[test]
fn check_says_what_it_cannot_see() {
    let line = |words: &[&str], wanted: i32| {
        let (status, out, errors) = output(mtsafe_env(words));
        assert_eq!((status, &*out), (Some(wanted), ""), "{words:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        errors
    };
    assert!(line(&["check", "4194305"], 2).contains("no process 4194305")); // above the largest of Linux
    assert!(line(&["check", "no-such-command-at-all"], 2).contains("no such command"));
    assert!(line(&["check", "--all", "1"], 2).contains("not both"));
    assert!(line(&["check", "1", "2"], 2).contains("unexpected argument"));
    let (status, out, _) = output(mtsafe_env(&["check", "/usr/bin/printenv"]));
    assert_eq!(status, Some(1));
    assert!(out.contains("not running; mtsafe-env can protect it"), "{out}");
}

/// The command as a user that owns nothing here; none if that needs rights which we have not, or if that user cannot reach the program.
fn as_nobody(words: &[&OsStr]) -> Option<(Option<i32>, String, String)> {
    let nobody = |words: &[&OsStr]| {
        let mut command = mtsafe_env(words);
        command.uid(65534).gid(65534).stdin(Stdio::null());
        command.output().ok()
    };
    if !nobody(&[OsStr::new("--version")]).is_some_and(|output| output.status.success()) {
        eprintln!("skipped: needs root, and a scratch folder that others can reach");
        return None;
    }
    let output = nobody(words)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((output.status.code(), text(&output.stdout), text(&output.stderr)))
}

#[test]
fn what_belongs_to_somebody_else_is_said_to() {
    let folder = folder("others");
    let program = compiled(&folder, "program", PROGRAM, &["-ldl"]);
    let running = Running::start(mtsafe_env(&[&program]));
    let pid = running.pid();
    let words = [OsStr::new("check"), OsStr::new(&pid)];
    let Some((status, out, errors)) = as_nobody(&words) else { return };
    assert_eq!((status, &*out), (Some(2), ""), "{errors}");
    assert!(errors.contains("belongs to somebody else: try again as root"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");

    let secret = folder.join("secret");
    fs::write(&secret, "#0  getenv ()\n").expect("writable");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o700)).expect("ours");
    let (status, _, errors) = as_nobody(&[OsStr::new("diagnose"), secret.as_os_str()]).expect("as above");
    assert!(status == Some(2) && errors.contains("Permission denied"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    let (status, _, errors) = as_nobody(&[secret.as_os_str()]).expect("as above");
    assert!(status == Some(126) && errors.contains("may not be executed"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    // A program that may be started and not read: started, with a word about it.
    fs::copy("/bin/true", &secret).expect("writable");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o711)).expect("ours");
    let (status, _, errors) = as_nobody(&[secret.as_os_str()]).expect("as above");
    assert!(status == Some(0) && errors.contains("cannot be looked into"), "{errors}");
    let (status, _, errors) = as_nobody(&[OsStr::new("system"), OsStr::new("enable")]).expect("as above");
    assert!(status == Some(1) && errors.lines().count() == 1, "{errors}");
    drop(running);
}

#[test]
fn a_library_by_token_stays_as_it_serves_both_classes() {
    let folder = folder("token");
    let inside = folder.join("lib/x86_64-linux-gnu");
    fs::create_dir_all(&inside).expect("writable");
    fs::copy(its_library(), inside.join(LIBRARY)).expect("writable");
    let by_token = format!("{}/$LIB/{LIBRARY}", folder.display());
    let mut command = mtsafe_env(&["printenv", "LD_PRELOAD"]);
    command.env("LD_PRELOAD", &by_token);
    let (status, out, errors) = output(command);
    // Another library than ours serves only where this machine's linker puts the folder above for the token.
    let here = cfg!(target_arch = "x86_64") && Path::new("/lib/x86_64-linux-gnu").exists();
    let expected = if here { by_token } else { its_library().display().to_string() };
    assert_eq!((status, out.lines().last()), (Some(0), Some(&*expected)), "{errors}");
}

#[test]
fn check_finds_processes_by_name_and_writes_json() {
    let folder = folder("names");
    let program = compiled(&folder, "mtsafe-named", PROGRAM, &["-ldl"]);
    let with = Running::start(mtsafe_env(&[&program]));
    let (status, out, errors) = output(mtsafe_env(&["check", "--json", "mtsafe-named"]));
    assert_eq!(status, Some(0), "{out}{errors}");
    for part in [
        &format!("{{\"pid\":{},", with.pid())[..],
        "\"verdict\":\"protected\"",
        "\"threads\":1}",
        &format!("\"setenv\":\"{}\"", its_library().display()),
        &format!("\"library_version\":\"{}\"", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(out.contains(part), "no {part} in {out}");
    }
    // One that is not protected among them decides.
    let without = Running::start(Command::new(&program));
    let (status, out, _) = output(mtsafe_env(&[OsStr::new("check"), program.as_os_str()]));
    assert_eq!((status, out.lines().count()), (Some(1), 2), "{out}");
    drop((with.ended(), without.ended()));
}

#[test]
fn commands_that_cannot_be_started_end_as_with_env() {
    for (words, status, part) in [
        (&["no-such-command-at-all"][..], 127, "no such command"),
        (&["/nonexistent/command"], 127, "no such command"),
        (&["/"], 126, "is a folder"),
        (&["/etc/passwd"], 126, "may not be executed"),
        (&["--library", "/nonexistent.so", "printenv"], 125, "cannot use the library"),
        (&["--library", "/usr/bin/printenv", "printenv"], 125, "is not libmtsafe_env_preload.so"),
        (&["--no-such-option"], 125, "--no-such-option"),
        (&["run"], 125, "run what?"),
        (&[], 125, "start what?"),
        (&["--generate", "nothing"], 125, "--generate"),
        (&["system", "on"], 125, "enable, disable or status?"),
    ] {
        let (code, out, errors) = output(mtsafe_env(words));
        assert_eq!((code, &*out), (Some(status), ""), "{words:?}: {errors}");
        assert!(errors.starts_with("mtsafe-env: ") && errors.contains(part), "{words:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{words:?}: {errors}");
    }
    let (code, ..) = output(mtsafe_env(&["sh", "-c", "exit 7"]));
    assert_eq!(code, Some(7));
    // Behind `--`, and behind `run`, the name of a subcommand is a command like any other.
    assert_eq!(output(mtsafe_env(&["--", "check"])).0, Some(127));
    assert_eq!(output(mtsafe_env(&["run", "check"])).0, Some(127));
}

#[test]
fn the_command_finds_everything_else_as_it_was() {
    // Ignored signals, closed descriptors, and an environment with duplicates.
    let script = "trap '' PIPE; exec \"$0\" sh -c 'grep SigIgn /proc/self/status; ls /proc/self/fd' <&- 2>&-";
    let ignored = |program: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script, program]).env_remove("LD_PRELOAD");
        output(command).1
    };
    let with = ignored(launcher().to_str().expect("a path"));
    let mask = with.lines().next().and_then(|line| line.split_whitespace().nth(1)).expect("a mask");
    let mask = u64::from_str_radix(mask, 16).expect("a number");
    assert_ne!(mask & 1 << (libc::SIGPIPE - 1), 0, "SIGPIPE is not ignored: {with}");
    assert_eq!(with, ignored("env"));
    let (_, out, _) = output({
        let mut command = mtsafe_env(&["env"]);
        command.env_clear().envs([("B", "1"), ("A", "2")]);
        command
    });
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines, ["A=2", "B=1", &format!("LD_PRELOAD={}", its_library().display())]);
}

#[test]
fn paths_that_ld_preload_cannot_hold_are_refused() {
    for (name, word) in
        [("with space", "white space"), ("with:colon", "a colon"), ("with$LIB", "a dollar sign")]
    {
        let folder = folder(name);
        fs::copy(its_library(), folder.join(LIBRARY)).expect("writable");
        let program = folder.join("mtsafe-env");
        fs::copy(launcher(), &program).expect("writable");
        let mut command = Command::new(&program);
        command.arg("printenv");
        let (status, out, errors) = output(command);
        assert_eq!((status, &*out), (Some(125), ""), "{errors}");
        assert!(errors.contains(word), "{errors}");
    }
    let empty = folder("alone");
    fs::copy(launcher(), empty.join("mtsafe-env")).expect("writable");
    let mut command = Command::new(empty.join("mtsafe-env"));
    command.arg("printenv");
    let (status, _, errors) = output(command);
    assert!(status == Some(125) && errors.contains("install the package whole"), "{errors}");
}

#[test]
fn the_library_is_found_where_packages_put_it() {
    for place in ["lib", "lib64", "lib/x86_64-linux-gnu"] {
        let root = folder("prefix");
        fs::create_dir_all(root.join("bin")).expect("writable");
        fs::create_dir_all(root.join(place)).expect("writable");
        fs::copy(launcher(), root.join("bin/mtsafe-env")).expect("writable");
        fs::copy(its_library(), root.join(place).join(LIBRARY)).expect("writable");
        // Called through a link, as from a folder of links.
        symlink("bin/mtsafe-env", root.join("link")).expect("writable");
        let mut command = Command::new(root.join("link"));
        command.arg("--print-library");
        let (status, out, errors) = output(command);
        assert_eq!(
            (status, Path::new(out.trim_end())),
            (Some(0), &*root.join(place).join(LIBRARY)),
            "{errors}"
        );
    }
}

#[test]
fn help_manual_and_completion_have_every_subcommand() {
    for words in [
        &["--help"][..],
        &["--generate", "man"],
        &["--generate", "bash"],
        &["--generate", "zsh"],
        &["--generate", "fish"],
    ] {
        let (status, out, errors) = output(mtsafe_env(words));
        assert_eq!((status, &*errors), (Some(0), ""), "{words:?}");
        for name in ["run", "check", "diagnose", "system", "json", "strict", "partial"] {
            assert!(out.contains(name), "{words:?}: no {name}");
        }
        assert!(
            !out.contains('@') || words[1..] == ["bash"],
            "{words:?}: a place for something is left\n{out}"
        );
    }
}

/// A root with programs of this machine's, made of links to it that `chroot` can follow: copies.
fn small_root(name: &str) -> Option<PathBuf> {
    let root = folder(name);
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).expect("ours");
    for folder in ["etc", "bin", "usr/lib", "lib64"] {
        fs::create_dir_all(root.join(folder)).expect("writable");
    }
    fs::copy(its_library(), root.join("usr/lib").join(LIBRARY)).expect("writable");
    fs::copy("/bin/true", root.join("bin/true")).ok()?;
    for line in output({
        let mut command = Command::new("ldd");
        command.arg("/bin/true");
        command
    })
    .1
    .lines()
    {
        let path = line.split_whitespace().find(|word| word.starts_with('/'))?;
        let inside = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(inside.parent()?).ok()?;
        fs::copy(path, inside).ok()?;
    }
    Some(root)
}

#[test]
fn a_system_is_changed_and_changed_back() {
    // SAFETY: no arguments; it cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("skipped: a system is root's");
        return;
    }
    let Some(root) = small_root("root") else {
        eprintln!("skipped: no dynamic /bin/true, or no ldd");
        return;
    };
    // The folders above are the machine's own, which others may write to; those inside the root count.
    let list = root.join("etc/ld.so.preload");
    let system = |words: &[&str]| {
        let mut all = vec!["system"];
        all.extend_from_slice(words);
        let mut command = mtsafe_env(&all);
        command.arg("--root").arg(&root);
        output(command)
    };
    let ours = format!("/usr/lib/{LIBRARY}");
    assert_eq!(system(&["status"]).0, Some(1));
    for before in [None, Some("/lib/other.so\n"), Some("# words\n/lib/other.so")] {
        let _ = fs::remove_file(&list); // of the round before
        if let Some(text) = before {
            fs::write(&list, text).expect("writable");
        }
        let (status, _, errors) = system(&["enable"]);
        assert_eq!(status, Some(0), "{errors}");
        let once = fs::read_to_string(&list).expect("there");
        assert_eq!(once, format!("{ours}\n{}", before.unwrap_or_default()));
        assert_eq!(system(&["enable"]).0, Some(0));
        assert_eq!(fs::read_to_string(&list).expect("there"), once, "not the same when done twice");
        let (status, out, _) = system(&["status"]);
        assert!(status == Some(0) && out.contains(&ours), "{out}");
        assert_eq!(system(&["disable"]).0, Some(0));
        assert_eq!(fs::read_to_string(&list).ok().as_deref(), before);
        assert_eq!(system(&["disable"]).0, Some(0));
    }
    let names: Vec<_> =
        fs::read_dir(root.join("etc")).expect("there").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["ld.so.preload"], "something was left behind");
    fs::remove_file(&list).expect("ours");

    let refused = |part: &str, words: &[&str]| {
        let (status, _, errors) = system(words);
        assert!(
            status == Some(1) && errors.contains(part) && errors.lines().count() == 1,
            "{part}: {errors}"
        );
        assert!(!list.exists(), "{part}: the list was changed");
    };
    // In a name space of its own, where the folder can only be read.
    let mut read_only = Command::new("unshare");
    let script = "mount --bind \"$1/etc\" \"$1/etc\" && mount -o remount,ro,bind \"$1/etc\" && exec \"$0\" system enable --root \"$1\"";
    read_only.args(["--mount", "sh", "-c", script]).arg(launcher()).arg(&root).env_remove("LD_PRELOAD");
    let (status, _, errors) = output(read_only);
    if errors.contains("mtsafe-env: ") {
        assert!(status == Some(1) && errors.contains("Read-only file system"), "{errors}");
        assert!(errors.contains("nothing was changed") && errors.lines().count() == 1, "{errors}");
        assert!(!list.exists());
    } else {
        eprintln!("skipped: a folder that can only be read: {errors}");
    }
    refused("relative", &["enable", "--library", LIBRARY]);
    refused("cannot use the library", &["enable", "--library", "/usr/lib/nothing.so"]);
    refused("is not libmtsafe_env_preload.so", &["enable", "--library", "/bin/true"]);
    let inside = root.join("usr/lib").join(LIBRARY);
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o666)).expect("ours");
    refused("can be written by others", &["enable"]);
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o600)).expect("ours");
    refused("not everybody can read", &["enable"]);
    // A library that cannot be loaded is found out by trying. (Cut off behind its headers and symbols.)
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o644)).expect("ours");
    let whole = fs::read(&inside).expect("readable");
    let mut broken = whole.clone();
    let word = broken.windows(9).position(|bytes| bytes == b"libc.so.6").expect("its libc");
    broken[word..word + 9].copy_from_slice(b"libx.so.6");
    fs::write(&inside, broken).expect("writable");
    refused("tried the library with /bin/true", &["enable"]);
    fs::write(&inside, whole).expect("writable");
    // Programs of another class.
    let loader = fs::read(root.join("lib64/ld-linux-x86-64.so.2"));
    if let Ok(mut bytes) = loader {
        bytes[18..20].copy_from_slice(&[0xf3, 0]); // e_machine: RISC-V
        fs::create_dir_all(root.join("lib")).expect("writable");
        fs::write(root.join("lib/ld-linux-riscv64-lp64d.so.1"), bytes).expect("writable");
        refused("there are 64-bit RISC-V programs, too", &["enable"]);
        assert_eq!(system(&["enable", "--partial"]).0, Some(0));
        assert_eq!(system(&["disable"]).0, Some(0));
    }
    fs::remove_file(root.join("bin/true")).expect("ours");
    refused("no program to try", &["enable"]);
    fs::remove_dir_all(root.join("lib64")).expect("ours");
    fs::remove_dir_all(root.join("lib")).expect("ours");
    refused("no glibc", &["enable"]);
    fs::remove_dir_all(root.join("etc")).expect("ours");
    let (status, _, errors) = system(&["enable"]);
    assert!(status == Some(1) && errors.contains("has no folder etc"), "{errors}");
}
