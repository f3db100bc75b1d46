//! Shadow and tags: what can be known of a slot without touching the string in it.
//!
//! `environ` and its slots stay the truth. Beside them lie, for each slot of an array of ours, a copy of the pointer that we stored
//! there (the *shadow*) and 16 bits of the hash of its name (the *tag*). Where the slot equals its shadow and the tag is not the
//! wanted one, the entry has another name and need not be touched. Every other slot is a *candidate*, and looked at as in a plain scan:
//! one that the program stored into, a `putenv` string (its owner may rename it: its shadow equals nothing), the terminator. So the
//! answer is that of a plain scan, slot by slot; nothing here has to hold for two slots together.
//!
//! # Invariants
//! - H1: outside a change, a slot that equals its shadow holds an entry whose name has that tag, and whose name nobody writes: a
//!   string of ours or of the kernel's (a [`Hint`] says which entries are *fixed*). It is readable for [`BEYOND`](text::BEYOND) bytes
//!   from the `=` on that ends its name, but for the last few strings of the kernel's, which are compared byte by byte ([`Hints::new`]).
//! - H2: no null slot of a list equals its shadow. So the terminator is a candidate, and a search ends there. Should the program have
//!   written over it, the search ends with the last slot, and a plain scan goes on.
//! - H3: the generation is odd while the list is changed, and another number after that: even, or odd if a plain scan is faster: if
//!   most entries are not fixed, so that each would be a candidate.
//!
//! # Why a miss needs the generation
//! The slots of a stretch are loaded in no particular order, and a slot, its shadow and its tag are three loads. So a search beside
//! a change can pass over a variable that moves up (L5), or whose slot is being given its hint. A miss therefore counts only if
//! the generation was even before the search and is the same after it: then no store of ours fell in between, and the search saw what
//! a plain scan would have seen. Otherwise one plain scan decides, which needs no generation. Both are wait-free.
//!
//! # Why a hit needs none
//! A hit is compared byte by byte, in a slot that is loaded (Acquire) once more, after its whole stretch. Slots at or above the head
//! that a reader loaded hold entries that were in the list at that moment or came later (L6: what left it is below the head); so
//! whichever of them has the wanted name was the variable's entry at some moment since, as in the plain scan. There is only one to
//! choose from: our arrays hold no duplicates, and where a program stored one, its slots do not equal their shadows, so that all of
//! them are candidates, taken in ascending order. (To compare the first slot before all others is what a plain scan does.)
//!
//! # Pairs
//! | tag | Release in | Acquire in | what becomes visible |
//! |---|---|---|---|
//! | `[hint]` | `Slot::store`, `Hints::note` | the end of `machine::candidates` | that the generation is odd |
//! | `[generation]` | `Change::drop` | `Hints::generation` | all slots, shadows and tags of the change |

use crate::entry::{Key, Wanted};
use crate::machine::{self, GROUP, Groups, LANE, Lanes, SPAN, Side};
use crate::slot::{Head, Slot, Slots, slots};
use crate::sync::{self, AtomicPtr, AtomicU16, AtomicUsize, Ordering};
use crate::text::{HASH, Keyed, Keys};
use core::cell::Cell;
use core::ffi::c_char;
use core::ops::Range;
use core::ptr::{self, NonNull};

/// Slots from which on it pays to ask the processor itself what it can do: a read then saves about 100 ns.
const WIDE: usize = 1024;

/// False under `--cfg mtsafe_env_plain`: all reads are plain scans then.
pub(crate) const ENABLED: bool = !cfg!(mtsafe_env_plain);

/// What is known of an entry that is about to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    /// The hash of its name ([`Key`]).
    pub(crate) hash: u32,
    /// True if nobody writes its name: it is a string of ours, or the kernel's (H1).
    pub(crate) fixed: bool,
}

/// The generation during a change: less than a step above the last.
const CHANGING: usize = 1;
/// The same after a change, if the hints are of no use.
const LOOSE: usize = 3;
const STEP: usize = 4;

