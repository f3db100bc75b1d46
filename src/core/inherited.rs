//! What readers search by, and the hints they build themselves: for the list that the kernel made, in a process that never changes it.
//!
//! The first change brings the list into an array of ours, whose hints the writers keep. Without a change, readers have to scan. So
//! they count the slots they scan, and once these are many times the list, one of them builds hints for it, in memory
//! that was reserved for that. That costs about as much as the scans did; a process that reads little never pays.
//!
//! - It makes no system call, takes no lock, and is done by at most one thread, once. Who finds it begun (another thread; a signal
//!   handler that interrupted the builder) scans. It ends after a bounded number of steps, so reads stay wait-free.
//! - The kernel's list is read as it is: its slots may be stored to by the program, and describe themselves (see `hints`). Before we store to
//!   it for the first time, its hints are retired, and others, which the writers keep, take their place.
//! - Only that list: it stays readable for ever, also around its ends. A list of the program's own may be freed.
//! - Nothing here is wiped in a forked child: its list, strings and arrays are copies of its parent's, so the hints hold, and a child that
//!   returns from a signal handler into a search or into the building goes on as if nothing had happened. A child that another thread
//!   forks while the hints are built scans until its first change.
//!
//! # Pairs
//! | tag | Release in | Acquire in | what becomes visible |
//! |---|---|---|---|
//! | `[hints]` | `Inherited::show`, `Inherited::build` | `Inherited::hints` | the header, shadow and tag of each slot |

use crate::array::Array;
use crate::entry::Key;
use crate::error::Stop;
use crate::hints::{Hint, Hints};
use crate::keep::Strings;
use crate::machine::GROUP;
use crate::slot::{Slot, slots};
use crate::sync::{self, AtomicPtr, AtomicU16, AtomicUsize, Ordering, byte, const_new};
use crate::text::{self, BEYOND, Keyed, Keys};
use crate::threads::Threads;
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr::{self, NonNull};

/// Slots of the longest list that gets hints without a change. Its 160 KiB are untouched memory until then.
const MOST: usize = if cfg!(loom) { 6 } else { 1 << 14 };
/// Slots to scan in all before anything is built: about 3 microseconds.
const LEAST: usize = if cfg!(loom) { 2 } else { 1 << 11 };
/// Slots to scan for each slot of the list. Hashing a name costs about as much as scanning so many slots.
const TIMES: usize = if cfg!(loom) { 1 } else { 32 };

/// What readers use; all zero at first. Whole pages, so that what follows begins on a page of its own: see `process`.
#[cfg_attr(not(any(loom, target_arch = "aarch64", target_arch = "powerpc64")), repr(C, align(4096)))]
#[cfg_attr(all(any(target_arch = "aarch64", target_arch = "powerpc64"), not(loom)), repr(C, align(65536)))]
#[cfg_attr(loom, repr(C))]
pub(crate) struct Inherited {
    /// The hints of the newest array of ours; before there is one, those that were built here; or null.
    shown: AtomicPtr<Hints>,
    pub(crate) threads: Threads,
    pub(crate) keys: Keys,
    /// Slots scanned while there were no hints.
    scanned: AtomicUsize,
    /// The number at which they are worth their cost, or 0: not known yet.
    due: AtomicUsize,
    /// Not 0 once a thread has begun.
    begun: AtomicUsize,
    /// See [`limit`](Inherited::limit); 0: not known.
    limit: AtomicUsize,
    /// For who began.
    room: UnsafeCell<MaybeUninit<Room>>,
}

#[repr(C, align(64))]
struct Room {
    hints: Hints,
    tags: [AtomicU16; MOST],
    shadows: [AtomicPtr<c_char>; MOST],
}

// SAFETY: the room is written by the one thread that began, before it shows it.
unsafe impl Sync for Inherited {}
// SAFETY: as above; pointers into memory that stays.
unsafe impl Send for Inherited {}

impl core::fmt::Debug for Inherited {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Inherited").field("shown", &self.shown).finish_non_exhaustive()
    }
}

