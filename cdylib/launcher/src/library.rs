//! The preload library: where it is, and a value of `LD_PRELOAD` that has it.

use crate::elf::{self, Elf, Kind};
use crate::failure::Failure;
use crate::libc_kind::find as find_bytes;
use std::ffi::{CStr, CString, OsStr, OsString, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

pub(crate) const FILE: &str = "libmtsafe_env_preload.so";

/// Where the library may be, from the folder that this program is in: beside it (build tree), installed under one prefix.
/// The names of Debian's folders for two classes stand beside those of others.
const FOLDERS: [&str; 12] = [
    ".",
    "../lib",
    "../lib64",
    "../lib32",
    "../lib/x86_64-linux-gnu",
    "../lib/i386-linux-gnu",
    "../lib/aarch64-linux-gnu",
    "../lib/arm-linux-gnueabihf",
    "../lib/riscv64-linux-gnu",
    "../lib/powerpc64le-linux-gnu",
    "../lib/s390x-linux-gnu",
    "../release", // for target/debug
];

/// What glibc's `$LIB` may be for 64-bit and for 32-bit programs: Debian, Fedora, Arch.
const CLASSES: [(&str, &str); 3] =
    [("lib/x86_64-linux-gnu", "lib/i386-linux-gnu"), ("lib64", "lib"), ("lib", "lib32")];
/// glibc's dynamic linkers for the two classes of a machine. Which folder `$LIB` is stands in them as a string of its own.
const LOADERS: [(&str, &str); 1] = [("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux.so.2")];

/// A library that may be preloaded.
#[derive(Clone, Debug)]
pub(crate) struct Library {
    /// Absolute, with nothing in it that `LD_PRELOAD` cannot hold.
    pub(crate) path: PathBuf,
    pub(crate) elf: Elf,
}

/// All libraries that can be found, those for other classes, too. With `given` that one alone.
///
/// # Errors
/// None is found, or the one given is not the library, or cannot be named in `LD_PRELOAD`.
pub(crate) fn find(given: Option<&OsStr>) -> Result<Vec<Library>, Failure> {
    if let Some(path) = given {
        return Ok(vec![open(Path::new(path))?]);
    }
    let program = this_program().ok_or_else(|| {
        Failure::new("cannot tell where this program is: name the library with --library FILE")
    })?;
    let here = program.parent().unwrap_or(Path::new("/"));
    let mut found = Vec::new();
    let mut first_failure = None;
    for folder in FOLDERS {
        let path = here.join(folder).join(FILE);
        if !path.exists() {
            continue;
        }
        match open(&path) {
            Ok(library) if found.iter().any(|other: &Library| other.elf.kind == library.elf.kind) => {}
            Ok(library) => found.push(library),
            Err(failure) => first_failure = first_failure.or(Some(failure)),
        }
    }
    // That for programs of our own class first: for whatever cannot be told.
    found.sort_by_key(|library| library.elf.kind.wide != (size_of::<usize>() == 8));
    match (found.is_empty(), first_failure) {
        (false, _) => Ok(found),
        (true, Some(failure)) => Err(failure),
        (true, None) => Err(Failure::new(format!(
            "no {FILE} in {} or the lib folders beside it: install the package whole, or name the library with --library FILE",
            here.display()
        ))),
    }
}

/// The file of this program; without `/proc` by the name that it was started with.
fn this_program() -> Option<PathBuf> {
    env::current_exe().ok().or_else(|| {
        // SAFETY: only a number is passed.
        let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const c_char;
        // SAFETY: the kernel put a C string there, which lives as long as the process.
        let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })?;
        fs::canonicalize(OsStr::from_bytes(name.to_bytes())).ok()
    })
}

/// The library for programs of this kind.
pub(crate) fn of_kind(libraries: &[Library], kind: Kind) -> Option<&Library> {
    libraries.iter().find(|library| library.elf.kind == kind)
}