/// Hints for the slots from `slots` on; they describe themselves.
///
/// Invariant: `end` slots, shadows and tags exist, the latter two aligned for their groups, as long as this may be read.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Hints {
    slots: NonNull<Slot>,
    shadows: *const AtomicPtr<c_char>,
    tags: *const AtomicU16,
    end: usize,
    /// Counts changes, in steps of 4; the lowest bits say [`CHANGING`], [`LOOSE`] or nothing. Only under the update lock.
    generation: AtomicUsize,
    /// True if a plain scan is faster. Only under the update lock.
    loose: Cell<bool>,
    /// Entries from this address on are compared byte by byte.
    limit: usize,
    /// See [`machine::has_wider`].
    wider: bool,
}

impl Hints {
    /// Hints for `end` slots, none of which has one yet. Fixed entries from the address `limit` on are not readable for
    /// [`BEYOND`](crate::text::BEYOND) bytes from their `=` on.
    ///
    /// # Safety
    /// - `end` slots, shadows and tags exist, the latter two aligned to 16 bytes, as long as the hints are used, and nobody else knows
    ///   the shadows and tags yet; `end` is a multiple of [`GROUP`].
    pub(crate) unsafe fn new(
        slots: NonNull<Slot>,
        shadows: *const AtomicPtr<c_char>,
        tags: *const AtomicU16,
        end: usize,
        limit: usize,
    ) -> Hints {
        let wider = machine::has_wider(end >= WIDE);
        let (generation, loose) = (AtomicUsize::new(0), Cell::new(false));
        let hints = Hints { slots, shadows, tags, end, generation, loose, limit, wider };
        for i in 0..end {
            // Relaxed: nobody knows the hints before Release [hints] in `inherited`.
            hints.shadow(i).store(no_shadow(ptr::null_mut()), Ordering::Relaxed);
        }
        hints
    }

    /// Slots, the terminator and what fills the last group included.
    pub(crate) fn slots_in_groups(&self) -> usize {
        self.end
    }

    #[inline(always)]
    fn slots(&self) -> *const Slot {
        self.slots.as_ptr()
    }

    #[inline(always)]
    fn groups(&self, wider: bool) -> Groups {
        let Hints { shadows, tags, end, .. } = *self;
        Groups { slots: self.slots().cast(), shadows, tags, end, wider }
    }

    #[inline(always)]
    fn shadow(&self, i: usize) -> &AtomicPtr<c_char> {
        debug_assert!(i < self.end);
        // SAFETY: the invariant; the callers pass numbers below `end`.
        unsafe { &*self.shadows.add(i) }
    }

    #[inline(always)]
    fn tag(&self, i: usize) -> &AtomicU16 {
        debug_assert!(i < self.end);
        // SAFETY: as above.
        unsafe { &*self.tags.add(i) }
    }

    #[inline(always)]
    pub(crate) fn slot(&self, i: usize) -> &Slot {
        debug_assert!(i < self.end);
        // SAFETY: as above.
        unsafe { self.slots.add(i).as_ref() }
    }

    /// The number of a slot, if it is one of these.
    #[inline(always)]
    pub(crate) fn index(&self, slot: *const Slot) -> Option<usize> {
        let bytes = slot.addr().wrapping_sub(self.slots().addr());
        // What is no multiple becomes huge, and so does what lies below. (A slot of a model may have any size.)
        let each = size_of::<Slot>();
        let i = if cfg!(loom) { bytes / each } else { bytes.rotate_right(each.trailing_zeros()) };
        (i < self.end).then_some(i)
    }

    /// The generation, or `None` while a change is going on or the hints are of no use.
    #[inline(always)]
    pub(crate) fn generation(&self) -> Option<usize> {
        // Acquire [generation]: pairs with Release in `Change::drop`. Who sees a change ended sees what it changed.
        // mutant survives: the loads of the head and of each stretch acquire, too; so the argument need not rest on that
        let generation = self.generation.load(Ordering::Acquire);
        (generation % 2 == 0).then_some(generation)
    }

    /// True if slots can be looked at in wider steps: see [`machine::has_wider`].
    #[inline(always)]
    pub(crate) fn are_wider(&self) -> bool {
        self.wider
    }

    /// True if no change began since the generation was `before`.
    #[inline(always)]
    fn is_still(&self, before: usize) -> bool {
        // Relaxed: comes after the Acquire at the end of each stretch. Who saw any store of a change sees it begun.
        // Without this check loom `what_was_stored_over_an_entry_is_found_while_it_is_replaced` fails.
        self.generation.load(Ordering::Relaxed) == before
    }

