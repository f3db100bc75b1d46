//! A running process, as `/proc` shows it: what is mapped, in which order the dynamic linker searches it, and whose functions win.

use crate::elf::{self, Elf, FUNCTIONS, WRITERS};
use crate::libc_kind::Libc;
use crate::library;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Objects in one process that are looked at: a list that a broken process gives us must end.
const MOST_OBJECTS: usize = 10_000;
/// The longest name of an object in a process's memory.
const MOST_NAME: usize = 4096;
const AT_NULL: u64 = 0;
const AT_PHDR: u64 = 3;
const AT_SECURE: u64 = 23;
const DT_DEBUG: u64 = 21;

/// Why a process cannot be looked at.
#[derive(Debug)]
pub(crate) enum Hidden {
    Gone,
    NotOurs,
    KernelThread,
    Other(io::Error),
}

impl From<io::Error> for Hidden {
    fn from(error: io::Error) -> Hidden {
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH) => Hidden::Gone,
            Some(libc::EACCES | libc::EPERM) => Hidden::NotOurs,
            _ => Hidden::Other(error),
        }
    }
}

/// Whether the library does its work in a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Protected,
    /// Another library's functions come before ours: it depends on whether they call ours.
    Unsure,
    Unprotected,
}

/// What was found out.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    /// What stands in the way, in a few words; empty for a protected process.
    pub(crate) reason: String,
    pub(crate) program: PathBuf,
    pub(crate) libc: Libc,
    /// The library, if it is mapped, and its version.
    pub(crate) library: Option<(PathBuf, String)>,
    /// Who answers each of [`FUNCTIONS`]; none if nobody does, or in a static program.
    pub(crate) owners: [Option<PathBuf>; FUNCTIONS.len()],
    /// The search order was read from the process itself, not guessed from its `LD_PRELOAD`.
    pub(crate) exact: bool,
    pub(crate) threads: Option<u64>,
}

/// Files that were looked at: most processes map the same ones.
#[derive(Default, Debug)]
pub(crate) struct Cache {
    files: HashMap<(u64, u64), Option<Elf>>,
    libcs: HashMap<(u64, u64), Libc>,
}

/// A file that a process maps.
#[derive(Debug)]
struct Mapped {
    /// As the process names it.
    path: PathBuf,
    /// Where we can read it: below the process's own root; the mapping itself if the file was deleted or replaced.
    readable: PathBuf,
    start: u64,
    identity: (u64, u64),
}

/// Name of the program that a process runs, for lists; and its command name.
pub(crate) fn names(pid: u32) -> Option<(String, Option<PathBuf>)> {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some((comm.trim_end().to_owned(), fs::read_link(format!("/proc/{pid}/exe")).ok()))
}

/// All processes, in order.
pub(crate) fn all() -> io::Result<Vec<u32>> {
    let mut pids: Vec<u32> =
        fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    Ok(pids)
}

