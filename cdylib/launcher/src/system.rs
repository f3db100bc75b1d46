//! `mtsafe-env system`: the library for every program of a system, by `/etc/ld.so.preload`.

use crate::commands::{Command, Opt};
use crate::elf::{self, Elf, Kind};
use crate::failure::Failure;
use crate::libc_kind::Libc;
use crate::library::{self, FILE};
use lexopt::{Arg, Parser};
use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};

/// Exit status: something did not work, and nothing was changed; of `status`: the library is not enabled.
const NO: u8 = 1;
/// Where dynamic linkers are, in the systems that have `/etc/ld.so.preload` and in those that have not.
const LOADER_FOLDERS: [&str; 4] = ["lib", "lib64", "lib32", "libx32"];
/// Programs that do nothing, for trying.
const HARMLESS: [&str; 4] = ["bin/true", "usr/bin/true", "bin/sh", "usr/bin/env"];
/// Where the library may be in a root that is not ours.
const PLACES: [&str; 6] =
    ["usr/lib", "usr/lib64", "usr/local/lib", "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib"];

pub(crate) const COMMAND: Command = Command {
    name: "system",
    arguments: "enable | disable | status [--root DIR]",
    summary: "Put the library into /etc/ld.so.preload, for every program (set-user-ID ones, too), or take it out",
    options: &[
        Opt {
            name: "root",
            value: Some("DIR"),
            help: "The system in this folder: an image, or a container that is being made",
        },
        Opt { name: "library", value: Some("FILE"), help: "The library, as programs in that system see it" },
        Opt {
            name: "partial",
            value: None,
            help: "Also where some programs cannot load it (they print a line on every start)",
        },
    ],
    words: &["enable", "disable", "status"],
    run,
};

/// What is asked for.
struct Options {
    root: PathBuf,
    library: Option<OsString>,
    partial: bool,
}

fn run(parser: &mut Parser) -> Result<u8, Failure> {
    let mut options = Options { root: "/".into(), library: None, partial: false };
    let mut action: Option<OsString> = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("root") => options.root = parser.value()?.into(),
            Arg::Long("library") => options.library = Some(parser.value()?),
            Arg::Long("partial") => options.partial = true,
            Arg::Value(value) if action.is_none() => action = Some(value),
            other => return Err(other.unexpected().into()),
        }
    }
    if !options.root.join("etc").is_dir() {
        return Err(no(format!("{} is not a system: it has no folder etc", options.root.display())));
    }
    match action.as_ref().and_then(|action| action.to_str()) {
        Some("enable") => enable(&options),
        Some("disable") => disable(&options),
        Some("status") => status(&options),
        _ => Err(Failure::new("mtsafe-env system enable, disable or status?")),
    }
}

fn no(line: String) -> Failure {
    Failure::with_status(NO, line)
}

fn list_path(root: &Path) -> PathBuf {
    root.join("etc/ld.so.preload")
}

/// The file's content; none if there is no file.
fn list(root: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let path = list_path(root);
    match fs::read(&path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(no(format!("cannot read {}: {error}", path.display()))),
    }
}

/// A path of the system, from here.
fn outside(root: &Path, inside: &Path) -> PathBuf {
    root.join(inside.strip_prefix("/").unwrap_or(inside))
}

/// The elements of one line that are the library. A `#` begins a comment, for glibc, too.
fn ours_in<'a>(root: &Path, line: &'a [u8]) -> Vec<&'a OsStr> {
    let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
    library::elements(OsStr::from_bytes(line))
        .filter(|element| library::is_ours(outside(root, Path::new(element)).as_os_str()))
        .collect()
}