    /// The value of the first entry of that name in the list at `head`, or null. Wait-free: at most one pass with hints and
    /// one plain scan. `before` is the generation, `wider` is [`are_wider`](Self::are_wider), known to the compiler; `keyed` are the `keys`.
    ///
    /// # Safety
    /// - `head` is that of a proper list, and not loaded since the generation was; `name` is a name
    ///   ([`Name::bytes`](crate::entry::Name::bytes)).
    #[inline(always)]
    pub(crate) unsafe fn find(
        &self,
        head: &Head,
        name: &[u8],
        keys: &Keys,
        keyed: Keyed,
        before: usize,
        wider: bool,
    ) -> *const c_char {
        // What is rare is a call at the end, so that it costs the rest nothing.
        // SAFETY: the caller's promise: a name.
        let Some(key) = (unsafe { Key::quick(name, keyed) }) else {
            // SAFETY: the caller's promise.
            return unsafe { self.find_slowly(head, name, keys, before) };
        };
        let Some(first) = self.index(head.load()) else {
            // SAFETY: the caller's promise.
            return unsafe { scan(head, name) };
        };
        // A list that goes on behind the first group takes longer, and who asks for one name again and again often has it in front. (In a short
        // list this would cost other names more than it saves.)
        let next = (first | (GROUP - 1)) + 1;
        if next < self.end && !self.slot(next - 1).load().is_null() {
            // Relaxed: if it is of another entry, that one is compared.
            let may_be = self.tag(first).load(Ordering::Relaxed) == tag(key.hash);
            // SAFETY: a slot of the list.
            let value = may_be.then(|| unsafe { self.value_at(first, self.slot(first).load(), &key) });
            if let Some(value) = value.flatten() {
                return value;
            }
        }
        // SAFETY: `first` is one of these slots.
        let mut search = unsafe { Search::new(self, first, key.hash, Side::Reader, wider) };
        // SAFETY: no null slot was met yet.
        let Some(i) = (unsafe { search.next() }) else {
            // SAFETY: the caller's promise.
            return unsafe { scan(head, name) };
        };
        let entry = self.slot(i).load();
        // SAFETY: loaded from there.
        if let Some(value) = unsafe { self.value_at(i, entry, &key) } {
            return value;
        }
        if entry.is_null() && self.is_still(before) {
            return ptr::null();
        }
        // SAFETY: as this function; `i` is a candidate.
        unsafe { self.find_from(head, name, keys, i, before) }
    }

    /// The same, however long the name is.
    ///
    /// # Safety
    /// - as there.
    #[inline(never)]
    unsafe fn find_slowly(&self, head: &Head, name: &[u8], keys: &Keys, before: usize) -> *const c_char {
        // SAFETY: the caller's promise.
        unsafe {
            match self.index(head.load()) {
                Some(first) => self.find_from(head, name, keys, first, before),
                None => scan(head, name),
            }
        }
    }

