//! The definitions behind ours, to which every call is passed on: libc's, or those of a library that is preloaded after this one.
//!
//! `dlsym(RTLD_NEXT, ..)` says the same, but it lives in another library before glibc 2.34, allocates when it fails, and may be
//! interposed itself. So the tables that the dynamic linker uses are read here: for each object behind ours, in the order in which
//! they were loaded, its hash table of symbols. Only what a library exports without a version or in its default version counts.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};
use mtsafe_env_trace_layout::FUNCTIONS;

/// For each of [`FUNCTIONS`] the address of the definition behind ours; 0: not looked for.
static NEXT: [AtomicUsize; FUNCTIONS.len()] = [const { AtomicUsize::new(0) }; _];
/// Looked for and not found.
const MISSING: usize = 1;

/// The definition behind ours of the function with this number.
#[inline(always)]
pub(crate) fn next(function: u32) -> Option<usize> {
    // Relaxed: an address of code that was there before us.
    match NEXT[function as usize].load(Ordering::Relaxed) {
        0 => find(function as usize),
        MISSING => None,
        at => Some(at),
    }
}

#[cold]
fn find(index: usize) -> Option<usize> {
    if crate::is_unbound() {
        return None; // the dynamic linker has not come to us: `dl_iterate_phdr` cannot be called yet
    }
    find_all();
    // Relaxed: our own store at least.
    Some(NEXT[index].load(Ordering::Relaxed)).filter(|&at| at > MISSING)
}

/// The thread that looks for them, or 0.
static LOOKING: AtomicUsize = AtomicUsize::new(0);

/// Looks for all of them. Twice does no harm.
pub(crate) fn find_all() {
    let this = crate::frame::thread_word();
    // Relaxed: only this thread's own value matters. A `dl_iterate_phdr` that another library puts before libc's may call us
    // (fakechroot's reads the environment): then there is no answer yet.
    if LOOKING.load(Ordering::Relaxed) == this {
        return;
    }
    LOOKING.store(this, Ordering::Relaxed);
    let mut search = Search { behind_us: false, found: [0; NEXT.len()] };
    // SAFETY: `object` is called with what the dynamic linker knows, and `search` lives longer.
    unsafe { dl_iterate_phdr(Some(object), (&raw mut search).cast()) };
    for (next, found) in NEXT.iter().zip(search.found) {
        // Relaxed: see `next`.
        next.store(if found == 0 { MISSING } else { found }, Ordering::Relaxed);
    }
    LOOKING.store(0, Ordering::Relaxed);
}

#[link(name = "c")]
unsafe extern "C" {
    fn dl_iterate_phdr(
        each: Option<unsafe extern "C" fn(*mut libc::dl_phdr_info, usize, *mut c_void) -> c_int>,
        data: *mut c_void,
    ) -> c_int;
}

