//! The list: an array of slots, read from the head up to the null terminator. All of the algorithm that readers meet is here.
//!
//! ```text
//! base                 head (= environ)                         last     padding
//!  |  free slots ...   | e0 | e1 | e2 | ... | e(n-1) | NULL      | NULL ... NULL |
//! ```
//!
//! Readers ([`Head::get`]) load the head and scan upwards. ([`hints`] makes most reads faster; its answer is that of this scan, or this
//! scan is made.) Writers ([`Editor`]), one at a time, change the list by four
//! moves, each of which leaves a proper list after every single store:
//!
//! - **add**: copy the first slot below the head, move the head down onto the copy, replace the copy by the new entry.
//! - **replace**: store into the slot.
//! - **remove**: store the first entry into the victim's slot, move the head up by one.
//! - **grow**: fill the top of an array twice as large, move the head there.
//!
//! # Invariants
//! - L1: every list ends in a null slot inside its array; the last slot of an array is null and never written.
//! - L2: an entry's bytes are final before its address enters a slot (`putenv` strings: their owner's business).
//! - L3: only the holder of the update lock stores to the slots and the head. A C program may also store to `environ` and
//!   `environ[i]`; each such store is honoured, but two writers of which one takes no lock are not ordered.
//! - L4: an array or entry that a reader may hold stays allocated.
//! - L5: a live entry only ever moves to a higher slot, and its copy there is stored before its old slot is used again.
//! - L6: outside a change, no slot below the head names an entry that has left the list. Programs keep pointers into the list
//!   (`for (p = environ; *p; )` around `unsetenv`; `saved = environ` and back): they must not meet what was removed, again and
//!   again, or after its owner freed it. So a move that unlinks an entry ends with a *sweep*: copies of it below the head are
//!   overwritten with the first entry, which is live (with null, if the list is empty).
//! - L7: as many slots as the array has follow it, null for ever. A program that counts (`environ[i]`, loading `environ` anew each
//!   time) goes past the end when the head moves up under its index; it finds null there.
//!
//! # Pairs
//! | tag | Release in | Acquire in | what becomes visible |
//! |---|---|---|---|
//! | `[head]` | `Editor::move_head`, `Editor::publish` | `Head::load` | every slot from that head up |
//! | `[slot]` | `Slot::store` | `Slot::load` | the bytes of the entry, and earlier slot and head stores |
//!
//! # Why a variable that nobody removes is always found
//! Let X be in the list when a reader loads the head, and be neither removed nor replaced until the reader is done.
//! 1. X does not move: its slot is at or above the head, the reader reaches it.
//! 2. X moves (it was first when another entry was removed): its copy went to a higher slot, and the store of the copy comes
//!    before any store that overwrites the old slot. A reader that finds the old slot overwritten has thereby acquired the
//!    copy (`[slot]`; this is why *every* slot load acquires), and the copy lies ahead of it. The same holds for an old slot that
//!    a sweep overwrites because X was given another value: that was stored before, ahead of the reader.
//! 3. The array is replaced: the old one keeps its content, the reader finishes there.
//! 4. A gap is closed (`Editor::compact`): copies of all entries lie above the old end, which is then overwritten, too. Without that a
//!    reader below whose slot is swept meets the old end before the copy: loom `a_bystander_survives_a_sweep_after_a_cut`.
//!
//! # Why an add is three stores
//! Storing the entry first and moving the head second (Solaris's order) is not linearizable. A reader that loaded the head
//! before an earlier remove moved it up scans the vacated slot, too, and so finds the entry *before* the head is moved; a
//! second reader, started after the first is done, loads the head and misses it. With the copy in between, the new entry
//! becomes visible to every reader by one and the same store. Loom `an_added_variable_stays_found` fails on the shorter form.
//!
//! # Linearization points
//! | operation | point |
//! |---|---|
//! | add, replace | the store of the entry into its slot; with growth: the move of the head to the new array |
//! | remove | the store over the victim; the move of the head when the victim is first |
//! | clear, adoption | the move of the head |
//! | read, hit | at the load of the slot, or at the last moment before it at which the entry was still in the list |
//! | read, miss | at the load of the head, or at the removal of the last entry of that name after it |

use crate::entry::{Key, Name, Wanted};
use crate::hints::{self, Change, Hint, Hints, Look};
use crate::sync::{self, AtomicPtr, AtomicU16, Ordering, const_new};
use crate::wide::Side;
use core::cell::Cell;
use core::ffi::c_char;
use core::ptr::{self, NonNull};

/// One pointer cell of the list: null, or the address of an entry.
#[repr(transparent)]
#[derive(Debug)]
pub struct Slot(AtomicPtr<c_char>);

const_new! {
    Slot,
    fn new() -> Slot {
        Slot(AtomicPtr::new(ptr::null_mut()))
    }
}

impl Slot {
    #[inline(always)]
    pub(crate) fn load(&self) -> *mut c_char {
        // Acquire [slot]: pairs with Release in `store`. Without it loom `a_bystander_survives_a_reused_slot` fails.
        let entry = self.0.load(Ordering::Acquire);
        sync::read(entry);
        entry
    }