    /// The same from slot `i` on, after a search up to there that began in generation `before`.
    ///
    /// # Safety
    /// - as there; `i` is one of these slots, at or above the first.
    #[inline(never)]
    unsafe fn find_from(
        &self,
        head: &Head,
        name: &[u8],
        keys: &Keys,
        i: usize,
        before: usize,
    ) -> *const c_char {
        // SAFETY: the caller's promise: a name, and one of these slots.
        let (wanted, mut search) = unsafe {
            let hash = Key::of_name(name, keys.known()).hash;
            (Wanted::of(name), Search::start(self, i, hash, Side::Reader))
        };
        // SAFETY: no null slot was met yet.
        while let Some(i) = unsafe { search.next() } {
            let entry = self.slot(i).load();
            if entry.is_null() {
                if self.is_still(before) {
                    return ptr::null();
                }
                break;
            }
            // SAFETY: L2, L4: an entry of the list.
            if let Some(value) = unsafe { wanted.value_here(entry) } {
                return value;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { scan(head, name) }
    }

    /// True if slot `i` is known to hold `entry`, a fixed one, all of which can be compared at once (H1).
    #[inline(always)]
    fn is_fixed(&self, i: usize, entry: *mut c_char) -> bool {
        // Relaxed: a pointer to compare with; the entry came through `Slot::load`.
        self.shadow(i).load(Ordering::Relaxed) == entry && entry.addr() < self.limit
    }

    /// The value in slot `i`, if it is known to hold `entry`, a fixed one, and that has this name.
    ///
    /// # Safety
    /// - `entry` was loaded from that slot, or is null.
    #[inline(always)]
    unsafe fn value_at(&self, i: usize, entry: *mut c_char, key: &Key<'_>) -> Option<*const c_char> {
        if !self.is_fixed(i, entry) {
            return None;
        }
        // SAFETY: H1; which pointers are shadows does not change over time, and null is none.
        unsafe { key.value_in_fixed(entry) }
    }

    /// Looks for all entries of that name, in the list at `head`, without the lock. True if what was found is enough; `None` if only a plain
    /// scan can tell.
    ///
    /// # Safety
    /// - as for [`find`](Self::find).
    #[inline(never)]
    pub(crate) unsafe fn look<'a>(
        &'a self,
        head: &Head,
        key: &Key<'_>,
        is_enough: Enough<'_>,
        look: &mut Look<'a>,
    ) -> Option<bool> {
        // Acquire [generation]: as in `generation`.
        // mutant survives: as there
        let generation = self.generation.load(Ordering::Acquire);
        let first = head.load();
        let start = self.index(first)?;
        let is_fixed = |slot, entry| self.index(slot).is_some_and(|i| self.is_fixed(i, entry));
        let found = &mut look.found;
        let is_done = match generation % STEP {
            // SAFETY: the caller's promise; `start` is one of these slots.
            0 => unsafe { found_in(self, start, key, Side::Reader, is_enough, found) },
            // SAFETY: the caller's promise: a proper list.
            LOOSE => unsafe { found_plainly(slots(first), key, &is_fixed, is_enough, found) },
            _ => return None,
        };
        if is_done {
            return Some(true);
        }
        if !self.is_still(generation) {
            return None;
        }
        let is_done = found.places().is_none() && is_enough(None);
        look.seen = Some(Seen { hints: self, first, generation });
        Some(is_done)
    }

    /// The places from slot `start` on whose entry has that name, up to the end of the list. Under the update lock.
    ///
    /// # Safety
    /// - slot `start` is one of a proper list.
    pub(crate) unsafe fn named<'a>(&'a self, start: usize, key: Key<'a>) -> Named<'a> {
        // SAFETY: the caller's promise.
        let search = unsafe { Search::start(self, start, key.hash, Side::Writer) };
        Named { search, key, beyond: ptr::null(), end: ptr::null() }
    }

    /// A change of the list begins; it ends when the result is dropped. Under the update lock.
    pub(crate) fn change(&self) -> Change<'_> {
        let begun = sync::own_count(&self.generation) & !(STEP - 1) | CHANGING;
        // Relaxed: the Release stores of the change come after it.
        self.generation.store(begun, Ordering::Relaxed);
        Change { hints: self, begun }
    }

    /// Says whether a plain scan is faster, from the end of this change on. Under the update lock.
    pub(crate) fn set_loose(&self, loose: bool) {
        self.loose.set(loose);
    }

    /// True if it is. Under the update lock.
    pub(crate) fn is_loose(&self) -> bool {
        self.loose.get()
    }

    /// True if no change was broken off, as one is in the child of a process that was forked in the middle of it. Under the update lock.
    pub(crate) fn is_at_rest(&self) -> bool {
        sync::own_count(&self.generation) % STEP != CHANGING
    }

    /// From now on a miss in these hints is not believed: others are kept up to date instead. Under the update lock, before the first
    /// change to the list.
    pub(crate) fn retire(&self) {
        // Relaxed: as in `change`.
        self.generation.store(CHANGING, Ordering::Relaxed);
    }

    /// Notes what is stored into slot `i`. Under the update lock, during a change.
    pub(crate) fn note(&self, i: usize, entry: *mut c_char, hint: Option<Hint>) {
        let (tag, shadow) = match hint {
            Some(Hint { hash, fixed: true }) => (tag(hash), entry),
            Some(Hint { hash, .. }) => (tag(hash), no_shadow(entry)),
            None => (0, no_shadow(ptr::null_mut())),
        };
        // Relaxed: who passes over the slot on its account saw the slot's own store, too, or the tag's.
        // mutant survives: delayed behind the tag, it falls in the same change
        self.shadow(i).store(shadow, Ordering::Relaxed);
        // Release [hint]: pairs with the Acquire at the end of `machine::candidates`. Who sees this sees the generation odd.
        // Without it loom `an_unset_variable_stays_gone` fails.
        self.tag(i).store(tag, Ordering::Release);
    }

