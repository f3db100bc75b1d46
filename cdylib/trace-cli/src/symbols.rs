//! Files that a process had mapped: tables to unwind with, and names and lines for addresses.

use addr2line::LookupResult;
use gimli::{EndianSlice, LittleEndian};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SymbolKind};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Little-endian: the tracer knows x86-64 and aarch64.
pub(crate) type Bytes = EndianSlice<'static, LittleEndian>;

/// A function, and where in its source.
pub(crate) type Named = (Option<String>, Option<(String, u32)>);

/// A place in the code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Frame {
    /// Address in the process; inlined functions share it with their caller.
    pub(crate) address: u64,
    /// Path of the file that was mapped there, or empty.
    pub(crate) module: String,
    /// Address in that file, as `addr2line -e` takes it.
    pub(crate) offset: u64,
    pub(crate) function: Option<String>,
    /// Source file and line.
    pub(crate) location: Option<(String, u32)>,
}

impl Frame {
    /// True for the standard library that comes with Rust, whose sources were there when it was built.
    pub(crate) fn is_rust_std(&self) -> bool {
        self.location.as_ref().is_some_and(|(file, _)| file.starts_with("/rustc/"))
    }

    /// The last part of the module's path.
    pub(crate) fn module_name(&self) -> &str {
        self.module.rsplit('/').next().unwrap_or_default()
    }
}

/// One file.
#[derive(Default)]
pub(crate) struct Module {
    /// File offset, size in the file and address of what is loaded.
    segments: Vec<(u64, u64, u64)>,
    pub(crate) eh_frame: Option<(u64, Bytes)>,
    pub(crate) eh_frame_hdr: Option<(u64, Bytes)>,
    pub(crate) text: u64,
    /// Address, size, name; sorted.
    symbols: Vec<(u64, u64, &'static str)>,
    lines: Option<addr2line::Context<Bytes>>,
}

/// All files that were looked into.
#[derive(Default)]
pub(crate) struct Symbols(HashMap<String, Module>);

impl Symbols {
    /// The file with this path; without tables and symbols if it cannot be read.
    pub(crate) fn module(&mut self, path: &str) -> &Module {
        self.0.entry(path.into()).or_insert_with(|| Module::read(Path::new(path)).unwrap_or_default())
    }
}

impl std::fmt::Debug for Symbols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The content of a file, for the rest of this program's life: what is parsed of it refers to it, and the program ends after its report.
fn kept(path: &Path) -> Option<&'static [u8]> {
    path.is_absolute().then_some(())?;
    Some(fs::read(path).ok()?.leak())
}

fn section(file: &object::File<'static>, name: &str) -> Option<(u64, Bytes)> {
    let section = file.section_by_name(name)?;
    let bytes: &'static [u8] = match section.uncompressed_data().ok()? {
        std::borrow::Cow::Borrowed(bytes) => bytes,
        std::borrow::Cow::Owned(bytes) => bytes.leak(),
    };
    Some((section.address(), EndianSlice::new(bytes, LittleEndian)))
}

impl Module {
    fn read(path: &Path) -> Option<Module> {
        let file = object::File::parse(kept(path)?).ok()?;
        let mut module = Module {
            segments: file
                .segments()
                .map(|segment| (segment.file_range().0, segment.file_range().1, segment.address()))
                .collect(),
            eh_frame: section(&file, ".eh_frame"),
            eh_frame_hdr: section(&file, ".eh_frame_hdr"),
            text: file.section_by_name(".text").map_or(0, |text| text.address()),
            ..Module::default()
        };
        let debug = debug_file(path, &file).and_then(kept_path);
        let debug = debug.and_then(|bytes| object::File::parse(bytes).ok());
        for file in [Some(&file), debug.as_ref()].into_iter().flatten() {
            for symbol in file.symbols().chain(file.dynamic_symbols()) {
                let text = symbol.kind() == SymbolKind::Text && symbol.is_definition();
                if let (true, Ok(name)) = (text, symbol.name_bytes()) {
                    let name = std::str::from_utf8(name).unwrap_or_default();
                    module.symbols.push((symbol.address(), symbol.size(), name));
                }
            }
            if file.section_by_name(".debug_info").is_some() {
                let load = |id: gimli::SectionId| -> Result<Bytes, gimli::Error> {
                    Ok(section(file, id.name()).map_or(EndianSlice::new(&[], LittleEndian), |found| found.1))
                };
                module.lines =
                    gimli::Dwarf::load(load).and_then(addr2line::Context::from_dwarf).ok().or(module.lines);
            }
        }
        module.symbols.sort_unstable();
        Some(module)
    }

