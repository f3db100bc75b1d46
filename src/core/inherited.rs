//! What readers search by, and the hints they build themselves: for the list that the kernel made, in a process that never changes it.
//!
//! The first change brings the list into an array of ours, whose hints the writers keep. Without a change, readers have to scan. So
//! they count the slots they scan, and once these are many times the list, one of them builds hints for it, in memory
//! that was reserved for that. That costs about as much as the scans did; a process that reads little never pays.
//!
//! - It makes no system call, takes no lock, and is done by at most one thread, once. Who finds it begun (another thread; a signal
//!   handler that interrupted the builder) scans. It ends after a bounded number of steps, so reads stay wait-free.
//! - The kernel's list is read as it is: its slots may be stored to by the program, and describe themselves (see `hints`). We never
//!   store to it, so its generation stays even.
//! - Only that list: it stays readable for ever, also around its ends. A list of the program's own may be freed.
//! - Nothing here is wiped in a forked child: its list, strings and arrays are copies of its parent's, so the hints hold, and a child that
//!   returns from a signal handler into a search or into the building goes on as if nothing had happened. A child that another thread
//!   forks while the hints are built scans until its first change.
//!
//! # Pairs
//! | tag | Release in | Acquire in | what becomes visible |
//! |---|---|---|---|
//! | `[hints]` | `Inherited::show`, `Inherited::build` | `Inherited::hints` | the header, shadow and tag of each slot |

use crate::entry;
use crate::hints::{GROUP, Hint, Hints};
use crate::list::{Slot, slots};
use crate::sync::{self, AtomicPtr, AtomicU16, AtomicUsize, Ordering, const_new};
use crate::wide::BEYOND;
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

/// What readers search by; all zero at first. Whole pages, so that what follows begins on a page of its own: see `process`.
#[cfg_attr(not(any(loom, target_arch = "aarch64")), repr(C, align(4096)))]
#[cfg_attr(all(target_arch = "aarch64", not(loom)), repr(C, align(65536)))]
#[cfg_attr(loom, repr(C))]
pub(crate) struct Inherited {
    /// The hints of the newest array of ours; before there is one, those that were built here; or null.
    shown: AtomicPtr<Hints>,
    /// Slots scanned while there were no hints.
    scanned: AtomicUsize,
    /// The number at which they are worth their cost, or 0: not known yet.
    due: AtomicUsize,
    /// Not 0 once a thread has begun.
    begun: AtomicUsize,
    /// Where the kernel's strings start, or 0: not known.
    strings: AtomicUsize,
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
            scanned: AtomicUsize::new(0),
            due: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            strings: AtomicUsize::new(0),
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