const_new! {
    Inherited,
    pub(crate) fn new() -> Inherited {
        Inherited {
            shown: AtomicPtr::new(ptr::null_mut()),
            threads: Threads::new(),
            keys: Keys::new(),
            scanned: AtomicUsize::new(0),
            due: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            room: UnsafeCell::new(MaybeUninit::zeroed()),
        }
    }
}

impl Inherited {
    /// The hints to search by.
    #[inline(always)]
    pub(crate) fn hints(&self) -> Option<&Hints> {
        // Acquire [hints]: pairs with Release in `show` and `build`. Without it loom `new_hints_are_seen_whole` fails.
        let hints = self.shown.load(Ordering::Acquire);
        sync::read(hints);
        // SAFETY: null, or hints of an array of ours, or those here: all of them stay (L4).
        unsafe { hints.as_ref() }
    }

    /// Makes these the hints to search by, unless they are. Those that a reader built are retired: the list may be changed now.
    /// Under the update lock.
    pub(crate) fn show(&self, hints: &Hints) {
        // Relaxed: an address to compare with.
        if ptr::eq(self.shown.load(Ordering::Relaxed), hints) {
            return;
        }
        // AcqRel [hints]: Release pairs with Acquire in `hints`. Without it loom `new_hints_are_seen_whole` fails. Acquire: with Release in
        // `build`, whose hints are retired here. An exchange: a reader may show what it built at this moment.
        let before = self.shown.swap(ptr::from_ref(hints).cast_mut(), Ordering::AcqRel);
        if ptr::eq(before, self.room.get().cast()) {
            // SAFETY: shown, so built, for ever.
            unsafe { &*before }.retire();
        }
    }

    /// True if there is nothing left to count for.
    pub(crate) fn is_done(&self) -> bool {
        // Relaxed: nothing travels through it.
        self.begun.load(Ordering::Relaxed) != 0
    }