/// Addresses of these functions and variables in the first object that defines all of them. For those that only some programs have.
pub(crate) fn find_in_one<const N: usize>(names: [&[&'static str]; N]) -> Option<[usize; N]> {
    struct One<'a, const N: usize> {
        names: [&'a [&'static str]; N],
        found: Option<[usize; N]>,
    }
    unsafe extern "C" fn object<const N: usize>(
        info: *mut libc::dl_phdr_info,
        _: usize,
        one: *mut c_void,
    ) -> c_int {
        // SAFETY: passed below, and nobody else has them meanwhile.
        let (info, one) = unsafe { (&*info, &mut *one.cast::<One<'_, N>>()) };
        // SAFETY: an object that the dynamic linker walks over.
        let Some(symbols) = (unsafe { Symbols::of_object(info) }) else { return 0 };
        let mut found = [0; N];
        for (at, names) in found.iter_mut().zip(one.names) {
            // SAFETY: the tables of a loaded object.
            *at = names.iter().find_map(|name| unsafe { symbols.find(name) }).unwrap_or(0);
        }
        one.found = Some(found).filter(|found| !found.contains(&0));
        c_int::from(one.found.is_some())
    }
    if crate::is_unbound() {
        return None;
    }
    let mut one = One { names, found: None };
    // SAFETY: `object` is called with what the dynamic linker knows, and `one` lives longer.
    unsafe { dl_iterate_phdr(Some(object::<N>), (&raw mut one).cast()) };
    one.found
}

struct Search {
    behind_us: bool,
    found: [usize; NEXT.len()],
}

unsafe extern "C" fn object(info: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> c_int {
    // SAFETY: `find_all` passes these, and nobody else has them meanwhile.
    let (info, search) = unsafe { (&*info, &mut *search.cast::<Search>()) };
    if !search.behind_us {
        // SAFETY: an object that the dynamic linker walks over.
        search.behind_us = unsafe { inside(info, object as *const () as usize) };
        return 0;
    }
    // SAFETY: as above.
    let Some(symbols) = (unsafe { Symbols::of_object(info) }) else { return 0 };
    for (index, found) in search.found.iter_mut().enumerate().filter(|(_, found)| **found == 0) {
        // SAFETY: the tables of a loaded object.
        *found = unsafe { symbols.find(FUNCTIONS[index]) }.unwrap_or(0);
    }
    c_int::from(search.found.iter().all(|&found| found != 0)) // 1: no need to go on
}

/// # Safety
/// - the object is loaded, and stays so meanwhile.
unsafe fn headers(info: &libc::dl_phdr_info) -> &[libc::Elf64_Phdr] {
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) }
}

/// True if the address is one of the object's.
///
/// # Safety
/// - as for `headers`.
unsafe fn inside(info: &libc::dl_phdr_info, at: usize) -> bool {
    let base = info.dlpi_addr as usize;
    // SAFETY: the caller's promise.
    let loaded = unsafe { headers(info) }.iter().filter(|header| header.p_type == libc::PT_LOAD);
    loaded.into_iter().any(|h| at.wrapping_sub(base + h.p_vaddr as usize) < h.p_memsz as usize)
}

/// The tables of one object that say what it exports.
struct Symbols {
    base: usize,
    names: *const c_char,
    symbols: *const libc::Elf64_Sym,
    /// GNU's hash table: word 0 buckets, 1 first symbol, 2 words of the filter.
    gnu: *const u32,
    /// The old one: word 0 buckets, 1 symbols.
    old: *const u32,
    versions: *const u16,
}

const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const DT_VERSYM: u64 = 0x6fff_fff0;
/// Bit of a version index: not the default version of the name.
const HIDDEN: u16 = 0x8000;
const STT_OBJECT: u8 = 1;
const STT_FUNC: u8 = 2;

impl Symbols {
    /// # Safety
    /// - as for `headers`.
    unsafe fn of_object(info: &libc::dl_phdr_info) -> Option<Symbols> {
        let base = info.dlpi_addr as usize;
        // SAFETY: the caller's promise.
        let dynamic = unsafe { headers(info) }.iter().find(|header| header.p_type == libc::PT_DYNAMIC)?;
        let mut tables = [0usize; 5];
        let mut entry = (base + dynamic.p_vaddr as usize) as *const [u64; 2];
        loop {
            // SAFETY: the section ends in an entry with tag 0, where this loop ends.
            let [tag, value] = unsafe { *entry };
            let table = match tag {
                0 => break,
                DT_STRTAB => 0,
                DT_SYMTAB => 1,
                DT_GNU_HASH => 2,
                DT_HASH => 3,
                DT_VERSYM => 4,
                _ => usize::MAX,
            };
            if let Some(at) = tables.get_mut(table) {
                // glibc has made addresses of them on most machines; musl has not.
                let value = value as usize;
                // SAFETY: the caller's promise.
                *at = if unsafe { inside(info, value) } { value } else { base + value };
            }
            // SAFETY: not the last one.
            entry = unsafe { entry.add(1) };
        }
        let [names, symbols, gnu, old, versions] = tables;
        (names != 0 && symbols != 0 && (gnu != 0 || old != 0)).then_some(Symbols {
            base,
            names: names as _,
            symbols: symbols as _,
            gnu: gnu as _,
            old: old as _,
            versions: versions as _,
        })
    }

    /// The address of the function `name`, if this object defines it.
    ///
    /// # Safety
    /// - the object is loaded.
    unsafe fn find(&self, name: &str) -> Option<usize> {
        // SAFETY: the caller's promise; the tables are consistent in an object that the dynamic linker has loaded.
        unsafe {
            if self.gnu.is_null() {
                let hash = name.bytes().fold(0u32, |hash, byte| {
                    let hash = (hash << 4).wrapping_add(u32::from(byte));
                    (hash ^ ((hash & 0xf000_0000) >> 24)) & 0x0fff_ffff
                });
                let buckets = *self.old;
                let mut index = *self.old.add(2 + (hash % buckets) as usize);
                while index != 0 {
                    if let Some(at) = self.matches(index as usize, name) {
                        return Some(at);
                    }
                    index = *self.old.add(2 + buckets as usize + index as usize);
                }
                return None;
            }
            let hash =
                name.bytes().fold(5381u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)));
            let (buckets, first, filter) = (*self.gnu, *self.gnu.add(1), *self.gnu.add(2));
            let bucket = self.gnu.add(4 + filter as usize * 2);
            let chain = bucket.add(buckets as usize);
            if buckets == 0 {
                return None;
            }
            let mut index = *bucket.add((hash % buckets) as usize);
            if index < first {
                return None;
            }
            loop {
                let found = *chain.add((index - first) as usize);
                let likely = found | 1 == hash | 1;
                if let Some(at) = likely.then(|| self.matches(index as usize, name)).flatten() {
                    return Some(at);
                }
                if found & 1 != 0 {
                    return None;
                }
                index += 1;
            }
        }
    }

    /// The address of the symbol with this index if it is a function or variable of this name.
    ///
    /// # Safety
    /// - the index is one from the hash table.
    unsafe fn matches(&self, index: usize, name: &str) -> Option<usize> {
        // SAFETY: the caller's promise.
        unsafe {
            let symbol = &*self.symbols.add(index);
            let hidden = !self.versions.is_null() && *self.versions.add(index) & HIDDEN != 0;
            // Variables, for `find_in_one`: no library has one with the name of a function of libc.
            let kind = matches!(symbol.st_info & 0xf, STT_FUNC | STT_OBJECT) && symbol.st_shndx != 0;
            let same =
                || CStr::from_ptr(self.names.add(symbol.st_name as usize)).to_bytes() == name.as_bytes();
            (kind && !hidden && same()).then(|| self.base + symbol.st_value as usize)
        }
    }
}