fn status(options: &Options) -> Result<u8, Failure> {
    let content = list(&options.root)?.unwrap_or_default();
    let ours: Vec<_> =
        content.split(|byte| *byte == b'\n').flat_map(|line| ours_in(&options.root, line)).collect();
    let mut out = io::stdout().lock();
    let Some(first) = ours.first() else {
        writeln!(out, "not enabled").map_err(Failure::output)?;
        return Ok(NO);
    };
    let file = library::expanded(outside(&options.root, Path::new(first)).as_os_str());
    match elf::read(&file) {
        Ok(Elf { ours: Some(version), .. }) => {
            writeln!(out, "enabled: {} {version}", Path::new(first).display()).map_err(Failure::output)?
        }
        _ => {
            writeln!(out, "enabled, and broken: there is no {}", Path::new(first).display())
                .map_err(Failure::output)?;
            return Ok(NO);
        }
    }
    Ok(0)
}

fn enable(options: &Options) -> Result<u8, Failure> {
    let root = &options.root;
    let (inside, files) = library_inside(options)?;
    let mut kinds = Vec::new();
    for inside in &files {
        let file = outside(root, inside);
        let elf = elf::read(&file)
            .map_err(|error| no(format!("cannot use the library {}: {error}", file.display())))?;
        if elf.ours.is_none() || !elf.defines_writers() {
            return Err(no(format!("{} is not {FILE}", file.display())));
        }
        library::nameable(inside)?;
        only_root_writes(root, inside)?;
        kinds.push(elf.kind);
    }
    try_it(options, &inside, &kinds)?;

    let now = list(root)?;
    let content = now.clone().unwrap_or_default();
    let elements: Vec<_> =
        content.split(|byte| *byte == b'\n').flat_map(|line| ours_in(root, line)).collect();
    if elements == [inside.as_os_str()] {
        println_or(&format!("enabled already: {}", inside.display()))?;
        return Ok(0);
    }
    let others = without_ours(root, &content);
    let replaced = others
        .split(|byte| *byte == b'\n')
        .flat_map(|line| library::elements(OsStr::from_bytes(line)))
        .any(|element| library::replaces_ours(outside(root, Path::new(element)).as_os_str()));
    let mut line = inside.into_os_string().into_vec();
    line.push(b'\n');
    // A line of its own, so that taking it out leaves the rest as it was; before the others, unless one of them defines a function of
    // ours: see `library::preload_value`.
    let new = if replaced {
        let separator: &[u8] = if others.is_empty() || others.ends_with(b"\n") { b"" } else { b"\n" };
        [&others, separator, &line].concat()
    } else {
        [&line[..], &others].concat()
    };
    replace(root, Some(&new))?;
    println_or(&format!("enabled for programs that start from now on: {}", list_path(root).display()))?;
    Ok(0)
}

fn disable(options: &Options) -> Result<u8, Failure> {
    let root = &options.root;
    let content = list(root)?.unwrap_or_default();
    let others = without_ours(root, &content);
    if others == content {
        println_or("not enabled")?;
        return Ok(0);
    }
    replace(root, (!others.is_empty()).then_some(&others))?;
    println_or("disabled for programs that start from now on")?;
    Ok(0)
}

fn println_or(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{text}").map_err(Failure::output)
}

/// The list without the library. Lines that name nothing else go; all others stay as they are.
fn without_ours(root: &Path, content: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let ours: Vec<_> = ours_in(root, line).into_iter().map(OsStr::to_owned).collect();
        if ours.is_empty() {
            kept.extend_from_slice(line);
            continue;
        }
        let others: Vec<_> = library::elements(OsStr::from_bytes(line))
            .filter(|element| !ours.iter().any(|ours| ours == element))
            .map(OsStr::as_bytes)
            .collect();
        if !others.is_empty() {
            kept.extend_from_slice(&others.join(&b' '));
            kept.push(b'\n');
        }
    }
    kept
}