/// Looks at process `pid`.
pub(crate) fn look(pid: u32, cache: &mut Cache) -> Result<Report, Hidden> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let status = fs::read_to_string(proc.join("status"))?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if field("Kthread:") == Some("1")
        || (field("VmSize:").is_none() && field("State:").is_some_and(|state| !state.starts_with('Z')))
    {
        return Err(Hidden::KernelThread);
    }
    if field("State:").is_some_and(|state| state.starts_with('Z')) {
        return Err(Hidden::Gone); // ended, and not yet waited for
    }
    let threads = field("Threads:").and_then(|number| number.parse().ok());
    let program = fs::read_link(proc.join("exe"))?;
    let maps = mapped(&proc)?;
    let executable = elf::read(&proc.join("exe")).ok();

    let mut report = Report {
        verdict: Verdict::Unprotected,
        reason: String::new(),
        program: program.clone(),
        libc: Libc::Unknown,
        library: None,
        owners: Default::default(),
        exact: false,
        threads,
    };
    for map in &maps {
        if is_libc(&map.path) {
            let libc = cache.libc(map);
            if libc != Libc::Unknown {
                report.libc = libc;
            }
        }
        if let Some(version) = cache.elf(map).and_then(|elf| elf.ours.clone()) {
            report.library = Some((map.path.clone(), version));
        }
    }
    let Some(executable) = executable else {
        report.reason = "its program cannot be read".into();
        return Ok(report);
    };
    if executable.loader.is_none()
        && !maps.iter().any(|map| map.path != program && cache.elf(map).is_some_and(|elf| elf.defines_any()))
    {
        if executable.ours.is_some() {
            report.verdict = Verdict::Protected;
        } else {
            report.reason = "statically linked: it cannot be protected from outside".into();
        }
        return Ok(report);
    }

    let order = match search_order(&proc, &executable) {
        Some(order) => {
            report.exact = true;
            order
        }
        None => guessed_order(&proc, &maps),
    };
    let mut winners: [Option<Elf>; FUNCTIONS.len()] = Default::default();
    let first = [(program.clone(), Some(executable))].into_iter();
    let others = order.into_iter().map(|name| {
        let map = find_map(&proc, &maps, &name);
        let elf = map.and_then(|map| cache.elf(map));
        (map.map_or(name, |map| map.path.clone()), elf)
    });
    for (path, elf) in first.chain(others) {
        let Some(elf) = elf else { continue };
        for (i, defined) in elf.defined.iter().enumerate() {
            if *defined && winners[i].is_none() {
                winners[i] = Some(elf.clone());
                report.owners[i] = Some(path.clone());
            }
        }
    }
    judge(&proc, &mut report, &winners);
    Ok(report)
}

/// The verdict, from whose functions win.
fn judge(proc: &Path, report: &mut Report, winners: &[Option<Elf>; FUNCTIONS.len()]) {
    let ours = |winner: &Option<Elf>| winner.as_ref().is_some_and(|elf| elf.ours.is_some());
    if winners[..WRITERS].iter().all(ours) {
        report.verdict = Verdict::Protected;
        return;
    }
    // The first function that is not ours, and whose it is.
    let strange = winners[..WRITERS].iter().position(|winner| !ours(winner)).unwrap_or(0);
    let owner = report.owners[strange].clone();
    let function = FUNCTIONS[strange];
    let by_program = owner.as_ref() == Some(&report.program);
    let by_libc = owner.as_deref().is_some_and(is_libc);
    report.reason = match (&report.library, owner) {
        (_, Some(_)) if by_program => format!("the program has its own {function}"),
        (Some(_), Some(_)) if by_libc => format!("the library came too late: {function} is libc's"),
        (Some(_), Some(owner)) => {
            report.verdict = Verdict::Unsure;
            format!(
                "{} comes before the library: protected if its {function} calls the next one",
                owner.display()
            )
        }
        (Some(_), None) => format!("the library is mapped, but nobody's {function} was found"),
        (None, _) if secure(proc) => "set-user-ID or with capabilities: LD_PRELOAD is ignored".into(),
        (None, _) if wants_library(proc) => {
            "the library was asked for and is not there: wrong path or class, or noexec".into()
        }
        (None, _) => "without the library".into(),
    };
}

impl Cache {
    fn elf(&mut self, map: &Mapped) -> Option<Elf> {
        self.files.entry(map.identity).or_insert_with(|| elf::read(&map.readable).ok()).clone()
    }

    fn libc(&mut self, map: &Mapped) -> Libc {
        self.libcs.entry(map.identity).or_insert_with(|| Libc::of_file(&map.readable)).clone()
    }
}

