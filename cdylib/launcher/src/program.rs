//! What a command will start, and whether the library can protect it.

use crate::elf::{self, Elf, Unreadable, WRITERS};
use crate::failure::{Failure, NOT_FOUND, NOT_STARTED};
use crate::libc_kind::Libc;
use crate::library::{self, Library};
use std::ffi::{CString, OsStr};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Scripts whose interpreters are scripts. The kernel follows 4.
const MOST_INTERPRETERS: usize = 4;

/// Why the library would not protect a program. Each says what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// A word for tables and JSON.
    pub(crate) word: &'static str,
    /// What it is, and what to do.
    pub(crate) text: String,
}

/// What the kernel will run for a command: the program itself, or the interpreter of a script.
#[derive(Debug)]
pub(crate) struct Program {
    /// The ELF file in the end.
    pub(crate) path: PathBuf,
    pub(crate) elf: Result<Elf, Unreadable>,
    /// How its rights differ from ours, if they do.
    secure: Option<String>,
}

/// Finds `command` as a shell does: as it is if there is a slash in it, otherwise along `PATH`.
pub(crate) fn resolve(command: &OsStr) -> Result<PathBuf, Failure> {
    let shown = Path::new(command).display();
    if command.as_bytes().contains(&b'/') {
        let path = PathBuf::from(command);
        return match fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Failure::with_status(NOT_FOUND, format!("{shown}: no such command")))
            }
            Err(error) => Err(Failure::with_status(NOT_STARTED, format!("{shown}: {error}"))),
            Ok(file) if file.is_dir() => {
                Err(Failure::with_status(NOT_STARTED, format!("{shown} is a folder")))
            }
            Ok(_) if !executable(&path) => {
                Err(Failure::with_status(NOT_STARTED, format!("{shown} may not be executed")))
            }
            Ok(_) => Ok(path),
        };
    }
    // Without PATH, execvp looks into these two.
    let folders = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut forbidden = None;
    for folder in env::split_paths(&folders) {
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        let path = folder.join(command);
        if !fs::metadata(&path).is_ok_and(|file| file.is_file()) {
            continue;
        }
        if executable(&path) {
            return Ok(path);
        }
        forbidden = forbidden.or(Some(path));
    }
    Err(match forbidden {
        Some(path) => Failure::with_status(NOT_STARTED, format!("{} may not be executed", path.display())),
        None => Failure::with_status(NOT_FOUND, format!("{shown}: no such command")),
    })
}

fn executable(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: a C string.
    unsafe { libc::access(path.as_ptr(), libc::X_OK) == 0 }
}

impl Program {
    /// Looks at the file at `path`, and follows the interpreters of scripts.
    ///
    /// # Errors
    /// The interpreter of a script is missing.
    pub(crate) fn at(path: &Path) -> Result<Program, Failure> {
        let mut path = path.to_owned();
        for _ in 0..MOST_INTERPRETERS {
            match interpreter(&path) {
                None => break,
                Some(next) => {
                    if !next.exists() {
                        return Err(Failure::with_status(
                            NOT_FOUND,
                            format!("{}: its interpreter {} is missing", path.display(), next.display()),
                        ));
                    }
                    path = next;
                }
            }
        }
        // Linux takes no rights from a script's own bits: those of the interpreter count.
        let (elf, secure) = (elf::read(&path), changes_rights(&path));
        Ok(Program { path, elf, secure })
    }

    /// The libc that the program asks for; its version from the file beside the dynamic linker, if it is asked for.
    pub(crate) fn libc(&self) -> Libc {
        let Ok(Elf { loader: Some(loader), .. }) = &self.elf else { return Libc::Unknown };
        match Libc::of_loader(loader) {
            // musl's dynamic linker is libc.
            Libc::Musl(_) => match Libc::of_file(Path::new(loader)) {
                Libc::Unknown => Libc::Musl(None),
                known => known,
            },
            other => other,
        }
    }