/// A path with glibc's `$LIB` in it that stands for one of the libraries in 64-bit programs and for another in 32-bit ones. None if there
/// are not both, or if this system's dynamic linkers put something else there.
pub(crate) fn of_both_classes(libraries: &[Library]) -> Option<PathBuf> {
    let of_class = |wide| libraries.iter().find(|library| library.elf.kind.wide == wide);
    let (wide, narrow) = (of_class(true)?.path.as_path(), of_class(false)?.path.as_path());
    CLASSES.iter().find_map(|(wide_folder, narrow_folder)| {
        let prefix =
            |path: &Path, folder| Some(path.to_str()?.strip_suffix(&format!("/{folder}/{FILE}"))?.to_owned());
        let prefix = prefix(wide, wide_folder)
            .filter(|found| prefix(narrow, narrow_folder).as_ref() == Some(found))?;
        let puts = |loader: &Path, folder: &str| {
            fs::read(loader)
                .is_ok_and(|bytes| find_bytes(&bytes, format!("\0{folder}\0").as_bytes()).is_some())
        };
        LOADERS
            .iter()
            .any(|loaders| {
                puts(Path::new(loaders.0), wide_folder) && puts(Path::new(loaders.1), narrow_folder)
            })
            .then(|| format!("{prefix}/$LIB/{FILE}").into())
    })
}

fn open(path: &Path) -> Result<Library, Failure> {
    let absolute = fs::canonicalize(path)
        .map_err(|error| Failure::new(format!("cannot use the library {}: {error}", path.display())))?;
    let elf = elf::read(&absolute)
        .map_err(|error| Failure::new(format!("cannot use the library {}: {error}", absolute.display())))?;
    if elf.ours.is_none() || !elf.defines_writers() {
        return Err(Failure::new(format!("{} is not {FILE}", absolute.display())));
    }
    nameable(&absolute)?;
    if mounted_noexec(&absolute) {
        return Err(Failure::new(format!(
            "{} is on a file system mounted noexec, where no library can be loaded: move it to another",
            absolute.display()
        )));
    }
    Ok(Library { path: absolute, elf })
}

/// `LD_PRELOAD` has no quoting: white space and colons part its elements, and `$` begins a token that is replaced.
pub(crate) fn nameable(path: &Path) -> Result<(), Failure> {
    match path.as_os_str().as_bytes().iter().find(|byte| is_separator(**byte) || **byte == b'$') {
        None => Ok(()),
        Some(byte) => Err(Failure::new(format!(
            "LD_PRELOAD cannot hold a path with {} in it: move {} to another folder",
            match byte {
                b':' => "a colon",
                b'$' => "a dollar sign",
                _ => "white space",
            },
            path.display()
        ))),
    }
}

fn is_separator(byte: u8) -> bool {
    byte == b':' || byte.is_ascii_whitespace() || byte == 0x0b
}

fn mounted_noexec(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: all zero is a valid statvfs.
    let mut what: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a C string, and room for the answer.
    let failed = unsafe { libc::statvfs(path.as_ptr(), &mut what) } != 0;
    !failed && what.f_flag & libc::ST_NOEXEC != 0
}

/// The elements of a value of `LD_PRELOAD`, or of a line in `/etc/ld.so.preload`; never an empty one.
pub(crate) fn elements(value: &OsStr) -> impl Iterator<Item = &OsStr> {
    value.as_bytes().split(|byte| is_separator(*byte)).filter(|part| !part.is_empty()).map(OsStr::from_bytes)
}

/// True if this element stands for the preload library, whichever copy: by its note, or by its name if there is no such file.
pub(crate) fn is_ours(element: &OsStr) -> bool {
    let path = Path::new(element);
    match elf::read(&expanded(element)) {
        Ok(elf) => elf.ours.is_some(),
        Err(_) => path.file_name() == Some(OsStr::new(FILE)),
    }
}