    /// Moves what is known of these slots up by one slot. For a process with one thread, during a change.
    #[cfg(not(loom))]
    pub(crate) fn shift_up(&self, slots: Range<usize>) {
        debug_assert!(slots.end < self.end);
        // SAFETY: the invariant, for one slot more than these. Nobody else looks: there is one thread. (One that was hidden from us
        // meets words that are whole, as this machine copies them, and the generation odd.)
        unsafe {
            let shadows: *mut *mut c_char = self.shadows.cast_mut().cast();
            ptr::copy(shadows.add(slots.start), shadows.add(slots.start + 1), slots.len());
            let tags: *mut u16 = self.tags.cast_mut().cast();
            ptr::copy(tags.add(slots.start), tags.add(slots.start + 1), slots.len());
        }
    }

    /// The same, one by one.
    #[cfg(loom)]
    pub(crate) fn shift_up(&self, slots: Range<usize>) {
        for i in slots.rev() {
            // Relaxed and Release: as in `note`.
            self.shadow(i + 1).store(sync::own(self.shadow(i)), Ordering::Relaxed);
            self.tag(i + 1).store(sync::own_tag(self.tag(i)), Ordering::Release);
        }
    }

    /// True if slot `i` still holds the `entry` that was noted, and whether that is fixed. Under the update lock.
    pub(crate) fn noted(&self, i: usize, entry: *mut c_char) -> Option<bool> {
        let shadow = sync::own(self.shadow(i));
        (shadow == entry || shadow == no_shadow(entry)).then_some(shadow == entry)
    }

    /// True if the same entry was noted of slot `i` and of slot `j` of the others, as fixed or not. Under the update lock.
    #[inline(always)]
    pub(crate) fn agrees(&self, i: usize, others: &Hints, j: usize) -> bool {
        sync::own(self.shadow(i)) == sync::own(others.shadow(j))
    }

    /// The hash that slot `i` was noted with last, but for its [`rest`], if anything was noted of it. Under the update lock.
    pub(crate) fn noted_last(&self, i: usize) -> Option<u32> {
        (sync::own(self.shadow(i)) != no_shadow(ptr::null_mut())).then(|| self.noted_hash(i))
    }

    /// The hash that slot `i` was noted with, but for its [`rest`]. Under the update lock.
    pub(crate) fn noted_hash(&self, i: usize) -> u32 {
        u32::from(sync::own_tag(self.tag(i))) << REST
    }
}

/// A pointer that no slot holds, from which `entry` can be told: an address in the kernel's half.
fn no_shadow(entry: *mut c_char) -> *mut c_char {
    ptr::without_provenance_mut(!entry.addr())
}

/// The tag of a name with this hash: its upper bits, of which each depends on all bytes.
#[inline(always)]
fn tag(hash: u32) -> u16 {
    (hash >> REST) as u16
}

/// Bits of a hash that are not in the tag.
const REST: u32 = HASH.count_ones() - u16::BITS;

/// These bits.
pub(crate) fn rest(hash: u32) -> u16 {
    (hash & RESTS) as u16
}

/// The mask of these bits. Two more of a `u16` are left to who keeps them.
pub(crate) const RESTS: u32 = !(!0 << REST);

/// [`Head::scan`], or null: for the cases in which hints cannot tell.
///
/// # Safety
/// - as there; `name` is a name.
#[inline(never)]
pub(crate) unsafe fn scan(head: &Head, name: &[u8]) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { head.scan(Wanted::of(name)) }.unwrap_or(ptr::null())
}

/// A slot, and what was in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) slot: *const Slot,
    pub(crate) entry: *mut c_char,
}

/// Whether a search need not go on: asked of the first place, and whether the entry there is known to be fixed; or of `None`, at the end.
pub(crate) type Enough<'a> = &'a dyn Fn(Option<(Place, bool)>) -> bool;

/// The first and the last place of a name, and where the list ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Its slot is null if there is none.
    first: Place,
    last: Place,
    /// The terminator.
    pub(crate) end: *const Slot,
}