/// The library's path as programs in the system see it, and the files that it stands for: one for each class if there is `$LIB` in it.
fn library_inside(options: &Options) -> Result<(PathBuf, Vec<PathBuf>), Failure> {
    let one = |path: PathBuf| (path.clone(), vec![path]);
    if let Some(path) = &options.library {
        let path = PathBuf::from(path);
        return if path.is_absolute() {
            Ok(one(path))
        } else {
            Err(no(format!(
                "{} is a relative path: name the library as programs in that system see it",
                path.display()
            )))
        };
    }
    if options.root == Path::new("/") {
        let mut found = library::find(None)?;
        return Ok(match library::of_both_classes(&found) {
            Some(path) => (path, found.into_iter().map(|library| library.path).collect()),
            None => one(found.swap_remove(0).path),
        });
    }
    PLACES
        .iter()
        .map(|folder| Path::new("/").join(folder).join(FILE))
        .find(|path| outside(&options.root, path).is_file())
        .map(one)
        .ok_or_else(|| {
            no(format!(
                "no {FILE} in {}: copy it to usr/lib there, or name it with --library FILE",
                options.root.display()
            ))
        })
}

/// Every program will load the file, root's, too: nobody else may write to it, and all must be able to read it.
fn only_root_writes(root: &Path, inside: &Path) -> Result<(), Failure> {
    let file = fs::canonicalize(outside(root, inside))
        .map_err(|error| no(format!("cannot use {}: {error}", inside.display())))?;
    let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    for path in file.ancestors() {
        let Ok(what) = fs::metadata(path) else { continue };
        let (mode, folder) = (what.permissions().mode(), what.is_dir());
        let needed = if folder { 0o001 } else { 0o004 };
        let shown = path.display();
        if what.uid() != 0 {
            return Err(no(format!(
                "{shown} belongs to user {}, who could change what every program loads: put the library into a folder of root's",
                what.uid()
            )));
        }
        if mode & 0o002 != 0 || (mode & 0o020 != 0 && what.gid() != 0) {
            return Err(no(format!(
                "{shown} can be written by others than root: put the library into a folder where only root writes"
            )));
        }
        if mode & needed == 0 {
            return Err(no(format!(
                "not everybody can read {shown}, so some programs could not load the library: put it into another folder"
            )));
        }
        if path == root {
            break;
        }
    }
    Ok(())
}

/// Starts a harmless program of each class in a child, with the library. None of them may fail, or say a word.
fn try_it(options: &Options, inside: &Path, libraries: &[Kind]) -> Result<(), Failure> {
    let root = &options.root;
    let loaders = loaders(root);
    let reading: Vec<_> = loaders
        .iter()
        .filter(|(path, _)| matches!(Libc::of_loader(&path.to_string_lossy()), Libc::Glibc(_)))
        .collect();
    if reading.is_empty() {
        return Err(no(format!(
            "no glibc in {}: only glibc's dynamic linker reads /etc/ld.so.preload. Set LD_PRELOAD instead, where programs are started",
            root.display()
        )));
    }
    let mut tried = false;
    for (loader, elf) in reading {
        if !libraries.contains(&elf.kind) {
            if !options.partial {
                return Err(no(format!(
                    "there are {} programs, too (/{}), which would print a line about the {} library on every start: --partial if you accept that",
                    elf.kind,
                    loader.display(),
                    libraries[0]
                )));
            }
            continue;
        }
        let Some(program) = HARMLESS.iter().find(|path| started_by(&root.join(path), loader)) else {
            continue;
        };
        try_program(root, program, inside)?;
        tried = true;
    }
    if tried {
        Ok(())
    } else {
        Err(no(format!(
            "there is no program to try the library with in {}: none of {}",
            root.display(),
            HARMLESS.join(", ")
        )))
    }
}