    /// Counts a scan of `count` slots of the list at `first`, by a reader who had no hints; builds them if that is due. Wait-free,
    /// AS-Safe.
    ///
    /// # Safety
    /// - `first` is null or points into a proper list.
    #[cold]
    pub(crate) unsafe fn scanned(&self, first: *const Slot, count: usize) {
        // Relaxed, all of these: hints on when to build, nothing travels through them, and what two threads count at once may be lost.
        let scanned = self.scanned.load(Ordering::Relaxed).saturating_add(count);
        // mutant survives: a count
        self.scanned.store(scanned, Ordering::Relaxed);
        if scanned < LEAST.max(self.due.load(Ordering::Relaxed)) {
            return;
        }
        // SAFETY: the caller's promise.
        let len = unsafe { slots(first) }.count();
        let due = len.saturating_mul(TIMES);
        self.due.store(due, Ordering::Relaxed);
        // Relaxed: nobody else writes the room, whoever looks at it came through `[hints]`.
        if scanned >= due && self.begun.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            // SAFETY: the caller's promise, and `begun` lets in one thread, once.
            unsafe { self.build(first, len) };
        }
    }

    /// The address from which on the kernel's strings cannot be compared many bytes at once: from where their names end, fewer than
    /// [`BEYOND`] bytes are readable. (Above them come the file name and a word, and the stack ends.)
    pub(crate) fn limit(&self) -> usize {
        let strings = sync::initial_strings();
        if cfg!(loom) || strings.is_empty() {
            return usize::MAX;
        }
        // Relaxed, both: the same number, whoever finds it out.
        let mut limit = self.limit.load(Ordering::Relaxed);
        if limit == 0 {
            // SAFETY: the kernel's strings, and where its stack ends.
            limit = unsafe { limit_in(&strings, sync::initial_end(&strings)) };
            self.limit.store(limit, Ordering::Relaxed);
        }
        limit
    }

    /// # Safety
    /// - the list at `first` is a proper one with `len` entries, as far as its owner did not shorten it meanwhile; nobody else uses
    ///   the room.
    unsafe fn build(&self, first: *const Slot, len: usize) {
        let end = (len + 1).next_multiple_of(GROUP);
        // Also for plain scans: to look at names by windows.
        let keys = self.keys.get();
        // SAFETY: the caller's promise.
        if end > MOST || !unsafe { is_initial(first, len) && is_whole(first, len) } {
            return; // a plain scan is all that helps
        }
        let limit = self.limit();
        let room: *mut Room = self.room.get().cast();
        // SAFETY: only we use the room. Whole groups from the first slot on are readable: see `is_initial`.
        let hints = unsafe {
            let (tags, shadows) = (&raw mut (*room).tags, &raw mut (*room).shadows);
            sync::place(tags.cast(), MOST, || AtomicU16::new(0));
            sync::place(shadows.cast(), MOST, || AtomicPtr::<c_char>::new(ptr::null_mut()));
            let Some(slots) = NonNull::new(first.cast_mut()) else { return };
            let hints = &raw mut (*room).hints;
            hints.write(Hints::new(slots, shadows.cast(), tags.cast(), end, limit));
            &*hints
        };
        // SAFETY: the caller's promise.
        unsafe { known(first, len, keys) }.for_each(|(i, entry, hint)| hints.note(i, entry, Some(hint)));
        let hints = ptr::from_ref(hints).cast_mut();
        sync::wrote(hints);
        // Release [hints]: pairs with Acquire in `hints`. Without it loom `hints_of_readers_are_seen_whole` fails. Not a store: a writer's
        // array is never replaced. Relaxed on failure: nothing is read.
        _ = self.shown.compare_exchange(ptr::null_mut(), hints, Ordering::Release, Ordering::Relaxed);
    }

    /// The hints that a reader built for the kernel's list, if no others were shown since. Under the update lock.
    pub(crate) fn built(&self) -> Option<&Hints> {
        // Acquire [hints]: as in `hints`. Without it loom `notes_of_readers_are_seen_whole_by_writers` fails.
        let shown = self.shown.load(Ordering::Acquire);
        let room: *const Hints = self.room.get().cast();
        // SAFETY: shown, so built, for ever.
        ptr::eq(shown, room).then(|| unsafe { &*room })
    }

    /// One of the kernel's strings is the program's from now on: what a reader noted does not count any more. Under the update lock.
    pub(crate) fn give_back(&self) {
        self.built().into_iter().for_each(Hints::retire);
    }

    /// A header and notes for the kernel's list, if the one at `first` is that, with `len` entries. Under the update lock.
    ///
    /// # Safety
    /// - `first` is null or points into a proper list with `len` entries.
    pub(crate) unsafe fn describe<'a>(
        &self,
        strings: &Strings,
        first: *const Slot,
        len: usize,
    ) -> Result<Option<&'a Array>, Stop> {
        // SAFETY: the caller's promise.
        if !unsafe { is_initial(first, len) } {
            return Ok(None);
        }
        let Some(slots) = NonNull::new(first.cast_mut()) else { return Ok(None) };
        let bytes = Array::bytes(len + 1, false).ok_or(Stop::Memory(usize::MAX))?;
        let at = strings.take(bytes, align_of::<Array>())?;
        // SAFETY: K1; `take` gave `bytes` bytes, aligned. The kernel's list stays, and so does what lies around it: see `is_initial`.
        let array = unsafe { Array::over(at, slots, len, self.limit()) };
        // SAFETY: the caller's promise.
        unsafe { known(first, len, self.keys.get()) }
            .for_each(|(i, entry, hint)| array.note(i, entry, Some(hint)));
        array.count_all();
        sync::wrote(array.hints());
        Ok(Some(array))
    }
}

/// The address of the first of those last strings, of which each has fewer than [`BEYOND`] bytes from where its name ends up to `end`.
///
/// # Safety
/// - `strings` are one behind the other, each with its NUL; from there on another one ends below `end`.
unsafe fn limit_in(strings: &Range<usize>, end: usize) -> usize {
    // SAFETY: within the strings.
    let before = |at: usize| unsafe { byte(ptr::with_exposed_provenance(at - 1)) };
    let mut limit = strings.end;
    while limit > strings.start {
        // The string that ends there.
        let mut at = limit - 1;
        while at > strings.start && before(at) != 0 {
            at -= 1;
        }
        // SAFETY: as above: a string that ends below the one behind them.
        let name = unsafe { text::length(ptr::with_exposed_provenance(at)) };
        if at + name + BEYOND <= end {
            break;
        }
        limit = at;
    }
    limit
}

