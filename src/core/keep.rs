//! Memory that is never given back: an arena over the kernel's pages, with the strings in it interned.
//!
//! A value that `getenv` returned to C may be used for ever, so nothing that was published is freed. No `malloc`: this works
//! inside a malloc implementation, before `main`, and in a forked child.
//!
//! # Invariants
//! - K1: memory is zero when it is handed out, and handed out once.
//! - K2: a chunk, once linked, stays linked and keeps its place and size; `used` changes only under the update lock.
//! - K4: behind what was handed out of a chunk, [`BEYOND`] bytes of it are readable.
//! - K3: each object (chunk, table) describes itself. No two words of [`Keep`] must agree, so that it may be wiped to zero, or
//!   found half old and half new by a frame that a signal handler interrupted, and still be valid: see `process`.
//!
//! # Pairs
//! | tag | Release in | Acquire in | what becomes visible |
//! |---|---|---|---|
//! | `[chunk]` | `link` | `owns`, `map` | the header of the chunk |

use crate::entry::{self, Key};
use crate::hints::GROUP;
use crate::list::{Array, Kind};
use crate::store::Stop;
use crate::sync::{self, AtomicPtr, AtomicUsize, Ordering, const_new};
use crate::wide::{self, BEYOND};
use core::cell::Cell;
use core::ffi::c_char;
use core::ptr::{self, NonNull};

/// Bytes of the smallest chunk; also what chunks are rounded to. A multiple of every page size Linux has here.
const CHUNK: usize = if cfg!(loom) { 1 << 12 } else { 1 << 16 };
/// Bytes of a table for each place.
const EACH: usize = size_of::<*mut c_char>() + size_of::<u16>();
/// Places in the first table of strings.
const TABLE: usize = if cfg!(loom) { 4 } else { 1 << 9 };
/// Up to so many places the table of strings grows whenever it fills: so many distinct strings are surely interned.
const TABLE_FREE: usize = 1 << 13;
/// Beyond that, it takes at most this part of the bytes of the strings themselves.
const TABLE_SHARE: usize = 32;

/// A mapping: this header, then memory handed out from below.
#[repr(C)]
struct Chunk {
    older: *mut Chunk,
    /// Bytes, header included.
    size: usize,
    /// Bytes handed out, header included.
    used: Cell<usize>,
}

/// Open addressing over the addresses of our strings: this header, a place for each, and 16 bits of each one's hash, so that few
/// strings are looked at. A cache: an evicted string is merely made again.
#[repr(C)]
struct Table {
    /// Places, a power of two.
    size: usize,
    /// Places taken.
    len: Cell<usize>,
}

/// Room for one hash per entry of a list that is being adopted.
#[repr(C)]
struct Scratch {
    len: usize,
}

/// What the update lock's holder allocates from; all zero at first. Readers use [`owns`](Keep::owns) only.
#[derive(Debug)]
pub(crate) struct Keep {
    /// The newest chunk; the others hang on it.
    chunks: AtomicPtr<Chunk>,
    table: AtomicPtr<Table>,
    scratch: AtomicPtr<Scratch>,
    /// Bytes handed out for strings; for arrays and tables.
    strings: AtomicUsize,
    rest: AtomicUsize,
}

/// A chunk that is not linked yet.
pub(crate) struct Fresh(NonNull<Chunk>);

const_new! {
    Keep,
    pub(crate) fn new() -> Keep {
        Keep {
            chunks: AtomicPtr::new(ptr::null_mut()),
            table: AtomicPtr::new(ptr::null_mut()),
            scratch: AtomicPtr::new(ptr::null_mut()),
            strings: AtomicUsize::new(0),
            rest: AtomicUsize::new(0),
        }
    }
}

impl Keep {
    /// Bytes handed out so far in this process (not inherited over `fork`): entries, arrays, tables.
    pub(crate) fn retained(&self) -> usize {
        // Relaxed: two counters, nothing travels through them.
        self.strings.load(Ordering::Relaxed) + self.rest.load(Ordering::Relaxed)
    }

