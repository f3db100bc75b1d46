//! `mtsafe-env [run] COMMAND`: puts the library into `LD_PRELOAD` and becomes the command.

use crate::commands::{Command, Opt};
use crate::failure::{FAILED, Failure, NOT_FOUND, NOT_STARTED};
use crate::libc_kind::Libc;
use crate::library;
use crate::program::{self, Program};
use lexopt::{Arg, Parser};
use std::ffi::{CStr, CString, OsStr, OsString, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

pub(crate) const COMMAND: Command = Command {
    name: "run",
    arguments: "[--] COMMAND [ARGUMENT]...",
    summary: "Start COMMAND with the library (the word run may be left out)",
    options: &[
        Opt { name: "strict", value: None, help: "Do not start what cannot be protected: exit with 125" },
        Opt { name: "quiet", value: None, help: "Start what cannot be protected without a word" },
        crate::commands::LIBRARY,
    ],
    words: &[],
    run,
};

/// What the options before the command ask for.
#[derive(Default, Debug)]
pub(crate) struct Options {
    pub(crate) strict: bool,
    pub(crate) quiet: bool,
    pub(crate) library: Option<OsString>,
}

fn run(parser: &mut Parser) -> Result<u8, Failure> {
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("strict") => options.strict = true,
            Arg::Long("quiet") => options.quiet = true,
            Arg::Long("library") => options.library = Some(parser.value()?),
            Arg::Value(command) => return start(&options, command, parser.raw_args()?.collect()),
            other => return Err(other.unexpected().into()),
        }
    }
    Err(Failure::new("run what? mtsafe-env run COMMAND [ARGUMENT]..."))
}

/// Becomes the command. Returns only if it cannot.
///
/// # Errors
/// Status 127 if there is no such command, 126 if it cannot be started, 125 for everything else; then nothing was started.
pub(crate) fn start(options: &Options, command: OsString, arguments: Vec<OsString>) -> Result<u8, Failure> {
    let file = program::resolve(&command)?;
    let program = Program::at(&file)?;
    let libraries = library::find(options.library.as_deref())?;
    if let Some(obstacle) = program.obstacle(&libraries) {
        if options.strict {
            return Err(Failure::with_status(FAILED, format!("not started: {}", obstacle.text)));
        }
        if !options.quiet {
            eprintln!("mtsafe-env: {}", obstacle.text);
        }
    }
    // For the programs that it starts, where there is no library for its own class.
    let library = program
        .elf
        .as_ref()
        .ok()
        .and_then(|elf| library::of_kind(&libraries, elf.kind))
        .unwrap_or(&libraries[0]);
    // With both classes here the programs that it starts may be of either. musl does not know `$LIB`.
    let both = match program.elf.as_ref().ok().and_then(|elf| elf.loader.as_deref()).map(Libc::of_loader) {
        Some(Libc::Glibc(_)) => library::of_both_classes(&libraries),
        _ => None,
    };
    let path = both.as_ref().unwrap_or(&library.path);
    let value = library::preload_value(path, std::env::var_os("LD_PRELOAD").as_deref());
    Err(execute(&file, &command, &arguments, &value))
}

unsafe extern "C" {
    /// The environment as it was inherited: std's iterator leaves out what has no `=` in it, and the command must find that, too.
    static environ: *const *const c_char;
}

/// `execve` with the environment that we were given, but for `LD_PRELOAD`. Comes back only when that fails.
fn execute(path: &Path, command: &OsStr, arguments: &[OsString], preload: &OsStr) -> Failure {
    let c_string = |text: &OsStr| CString::new(text.as_bytes()).unwrap_or_default(); // an argument has no NUL in it
    let words: Vec<_> =
        [command].into_iter().chain(arguments.iter().map(OsString::as_os_str)).map(c_string).collect();
    let entry = c_string(OsStr::from_bytes(&[b"LD_PRELOAD=", preload.as_bytes()].concat()));
    let mut environment = Vec::new();
    let mut placed = false;
    // SAFETY: this program has one thread and never changes its environment, so the list stays as the kernel made it.
    let mut slot = unsafe { environ };
    loop {
        // SAFETY: within the list: the null that ends it was not met yet.
        let inherited = unsafe { *slot };
        if inherited.is_null() {
            break;
        }
        // SAFETY: an entry of the list is a C string.
        if unsafe { CStr::from_ptr(inherited) }.to_bytes().starts_with(b"LD_PRELOAD=") {
            if !placed {
                environment.push(entry.as_ptr());
            }
            placed = true;
        } else {
            environment.push(inherited);
        }
        // SAFETY: the entry was not the null that ends the list, so another slot follows.
        slot = unsafe { slot.add(1) };
    }
    if !placed {
        environment.push(entry.as_ptr());
    }
    environment.push(ptr::null());

    let c_path = c_string(path.as_os_str());
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(ptr::null());
    // SAFETY: C strings and null-terminated arrays of them, all alive.
    unsafe { libc::execve(c_path.as_ptr(), pointers.as_ptr(), environment.as_ptr()) };
    let mut error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOEXEC) {
        // A text without a first line that names an interpreter is for the shell: so execvp has it.
        pointers[0] = c_path.as_ptr();
        pointers.insert(0, c"sh".as_ptr());
        // SAFETY: as above.
        unsafe { libc::execve(c"/bin/sh".as_ptr(), pointers.as_ptr(), environment.as_ptr()) };
        error = io::Error::last_os_error();
    }
    let status = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED };
    Failure::with_status(status, format!("cannot start {}: {error}", path.display()))
}
