//! The shape of the preload library: what it exports, needs and asks of the dynamic linker.
#![cfg(all(target_os = "linux", not(loom), not(miri)))]

mod common;

use common::{LIBRARY, build, library, scratch};
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol};
use std::collections::BTreeSet;
use std::fs;

const EXPORTS: [&str; 6] = ["clearenv", "getenv", "putenv", "secure_getenv", "setenv", "unsetenv"];

/// What the library may import: present, with one meaning, in every glibc and musl it is for.
const IMPORTS: [&str; 16] = [
    "__environ",
    "__errno_location",
    "abort",
    "bcmp",
    "free",
    "getauxval",
    "madvise",
    "malloc",
    "memchr",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "mmap",
    "strlen",
    "syscall",
];

/// The newest symbol version of glibc that may be needed.
const NEWEST_GLIBC: (u32, u32) = (2, 17);
/// 75,200 bytes on x86-64 today, 61,000 of them code; the rest is for other compilers and processors.
const MOST_BYTES: u64 = 76 * 1024;
/// Bytes reserved for hints on the kernel's list: memory that is untouched, and so not there, until a reader builds them.
const RESERVE: u64 = 160 * 1024;

type Elf<'a> = ElfFile64<'a, Endianness>;

fn with_library<T>(look: impl FnOnce(&Elf<'_>, &[u8]) -> T) -> T {
    let bytes = fs::read(library()).expect("the library can be read");
    look(&Elf::parse(&*bytes).expect("the library is an ELF file"), &bytes)
}

/// The tags of the dynamic section with their values.
fn dynamic(elf: &Elf<'_>, bytes: &[u8]) -> Vec<(u64, u64)> {
    let endian = elf.endian();
    let (entries, _) = elf
        .elf_section_table()
        .dynamic(endian, bytes)
        .expect("the dynamic section can be read")
        .expect("there is a dynamic section");
    entries
        .iter()
        .map(|entry| (entry.d_tag(endian), entry.d_val(endian)))
        .take_while(|entry| entry.0 != 0)
        .collect()
}

#[test]
fn it_exports_six_functions_and_nothing_else() {
    with_library(|elf, _| {
        let exports: BTreeSet<_> = elf
            .dynamic_symbols()
            .filter(|symbol| symbol.is_definition())
            .map(|symbol| symbol.name().expect("names are UTF-8").to_owned())
            .collect();
        assert_eq!(exports, BTreeSet::from(EXPORTS.map(String::from)));
    });
}

/// Weak ones, which need not exist: it tells LeakSanitizer where to look for pointers, asks glibc 2.32 and newer whether there is one
/// thread, and tells perl that `environ` is not perl's.
const WEAK: [&str; 5] = [
    "__lsan_register_root_region",
    "__libc_single_threaded",
    "sigabbrev_np",
    "PL_use_safe_putenv",
    "__x86_get_cpuid_feature_leaf",
];

#[test]
fn it_imports_only_what_every_libc_has() {
    with_library(|elf, _| {
        let imports: BTreeSet<_> = elf
            .dynamic_symbols()
            .filter(|symbol| {
                let known = symbol.name().is_ok_and(|name| WEAK.contains(&name));
                symbol.is_undefined() && !(symbol.is_weak() && known)
            })
            .map(|symbol| symbol.name().expect("names are UTF-8").to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        assert!(imports.contains("__environ"), "{imports:?}");
        let strangers: Vec<_> = imports.iter().filter(|name| !IMPORTS.contains(&name.as_str())).collect();
        assert!(strangers.is_empty(), "imports {strangers:?}");
        println!("imports {imports:?}");
    });
}

#[test]
fn it_needs_libc_alone_and_no_recent_one() {
    with_library(|elf, bytes| {
        let endian = elf.endian();
        let sections = elf.elf_section_table();
        let (entries, strings) =
            sections.dynamic(endian, bytes).expect("readable").expect("a dynamic section");
        let strings = sections.strings(endian, bytes, strings).expect("its strings");
        let needed: Vec<_> = entries
            .iter()
            .filter(|entry| entry.d_tag(endian) == u64::from(elf::DT_NEEDED))
            .map(|entry| String::from_utf8_lossy(entry.string(endian, strings).expect("a name")).into_owned())
            .collect();
        assert_eq!(needed, ["libc.so.6"]);

        let mut versions = BTreeSet::new();
        if let Some((mut needs, link)) = sections.gnu_verneed(endian, bytes).expect("readable") {
            let strings = sections.strings(endian, bytes, link).expect("its strings");
            while let Some((_, mut auxiliaries)) = needs.next().expect("readable") {
                while let Some(auxiliary) = auxiliaries.next().expect("readable") {
                    let name = auxiliary.name(endian, strings).expect("a name");
                    versions.insert(String::from_utf8_lossy(name).into_owned());
                }
            }
        }
        for version in &versions {
            let number = version.strip_prefix("GLIBC_").unwrap_or_else(|| panic!("needs {version}"));
            let mut parts = number.split('.').map(|part| part.parse::<u32>().expect("a number"));
            let number = (parts.next().expect("a number"), parts.next().unwrap_or(0));
            assert!(number <= NEWEST_GLIBC, "needs {version}");
        }
        println!("versions {versions:?}");
    });
}

#[test]
fn nothing_runs_when_it_is_loaded() {
    with_library(|elf, bytes| {
        let dynamic = dynamic(elf, bytes);
        // aarch64: the compiler's outline atomics bring a constructor that asks what the processor can do.
        if cfg!(not(target_arch = "aarch64")) {
            for tag in
                [elf::DT_INIT, elf::DT_FINI, elf::DT_INIT_ARRAY, elf::DT_FINI_ARRAY, elf::DT_PREINIT_ARRAY]
            {
                assert!(!dynamic.iter().any(|&(found, _)| found == u64::from(tag)), "dynamic tag {tag:#x}");
            }
        }
        assert!(!dynamic.iter().any(|&(tag, _)| tag == u64::from(elf::DT_TEXTREL)), "text relocations");
        // Bound when loaded, never inside a signal handler; and never unloaded, since its strings stay in use.
        let flags = |wanted: u32| {
            dynamic
                .iter()
                .filter(|&&(tag, _)| tag == u64::from(wanted))
                .fold(0, |all, &(_, flags)| all | flags)
        };
        assert_ne!(flags(elf::DT_FLAGS_1) & u64::from(elf::DF_1_NOW), 0, "not -z now");
        assert_ne!(flags(elf::DT_FLAGS_1) & u64::from(elf::DF_1_NODELETE), 0, "not -z nodelete");
        assert!(
            elf.dynamic_symbols().all(|symbol| symbol.elf_symbol().st_type() != elf::STT_GNU_IFUNC),
            "an IFUNC"
        );
    });
}

#[test]
fn its_segments_are_ordinary() {
    with_library(|elf, bytes| {
        let endian = elf.endian();
        let headers = FileHeader64::<Endianness>::parse(bytes)
            .and_then(|header| header.program_headers(endian, bytes))
            .expect("program headers");
        let mut stack = None;
        for header in headers {
            let (kind, flags) = (header.p_type(endian), header.p_flags(endian));
            assert_ne!(kind, elf::PT_TLS, "thread-local storage");
            assert_ne!(kind, elf::PT_INTERP, "an interpreter");
            if kind == elf::PT_LOAD {
                assert_ne!(
                    flags & (elf::PF_W | elf::PF_X),
                    elf::PF_W | elf::PF_X,
                    "a writable executable segment"
                );
            }
            if kind == elf::PT_GNU_STACK {
                stack = Some(flags);
            }
        }
        assert_eq!(stack.map(|flags| flags & elf::PF_X), Some(0), "an executable stack");
    });
}

#[test]
fn it_is_small_and_stripped() {
    with_library(|elf, bytes| {
        assert!(bytes.len() as u64 <= MOST_BYTES, "{} bytes", bytes.len());
        assert!(elf.section_by_name(".symtab").is_none() && elf.section_by_name(".debug_info").is_none());
        println!("{} bytes", bytes.len());
    });
}

/// One name for all versions, since the interface is libc's; and a note that tells them apart.
#[test]
fn it_says_its_name_and_version() {
    with_library(|elf, bytes| {
        let endian = elf.endian();
        let sections = elf.elf_section_table();
        let (entries, strings) =
            sections.dynamic(endian, bytes).expect("readable").expect("a dynamic section");
        let strings = sections.strings(endian, bytes, strings).expect("its strings");
        let soname = entries
            .iter()
            .find(|entry| entry.d_tag(endian) == u64::from(elf::DT_SONAME))
            .map(|entry| entry.string(endian, strings).expect("a name"));
        assert_eq!(soname, Some(LIBRARY.as_bytes()));

        let headers = FileHeader64::<Endianness>::parse(bytes)
            .and_then(|header| header.program_headers(endian, bytes))
            .expect("program headers");
        let mut notes = headers.iter().filter_map(|header| header.notes(endian, bytes).expect("readable"));
        let version = notes.find_map(|mut notes| {
            while let Some(note) = notes.next().expect("readable") {
                if note.name() == b"mtsafe_env" {
                    return Some(note.desc().to_vec());
                }
            }
            None
        });
        let wanted = concat!("mtsafe_env ", env!("CARGO_PKG_VERSION"), "\0");
        assert_eq!(version.as_deref(), Some(wanted.as_bytes()));
    });
}

/// The state lies on whole pages of its own, for the advice that wipes them in a child, and takes no room in the file. Besides the reserve
/// it is three: readers' words, writers' words, and those that are wiped; and one word that is on none of them.
#[test]
fn its_state_is_whole_pages_of_zeros() {
    with_library(|elf, _| {
        let endian = elf.endian();
        let bss = elf.section_by_name(".bss").expect("a .bss section");
        assert_eq!(bss.elf_section_header().sh_type(endian), elf::SHT_NOBITS);
        let page = if cfg!(target_arch = "aarch64") { 1 << 16 } else { 1 << 12 };
        assert!(bss.align() >= page && bss.address() % page == 0, "aligned to {}", bss.align());
        assert!((RESERVE + 1..=RESERVE + 4 * page).contains(&bss.size()), "{} bytes", bss.size());
        let data = elf.section_by_name(".data").map_or(0, |section| section.size());
        assert!(data < 256, "{data} bytes of .data");
    });
}

/// However it is built, it is the same file.
#[test]
#[ignore = "builds the library three more times"]
fn every_build_command_makes_the_same_library() {
    let ours = fs::read(library()).expect("the library can be read");
    let most = ["--release", "--workspace"];
    for (folder, more) in
        [("all", None), ("features", Some("--all-features")), ("targets", Some("--all-targets"))]
    {
        let arguments: Vec<_> = most.into_iter().chain(more).collect();
        let other = build(&arguments, LIBRARY, &scratch().join("same").join(folder));
        assert!(
            fs::read(&other).expect("readable") == ours,
            "cargo build {arguments:?} makes another library"
        );
    }
}