    /// True if the string at `entry` was made here: nobody else may own or edit it. MT-Safe, wait-free: one step per chunk, of
    /// which there are about as many as doublings of the memory.
    pub(crate) fn owns(&self, entry: *const c_char) -> bool {
        // Acquire [chunk]: pairs with Release in `link`. Without it loom `an_equal_value_changes_nothing` fails.
        let mut chunk = self.chunks.load(Ordering::Acquire);
        // SAFETY: K2: a linked chunk stays.
        while let Some(header) = unsafe { chunk.as_ref() } {
            sync::read(chunk);
            if entry.addr().wrapping_sub(chunk.addr()) < header.size {
                return true;
            }
            chunk = header.older;
        }
        false
    }

    /// True if `entry` is a string made here, from its start: not what is inside of one, such as a value that a program put again. (Of a few,
    /// which lie right behind something else, this is not told.) Otherwise as [`owns`](Self::owns).
    pub(crate) fn made(&self, entry: *const c_char) -> bool {
        // SAFETY: K2: within a chunk, behind its header.
        self.owns(entry) && unsafe { sync::byte(entry.cast::<u8>().sub(1)) } == 0
    }

    /// Memory for `bytes` bytes. Under the update lock; the kernel is not asked: the caller gets what to ask it for.
    fn take(&self, bytes: usize, align: usize) -> Result<NonNull<u8>, Stop> {
        let mut chunk = sync::own(&self.chunks);
        // The newest first; the older ones have remainders at best, and memory that two threads mapped at once.
        // SAFETY: K2.
        while let Some(header) = unsafe { chunk.as_ref() } {
            let start = header.used.get().next_multiple_of(align);
            if let Some(end) = start.checked_add(bytes).filter(|&end| end <= header.size - BEYOND) {
                header.used.set(end);
                chunk.expose_provenance();
                // SAFETY: `start` is within the chunk, whose address is not null.
                return Ok(unsafe { NonNull::new_unchecked(chunk.cast::<u8>().add(start)) });
            }
            chunk = header.older;
        }
        Err(Stop::Memory(bytes))
    }

    /// A mapping from which [`take`](Self::take) can serve `bytes`. Not under the update lock.
    pub(crate) fn map(&self, bytes: usize) -> Option<Fresh> {
        // With what `take` may lose to alignment, and leaves free.
        let extra = size_of::<Chunk>() + align_of::<Array>() + BEYOND;
        let least = bytes.checked_add(extra)?.checked_next_multiple_of(CHUNK)?;
        // As much again as there is: a handful of chunks, whatever the size. Only touched pages become resident.
        // Acquire [chunk]: pairs with Release in `link`. Without it loom `two_first_changes` fails.
        let chunk = self.chunks.load(Ordering::Acquire);
        // SAFETY: K2.
        let wanted = unsafe { chunk.as_ref() }.map_or(0, |newest| {
            sync::read(chunk);
            newest.size.saturating_mul(2)
        });
        let mut size = least.max(wanted);
        let at = sync::map(size).or_else(|| {
            size = least;
            sync::map(size)
        })?;
        let chunk: NonNull<Chunk> = at.cast();
        let header = Chunk { older: ptr::null_mut(), size, used: Cell::new(size_of::<Chunk>()) };
        // SAFETY: fresh memory of at least one page, aligned to it.
        unsafe { chunk.write(header) };
        Some(Fresh(chunk))
    }

    /// Links a fresh chunk. Under the update lock.
    pub(crate) fn link(&self, fresh: Fresh) {
        let Fresh(chunk) = fresh;
        let older = sync::own(&self.chunks);
        // SAFETY: nobody else knows the chunk yet.
        unsafe { (*chunk.as_ptr()).older = older };
        sync::wrote(chunk.as_ptr());
        // Release [chunk]: pairs with Acquire in `owns`. Without it loom `an_equal_value_changes_nothing` fails.
        self.chunks.store(chunk.as_ptr(), Ordering::Release);
    }