    /// A load that nothing travels through by itself.
    #[cfg_attr(not(any(loom, miri)), allow(dead_code))] // others load whole groups
    pub(crate) fn peek(&self) -> *mut c_char {
        // Relaxed: for `wide::candidates`, which ends with a fence.
        self.0.load(Ordering::Relaxed)
    }

    /// The same for the holder of the update lock, in an array of ours.
    pub(crate) fn own(&self) -> *mut c_char {
        sync::own(&self.0)
    }

    #[inline(always)]
    fn store(&self, entry: *mut c_char) {
        // Release [slot]: pairs with Acquire in `load`. Who sees this entry sees its bytes, and every earlier store of a slot.
        // Without it loom `a_bystander_survives_a_reused_slot` and `an_entry_is_whole` fail.
        self.0.store(entry, Ordering::Release);
    }
}

/// What a C program does to the cells of a list with plain loads and stores, which loom cannot see.
#[cfg(loom)]
impl Slot {
    /// A cell of a program's own array, initialised.
    pub fn holding(entry: *const c_char) -> Slot {
        Slot(AtomicPtr::new(entry.cast_mut()))
    }

    /// `environ[i] = entry`.
    pub fn assign(&self, entry: *const c_char) {
        // Relaxed: a plain store in C.
        self.0.store(entry.cast_mut(), Ordering::Relaxed);
    }
}

/// The list head: what C calls `environ`. Null is an empty list.
#[repr(transparent)]
#[derive(Debug)]
pub struct Head(AtomicPtr<Slot>);

#[cfg(not(loom))]
const _: () = {
    // C reads both as plain pointers.
    assert!(size_of::<Slot>() == size_of::<*mut c_char>());
    assert!(size_of::<Head>() == size_of::<*mut *mut c_char>());
};

const_new! {
    Head,
    /// The head of an empty list.
    pub fn new() -> Head {
        Head(AtomicPtr::new(ptr::null_mut()))
    }
}

impl Head {
    /// The first slot of the list, or null.
    #[inline(always)]
    pub(crate) fn load(&self) -> *const Slot {
        // Acquire [head]: pairs with Release in `move_head` and `publish`. Who sees this head sees the slots from it up.
        // Without it loom `a_bystander_survives_growth` fails.
        self.0.load(Ordering::Acquire)
    }

    /// `&environ[i]`, for models.
    ///
    /// # Safety
    /// - there are `i` slots in the list, or one less.
    #[cfg(loom)]
    pub unsafe fn slot(&self, i: usize) -> *const Slot {
        // SAFETY: the caller's promise.
        unsafe { self.load().add(i) }
    }

    /// The same as [`assign`](Self::assign) where another thread exchanges the head. An exchange, because loom may put a store
    /// in between the load and the store of another thread's exchange, which no machine does.
    #[cfg(loom)]
    pub fn assign_beside_exchange(&self, list: *const Slot) {
        // Release [head]: as in `assign`.
        self.0.swap(list.cast_mut(), Ordering::Release);
    }

    /// What a program does with `environ = list`: a store that takes no lock.
    ///
    /// # Safety
    /// - `list` is null, or a readable null-terminated array of entries that stays so while it may be read.
    pub unsafe fn assign(&self, list: *const Slot) {
        // Release [head]: pairs with Acquire in `load`. Without it loom `an_assigned_list_is_seen_whole` fails.
        self.0.store(list.cast_mut(), Ordering::Release);
    }

    /// The value of the first entry named `name`, or `None`. MT-Safe, AS-Safe, wait-free: at most one load per slot between
    /// the head and the end of the array; no store.
    ///
    /// # Safety
    /// - the list is a proper one (L1, L2, L4), whoever made it.
    #[inline(always)]
    pub unsafe fn get<N: Name>(&self, name: N) -> Option<*const c_char> {
        let wanted = Wanted::new(name)?;
        // SAFETY: the caller's promise: a proper list, whose entries are strings that stay (L1, L2, L4).
        unsafe { slots(self.load()).find_map(|(_, entry)| wanted.value_in(entry)) }
    }
}

/// The slots from `first` up to the terminator, with their entries. An empty iterator for null.
///
/// # Safety
/// - `first` is null or points into a proper list, which stays allocated while the iterator is used.
#[inline(always)]
pub(crate) unsafe fn slots(first: *const Slot) -> impl Iterator<Item = (*const Slot, *mut c_char)> {
    Slots { at: first, load: Slot::load }
}

/// Invariant: `at` is null or points into a proper list (L1), not past its terminator.
struct Slots<L> {
    at: *const Slot,
    load: L,
}

impl<L: Fn(&Slot) -> *mut c_char> Iterator for Slots<L> {
    type Item = (*const Slot, *mut c_char);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let slot = self.at;
        // SAFETY: the invariant.
        let entry = (self.load)(unsafe { slot.as_ref() }?);
        if entry.is_null() {
            return None; // and stay on the terminator
        }
        // SAFETY: L1: `entry` is not the terminator, so a slot follows.
        self.at = unsafe { slot.add(1) };
        Some((slot, entry))
    }
}