/// The files that are mapped, each once, by their first mapping.
fn mapped(proc: &Path) -> io::Result<Vec<Mapped>> {
    let text = fs::read(proc.join("maps"))?;
    let mut found: Vec<Mapped> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        // START-END MODE OFFSET MAJOR:MINOR INODE   /PATH
        let mut words = line.splitn(6, |byte| *byte == b' ');
        let (Some(range), Some(_), Some(_), Some(device), Some(inode), Some(path)) =
            (words.next(), words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let path = path.trim_ascii_start();
        if !path.starts_with(b"/") {
            continue;
        }
        let (range, inode) = (String::from_utf8_lossy(range), String::from_utf8_lossy(inode));
        let device = String::from_utf8_lossy(device);
        let hex = |text: &str| u64::from_str_radix(text, 16).unwrap_or(0);
        let (major, minor) = device.split_once(':').unwrap_or(("0", "0"));
        let identity = (hex(major) << 32 | hex(minor), inode.parse().unwrap_or(0));
        if found.iter().any(|map| map.identity == identity) {
            continue;
        }
        let deleted = path.strip_suffix(b" (deleted)");
        let path = PathBuf::from(OsString::from_vec(deleted.unwrap_or(path).to_vec()));
        let readable = if deleted.is_some() {
            proc.join("map_files").join(&*range)
        } else {
            proc.join("root").join(path.strip_prefix("/").unwrap_or(&path))
        };
        let start = range.split('-').next().map_or(0, hex);
        found.push(Mapped { path, readable, start, identity });
    }
    Ok(found)
}

/// The mapped file that the dynamic linker calls `name`: the same path, or another one of the same file, or of the same name.
fn find_map<'a>(proc: &Path, maps: &'a [Mapped], name: &Path) -> Option<&'a Mapped> {
    let seen = match name.strip_prefix("/") {
        Ok(below_root) => proc.join("root").join(below_root),
        Err(_) => proc.join("cwd").join(name),
    };
    let inode = fs::metadata(seen).ok().map(|file| file.ino());
    maps.iter()
        .find(|map| map.path == name)
        .or_else(|| maps.iter().find(|map| inode == Some(map.identity.1)))
        .or_else(|| maps.iter().find(|map| map.path.file_name() == name.file_name()))
}

/// The words of the auxiliary vector, by their keys.
fn auxiliary(proc: &Path, wide: bool) -> HashMap<u64, u64> {
    let bytes = fs::read(proc.join("auxv")).unwrap_or_default();
    let size = if wide { 8 } else { 4 };
    let mut values = HashMap::new();
    for pair in bytes.chunks_exact(2 * size) {
        let (key, value) = (word(&pair[..size]), word(&pair[size..]));
        if key == AT_NULL {
            break;
        }
        values.insert(key, value);
    }
    values
}

/// A word of this machine's byte order.
fn word(bytes: &[u8]) -> u64 {
    match *bytes {
        [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    }
}

fn secure(proc: &Path) -> bool {
    // Of a wide one first: in a narrow vector the same key is elsewhere and reads as nonsense.
    [true, false].into_iter().any(|wide| auxiliary(proc, wide).get(&AT_SECURE) == Some(&1))
}

/// True if the process was started with the library in `LD_PRELOAD`.
fn wants_library(proc: &Path) -> bool {
    preload_of(proc).is_some_and(|value| library::elements(&value).any(library::is_ours))
}

/// `LD_PRELOAD` as the process was started with it.
fn preload_of(proc: &Path) -> Option<OsString> {
    let environment = fs::read(proc.join("environ")).ok()?;
    environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(b"LD_PRELOAD="))
        .map(|value| OsStr::from_bytes(value).to_owned())
}