    /// A new array of `capacity` slots or a few more. Under the update lock.
    pub(crate) fn array<'a>(&self, capacity: usize) -> Result<&'a Array, Stop> {
        let capacity = capacity.checked_next_multiple_of(GROUP).ok_or(Stop::Memory(usize::MAX))?;
        let bytes = Array::bytes(capacity, Kind::Process).ok_or(Stop::Memory(usize::MAX))?;
        let at = self.take(bytes, align_of::<Array>())?;
        count(&self.rest, bytes);
        // SAFETY: K1; `take` gave `bytes` bytes, aligned.
        let array = unsafe { Array::place(at, capacity, Kind::Process) };
        array.hints().map(ptr::from_ref).inspect(|&hints| sync::wrote(hints));
        Ok(array)
    }

    /// Room for `len` hashes, the same memory whenever it is large enough. Under the update lock.
    pub(crate) fn scratch(&self, len: usize) -> Result<&[Cell<u32>], Stop> {
        // SAFETY: K3: null or a scratch of ours, which stays.
        let old = unsafe { sync::own(&self.scratch).as_ref() };
        let scratch = match old.filter(|old| old.len >= len) {
            Some(old) => old,
            None => {
                let len = len.checked_next_power_of_two().ok_or(Stop::Memory(usize::MAX))?;
                let bytes =
                    len.checked_mul(size_of::<u32>()).and_then(|sum| sum.checked_add(size_of::<Scratch>()));
                let bytes = bytes.ok_or(Stop::Memory(usize::MAX))?;
                let fresh: NonNull<Scratch> = self.take(bytes, align_of::<Scratch>())?.cast();
                count(&self.rest, bytes);
                // SAFETY: K1: fresh and large enough.
                unsafe { fresh.write(Scratch { len }) };
                // Relaxed: only the lock's holders use it.
                self.scratch.store(fresh.as_ptr(), Ordering::Relaxed);
                // SAFETY: just written.
                unsafe { fresh.as_ref() }
            }
        };
        // SAFETY: by construction `len` hashes or more follow; only the update lock's holder touches them.
        Ok(unsafe { behind(scratch, len) })
    }

    /// The string `NAME=VALUE`: the one made before, if it is remembered and was not edited since, else a new one.
    /// Under the update lock.
    pub(crate) fn string(&self, key: Key<'_>, value: &[u8]) -> Result<*mut c_char, Stop> {
        let name = key.name;
        let bytes = entry::size(name, value).ok_or(Stop::Memory(usize::MAX))?;
        let hash = hash_string(key, value);
        let table = self.table_with_room(hash)?;
        for known in table.alike(hash) {
            sync::read(known);
            // SAFETY: K2: our strings stay; a program that edits one leaves it terminated, or overruns it itself.
            if unsafe { holds(known, key, value) } {
                return Ok(known);
            }
        }
        let at = self.take(bytes, 1)?.as_ptr();
        // SAFETY: K1; `take` gave `bytes` bytes.
        unsafe { entry::compose(at, name, value) };
        let string = at.cast::<c_char>();
        sync::wrote(string);
        count(&self.strings, bytes);
        table.insert(hash, string);
        Ok(string)
    }