/// An array of ours: this header, then tags, shadows, `capacity` slots, the padding (L7), which is never touched (so never resident,
/// but for small arrays), and the rest of each name's hash. It describes itself, no other word needs to agree with it.
///
/// An array for an owned list, which nobody searches or counts in, is a header and slots.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Array {
    /// What readers and writers know of the slots, besides what is in them.
    hints: Option<Hints>,
    slots: NonNull<Slot>,
    /// Slots, terminator included. A multiple of `GROUP` if there are hints.
    capacity: usize,
    /// Where the list in this array starts, as far as we moved it. Only under the update lock.
    first: Cell<*const Slot>,
    /// The lowest slot that was ever used. Only under the update lock.
    lowest: Cell<*const Slot>,
    /// For each slot, the bits of the hash of its name that are not in the tag. Only under the update lock.
    rests: *const Cell<u16>,
}

/// Whose list an array is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The process's: with hints, and padded.
    Process,
    /// Somebody's own.
    Owned,
}

/// What lies behind the header of an array, in bytes from its start.
struct Layout {
    shadows: usize,
    slots: usize,
    rests: usize,
    end: usize,
}

impl Layout {
    const TAGS: usize = size_of::<Array>();

    /// `None` if no address space could hold it.
    fn of(capacity: usize, kind: Kind) -> Option<Layout> {
        let after = |start: usize, size: usize, times: usize| {
            start.checked_add(capacity.checked_mul(size)?.checked_mul(times)?)
        };
        let times = usize::from(kind == Kind::Process);
        let shadows = after(Layout::TAGS, size_of::<AtomicU16>(), times)?;
        let slots = after(shadows, size_of::<AtomicPtr<c_char>>(), times)?;
        // Under loom, slots are not memory to count in.
        let rests = after(slots, size_of::<Slot>(), if cfg!(loom) { 1 } else { 1 + times })?;
        Some(Layout { shadows, slots, rests, end: after(rests, size_of::<Cell<u16>>(), times)? })
    }
}

impl Array {
    /// Bytes of an array of `capacity` slots, or `None` if no address space could hold it.
    pub(crate) fn bytes(capacity: usize, kind: Kind) -> Option<usize> {
        Layout::of(capacity, kind).map(|layout| layout.end)
    }

    /// Makes an array, holding an empty list, in fresh memory.
    ///
    /// # Safety
    /// - `at` is zeroed memory of `bytes(capacity, kind)` bytes, aligned for an `Array`, and nobody else's; `capacity` is not 0, and a
    ///   multiple of `GROUP` for the process's list.
    pub(crate) unsafe fn place<'a>(at: NonNull<u8>, capacity: usize, kind: Kind) -> &'a Array {
        let layout = Layout::of(capacity, kind).unwrap_or(Layout { shadows: 0, slots: 0, rests: 0, end: 0 });
        // SAFETY: the caller's promise: all of it fits.
        unsafe {
            let slots: NonNull<Slot> = at.add(layout.slots).cast();
            sync::place(slots.as_ptr(), capacity, Slot::new);
            let hints = (kind == Kind::Process).then(|| {
                let tags: *mut AtomicU16 = at.add(Layout::TAGS).cast().as_ptr();
                let shadows: *mut AtomicPtr<c_char> = at.add(layout.shadows).cast().as_ptr();
                sync::place(tags, capacity, || AtomicU16::new(0));
                sync::place(shadows, capacity, || AtomicPtr::new(ptr::null_mut()));
                Hints::new(slots, shadows, tags, 0, capacity)
            });
            let last = slots.add(capacity - 1).as_ptr().cast_const();
            let rests: *const Cell<u16> = at.add(layout.rests).cast().as_ptr();
            let array: NonNull<Array> = at.cast();
            array.write(Array {
                hints,
                slots,
                capacity,
                first: Cell::new(last),
                lowest: Cell::new(last),
                rests,
            });
            array.as_ref()
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn hints(&self) -> Option<&Hints> {
        self.hints.as_ref()
    }

    fn base(&self) -> *const Slot {
        self.slots.as_ptr()
    }

    /// The last slot, null for ever (L1).
    pub(crate) fn last(&self) -> *const Slot {
        // SAFETY: by construction there are `capacity` slots.
        unsafe { self.base().add(self.capacity - 1) }
    }

    /// Notes where the list starts now.
    fn starts_at(&self, first: *const Slot) {
        self.first.set(first);
        self.lowest.set(self.lowest.get().min(first));
    }

    /// The number of a slot of this array.
    fn index(&self, slot: *const Slot) -> usize {
        (slot.addr() - self.base().addr()) / size_of::<Slot>()
    }

    /// Notes what is stored into `slot`: what an editor knows of it later without looking at the entry, whose owner may have freed
    /// it since it left the environment. Under the update lock, during a change.
    fn note(&self, slot: *const Slot, entry: *mut c_char, hint: Option<Hint>) {
        if let Some(hints) = &self.hints {
            let i = self.index(slot);
            hints.note(i, entry, hint);
            // SAFETY: by construction there is one for each slot.
            unsafe { &*self.rests.add(i) }.set(hint.map_or(0, |hint| hints::rest(hint.hash)));
        }
    }

    /// What was noted of `slot`, if it still holds that `entry`: not if the program stored it. Under the update lock.
    fn noted(&self, slot: *const Slot, entry: *mut c_char) -> Option<Hint> {
        let (hints, i) = (self.hints.as_ref()?, self.index(slot));
        let fixed = hints.noted(i, entry)?;
        // SAFETY: as in `note`.
        let rest = unsafe { &*self.rests.add(i) }.get();
        Some(Hint { hash: hints.noted_hash(i) | u32::from(rest), fixed })
    }

    /// A change begins.
    fn change(&self) -> Option<Change<'_>> {
        self.hints.as_ref().map(Hints::change)
    }

    /// True if `slot` is one of this array's.
    pub(crate) fn holds(&self, slot: *const Slot) -> bool {
        let offset = slot.addr().wrapping_sub(self.base().addr());
        offset < self.capacity * size_of::<Slot>() && offset % size_of::<Slot>() == 0
    }
}

/// The head is no longer what the editor took it for: the program assigned `environ` meanwhile. Look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved;

/// The right to change one of our arrays: held by who holds the update lock (L3).
#[derive(Debug)]
pub(crate) struct Editor<'a> {
    head: &'a Head,
    array: &'a Array,
    /// The first slot of the list.
    first: *const Slot,
    /// True if the head points into this array, so that each move of `first` is to be published.
    live: bool,
}