    /// What keeps the library from protecting this program; none if it will.
    pub(crate) fn obstacle(&self, libraries: &[Library]) -> Option<Obstacle> {
        let name = self.path.display();
        let obstacle = |word, text: String| Some(Obstacle { word, text });
        let elf = match &self.elf {
            Ok(elf) => elf,
            Err(Unreadable::NotElf) => {
                return obstacle(
                    "not-elf",
                    format!(
                        "{name} is neither an ELF program nor a script: cannot tell whether it is protected"
                    ),
                );
            }
            Err(error) => {
                return obstacle(
                    "unreadable",
                    format!("{name} cannot be looked into ({error}): cannot tell whether it is protected"),
                );
            }
        };
        if !elf.loadable {
            return obstacle("not-a-program", format!("{name} is not a program"));
        }
        if elf.ours.is_some() && elf.defines_writers() {
            return None; // linked with the static library
        }
        let Some(loader) = &elf.loader else {
            if elf.ours.is_some() {
                return None;
            }
            return obstacle(
                "static",
                format!(
                    "{name} is statically linked and cannot be protected from outside (the programs it starts can): link it \
                     with libmtsafe_env_preload.a, or dynamically"
                ),
            );
        };
        if let Some(rights) = &self.secure {
            return obstacle(
                "set-user-id",
                format!(
                    "{name} {rights}: the dynamic linker ignores LD_PRELOAD there; `mtsafe-env system enable` protects it"
                ),
            );
        }
        if library::of_kind(libraries, elf.kind).is_none() {
            let ours =
                libraries.first().map_or_else(|| "missing".into(), |library| library.elf.kind.to_string());
            return obstacle(
                "other-class",
                format!(
                    "{name} is a {} program and the library is {ours}: install the library for {} programs, too",
                    elf.kind, elf.kind
                ),
            );
        }
        if elf.defined[..WRITERS].contains(&true) {
            return obstacle(
                "own-setenv",
                format!(
                    "{name} has its own {}, which the library cannot replace: it is not protected itself, the programs it starts are",
                    names(&elf.defined)
                ),
            );
        }
        if Libc::of_loader(loader) == Libc::Unknown {
            return obstacle(
                "unknown-libc",
                format!("{name} asks for {loader}, which is neither glibc nor musl: it may not be protected"),
            );
        }
        let runtime = elf
            .needed
            .iter()
            .find(|library| library.starts_with("libasan.so") || library.starts_with("libclang_rt.asan"));
        let allowed = env::var_os("ASAN_OPTIONS")
            .is_some_and(|options| options.to_string_lossy().contains("verify_asan_link_order=0"));
        if let Some(runtime) = runtime.filter(|_| !allowed) {
            return obstacle(
                "asan",
                format!(
                    "{name} needs {runtime} to come first and will refuse to start: set ASAN_OPTIONS=verify_asan_link_order=0"
                ),
            );
        }
        None
    }
}

/// "setenv, putenv and unsetenv": the writers that a file defines.
pub(crate) fn names(defined: &elf::Defined) -> String {
    let names: Vec<_> = elf::FUNCTIONS[..WRITERS]
        .iter()
        .zip(defined)
        .filter(|(_, defined)| **defined)
        .map(|(name, _)| *name)
        .collect();
    match &names[..] {
        [] => String::new(),
        [one] => (*one).into(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// The interpreter of a script; for `#!/usr/bin/env NAME` what `env` will find. None if it is no script.
fn interpreter(path: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    fs::File::open(path).ok()?.take(256).read_to_end(&mut start).ok()?; // the kernel reads as much
    let Some(line) = start.strip_prefix(b"#!") else {
        // A text without that line is for the shell, if it is a text at all.
        let text = !start.is_empty()
            && !start.starts_with(b"\x7fELF")
            && start.iter().all(|byte| *byte >= 0x20 || byte.is_ascii_whitespace());
        return text.then(|| "/bin/sh".into());
    };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words =
        line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).map(OsStr::from_bytes);
    let first = PathBuf::from(words.next()?);
    if first.file_name() != Some(OsStr::new("env")) {
        return Some(first);
    }
    // env's own options and assignments come before the command.
    let command = words
        .filter(|word| *word != "-S" && *word != "--split-string")
        .map(|word| word.as_bytes().strip_prefix(b"-S").map_or(word, OsStr::from_bytes))
        .find(|word| !word.as_bytes().starts_with(b"-") && !word.as_bytes().contains(&b'='));
    match command {
        Some(command) => Some(resolve(command).unwrap_or_else(|_| PathBuf::from(command))),
        None => Some(first),
    }
}

/// Says how the program's rights differ from ours, if they do: the dynamic linker is then in secure mode.
fn changes_rights(path: &Path) -> Option<String> {
    let file = fs::metadata(path).ok()?;
    let mode = file.permissions().mode();
    // SAFETY: no arguments; they cannot fail.
    let (user, group) = unsafe { (libc::getuid(), libc::getgid()) };
    let c_path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: all zero is a valid statvfs.
    let mut mount: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a C string, and room for the answer.
    let known = unsafe { libc::statvfs(c_path.as_ptr(), &mut mount) } == 0;
    // SAFETY: only numbers are passed.
    let no_new_rights = unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) } == 1;
    if no_new_rights || (known && mount.f_flag & libc::ST_NOSUID != 0) {
        return None;
    }
    if mode & libc::S_ISUID != 0 && file.uid() != user {
        return Some(format!("runs as user {} (set-user-ID)", file.uid()));
    }
    if mode & libc::S_ISGID != 0 && mode & libc::S_IXGRP != 0 && file.gid() != group {
        return Some(format!("runs as group {} (set-group-ID)", file.gid()));
    }
    // SAFETY: two C strings; no room is given, so only the size is asked for.
    let size =
        unsafe { libc::getxattr(c_path.as_ptr(), c"security.capability".as_ptr(), std::ptr::null_mut(), 0) };
    (size > 0 && user != 0).then(|| "has file capabilities".into())
}