/// The dynamic linkers of the system, each once, relative to the root.
fn loaders(root: &Path) -> Vec<(PathBuf, Elf)> {
    let mut found: Vec<(PathBuf, Elf)> = Vec::new();
    for folder in LOADER_FOLDERS {
        let Ok(entries) = fs::read_dir(root.join(folder)) else { continue };
        for entry in entries.flatten() {
            let path = Path::new(folder).join(entry.file_name());
            if Libc::of_loader(&path.to_string_lossy()) == Libc::Unknown {
                continue;
            }
            // An absolute link leads out of an image, to a file of the same kind.
            let Ok(elf) = elf::read(&root.join(&path)) else { continue };
            if !found.iter().any(|(other, _)| other.file_name() == path.file_name()) {
                found.push((path, elf));
            }
        }
    }
    found
}

fn started_by(program: &Path, loader: &Path) -> bool {
    elf::read(program).is_ok_and(|elf| {
        elf.loader.is_some_and(|wanted| Path::new(&wanted).file_name() == loader.file_name())
    })
}

fn try_program(root: &Path, program: &str, inside: &Path) -> Result<(), Failure> {
    let mut command = process::Command::new(Path::new("/").join(program));
    if program.ends_with("sh") {
        command.args(["-c", ":"]);
    }
    command
        .env_clear()
        .env("LD_PRELOAD", inside)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if root != Path::new("/") {
        let root =
            CString::new(root.as_os_str().as_bytes()).map_err(|_| no("a path with a NUL in it".into()))?;
        let enter = move || {
            // SAFETY: C strings; both are system calls, which may be made between fork and exec.
            if unsafe { libc::chroot(root.as_ptr()) != 0 || libc::chdir(c"/".as_ptr()) != 0 } {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        };
        // SAFETY: the closure makes two system calls and takes no memory.
        unsafe { command.pre_exec(enter) };
    }
    let output = command.output().map_err(|error| {
        no(format!(
            "cannot try the library with {} (it needs root, and programs of this machine): {error}",
            root.join(program).display()
        ))
    })?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !errors.is_empty() {
        return Err(no(format!(
            "tried the library with /{program}, which failed ({}): {}",
            output.status,
            errors.lines().next().unwrap_or("no message")
        )));
    }
    Ok(())
}

/// Puts new content in place of the list by a rename, or removes it: no program that starts meanwhile sees half of it.
fn replace(root: &Path, content: Option<&[u8]>) -> Result<(), Failure> {
    let path = list_path(root);
    let fail =
        |error: io::Error| no(format!("cannot change {}: {error}; nothing was changed", path.display()));
    if fs::symlink_metadata(&path).is_ok_and(|file| file.is_symlink()) {
        return Err(no(format!("{} is a symbolic link: change what it leads to by hand", path.display())));
    }
    let Some(content) = content else { return fs::remove_file(&path).map_err(fail) };
    let mode = fs::metadata(&path).map_or(0o644, |file| file.permissions().mode() & 0o777);
    let new = root.join(format!("etc/.ld.so.preload.{}", process::id()));
    let written =
        fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new).and_then(|mut file| {
            file.set_permissions(fs::Permissions::from_mode(mode))?; // whatever the umask
            file.write_all(content)?;
            file.sync_all()
        });
    written.and_then(|()| fs::rename(&new, &path)).map_err(|error| {
        let _ = fs::remove_file(&new); // it may not be there
        fail(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_the_library_out_leaves_the_rest_as_it_was() {
        let root = Path::new("/nonexistent");
        let out = |content: &str| String::from_utf8(without_ours(root, content.as_bytes())).unwrap();
        assert_eq!(out("/usr/lib/libmtsafe_env_preload.so\n"), "");
        assert_eq!(out("/usr/lib/libmtsafe_env_preload.so\n# words\n/a.so /b.so"), "# words\n/a.so /b.so");
        assert_eq!(out("/a.so:/usr/lib/libmtsafe_env_preload.so\n/b.so\n"), "/a.so\n/b.so\n");
        assert_eq!(out("# /usr/lib/libmtsafe_env_preload.so\n"), "# /usr/lib/libmtsafe_env_preload.so\n");
    }
}