impl<'a> Editor<'a> {
    /// The list that the head points to, if `array` holds it.
    ///
    /// # Safety
    /// - the caller holds the update lock for the life of the editor, and `array` is one of ours.
    pub(crate) unsafe fn live(head: &'a Head, array: &'a Array) -> Option<Editor<'a>> {
        let first = head.load();
        array.holds(first).then(|| {
            // The program may have moved the head within the array: what it points to now is the list.
            array.starts_at(first);
            Editor { head, array, first, live: true }
        })
    }

    /// The list that `array` held last, while the head points elsewhere: changes are private until [`publish`](Self::publish).
    ///
    /// # Safety
    /// - as for [`live`](Self::live).
    pub(crate) unsafe fn private(head: &'a Head, array: &'a Array) -> Editor<'a> {
        Editor { head, array, first: array.first.get(), live: false }
    }

    pub(crate) fn array(&self) -> &'a Array {
        self.array
    }

    /// The slots of the list, with their entries.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (*const Slot, *mut c_char)> + use<> {
        // The invariant: `first` points into our array, which ends in null and is not freed while it is edited (L1, L4).
        Slots { at: self.first, load: Slot::own }
    }

    /// The first slot above `after` (from the start: null) whose entry `wanted` accepts.
    #[cfg(test)]
    fn find(&self, after: *const Slot, mut wanted: impl FnMut(*const c_char) -> bool) -> Option<*const Slot> {
        self.slots().find(|&(slot, entry)| slot > after && wanted(entry)).map(|(slot, _)| slot)
    }

    /// The slots whose entry has that name, with their entries.
    pub(crate) fn named<'k>(
        &self,
        key: Key<'k>,
    ) -> impl Iterator<Item = (*const Slot, *mut c_char)> + use<'a, 'k>
    where
        'a: 'k,
    {
        let hints = self.array.hints.as_ref().filter(|_| hints::ENABLED);
        let plain = if hints.is_some() { ptr::null() } else { self.first };
        let start = self.array.index(self.first);
        // SAFETY: the list starts there; L2, L4.
        let hinted = hints.map(|hints| unsafe { hints.named(start, key, Side::Writer) });
        // SAFETY: as above.
        let plain = Slots { at: plain, load: Slot::own }
            .filter(move |&(_, entry)| unsafe { key.value_in(entry) }.is_some());
        hinted.into_iter().flatten().chain(plain)
    }

    /// The first and the last slot of that name.
    pub(crate) fn first_and_last(&self, key: Key<'_>) -> Option<(*const Slot, *const Slot)> {
        let mut named = self.named(key).map(|(slot, _)| slot);
        let first = named.next()?;
        Some((first, named.last().unwrap_or(first)))
    }

    /// What was found without the lock, if that still is so; otherwise looks again.
    pub(crate) fn places(&self, key: Key<'_>, look: &Option<Look<'_>>) -> Option<(*const Slot, *const Slot)> {
        match look.as_ref().and_then(|look| look.still(self.array.hints.as_ref(), self.first)) {
            Some(places) => places,
            None => self.first_and_last(key),
        }
    }

    /// The number of a slot in the array.
    pub(crate) fn index(&self, slot: *const Slot) -> usize {
        self.array.index(slot)
    }

    /// Slot `i` of the array, and what is in it.
    pub(crate) fn slot(&self, i: usize) -> (*const Slot, *mut c_char) {
        assert!(i < self.array.capacity);
        // SAFETY: one of the array's slots.
        let slot = unsafe { &*self.array.base().add(i) };
        (slot, slot.own())
    }

    /// Free slots below the head.
    pub(crate) fn room(&self) -> usize {
        self.index(self.first)
    }

    /// Moves the start of the list; for a live one the head, too, unless the program moved that meanwhile.
    fn move_head(&mut self, to: *const Slot) -> Result<(), Moved> {
        if self.live {
            // Release [head]: pairs with Acquire in `Head::load`. Who sees this head sees the slots from it up.
            // Without it loom `a_bystander_survives_an_add` fails. Relaxed on failure: we look again from the start.
            // An exchange, not a store: an assignment by the program is never overwritten.
            let (from, to) = (self.first.cast_mut(), to.cast_mut());
            self.head
                .0
                .compare_exchange(from, to, Ordering::Release, Ordering::Relaxed)
                .map_err(|_| Moved)?;
        }
        self.first = to;
        self.array.starts_at(to);
        Ok(())
    }

    /// Makes a private list the live one, if the head is still `instead_of`. Linearization point of adoption and clear.
    pub(crate) fn publish(&mut self, instead_of: *const Slot) -> Result<(), Moved> {
        let (from, to) = (instead_of.cast_mut(), self.first.cast_mut());
        // Release [head]: pairs with Acquire in `Head::load`. Without it loom `adoption_hides_nothing` fails.
        // Relaxed on failure: we look again from the start.
        self.head.0.compare_exchange(from, to, Ordering::Release, Ordering::Relaxed).map_err(|_| Moved)?;
        self.live = true;
        Ok(())
    }

    /// True if a reader that starts now reads this list.
    pub(crate) fn is_live(&self) -> bool {
        self.array.holds(self.head.load())
    }

    /// Adds `entry` in front. See the module text for why this takes three stores.
    ///
    /// Needs `room() > 0`.
    pub(crate) fn add(&mut self, entry: *mut c_char, hint: Option<Hint>) -> Result<(), Moved> {
        debug_assert!(self.room() > 0);
        let _change = self.array.change();
        // SAFETY: `room() > 0`, so a slot of the array lies below; `first` is in the array.
        let (below, first) = unsafe { (&*self.first.sub(1), &*self.first) };
        // The first entry twice, or for an empty list the terminator: harmless to every reader, whatever head it loaded.
        below.store(first.own());
        self.move_head(below)?;
        below.store(entry);
        self.array.note(below, entry, hint);
        Ok(())
    }

    /// Stores `entry` into a slot of the list and returns what was there.
    pub(crate) fn replace(
        &mut self,
        slot: *const Slot,
        entry: *mut c_char,
        hint: Option<Hint>,
    ) -> *mut c_char {
        let _change = self.array.change();
        // SAFETY: the callers pass a slot that `find` gave.
        let slot = unsafe { &*slot };
        let old = slot.own();
        self.array.note(slot, entry, hint);
        slot.store(entry);
        self.sweep(|stale| stale == old);
        old
    }

    /// What was noted of slot `i`, whose entry is not looked at; `None` if the program stored it.
    pub(crate) fn noted(&self, i: usize) -> Option<Hint> {
        let (slot, entry) = self.slot(i);
        self.array.noted(slot, entry)
    }

    /// Restores L6 after the entries that `gone` tells were unlinked. Not before: until then they are live.
    fn sweep(&self, gone: impl Fn(*mut c_char) -> bool) {
        let mut at = self.array.lowest.get();
        while at < self.first {
            // SAFETY: from the lowest to the first, both of the array.
            let (stale, first) = unsafe { (&*at, &*self.first) };
            if gone(stale.own()) {
                stale.store(first.own());
            }
            // SAFETY: `first` follows.
            at = unsafe { at.add(1) };
        }
    }

    /// Removes the entry in `slot` and returns it: the first entry takes its place (L5), then the head moves up.
    pub(crate) fn remove(&mut self, slot: *const Slot) -> Result<*mut c_char, Moved> {
        let _change = self.array.change();
        // SAFETY: the callers pass a slot that `find` gave, so the list is not empty and a slot follows the first.
        let (victim, first, next) = unsafe { (&*slot, &*self.first, self.first.add(1)) };
        let old = victim.own();
        if slot != self.first {
            let mover = first.own();
            self.array.note(slot, mover, self.array.noted(self.first, mover));
            victim.store(mover);
        }
        self.move_head(next)?;
        self.sweep(|stale| stale == old);
        Ok(old)
    }

    /// Forgets all entries: the list starts at the last slot. A live list is published so. To be followed by
    /// [`forget`](Self::forget) once the empty list is live.
    pub(crate) fn clear(&mut self) -> Result<(), Moved> {
        let _change = self.array.change();
        self.move_head(self.array.last())
    }

    /// Restores L6 after [`clear`](Self::clear).
    pub(crate) fn forget(&self) {
        let _change = self.array.change();
        self.sweep(|_| true);
        self.needs_no_sweep(); // all below is null now, nothing of it is ever to be swept
    }

    /// What is below the head needs no sweep: nobody keeps pointers there.
    pub(crate) fn needs_no_sweep(&self) {
        self.array.lowest.set(self.first);
    }

    /// Closes the gap that a program leaves when it ends the list early (`environ[i] = NULL`): moves the entries up, last one
    /// first (L5), so that the slots they leave can be used again. True if there was a gap: then there is room.
    pub(crate) fn compact(&mut self) -> Result<bool, Moved> {
        let live = self.slots().count();
        let mut to = self.array.last();
        // SAFETY: `live` slots follow `first` before the terminator.
        let mut from = unsafe { self.first.add(live) };
        if from == to {
            return Ok(false);
        }
        let _change = self.array.change();
        for _ in 0..live {
            // SAFETY: both stay within [first, last]: `from` goes down to `first`, and `to` stays above it.
            let (from, to) = unsafe {
                (from, to) = (from.sub(1), to.sub(1));
                (&*from, &*to)
            };
            let entry = from.own();
            self.array.note(to, entry, self.array.noted(from, entry));
            to.store(entry);
        }
        // SAFETY: as above: where the list ended.
        let ended = unsafe { self.first.add(live) };
        self.move_head(to)?;
        // Who walks on from below meets the copies, not the old end: what lies below the head may be swept from now on (L6). What the
        // program cut off goes before that end does, so that nobody sees it again.
        let mut at = to;
        while at > ended {
            // SAFETY: between the old end and the new first slot.
            unsafe {
                at = at.sub(1);
                (*at).store((*to).own());
            }
        }
        Ok(true)
    }

    /// Moves a live list into `fresh`, a new array with room for it and `entry`, which becomes its first. The old array keeps
    /// its content for the readers in it.
    pub(crate) fn grow(
        &mut self,
        fresh: &'a Array,
        entry: *mut c_char,
        hint: Option<Hint>,
    ) -> Result<(), Moved> {
        let live = self.slots().count();
        debug_assert!(live + 1 < fresh.capacity);
        // SAFETY: the list and the new entry fit below the last slot.
        let first = unsafe { fresh.last().sub(live + 1) };
        let mut to = first;
        let kept = self.slots().take(live).map(|(slot, entry)| (entry, self.array.noted(slot, entry)));
        for (entry, hint) in core::iter::once((entry, hint)).chain(kept) {
            // SAFETY: `live + 1` slots lie between `first` and the last.
            let slot = unsafe { &*to };
            fresh.note(slot, entry, hint);
            slot.store(entry);
            // SAFETY: as above.
            to = unsafe { to.add(1) };
        }
        fresh.starts_at(first);
        let mut moved = Editor { head: self.head, array: fresh, first, live: false };
        moved.publish(self.first)?;
        *self = moved;
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
pub(crate) mod tests {
    use super::*;
    use core::ffi::CStr;
    use std::alloc::{Layout, alloc_zeroed};
    use std::string::String;
    use std::vec::Vec;

    /// An array in memory of its own, never freed.
    fn array(capacity: usize) -> &'static Array {
        let layout = Layout::from_size_align(Array::bytes(capacity, Kind::Owned).unwrap(), 64).unwrap();
        // SAFETY: fresh zeroed memory of that size and alignment.
        unsafe { Array::place(NonNull::new(alloc_zeroed(layout)).unwrap(), capacity, Kind::Owned) }
    }

    fn text(entry: *const c_char) -> String {
        // SAFETY: the tests put C strings into their lists.
        unsafe { CStr::from_ptr(entry) }.to_str().unwrap().into()
    }

    /// What a C program sees: the entries of the list at `head`, by plain loads.
    pub(crate) fn entries(head: &Head) -> Vec<String> {
        let mut at: *const *const c_char = head.load().cast();
        let mut found = Vec::new();
        // SAFETY: the tests' lists are proper ones.
        unsafe {
            while !at.is_null() && !(*at).is_null() {
                found.push(text(*at));
                at = at.add(1);
            }
        }
        found
    }

    /// `environ[i] = entry`
    pub(crate) fn store_at(head: &Head, i: usize, entry: Option<&'static CStr>) {
        // SAFETY: the tests pass places inside the list.
        unsafe { &*head.load().add(i) }
            .0
            .store(entry.map_or(ptr::null_mut(), |entry| entry.as_ptr().cast_mut()), Ordering::Relaxed);
    }

    /// A list of a program's own; never freed.
    pub(crate) fn foreign(entries: &[&CStr]) -> *const Slot {
        let entries = entries.iter().map(|&entry| entry.to_owned().into_raw());
        let slots: Vec<*mut c_char> = entries.chain([ptr::null_mut()]).collect();
        slots.leak().as_ptr().cast()
    }

    /// A published list of `entries` in an array of `capacity` slots.
    fn published(head: &Head, capacity: usize, entries: &[&'static CStr]) -> Editor<'static> {
        // SAFETY: the tests are single threads, which stands for the lock; `head` outlives the editor in each.
        let head: &'static Head = unsafe { &*ptr::from_ref(head) };
        // SAFETY: as above.
        let mut list = unsafe { Editor::private(head, array(capacity)) };
        for entry in entries.iter().rev() {
            list.add(entry.as_ptr().cast_mut(), None).unwrap();
        }
        list.publish(head.load()).unwrap();
        list
    }

    fn slot_of(list: &Editor<'_>, name: &str) -> *const Slot {
        list.find(ptr::null(), |entry| text(entry).starts_with(name)).unwrap()
    }

    #[test]
    fn an_array_describes_itself() {
        let header = size_of::<Array>();
        assert_eq!(Array::bytes(4, Kind::Owned), Some(header + 4 * 8));
        assert_eq!(Array::bytes(16, Kind::Process), Some(header + 16 * (2 + 8 + 8 + 8 + 2)));
        for kind in [Kind::Owned, Kind::Process] {
            assert_eq!(Array::bytes(usize::MAX / 8, kind), None);
            assert_eq!(Array::bytes(usize::MAX, kind), None);
        }
        assert_eq!(Array::bytes(usize::MAX / 24, Kind::Process), None);
        let array = array(4);
        assert_eq!(array.capacity(), 4);
        let (base, last) = (array.base(), array.last());
        assert_eq!(base.addr(), ptr::from_ref(array).addr() + header);
        assert_eq!(last.addr(), base.addr() + 3 * size_of::<usize>());
        assert!(array.holds(base) && array.holds(last) && array.holds(base.wrapping_add(1)));
        assert!(!array.holds(base.wrapping_sub(1)) && !array.holds(last.wrapping_add(1)));
        assert!(!array.holds(base.wrapping_byte_add(4)) && !array.holds(ptr::null()));
    }

    /// An index that a program counted before entries were removed meets null, not what lies behind the array.
    #[test]
    fn nulls_follow_the_array() {
        let bytes = Array::bytes(16, Kind::Process).unwrap();
        let layout = Layout::from_size_align(bytes, align_of::<Array>()).unwrap();
        // SAFETY: fresh zeroed memory of that size and alignment.
        let array = unsafe { Array::place(NonNull::new(alloc_zeroed(layout)).unwrap(), 16, Kind::Process) };
        let mut at = array.last();
        for _ in 0..16 {
            // SAFETY: L7.
            assert!(unsafe { &*at }.own().is_null());
            at = at.wrapping_add(1);
        }
        let rests = ptr::from_ref(array).addr() + bytes - 16 * size_of::<u16>();
        assert_eq!((at.wrapping_add(1).addr(), array.rests.addr()), (rests, rests));
    }

    /// No slot below the head names an entry that has left the list, whichever move unlinked it (L6).
    #[test]
    fn what_left_the_list_is_not_below_the_head() {
        let head = Head::new();
        let mut list = published(&head, 8, &[c"A=1", c"B=1", c"C=1"]);
        let below = |list: &Editor<'_>| -> Vec<String> {
            let (first, base) = (list.room(), list.array.base());
            // SAFETY: slots of the array.
            let entries = (0..first).map(|i| unsafe { &*base.add(i) }.own());
            entries.filter(|entry| !entry.is_null()).map(|entry| text(entry)).collect()
        };
        list.remove(slot_of(&list, "B")).unwrap(); // A moves up, its copy stays below
        assert_eq!(below(&list), ["A=1"]);
        list.replace(slot_of(&list, "A"), c"A=2".as_ptr().cast_mut(), None);
        assert_eq!(below(&list), ["A=2"]);
        list.remove(slot_of(&list, "A")).unwrap();
        assert_eq!(below(&list), ["C=1", "C=1"]);
        list.remove(slot_of(&list, "C")).unwrap();
        assert_eq!(below(&list), [] as [&str; 0]);
        list.add(c"D=1".as_ptr().cast_mut(), None).unwrap();
        list.clear().unwrap();
        list.forget();
        assert_eq!(below(&list), [] as [&str; 0]);
    }

    #[test]
    fn adds_go_in_front_until_the_array_is_full() {
        let head = Head::new();
        let mut list = published(&head, 4, &[]);
        assert_eq!((list.room(), entries(&head).len()), (3, 0));
        for (room, entry) in [(2, c"A=1"), (1, c"B=1"), (0, c"C=1")] {
            list.add(entry.as_ptr().cast_mut(), None).unwrap();
            assert_eq!(list.room(), room);
        }
        assert_eq!(entries(&head), ["C=1", "B=1", "A=1"]);
        assert!(list.is_live());
    }

    #[test]
    fn a_remove_moves_the_first_entry_into_the_gap() {
        for (victim, left) in
            [("A", ["B=1", "C=1"].as_slice()), ("B", &["A=1", "C=1"]), ("C", &["B=1", "A=1"])]
        {
            let head = Head::new();
            let mut list = published(&head, 4, &[c"A=1", c"B=1", c"C=1"]);
            let slot = slot_of(&list, victim);
            assert_eq!(text(list.remove(slot).unwrap()), std::format!("{victim}=1"));
            assert_eq!((entries(&head).as_slice(), list.room()), (left.map_strings().as_slice(), 1));
        }
    }

    trait MapStrings {
        fn map_strings(&self) -> Vec<String>;
    }

    impl MapStrings for [&str] {
        fn map_strings(&self) -> Vec<String> {
            self.iter().map(|&s| s.into()).collect()
        }
    }

    #[test]
    fn a_replace_gives_the_old_entry() {
        let head = Head::new();
        let mut list = published(&head, 4, &[c"A=1", c"B=1"]);
        let slot = slot_of(&list, "B");
        assert_eq!(text(list.replace(slot, c"B=2".as_ptr().cast_mut(), None)), "B=1");
        assert_eq!(entries(&head), ["A=1", "B=2"]);
    }

    #[test]
    fn find_starts_behind_the_slot_it_is_given() {
        let head = Head::new();
        let list = published(&head, 4, &[c"A=1", c"A=2", c"B=1"]);
        let is_a = |entry| text(entry).starts_with('A');
        let first = list.find(ptr::null(), is_a).unwrap();
        assert_eq!(first, head.load());
        let second = list.find(first, is_a).unwrap();
        assert_eq!(second, head.load().wrapping_add(1));
        assert_eq!(list.find(second, is_a), None);
    }

    #[test]
    fn growth_keeps_the_order_and_the_old_array() {
        let head = Head::new();
        let mut list = published(&head, 3, &[c"A=1", c"B=1"]);
        let old = head.load();
        let fresh = array(6);
        list.grow(fresh, c"C=1".as_ptr().cast_mut(), None).unwrap();
        assert_eq!(entries(&head), ["C=1", "A=1", "B=1"]);
        assert!(fresh.holds(head.load()) && ptr::eq(list.array(), fresh) && list.is_live());
        assert_eq!((list.room(), head.load()), (2, fresh.last().wrapping_sub(3)));
        let stale = Head::new();
        // SAFETY: the old array is never freed.
        unsafe { stale.assign(old) };
        assert_eq!(entries(&stale), ["A=1", "B=1"]);
        list.add(c"D=1".as_ptr().cast_mut(), None).unwrap();
        assert_eq!(entries(&head), ["D=1", "C=1", "A=1", "B=1"]);
    }

    #[test]
    fn compaction_closes_an_early_end() {
        for (cut, left, room) in
            [(0, [].as_slice(), 3), (1, &["A=1"], 2), (2, &["A=1", "B=1"], 1), (3, &["A=1", "B=1", "C=1"], 0)]
        {
            let head = Head::new();
            let mut list = published(&head, 4, &[c"A=1", c"B=1", c"C=1"]);
            store_at(&head, cut, None);
            assert_eq!(list.compact().unwrap(), cut < 3);
            assert_eq!((entries(&head), list.room()), (left.map_strings(), room));
            assert!(!list.compact().unwrap());
        }
    }

    #[test]
    fn clear_leaves_the_last_slot() {
        let head = Head::new();
        let mut list = published(&head, 4, &[c"A=1", c"B=1"]);
        list.clear().unwrap();
        assert_eq!((entries(&head).len(), list.room(), head.load()), (0, 3, list.array().last()));
    }

    #[test]
    fn an_assignment_is_never_overwritten() {
        let head = Head::new();
        let mut list = published(&head, 4, &[c"A=1"]);
        let array = list.array();
        let theirs = foreign(&[c"X=1"]);
        // SAFETY: a proper list that is never freed.
        unsafe { head.assign(theirs) };
        assert!(!list.is_live());
        assert_eq!(list.add(c"B=1".as_ptr().cast_mut(), None), Err(Moved));
        assert_eq!(list.remove(slot_of(&list, "A")), Err(Moved));
        assert_eq!(list.clear(), Err(Moved));
        assert_eq!(entries(&head), ["X=1"]);
        // SAFETY: single-threaded.
        assert!(unsafe { Editor::live(&head, array) }.is_none());
        // SAFETY: as above.
        let mut private = unsafe { Editor::private(&head, array) };
        assert_eq!(private.publish(array.last()), Err(Moved));
        private.add(c"C=1".as_ptr().cast_mut(), None).unwrap();
        assert_eq!(entries(&head), ["X=1"]);
        private.publish(theirs).unwrap();
        assert_eq!(entries(&head), ["C=1", "A=1"]);
        assert!(private.is_live());
    }

    #[test]
    fn a_head_moved_within_the_array_is_the_list() {
        let head = Head::new();
        let array = published(&head, 4, &[c"A=1", c"B=1"]).array();
        // SAFETY: `environ++`: still a proper list.
        unsafe { head.assign(head.load().add(1)) };
        // SAFETY: single-threaded.
        let mut list = unsafe { Editor::live(&head, array) }.unwrap();
        assert_eq!(list.room(), 2);
        list.add(c"C=1".as_ptr().cast_mut(), None).unwrap();
        assert_eq!(entries(&head), ["C=1", "B=1"]);
    }

    #[test]
    fn get_finds_the_first_of_a_name() {
        let head = Head::new();
        // SAFETY: proper lists throughout.
        let get = |name: &str| unsafe { head.get(name.as_bytes()) }.map(text);
        assert_eq!(get("A"), None);
        // SAFETY: as above.
        unsafe { head.assign(foreign(&[c"B=1", c"A=1", c"JUNK", c"", c"A=2", c"=x"])) };
        assert_eq!(get("A").as_deref(), Some("1"));
        assert_eq!(get("B").as_deref(), Some("1"));
        assert_eq!((get("JUNK"), get(""), get("C")), (None, None, None));
    }
}