    /// The table, grown if it is nearly full, or full where a string of this hash would go, and may be larger. Under the
    /// update lock.
    fn table_with_room(&self, hash: u64) -> Result<&Table, Stop> {
        // SAFETY: K3: null or a table of ours, which stays.
        let old = unsafe { sync::own(&self.table).as_ref() };
        let size = old.map_or(TABLE, |table| {
            let share = self.strings.load(Ordering::Relaxed) / TABLE_SHARE / EACH;
            let full = || {
                (table.len.get() + 1) * 4 > table.size * 3
                    || table.probe(hash).all(|i| table.tags()[i].get() != 0)
            };
            if table.size * 2 <= TABLE_FREE.max(share) && full() { table.size * 2 } else { table.size }
        });
        if let Some(table) = old.filter(|table| table.size == size) {
            return Ok(table);
        }
        let bytes = size_of::<Table>() + size * EACH;
        let table: NonNull<Table> = self.take(bytes, align_of::<Table>())?.cast();
        count(&self.rest, bytes);
        // SAFETY: K1: fresh, large enough and zero: every place is null.
        let table = unsafe {
            table.write(Table { size, len: Cell::new(0) });
            table.as_ref()
        };
        for string in old.into_iter().flat_map(Table::places).map(Cell::get).filter(|s| !s.is_null()) {
            // SAFETY: K2: our strings stay, terminated. One whose name a program has spoilt is forgotten.
            if let Some((key, value)) = unsafe { parts(string) } {
                table.insert(hash_string(key, value), string);
            }
        }
        // Relaxed: only the lock's holders use the table.
        self.table.store(ptr::from_ref(table).cast_mut(), Ordering::Relaxed);
        Ok(table)
    }
}

impl Table {
    /// How far a string may be from its home. A fuller stretch than that forgets its oldest use of the home place.
    const PROBES: usize = 256;

    fn places(&self) -> &[Cell<*mut c_char>] {
        // SAFETY: by construction `size` places follow the header; only the update lock's holder touches them.
        unsafe { behind(self, self.size) }
    }

    /// Of each place; 0 of a free one.
    fn tags(&self) -> &[Cell<u16>] {
        // SAFETY: by construction as many tags follow the places, which `take` exposed; only the update lock's holder touches them.
        unsafe {
            let at = ptr::with_exposed_provenance(self.places().as_ptr_range().end.addr());
            core::slice::from_raw_parts(at, self.size)
        }
    }

    fn tag(hash: u64) -> u16 {
        (hash >> 48) as u16 | 1
    }

    /// The places where a string of this hash may be.
    fn probe(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let (home, mask) = ((hash >> 32) as usize, self.size - 1);
        (0..Table::PROBES.min(self.size)).map(move |i| (home + i) & mask)
    }

    /// The strings that may have this hash.
    fn alike(&self, hash: u64) -> impl Iterator<Item = *mut c_char> {
        let (tags, places) = (self.tags(), self.places());
        let taken = self.probe(hash).take_while(|&i| tags[i].get() != 0);
        taken.filter(move |&i| tags[i].get() == Table::tag(hash)).map(|i| places[i].get())
    }

    fn insert(&self, hash: u64, string: *mut c_char) {
        let tags = self.tags();
        // Never full: a place stays free so that a search ends soon.
        let roomy = self.len.get() + 1 < self.size;
        let free = self.probe(hash).find(|&i| tags[i].get() == 0).filter(|_| roomy);
        if free.is_some() {
            self.len.set(self.len.get() + 1);
        }
        let i = free.unwrap_or((hash >> 32) as usize & (self.size - 1));
        self.places()[i].set(string);
        tags[i].set(Table::tag(hash));
    }
}

/// The `len` values behind a header. A reference to the header does not extend to them: `take` exposed their memory.
///
/// # Safety
/// - `len` values of type `T` follow the header, aligned, for as long as they are used.
unsafe fn behind<H, T>(header: &H, len: usize) -> &[T] {
    let at = ptr::with_exposed_provenance(ptr::from_ref(header).addr() + size_of::<H>());
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(at, len) }
}

fn count(counter: &AtomicUsize, bytes: usize) {
    // Relaxed: a counter; only the lock's holders add to it, so that load and store need not be one step.
    counter.store(counter.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
}

/// The hash of a string: of its name's hash, and its value.
fn hash_string(key: Key<'_>, value: &[u8]) -> u64 {
    entry::hash(value) ^ u64::from(key.hash) << 32
}

/// The name and the value of a string of ours, as they are now.
///
/// # Safety
/// - `string` is readable and terminated, and is not changed while they are used.
unsafe fn parts<'a>(string: *const c_char) -> Option<(Key<'a>, &'a [u8])> {
    // SAFETY: the caller's promise; after a name comes its `=`.
    unsafe {
        let key = Key::of(string)?;
        Some((key, core::ffi::CStr::from_ptr(string.add(key.name.len() + 1)).to_bytes()))
    }
}