/// The entries of the kernel's list, numbered, with what is known of each: it is fixed, if the list is as the kernel made it. Those
/// without a name have a hash that means nothing.
///
/// # Safety
/// - the list at `first` is the kernel's, with `len` entries or fewer.
unsafe fn known(
    first: *const Slot,
    len: usize,
    keys: Keyed,
) -> impl Iterator<Item = (usize, *mut c_char, Hint)> {
    // SAFETY: the caller's promise.
    let (fixed, entries) = unsafe { (is_whole(first, len), slots(first).take(len).enumerate()) };
    entries.map(move |(i, (_, entry))| {
        // SAFETY: L2: an entry of the list.
        let key = unsafe { Key::of(entry, keys) };
        let hash = key.map_or_else(|| keys.hash_number(entry.addr()), |key| key.hash);
        (i, entry, Hint { hash, fixed })
    })
}

/// True if the list at `first` is the kernel's to its end: the auxiliary vector begins behind the terminator, in which the random bytes are
/// that lie below the strings. (A list that the program cut short has too few hints when it is made whole again; and one on the program's
/// stack may lie as near to the strings.) Then whole groups of slots from the first one on are readable.
///
/// # Safety
/// - `first` is null or points into a proper list with `len` entries.
unsafe fn is_initial(first: *const Slot, len: usize) -> bool {
    const BETWEEN: usize = 4096;
    if cfg!(loom) {
        return !sync::initial_strings().is_empty();
    }
    let strings = sync::initial_strings();
    let end = first.addr().wrapping_add((len + 1) * size_of::<Slot>());
    if first.is_null()
        || strings.start.wrapping_sub(end) >= BETWEEN
        || end + GROUP * size_of::<Slot>() > strings.end
    {
        return false;
    }
    // So near below the strings, the stack goes on up to them.
    let words = (strings.start - end) / size_of::<Slot>();
    // SAFETY: as said: words of the stack.
    let word = |i: usize| unsafe { &*first.add(len + 1 + i) }.load().addr();
    let pairs = (0..words / 2).map(|i| (word(2 * i), word(2 * i + 1)));
    let mut pairs = pairs.take_while(|&(key, _)| (1..BETWEEN).contains(&key));
    pairs.any(|pair| pair == (RANDOM, strings.start))
}

/// The key of the random bytes in the auxiliary vector. Source: getauxval(3).
const RANDOM: usize = 25;

/// True if the strings of the kernel's list lie one behind the other, up to the file name: then they are the kernel's, each from its start, and
/// nobody has cut one. Their names stay as they are, as long as the program does not rewrite the memory in which its environment
/// came; who does that (to show a title) has moved the environment elsewhere before, or has its strings copied.
///
/// # Safety
/// - the list at `first` is a proper one with `len` entries or fewer.
unsafe fn is_whole(first: *const Slot, len: usize) -> bool {
    let strings = sync::initial_strings();
    // SAFETY: the caller's promise.
    let mut entries = unsafe { slots(first) }.take(len).map(|(_, entry)| entry);
    let Some(start) = entries.next() else { return false };
    // SAFETY: L2: an entry of the list.
    let end = |entry: *mut c_char| entry.addr() + unsafe { CStr::from_ptr(entry) }.count_bytes() + 1;
    // SAFETY: within the kernel's strings.
    let starts = || unsafe { byte(start.cast::<u8>().sub(1)) } == 0;
    if cfg!(loom) {
        return strings.contains(&start.addr());
    }
    let last = entries.try_fold(end(start), |at, entry| (entry.addr() == at).then(|| end(entry)));
    strings.contains(&start.addr()) && last == Some(strings.end) && starts()
}

#[cfg(all(test, not(any(loom, miri))))]
mod tests;
