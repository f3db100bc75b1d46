//! What an ELF file says to the dynamic linker: class, machine, loader, needed libraries, and which of our functions it defines.
//!
//! Only the parts that are asked for are read: a program may have hundreds of megabytes.

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{Dyn, FileHeader, NoteIterator, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, ReadCache, ReadRef};
use std::fmt;
use std::fs::File;
use std::path::Path;

/// The functions of the preload library. The first four change the environment: whose they are decides whether a process is safe.
pub(crate) const FUNCTIONS: [&str; 6] =
    ["setenv", "unsetenv", "putenv", "clearenv", "getenv", "secure_getenv"];
/// How many of [`FUNCTIONS`] are writers.
pub(crate) const WRITERS: usize = 4;
/// Owner of the note that names the library and its version (src/core/c.rs).
const NOTE_OWNER: &[u8] = b"mtsafe_env";

/// Word size, byte order and processor: what must be equal for a library to go into a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kind {
    pub(crate) wide: bool,
    big_endian: bool,
    machine: u16,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.wide { 64 } else { 32 };
        match self.machine {
            elf::EM_X86_64 if !self.wide => f.write_str("x32"),
            elf::EM_X86_64 => f.write_str("64-bit x86-64"),
            elf::EM_386 => f.write_str("32-bit x86"),
            elf::EM_AARCH64 => write!(f, "{bits}-bit ARM"),
            elf::EM_ARM => f.write_str("32-bit ARM"),
            elf::EM_RISCV => write!(f, "{bits}-bit RISC-V"),
            elf::EM_PPC64 => f.write_str("64-bit POWER"),
            elf::EM_S390 => write!(f, "{bits}-bit s390"),
            other => write!(f, "{bits}-bit machine {other}"),
        }
    }
}

/// Which of [`FUNCTIONS`] a file defines, in their order.
pub(crate) type Defined = [bool; FUNCTIONS.len()];

/// One ELF file.
#[derive(Clone, Debug)]
pub(crate) struct Elf {
    pub(crate) kind: Kind,
    /// The dynamic linker that starts it (`PT_INTERP`); none in a static program, and in most libraries.
    pub(crate) loader: Option<String>,
    pub(crate) needed: Vec<String>,
    pub(crate) defined: Defined,
    /// Version in our note: this is the preload library, or a program that was linked with the static one.
    pub(crate) ours: Option<String>,
    /// Address of the dynamic section, as linked.
    pub(crate) dynamic: Option<u64>,
    /// True for an executable or a library; false for a core file or an object file.
    pub(crate) loadable: bool,
}

impl Elf {
    pub(crate) fn defines_writers(&self) -> bool {
        self.defined[..WRITERS].contains(&true)
    }

    pub(crate) fn defines_any(&self) -> bool {
        self.defined.contains(&true)
    }
}

/// Why a file could not be understood.
#[derive(Debug)]
pub(crate) enum Unreadable {
    Io(std::io::Error),
    NotElf,
    /// An ELF file that is cut off or contradicts itself.
    Damaged,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Io(error) => error.fmt(f),
            Unreadable::NotElf => f.write_str("not an ELF file"),
            Unreadable::Damaged => f.write_str("a damaged ELF file"),
        }
    }
}

/// Reads the file at `path`.
pub(crate) fn read(path: &Path) -> Result<Elf, Unreadable> {
    let file = File::open(path).map_err(Unreadable::Io)?;
    if !file.metadata().map_err(Unreadable::Io)?.is_file() {
        return Err(Unreadable::NotElf);
    }
    let cache = ReadCache::new(file);
    let ident = (&cache).read_bytes_at(0, 5).map_err(|()| Unreadable::NotElf)?;
    match ident {
        [0x7f, b'E', b'L', b'F', elf::ELFCLASS32] => read_as::<FileHeader32<Endianness>>(&cache),
        [0x7f, b'E', b'L', b'F', elf::ELFCLASS64] => read_as::<FileHeader64<Endianness>>(&cache),
        _ => return Err(Unreadable::NotElf),
    }
    .map_err(|_| Unreadable::Damaged)
}

fn read_as<H: FileHeader<Endian = Endianness>>(data: &ReadCache<File>) -> object::read::Result<Elf> {
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let kind = Kind {
        wide: header.is_class_64(),
        big_endian: header.is_big_endian(),
        machine: header.e_machine(endian),
    };
    let e_type = header.e_type(endian);
    let mut file = Elf {
        kind,
        loader: None,
        needed: Vec::new(),
        defined: [false; FUNCTIONS.len()],
        ours: None,
        dynamic: None,
        loadable: e_type == elf::ET_EXEC || e_type == elf::ET_DYN,
    };
    if !file.loadable {
        return Ok(file);
    }
    for segment in header.program_headers(endian, data)? {
        if let Some(loader) = segment.interpreter(endian, data)? {
            file.loader = Some(String::from_utf8_lossy(loader).into_owned());
        }
        if let Some(notes) = segment.notes(endian, data)? {
            file.ours = file.ours.or(our_version(notes));
        }
        if segment.p_type(endian) == elf::PT_DYNAMIC {
            file.dynamic = Some(segment.p_vaddr(endian).into());
        }
    }
    // Without section headers (some packers cut them off) the rest stays unknown: nothing needed, nothing defined.
    let sections = header.sections(endian, data)?;
    if let Some((entries, strings)) = sections.dynamic(endian, data)? {
        let strings = sections.strings(endian, data, strings)?;
        for entry in entries.iter().take_while(|entry| entry.tag32(endian) != Some(elf::DT_NULL)) {
            if entry.tag32(endian) == Some(elf::DT_NEEDED) {
                let at = u32::try_from(entry.d_val(endian).into()).unwrap_or(u32::MAX);
                file.needed.push(String::from_utf8_lossy(strings.get(at).unwrap_or_default()).into_owned());
            }
        }
    }
    let symbols = sections.symbols(endian, data, elf::SHT_DYNSYM)?;
    if !symbols.is_empty() {
        // All strings by one read: a program may have tens of thousands of symbols.
        let strings = sections.section(symbols.string_section())?.data(endian, data)?;
        for symbol in symbols.symbols() {
            if symbol.st_shndx(endian) == elf::SHN_UNDEF || symbol.st_bind() == elf::STB_LOCAL {
                continue;
            }
            let name = strings.get(symbol.st_name(endian) as usize..).unwrap_or_default();
            for (defined, function) in file.defined.iter_mut().zip(FUNCTIONS) {
                *defined |=
                    name.strip_prefix(function.as_bytes()).is_some_and(|rest| rest.first() == Some(&0));
            }
        }
    }
    Ok(file)
}

/// The version in our note: its description is `mtsafe_env 0.2.0`.
fn our_version<H: FileHeader>(mut notes: NoteIterator<'_, H>) -> Option<String> {
    // A damaged note ends the search: others' notes are none of our business.
    while let Ok(Some(note)) = notes.next() {
        if note.name() == NOTE_OWNER {
            let text = String::from_utf8_lossy(note.desc());
            return Some(text.trim_end_matches('\0').trim_start_matches("mtsafe_env ").to_owned());
        }
    }
    None
}