/// True if the string at `known` reads `NAME=VALUE` now.
///
/// # Safety
/// - `known` is a string of ours.
unsafe fn holds(known: *const c_char, key: Key<'_>, value: &[u8]) -> bool {
    // SAFETY: K4; a value found lies in the same string.
    unsafe { entry::value_in_fixed(known, key.name).is_some_and(|found| is(found, value)) }
}

/// True if `text`, in a string of ours, is `bytes` now.
///
/// # Safety
/// - `text` points into a string of ours; `bytes` holds no NUL.
pub(crate) unsafe fn is(text: *const c_char, bytes: &[u8]) -> bool {
    let text = text.cast::<u8>();
    // SAFETY: K4; after as many bytes that are not NUL, another one of the string follows.
    unsafe { wide::starts_with(text, bytes) && sync::byte(text.add(bytes.len())) == 0 }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    /// Memory is got as `store` gets it.
    fn with_memory<T>(keep: &Keep, mut make: impl FnMut() -> Result<T, Stop>) -> T {
        for _ in 0..3 {
            match make() {
                Ok(made) => return made,
                Err(Stop::Memory(bytes)) => keep.link(keep.map(bytes).unwrap()),
                Err(Stop::Moved) => unreachable!(),
            }
        }
        panic!("still no memory");
    }

    fn string(keep: &Keep, name: &str, value: &str) -> *mut c_char {
        with_memory(keep, || keep.string(Key::new(&name.as_bytes()).unwrap(), value.as_bytes()))
    }

    fn text(string: *const c_char) -> String {
        // SAFETY: made by `string`.
        unsafe { core::ffi::CStr::from_ptr(string) }.to_str().unwrap().into()
    }

    fn chunks(keep: &Keep) -> Vec<(usize, usize)> {
        let mut chunk = keep.chunks.load(Ordering::Relaxed);
        let mut found = Vec::new();
        // SAFETY: K2.
        while let Some(header) = unsafe { chunk.as_ref() } {
            found.push((chunk.addr(), header.size));
            chunk = header.older;
        }
        found
    }

    #[test]
    fn nothing_is_there_at_first() {
        let keep = Keep::new();
        assert_eq!(keep.retained(), 0);
        assert!(!keep.owns(c"A=1".as_ptr()));
        assert_eq!(
            keep.string(Key::new(&b"A".as_slice()).unwrap(), b"1").unwrap_err(),
            Stop::Memory(size_of::<Table>() + TABLE * EACH)
        );
        assert_eq!(keep.retained(), 0);
    }

    #[test]
    fn owns_is_exact() {
        let keep = Keep::new();
        let first = string(&keep, "A", "1");
        let large = string(&keep, "B", &"b".repeat(3 * CHUNK));
        assert!(keep.owns(first) && keep.owns(large) && keep.owns(large.wrapping_add(3 * CHUNK)));
        let all = chunks(&keep);
        assert_eq!(all.len(), 2);
        for &(at, size) in &all {
            let end = core::ptr::without_provenance::<c_char>(at + size);
            assert!(keep.owns(end.wrapping_sub(1)) && keep.owns(end.wrapping_sub(size)));
            let elsewhere =
                |at: *const c_char| all.iter().all(|&(c, size)| at.addr().wrapping_sub(c) >= size);
            assert_eq!(keep.owns(end), !elsewhere(end));
            assert_eq!(keep.owns(end.wrapping_sub(size + 1)), !elsewhere(end.wrapping_sub(size + 1)));
        }
        assert!(!keep.owns(c"A=1".as_ptr()) && !keep.owns(ptr::null()));
    }

    #[test]
    fn equal_strings_are_one() {
        let keep = Keep::new();
        let a = string(&keep, "A", "1");
        assert_eq!(text(a), "A=1");
        let retained = keep.retained();
        assert_eq!(string(&keep, "A", "1"), a);
        assert_eq!(keep.retained(), retained);
        assert_ne!(string(&keep, "A", "2"), a);
        assert_eq!(keep.retained(), retained + "A=2".len() + 1);
        // The same bytes, cut elsewhere.
        assert_eq!(text(string(&keep, "AB", "C")), "AB=C");
        assert_eq!(text(string(&keep, "A", "BC")), "A=BC");
        assert_eq!(text(string(&keep, "A", "")), "A=");
    }

    #[test]
    fn an_edited_string_is_not_given_out() {
        let keep = Keep::new();
        let path = string(&keep, "PATH", "a:b");
        // SAFETY: as `strtok` does in a C program.
        unsafe { path.add(6).write(0) };
        let again = string(&keep, "PATH", "a:b");
        assert_ne!(again, path);
        assert_eq!((text(path), text(again)), ("PATH=a".into(), "PATH=a:b".into()));
    }

    /// Each string is remembered while the table grows, up to its first size limit.
    #[test]
    fn the_table_grows_and_forgets_nothing() {
        let keep = Keep::new();
        let count = 4_096;
        let all: Vec<_> = (0..count).map(|i| string(&keep, &format!("N{i}"), "value")).collect();
        let retained = keep.retained();
        let same = |i: &usize| string(&keep, &format!("N{i}"), "value") == all[*i];
        // Few may have been pushed out of a crowded stretch.
        let kept = (0..count).filter(same).count();
        assert!(kept * 100 >= count * 99, "{kept} of {count}");
        assert!(keep.retained() - retained <= (count - kept) * 12);
        // SAFETY: K3.
        let table = unsafe { &*keep.table.load(Ordering::Relaxed) };
        assert_eq!(table.size, 8_192);
        assert_eq!(table.places().iter().filter(|place| !place.get().is_null()).count(), table.len.get());
        assert!(table.len.get() <= count && table.len.get() * 100 >= count * 99);
    }

    /// However the hashes fall: a string that finds no place makes the table grow, before another one is forgotten.
    #[test]
    fn going_round_the_same_values_takes_no_memory() {
        for count in [370, 3_000, 5_900] {
            let keep = Keep::new();
            let round = || {
                for i in 0..count {
                    string(&keep, "X", &format!("key={i};mode=ro"));
                }
                keep.retained()
            };
            let first = round();
            for _ in 0..3 {
                assert_eq!(round(), first, "{count}");
            }
        }
    }

    /// Beyond that limit it takes no more than its share of the strings' bytes.
    #[test]
    fn the_table_stays_within_its_share() {
        let keep = Keep::new();
        for i in 0..3 * TABLE_FREE {
            string(&keep, &format!("N{i}"), "");
        }
        // SAFETY: K3.
        assert_eq!(unsafe { &*keep.table.load(Ordering::Relaxed) }.size, TABLE_FREE);
        // Still found, though the table is full: the last one always is.
        let last = string(&keep, "LAST", "");
        assert_eq!(string(&keep, "LAST", ""), last);
        for i in 0..300 {
            string(&keep, &format!("L{i}"), &"x".repeat(20_000));
        }
        let strings = keep.strings.load(Ordering::Relaxed);
        // SAFETY: K3.
        let size = unsafe { &*keep.table.load(Ordering::Relaxed) }.size;
        assert_eq!(size, 2 * TABLE_FREE);
        assert!(size * EACH <= strings / TABLE_SHARE);
        // Full again, but twice this size would be more than the share.
        for i in 0..6_000 {
            string(&keep, &format!("M{i}"), "");
        }
        // SAFETY: K3.
        assert_eq!(unsafe { &*keep.table.load(Ordering::Relaxed) }.size, size);
    }

    #[test]
    fn the_table_grows_when_three_quarters_are_full() {
        let keep = Keep::new();
        // SAFETY: K3.
        let table = || unsafe { &*keep.table.load(Ordering::Relaxed) };
        string(&keep, "A", "");
        let mut taken = 0;
        for i in 0.. {
            string(&keep, &format!("N{i}"), "");
            if table().size != TABLE {
                break;
            }
            taken = table().len.get();
        }
        // Or a little earlier, where a stretch is full.
        assert!((TABLE * 2 / 3..=TABLE * 3 / 4).contains(&taken), "{taken}");
        assert_eq!(table().size, 2 * TABLE);
        assert_eq!(keep.rest.load(Ordering::Relaxed), 2 * size_of::<Table>() + 3 * TABLE * EACH);
    }

    #[test]
    fn memory_is_zero_aligned_and_apart() {
        let keep = Keep::new();
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for i in 0..2_000 {
            let (bytes, align) = (1 + i * 7 % 300, [1, 8][i % 2]);
            let at = with_memory(&keep, || keep.take(bytes, align));
            assert_eq!(at.addr().get() % align, 0);
            // SAFETY: `take` gave that many bytes.
            let memory = unsafe { core::slice::from_raw_parts_mut(at.as_ptr(), bytes) };
            assert!(memory.iter().all(|&byte| byte == 0));
            memory.fill(0xff);
            assert!(keep.owns(at.as_ptr().cast()) && keep.owns(at.as_ptr().wrapping_add(bytes - 1).cast()));
            taken.push((at.addr().get(), bytes));
        }
        taken.sort_unstable();
        assert!(taken.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
        assert!(chunks(&keep).len() > 1);
        for (at, _) in chunks(&keep) {
            assert!(
                taken.iter().all(|&(start, bytes)| start >= at + size_of::<Chunk>() || start + bytes <= at)
            );
        }
    }

    #[test]
    fn a_chunk_is_used_to_its_end_and_the_next_one_is_larger() {
        let keep = Keep::new();
        let whole = CHUNK - size_of::<Chunk>() - align_of::<Array>() - BEYOND;
        with_memory(&keep, || keep.take(whole, 1));
        keep.take(align_of::<Array>(), 1).unwrap(); // kept for alignment
        assert_eq!(chunks(&keep).len(), 1);
        assert_eq!(keep.take(1, 1).unwrap_err(), Stop::Memory(1));
        with_memory(&keep, || keep.take(1, 1));
        // An older chunk's rest is used, too.
        with_memory(&keep, || keep.take(3 * CHUNK, 1));
        keep.take(2 * CHUNK - size_of::<Chunk>() - BEYOND - 1, 1).unwrap();
        let sizes: Vec<_> = chunks(&keep).iter().map(|&(_, size)| size / CHUNK).collect();
        assert_eq!(sizes, [4, 2, 1]);
    }

    #[test]
    fn what_no_memory_can_hold_is_refused() {
        let keep = Keep::new();
        assert!(keep.map(usize::MAX).is_none());
        assert!(keep.map(usize::MAX / 2).is_none());
        assert_eq!(keep.array(usize::MAX).unwrap_err(), Stop::Memory(usize::MAX));
        with_memory(&keep, || keep.take(1, 1));
        assert_eq!(keep.take(usize::MAX, 1).unwrap_err(), Stop::Memory(usize::MAX));
    }

    #[test]
    fn arrays_are_counted() {
        let keep = Keep::new();
        let array = with_memory(&keep, || keep.array(GROUP - 1));
        assert_eq!(array.capacity(), GROUP);
        assert_eq!(keep.retained(), Array::bytes(GROUP, Kind::Process).unwrap());
        let (strings, rest) = (keep.strings.load(Ordering::Relaxed), keep.rest.load(Ordering::Relaxed));
        assert_eq!((strings, rest), (0, keep.retained()));
    }
}