/// The dynamic linker's own list of objects, in the order in which it searches them, without the program itself. None if the process's
/// memory may not be read, or if there is no list in it.
fn search_order(proc: &Path, executable: &Elf) -> Option<Vec<PathBuf>> {
    let memory =
        Memory { file: File::open(proc.join("mem")).ok()?, size: if executable.kind.wide { 8 } else { 4 } };
    let headers = *auxiliary(proc, executable.kind.wide).get(&AT_PHDR)?;
    // Where the program's headers lie against where they were linked gives the distance that it was moved by.
    let dynamic = memory.dynamic_section(headers, executable.kind.wide)?;
    let debug = memory.dynamic_entry(dynamic, DT_DEBUG)?;
    // struct r_debug { int version; struct link_map *map; … }; struct link_map { addr; char *name; ld; next; … }
    let size = memory.size;
    let mut map = memory.word(debug + size)?;
    let mut names = Vec::new();
    for first in [true].into_iter().chain(std::iter::repeat_n(false, MOST_OBJECTS)) {
        if map == 0 {
            return Some(names);
        }
        let name = memory.string(memory.word(map + size)?)?;
        if !first && !name.is_empty() {
            names.push(PathBuf::from(OsString::from_vec(name)));
        }
        map = memory.word(map + 3 * size)?;
    }
    None
}

/// The memory of a process.
#[derive(Debug)]
struct Memory {
    file: File,
    /// Bytes of a word.
    size: u64,
}

impl Memory {
    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..self.size as usize];
        self.file.read_exact_at(bytes, address).ok()?;
        Some(word(bytes))
    }

    fn string(&self, address: u64) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        while text.len() < MOST_NAME {
            let mut bytes = [0; 64];
            let read = self.file.read_at(&mut bytes, address + text.len() as u64).ok()?;
            match bytes[..read].iter().position(|byte| *byte == 0) {
                Some(end) => {
                    text.extend_from_slice(&bytes[..end]);
                    return Some(text);
                }
                None if read == 0 => return None,
                None => text.extend_from_slice(&bytes[..read]),
            }
        }
        None
    }

    /// Address of the dynamic section, by the program headers at `headers`.
    fn dynamic_section(&self, headers: u64, wide: bool) -> Option<u64> {
        const PT_DYNAMIC: u32 = 2;
        const PT_PHDR: u32 = 6;
        let (entry, address) = if wide { (56, 16) } else { (32, 8) };
        let (mut moved, mut dynamic) = (None, None);
        for i in 0..64 {
            let at = headers + i * entry;
            let mut kind = [0; 4];
            self.file.read_exact_at(&mut kind, at).ok()?;
            match u32::from_ne_bytes(kind) {
                PT_PHDR => moved = Some(headers.wrapping_sub(self.word(at + address)?)),
                PT_DYNAMIC => {
                    dynamic = Some(self.word(at + address)?);
                    break;
                }
                _ => {}
            }
        }
        Some(dynamic?.wrapping_add(moved.unwrap_or(0)))
    }

    fn dynamic_entry(&self, section: u64, wanted: u64) -> Option<u64> {
        for i in 0..256 {
            let at = section + i * 2 * self.size;
            let (tag, value) = (self.word(at)?, self.word(at + self.size)?);
            if tag == wanted {
                return (value != 0).then_some(value);
            }
            if tag == 0 {
                return None;
            }
        }
        None
    }
}

/// The order when the process's memory may not be read: what was preloaded, as far as it is mapped, and then the rest, libc last.
fn guessed_order(proc: &Path, maps: &[Mapped]) -> Vec<PathBuf> {
    let mut order = Vec::new();
    let system = fs::read(proc.join("root/etc/ld.so.preload")).unwrap_or_default();
    let value = preload_of(proc).unwrap_or_default();
    for element in library::elements(&value).chain(library::elements(OsStr::from_bytes(&system))) {
        if let Some(map) = find_map(proc, maps, Path::new(element)) {
            order.push(map.path.clone());
        }
    }
    let mut rest: Vec<_> = maps.iter().collect();
    rest.sort_by_key(|map| (is_libc(&map.path), map.start));
    order.extend(rest.into_iter().map(|map| map.path.clone()));
    order
}

/// By the names that glibc and musl have on disk.
fn is_libc(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    name.starts_with(b"libc.") || name.starts_with(b"libc-") || name.starts_with(b"ld-musl")
}