    /// The address in the file of a byte at this offset of it.
    pub(crate) fn address_of(&self, file_offset: u64) -> u64 {
        let segment = self.segments.iter().find(|s| file_offset.wrapping_sub(s.0) < s.1);
        segment.map_or(file_offset, |segment| file_offset - segment.0 + segment.2)
    }

    /// Functions at this address, the innermost first: several if some are inlined.
    pub(crate) fn functions(&self, address: u64) -> Vec<Named> {
        let mut found = Vec::new();
        if let Some(lines) = &self.lines {
            // Split debug information is not looked for.
            let frames = match lines.find_frames(address) {
                LookupResult::Output(frames) => frames.ok(),
                load @ LookupResult::Load { .. } => load.skip_all_loads().ok(),
            };
            if let Some(mut frames) = frames {
                while let Ok(Some(frame)) = frames.next() {
                    let name = frame.function.and_then(|name| name.raw_name().ok().map(|raw| demangle(&raw)));
                    let location = frame
                        .location
                        .and_then(|location| Some((location.file?.to_owned(), location.line.unwrap_or(0))));
                    if name.is_some() || location.is_some() {
                        found.push((name, location));
                    }
                }
            }
        }
        let symbol = || self.symbol(address).map(demangle);
        match found.last_mut() {
            None => found.extend(symbol().map(|name| (Some(name), None))),
            Some((name, _)) if name.is_none() => *name = symbol(),
            Some(_) => {}
        }
        found
    }

    fn symbol(&self, address: u64) -> Option<&'static str> {
        let behind = self.symbols.partition_point(|symbol| symbol.0 <= address);
        let near = self.symbols[..behind].iter().rev().take(16);
        let mut inside = near.filter(|symbol| address - symbol.0 < symbol.1.max(1) && !symbol.2.is_empty());
        inside.next().map(|symbol| symbol.2)
    }
}

fn kept_path(path: PathBuf) -> Option<&'static [u8]> {
    kept(&path)
}

/// Where distributions put what they strip off.
fn debug_file(path: &Path, file: &object::File<'static>) -> Option<PathBuf> {
    let root = Path::new("/usr/lib/debug");
    if let Ok(Some(id)) = file.build_id() {
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        if hex.len() > 2 {
            let (folder, name) = hex.split_at(2);
            let path = root.join(".build-id").join(folder).join(format!("{name}.debug"));
            if path.exists() {
                return Some(path);
            }
        }
    }
    let (name, _) = file.gnu_debuglink().ok()??;
    let name = std::str::from_utf8(name).ok()?;
    let folder = path.parent()?;
    let in_root = root.join(folder.strip_prefix("/").ok()?);
    [folder.join(name), folder.join(".debug").join(name), in_root.join(name)].into_iter().find(|p| p.exists())
}

fn demangle(name: &str) -> String {
    // Its alternate form leaves out the hash at the end.
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return format!("{rust:#}");
    }
    let cpp = name.starts_with("_Z").then(|| cpp_demangle::Symbol::new(name).ok()?.demangle().ok());
    cpp.flatten().unwrap_or_else(|| name.to_owned())
}