impl Default for Found {
    fn default() -> Found {
        let nowhere = Place { slot: ptr::null(), entry: ptr::null_mut() };
        Found { first: nowhere, last: nowhere, end: ptr::null() }
    }
}

impl Found {
    /// The first and the last place, if there are any.
    pub(crate) fn places(&self) -> Option<(Place, Place)> {
        (!self.first.slot.is_null()).then_some((self.first, self.last))
    }
}

/// The places of a name.
pub(crate) struct Named<'a> {
    search: Search<'a>,
    key: Key<'a>,
    /// The next slot behind all of these; null as long as the search is before it.
    beyond: *const Slot,
    /// The terminator, once it was met.
    end: *const Slot,
}

impl Named<'_> {
    /// The next candidate: its slot, and its number if it has one.
    #[inline(always)]
    fn candidate(&mut self) -> (*const Slot, Option<usize>) {
        if self.beyond.is_null() {
            // SAFETY: no null slot was met yet.
            match unsafe { self.search.next() } {
                Some(i) => return (self.search.hints.slot(i), Some(i)),
                None => self.beyond = self.search.hints.slots().wrapping_add(self.search.hints.end),
            }
        }
        let slot = self.beyond;
        self.beyond = slot.wrapping_add(1);
        (slot, None)
    }

    /// [`next`](Iterator::next) for a loop; and whether the entry is known to be fixed.
    #[inline(always)]
    fn advance(&mut self) -> Option<(Place, bool)> {
        while self.end.is_null() {
            let (slot, i) = self.candidate();
            // SAFETY: a slot of the list: the terminator was not met yet (L1).
            let at = unsafe { &*slot };
            let entry = if self.search.side == Side::Reader { at.load() } else { at.own() };
            if entry.is_null() {
                self.end = slot;
                break;
            }
            let fixed = i.is_some_and(|i| self.search.hints.is_fixed(i, entry));
            // SAFETY: L2, L4: an entry of the list; H1.
            if unsafe { is_named(entry, &self.key, fixed) } {
                return Some((Place { slot, entry }, fixed));
            }
        }
        None
    }
}

/// True if the entry has that name.
///
/// # Safety
/// - it is a string that stays, and if `fixed`, as H1 says.
#[inline(never)] // or all that is to be compared would be made ready before anything is found
unsafe fn is_named(entry: *const c_char, key: &Key<'_>, fixed: bool) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        if fixed { key.value_in_fixed(entry).is_some() } else { key.wanted().value_in(entry).is_some() }
    }
}

impl Iterator for Named<'_> {
    type Item = Place;

    #[inline(never)]
    fn next(&mut self) -> Option<Place> {
        self.advance().map(|(place, _)| place)
    }
}

impl Found {
    /// The first and the last of the places that `next` gives, but for the end of the list. True if the first is enough: no other was asked
    /// for.
    #[inline(always)]
    fn fill(&mut self, mut next: impl FnMut() -> Option<(Place, bool)>, is_enough: Enough<'_>) -> bool {
        *self = Found::default();
        while let Some((place, fixed)) = next() {
            if self.first.slot.is_null() {
                if is_enough(Some((place, fixed))) {
                    return true;
                }
                self.first = place;
            }
            self.last = place;
        }
        false
    }
}

/// Finds the places of a name from slot `start` of `hints` on, and the end of the list. True if the first is enough: then only that was
/// looked for.
///
/// # Safety
/// - slot `start` is one of a proper list.
#[inline(never)]
pub(crate) unsafe fn found_in(
    hints: &Hints,
    start: usize,
    key: &Key<'_>,
    side: Side,
    is_enough: Enough<'_>,
    found: &mut Found,
) -> bool {
    // SAFETY: the caller's promise.
    let search = unsafe { Search::new(hints, start, key.hash, side, hints.wider) };
    let mut named = Named { search, key: *key, beyond: ptr::null(), end: ptr::null() };
    let is_done = found.fill(|| named.advance(), is_enough);
    found.end = named.end;
    is_done
}