    /// Makes these the hints to search by. Under the update lock.
    pub(crate) fn show(&self, hints: &Hints) {
        let hints = ptr::from_ref(hints).cast_mut();
        // Release [hints]: pairs with Acquire in `hints`. Without it loom `new_hints_are_seen_whole` fails.
        self.shown.store(hints, Ordering::Release);
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

    /// Where the kernel put the strings of the environment. Empty as long as its list, from the start, has not been seen: the arguments are
    /// there, too, and a program may hand these to `putenv` and rename them.
    ///
    /// # Safety
    /// - `first` is null or points into a proper list with `len` entries.
    pub(crate) unsafe fn strings(&self, first: *const Slot, len: usize) -> Range<usize> {
        let all = sync::initial_strings();
        if cfg!(loom) {
            return all;
        }
        // Relaxed, both: the same number, whoever finds it out.
        let start = match self.strings.load(Ordering::Relaxed) {
            // SAFETY: the caller's promise.
            0 => match unsafe { if is_initial(first, len) { end_of_arguments(first, &all) } else { None } } {
                Some(start) => start,
                None => return 0..0,
            },
            start => start,
        };
        self.strings.store(start, Ordering::Relaxed);
        start..all.end
    }

    /// # Safety
    /// - the list at `first` is a proper one with `len` entries, as far as its owner did not shorten it meanwhile; nobody else uses
    ///   the room.
    unsafe fn build(&self, first: *const Slot, len: usize) {
        // SAFETY: the caller's promise.
        let strings = unsafe { self.strings(first, len) };
        let start = first.addr() / size_of::<Slot>() % GROUP;
        let end = (start + len + 1).next_multiple_of(GROUP);
        // SAFETY: the caller's promise.
        if !unsafe { is_initial(first, len) } || end > MOST {
            return;
        }
        let room: *mut Room = self.room.get().cast();
        // SAFETY: only we use the room. The groups at both ends of the list begin and end on its pages.
        let hints = unsafe {
            let (tags, shadows) = (&raw mut (*room).tags, &raw mut (*room).shadows);
            sync::place(tags.cast(), MOST, || AtomicU16::new(0));
            sync::place(shadows.cast(), MOST, || AtomicPtr::<c_char>::new(ptr::null_mut()));
            let Some(slots) = NonNull::new(first.wrapping_sub(start).cast_mut()) else { return };
            let hints = &raw mut (*room).hints;
            hints.write(Hints::new(slots, shadows.cast(), tags.cast(), start, end));
            &*hints
        };
        // SAFETY: the caller's promise.
        for (i, (_, entry)) in unsafe { slots(first) }.take(len).enumerate() {
            // SAFETY: L2: an entry of the list.
            let (hash, fixed) = unsafe { (entry::name_hash(entry), is_fixed(&strings, entry)) };
            hints.note(start + i, entry, Some(Hint { hash, fixed }));
        }
        let hints = ptr::from_ref(hints).cast_mut();
        sync::wrote(hints);
        // Release [hints]: pairs with Acquire in `hints`. Without it loom `hints_of_readers_are_seen_whole` fails. Not a store: a writer's
        // array is never replaced. Relaxed on failure: nothing is read.
        _ = self.shown.compare_exchange(ptr::null_mut(), hints, Ordering::Release, Ordering::Relaxed);
    }
}

/// True if `entry` is one of the kernel's strings, and has a name. That name stays as it is, as long as the program does not rewrite the
/// memory in which its environment came; who does that (to show a title) has moved the environment elsewhere before.
///
/// # Safety
/// - `entry` is a readable NUL-terminated string.
pub(crate) unsafe fn is_fixed(strings: &Range<usize>, entry: *const c_char) -> bool {
    // SAFETY: the caller's promise.
    let name = || unsafe { entry::name_of(entry) };
    strings.contains(&entry.addr())
        && name().is_some_and(|name| strings.contains(&(entry.addr() + name.len() + BEYOND)))
}

/// True if this is the kernel's list to its end: the auxiliary vector begins behind the terminator, and little else lies between it and
/// the initial strings. (A list that the program cut short has too few hints when it is made whole again.)
///
/// # Safety
/// - `first` is null or points into a proper list with `len` entries.
unsafe fn is_initial(first: *const Slot, len: usize) -> bool {
    const BETWEEN: usize = 4096;
    let end = first.addr() + (len + 1) * size_of::<Slot>();
    // A key of that vector is a small number. Behind a cut there is an address, or null.
    // SAFETY: so near below the strings, the stack goes on.
    let is_key = || (1..BETWEEN).contains(&unsafe { &*first.add(len + 1) }.load().addr());
    cfg!(loom) || !first.is_null() && sync::initial_strings().start.wrapping_sub(end) < BETWEEN && is_key()
}

/// Where the strings of the environment start, behind those of the arguments, if `first` is the start of the kernel's list: the
/// arguments' pointers lie below it, ended by null, and their number below these.
///
/// # Safety
/// - `first` is the start of the kernel's list, or of a part of it.
unsafe fn end_of_arguments(first: *const Slot, strings: &Range<usize>) -> Option<usize> {
    // SAFETY: the words below are pointers of the same list, or what is said above, down to the number.
    let word = |i: usize| unsafe { &*first.sub(i) }.load();
    if !word(1).is_null() {
        return None;
    }
    // None of them is null, unless the program removed it.
    let mut words = (0..).map(|i| (i, word(i + 2).addr()));
    let (count, _) = words.find(|&(i, word)| word == i || word == 0).filter(|(i, word)| i == word)?;
    // The program may have moved them about, or put strings of its own there.
    let ours = (2..count + 2).map(word).filter(|argument| strings.contains(&argument.addr()));
    // SAFETY: an argument: a string that stays.
    Some(
        ours.map(|argument| argument.addr() + unsafe { CStr::from_ptr(argument) }.count_bytes() + 1)
            .fold(strings.start, usize::max),
    )
}
