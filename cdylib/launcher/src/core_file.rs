//! Core files: which program and libc they are from, and their backtrace, by gdb.

use crate::elf::Unreadable;
use crate::failure::Failure;
use crate::libc_kind::Libc;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const BAD_INPUT: u8 = 2;
/// Frames of each thread that are asked for: enough to know an endless recursion.
const FRAMES: u32 = 60;
const AT_ENTRY: u64 = 9;

/// What a core file says of the process.
#[derive(Debug, Default)]
struct Core {
    program: Option<PathBuf>,
    libc: Option<PathBuf>,
}

/// The backtrace of all threads as gdb prints it, and the libc, if its file is still there.
///
/// # Errors
/// It is no core file, or there is no gdb, or it fails.
pub(crate) fn backtrace(path: &Path, program: Option<&Path>) -> Result<(String, Option<Libc>), Failure> {
    let shown = path.display();
    let fail = |line: String| Failure::with_status(BAD_INPUT, line);
    let core = read(path).map_err(|error| match error {
        Unreadable::NotElf => fail(format!("{shown} is a program or a library, not a core file")),
        error => fail(format!("cannot read the core file {shown}: {error}")),
    })?;
    let program = match program.map(Path::to_owned).or(core.program) {
        Some(program) if program.exists() => program,
        Some(program) => {
            return Err(fail(format!(
                "{shown} is from {}, which is gone: name its program with --program FILE",
                program.display()
            )));
        }
        None => {
            return Err(fail(format!(
                "{shown} does not tell which program it is from: name it with --program FILE"
            )));
        }
    };
    let output = Command::new("gdb")
        // Nothing from the folder or the home may run: the core file may be somebody else's.
        .args([
            "-nx",
            "-batch",
            "-iex",
            "set auto-load off",
            "-iex",
            "set debuginfod enabled off",
            "-ex",
            "set pagination off",
            "-ex",
        ])
        .arg(format!("thread apply all bt {FRAMES}"))
        .arg("--")
        .arg(&program)
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            fail(if error.kind() == io::ErrorKind::NotFound {
                "there is no gdb to read a core file with: install it, or give a backtrace as text".into()
            } else {
                format!("cannot start gdb: {error}")
            })
        })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !text.lines().any(|line| line.starts_with('#')) {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it printed no frame");
        return Err(fail(format!("gdb finds no backtrace in {shown}: {}", last.trim())));
    }
    let libc = core.libc.map(|path| Libc::of_file(&path)).filter(|libc| *libc != Libc::Unknown);
    Ok((text, libc))
}

fn read(path: &Path) -> Result<Core, Unreadable> {
    let cache = ReadCache::new(File::open(path).map_err(Unreadable::Io)?);
    let ident = (&cache).read_bytes_at(0, 5).map_err(|()| Unreadable::Damaged)?;
    if ident[4] == elf::ELFCLASS32 {
        read_as::<FileHeader32<Endianness>>(&cache)
    } else {
        read_as::<FileHeader64<Endianness>>(&cache)
    }
}

fn read_as<H: FileHeader<Endian = Endianness>>(data: &ReadCache<File>) -> Result<Core, Unreadable> {
    let damaged = |_| Unreadable::Damaged;
    let header = H::parse(data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    if header.e_type(endian) != elf::ET_CORE {
        return Err(Unreadable::NotElf);
    }
    let size = if header.is_class_64() { 8 } else { 4 };
    let words = |bytes: &[u8]| -> Vec<u64> {
        bytes
            .chunks_exact(size)
            .map(|word| {
                let mut value: u64 = 0;
                for (i, byte) in word.iter().enumerate() {
                    let place = if header.is_big_endian() { size - 1 - i } else { i };
                    value |= u64::from(*byte) << (8 * place);
                }
                value
            })
            .collect()
    };
    let (mut files, mut entry) = (Vec::new(), None);
    for segment in header.program_headers(endian, data).map_err(damaged)? {
        let Some(mut notes) = segment.notes(endian, data).map_err(damaged)? else { continue };
        while let Some(note) = notes.next().map_err(damaged)? {
            match note.n_type(endian) {
                elf::NT_FILE => files = mapped_files(note.desc(), size, &words),
                elf::NT_AUXV => {
                    entry = words(note.desc())
                        .chunks_exact(2)
                        .find(|pair| pair[0] == AT_ENTRY)
                        .map(|pair| pair[1]);
                }
                _ => {}
            }
        }
    }
    let at_entry =
        |range: &(u64, u64, PathBuf)| entry.is_some_and(|entry| (range.0..range.1).contains(&entry));
    let named_libc = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libc.") || name.starts_with("libc-") || name.starts_with("ld-musl")
    };
    Ok(Core {
        program: files.iter().find(|range| at_entry(range)).map(|range| range.2.clone()),
        libc: files.iter().find(|range| named_libc(&range.2)).map(|range| range.2.clone()),
    })
}

/// Address ranges and the files mapped there: a count, the page size, three words for each file, and then the names.
fn mapped_files(note: &[u8], size: usize, words: &dyn Fn(&[u8]) -> Vec<u64>) -> Vec<(u64, u64, PathBuf)> {
    let header = words(note.get(..2 * size).unwrap_or_default());
    let count = header.first().map_or(0, |count| *count as usize).min(note.len());
    let table = words(note.get(2 * size..(2 + 3 * count) * size).unwrap_or_default());
    let names = note.get((2 + 3 * count) * size..).unwrap_or_default();
    table
        .chunks_exact(3)
        .zip(names.split(|byte| *byte == 0))
        .map(|(range, name)| (range[0], range[1], PathBuf::from(String::from_utf8_lossy(name).into_owned())))
        .collect()
}
