//! What the tests share that run programs: build the preload library, compile C, run with a deadline.
//!
//! For another machine than this one (`.ci/machines`), `MTSAFE_TEST_TARGET` is its target triple, `CC` its compiler, and
//! `MTSAFE_TEST_EMULATOR` what runs its programs, in words, if the kernel does not.

#![allow(dead_code)] // each test file uses its part

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

/// File name of the preload library.
pub(crate) const LIBRARY: &str = "libmtsafe_env_preload.so";

/// Where the tests put what they build.
pub(crate) fn scratch() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        target().map_or(folder.into(), |target| folder.join(target))
    })
}

/// The machine to test for, if it is another than this one.
fn target() -> Option<String> {
    std::env::var("MTSAFE_TEST_TARGET").ok()
}

/// How many times as long an emulated program may take.
const SLOWER: u32 = 8;

/// True if something emulates it, which is slow.
pub(crate) fn is_emulated() -> bool {
    !emulator().is_empty()
}

/// What runs its programs.
fn emulator() -> Vec<String> {
    let words = std::env::var("MTSAFE_TEST_EMULATOR").unwrap_or_default();
    words.split_whitespace().map(String::from).collect()
}

/// The preload library, built once per test binary.
pub(crate) fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        build(&["--release", "-p", "mtsafe-env-preload"], LIBRARY, &scratch().join("preload"))
    })
}

/// Builds with `cargo build` and these arguments, and returns the path of the artifact called `file` as cargo reports it.
///
/// In a target directory of its own: the cargo that runs this test may hold the lock of the usual one. Without the caller's
/// compiler flags (sanitizers, coverage): what is tested is what ships.
pub(crate) fn build(arguments: &[&str], file: &str, target: &Path) -> PathBuf {
    build_with("", arguments, file, target)
}

/// The same with these compiler flags.
pub(crate) fn build_with(flags: &str, arguments: &[&str], file: &str, target: &Path) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--message-format=json-render-diagnostics"])
        .args(arguments)
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .stderr(Stdio::inherit());
    if let Some(machine) = self::target() {
        cargo.args(["--target", &machine]);
    }
    if !flags.is_empty() {
        cargo.env("RUSTFLAGS", flags);
    }
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{cargo:?}: {}", output.status);
    // Of the strings in cargo's JSON only the paths of artifacts end so.
    let json = String::from_utf8(output.stdout).expect("cargo's JSON is UTF-8");
    let path =
        json.split('"').find(|s| s.ends_with(&format!("/{file}"))).expect("cargo reports the artifact");
    PathBuf::from(path)
}

/// A C compiler and the libc it links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Libc {
    /// `$CC`, or `cc`.
    System,
    /// `musl-gcc`.
    Musl,
}

impl Libc {
    fn compiler(self) -> String {
        match self {
            Libc::System => std::env::var("CC").unwrap_or_else(|_| "cc".into()),
            Libc::Musl => "musl-gcc".into(),
        }
    }
}

/// Compiles `tests/c/NAME.c` with extra `arguments`, once per test binary. A NAME that starts with `lib` becomes a shared library.
pub(crate) fn compile(libc: Libc, name: &'static str, arguments: &[&OsStr]) -> PathBuf {
    static DONE: Mutex<Option<HashMap<(Libc, &str), PathBuf>>> = Mutex::new(None);
    let mut done = DONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let done = done.get_or_insert_default();
    if let Some(path) = done.get(&(libc, name)) {
        return path.clone();
    }
    let folder = scratch().join(format!("c-{libc:?}").to_lowercase());
    std::fs::create_dir_all(&folder).expect("the scratch folder is writable");
    let shared = name.starts_with("lib");
    let path = folder.join(if shared { format!("{name}.so") } else { name.into() });
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c");
    let mut command = Command::new(libc.compiler());
    // -fno-builtin: a compiler that knows getenv or malloc may drop or merge calls.
    command.args(["-std=gnu11", "-O2", "-g", "-fno-builtin", "-Wall", "-Wextra", "-Werror", "-pthread"]);
    if shared {
        command.args(["-shared", "-fPIC"]);
    }
    command.arg("-o").arg(&path).arg(sources.join(format!("{name}.c"))).args(arguments).arg("-ldl");
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    done.insert((libc, name), path.clone());
    path
}

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Outcome {
    /// Panics with everything the program said unless it exited with 0.
    #[track_caller]
    pub(crate) fn succeeded(self, what: &str) -> Outcome {
        let Outcome { status, stdout, stderr } = &self;
        let signal = status.signal().map(|s| format!(" (signal {s})")).unwrap_or_default();
        assert!(
            status.success(),
            "{what}: {status}{signal}\nstdout: {}\nstderr: {}",
            String::from_utf8_lossy(stdout),
            String::from_utf8_lossy(stderr),
        );
        self
    }
}

/// Runs `command` to its end. One that takes longer than `limit` is killed with its children, and the test fails.
#[track_caller]
pub(crate) fn run(mut command: Command, limit: Duration) -> Outcome {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let group = -i32::try_from(child.id()).expect("a process id");
    let (sender, receiver) = mpsc::channel();
    let waiter = thread::spawn(move || {
        let _ = sender.send(child.wait_with_output());
    });
    let limit = if is_emulated() { limit * SLOWER } else { limit };
    let result = receiver.recv_timeout(limit);
    if result.is_err() {
        // SAFETY: the group is that of our child, which nobody has waited for with success yet.
        unsafe { libc::kill(group, libc::SIGKILL) };
    }
    let output = match result {
        Ok(output) => output.expect("the program's output can be read"),
        Err(_) => {
            let output = receiver.recv().expect("the waiter ends").expect("the program's output can be read");
            panic!(
                "{command:?} hung: killed after {limit:?}\nstdout: {}\nstderr: {}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
        }
    };
    waiter.join().expect("the waiter ends");
    Outcome { status: output.status, stdout: output.stdout, stderr: output.stderr }
}

/// `program` with a small, known environment, without the library.
pub(crate) fn plain(program: impl AsRef<OsStr>) -> Command {
    command(program.as_ref(), None)
}

/// `program` with the same environment, under the library.
pub(crate) fn preloaded(program: impl AsRef<OsStr>) -> Command {
    preloaded_with(library(), program)
}

/// The same, under another build of it.
pub(crate) fn preloaded_with(library: &Path, program: impl AsRef<OsStr>) -> Command {
    command(program.as_ref(), Some(library))
}

fn command(program: &OsStr, library: Option<&Path>) -> Command {
    let words = emulator();
    let mut command = match &words[..] {
        [] => Command::new(program),
        [emulator, arguments @ ..] => {
            let mut command = Command::new(emulator);
            command.args(arguments);
            // Not in its own environment: it is a program of this machine.
            if let Some(library) = library {
                command.arg("-E").arg(format!("LD_PRELOAD={}", library.display()));
            }
            command.arg(program);
            command
        }
    };
    command.env_clear().envs([("LANG", "C"), ("HOME", "/"), ("TZ", "UTC0")]);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
    if let (Some(library), true) = (library, words.is_empty()) {
        command.env("LD_PRELOAD", library);
    }
    command
}

/// True if there is a program of this name on the PATH.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