/// The same by a plain scan. `is_fixed` tells what is known of the entry in a slot.
///
/// # Safety
/// - the slots are those of a proper list, whose entries are strings that stay (L1, L2, L4).
#[inline(never)]
pub(crate) unsafe fn found_plainly<const OWN: bool>(
    mut slots: Slots<OWN>,
    key: &Key<'_>,
    is_fixed: &dyn Fn(*const Slot, *mut c_char) -> bool,
    is_enough: Enough<'_>,
    found: &mut Found,
) -> bool {
    let wanted = key.wanted();
    let next = || {
        // SAFETY: the caller's promise.
        let (slot, entry, _) = unsafe { slots.next_named(wanted) }?;
        Some((Place { slot, entry }, is_fixed(slot, entry)))
    };
    let is_done = found.fill(next, is_enough);
    found.end = slots.at();
    is_done
}

/// What a writer finds before it takes the lock. Under the lock it counts only if no change was made since.
#[derive(Clone, Copy, Default)]
pub(crate) struct Look<'a> {
    /// `None` if it does not count, or not any more.
    seen: Option<Seen<'a>>,
    pub(crate) found: Found,
}

/// Where and when a writer looked.
#[derive(Clone, Copy)]
struct Seen<'a> {
    hints: &'a Hints,
    first: *const Slot,
    generation: usize,
}

impl Look<'_> {
    /// True if what was found is so still: the list is the one that was looked at, no change was made, and the program has not stored into these
    /// slots. Once; whoever asks again must look again, since it may have found something else meanwhile. Under the update lock.
    #[inline]
    pub(crate) fn still(&mut self, hints: &Hints, first: *const Slot) -> bool {
        let Some(seen) = self.seen.take() else { return false };
        // SAFETY: slots of ours.
        let holds = |place: Place| unsafe { &*place.slot }.own() == place.entry;
        ptr::eq(hints, seen.hints)
            && first == seen.first
            && sync::own_count(&hints.generation) == seen.generation
            && self.found.places().is_none_or(|(first, last)| holds(first) && holds(last))
            // SAFETY: as above.
            && unsafe { self.found.end.as_ref() }.is_some_and(|end| end.own().is_null())
    }
}

/// A change that is going on (H3). Under the update lock.
pub(crate) struct Change<'a> {
    hints: &'a Hints,
    begun: usize,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let ended =
            (self.begun - CHANGING).wrapping_add(STEP) | if self.hints.loose.get() { LOOSE } else { 0 };
        // Release [generation]: pairs with Acquire in `Hints::generation`. Without it loom `what_a_search_misses_no_scan_finds` fails.
        self.hints.generation.store(ended, Ordering::Release);
    }
}

/// The candidates of one stretch of slots after the other.
struct Search<'a> {
    hints: &'a Hints,
    side: Side,
    wider: bool,
    tag: u16,
    found: Lanes,
    /// Where the next stretch begins.
    next: usize,
}

impl<'a> Search<'a> {
    /// # Safety
    /// - slot `first` is one of `hints`.
    #[inline(always)]
    unsafe fn new(hints: &'a Hints, first: usize, hash: u32, side: Side, wider: bool) -> Search<'a> {
        let tag = tag(hash);
        // SAFETY: the invariant of `Hints`: whole groups.
        let (found, next) = unsafe { machine::candidates(hints.groups(wider), first, tag, side) };
        Search { hints, side, wider, tag, found, next }
    }

    /// The next candidate; `None` if there is no slot left, as the program has written over the terminator.
    ///
    /// # Safety
    /// - no slot that this returned was null.
    #[inline(always)]
    unsafe fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            if self.next >= self.hints.end {
                return None;
            }
            let groups = self.hints.groups(self.wider);
            // SAFETY: below the end.
            (self.found, self.next) = unsafe { machine::candidates(groups, self.next, self.tag, self.side) };
        }
        let lane = self.found.trailing_zeros() as usize / LANE;
        // All bits up to this lane's, then out.
        self.found &= (!0 << (LANE - 1) << 1) << (lane * LANE);
        Some(self.next + lane - SPAN)
    }

    /// [`new`](Self::new) for who has the time to call it: it is long.
    ///
    /// # Safety
    /// - as there.
    #[inline(never)]
    unsafe fn start(hints: &'a Hints, first: usize, hash: u32, side: Side) -> Search<'a> {
        // SAFETY: the caller's promise.
        unsafe { Search::new(hints, first, hash, side, hints.wider) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