/// True if the library that this element stands for defines one of our functions.
pub(crate) fn replaces_ours(element: &OsStr) -> bool {
    let look = |path: &Path| elf::read(path).is_ok_and(|elf| elf.defines_any());
    if element.as_bytes().contains(&b'/') {
        return look(&expanded(element));
    }
    // A bare name: the dynamic linker searches it.
    let searched = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let usual = ["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"];
    env::split_paths(&searched)
        .chain(configured_folders())
        .chain(usual.iter().flat_map(|folder| [PathBuf::from(folder), Path::new(folder).join(multiarch())]))
        .any(|folder| look(&folder.join(element)))
}

/// Folders of `ldconfig`: fakeroot's and fakechroot's are there.
fn configured_folders() -> impl Iterator<Item = PathBuf> {
    let files = fs::read_dir("/etc/ld.so.conf.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let lines = |file| fs::read_to_string(file).unwrap_or_default(); // no such file: no folders
    files.flat_map(move |file| {
        lines(file).lines().filter(|line| line.starts_with('/')).map(PathBuf::from).collect::<Vec<_>>()
    })
}

/// glibc's `$LIB`, as it is for programs of our own class.
pub(crate) fn expanded(element: &OsStr) -> PathBuf {
    let text = element.to_string_lossy();
    if !text.contains("$LIB") && !text.contains("${LIB}") {
        return element.into();
    }
    let with = |folder: &str| PathBuf::from(text.replace("${LIB}", folder).replace("$LIB", folder));
    let candidates = [with(&format!("lib/{}", multiarch())), with("lib64"), with("lib")];
    candidates.iter().find(|path| path.exists()).unwrap_or(&candidates[2]).clone()
}

/// Debian's name for programs like this one.
fn multiarch() -> String {
    let machine = if cfg!(target_arch = "x86") { "i386" } else { env::consts::ARCH };
    format!("{machine}-linux-gnu")
}

/// A value for `LD_PRELOAD`: what is there already, without other copies of the library, and `library`: before the others, unless one
/// of them defines a function of ours. Such a library does its own part and calls the next one, and that must be ours.
/// The library by `$LIB`, if that is there, serves programs of every class, and stays.
pub(crate) fn preload_value(library: &Path, now: Option<&OsStr>) -> OsString {
    let (ours, others): (Vec<_>, Vec<_>) =
        now.into_iter().flat_map(elements).partition(|element| is_ours(element));
    let by_token = |element: &&OsStr| element.as_bytes().contains(&b'$') && expanded(element).exists();
    let library = ours.into_iter().find(by_token).map_or(library, Path::new);
    let last = others.iter().any(|element| replaces_ours(element));
    let mut parts = others;
    parts.insert(if last { parts.len() } else { 0 }, library.as_os_str());
    OsString::from_vec(parts.into_iter().map(OsStr::as_bytes).collect::<Vec<_>>().join(&b':'))
}

/// `--print-library`: one path a line.
pub(crate) fn print(given: Option<&OsStr>) -> Result<(), Failure> {
    use io::Write;
    let mut out = io::stdout().lock();
    for library in find(given)? {
        out.write_all(library.path.as_os_str().as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .map_err(Failure::output)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(now: &str) -> String {
        preload_value(Path::new("/opt/libmtsafe_env_preload.so"), Some(OsStr::new(now)))
            .into_string()
            .unwrap()
    }

    #[test]
    fn a_preload_value_has_no_empty_element_and_names_the_library_once() {
        assert_eq!(value(""), "/opt/libmtsafe_env_preload.so");
        assert_eq!(value(" : /a.so::/b.so "), "/opt/libmtsafe_env_preload.so:/a.so:/b.so");
        assert_eq!(value("/gone/libmtsafe_env_preload.so /a.so"), "/opt/libmtsafe_env_preload.so:/a.so");
        assert_eq!(value("/gone/$LIB/libmtsafe_env_preload.so"), "/opt/libmtsafe_env_preload.so");
    }

    #[test]
    fn paths_that_the_variable_cannot_hold_are_refused() {
        for path in ["/a b/x.so", "/a:b/x.so", "/a\tb", "/$LIB/x.so"] {
            assert!(nameable(Path::new(path)).is_err(), "{path}");
        }
        assert!(nameable(Path::new("/opt/ä,;'/x.so")).is_ok());
    }
}
