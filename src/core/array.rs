//! One array: a header that describes it, what is known of each slot, and the slots.
//!
//! ```text
//! base                 first                  end                       last        padding
//!  | room below ...    | e0 | e1 | ... | e(n-1) | NULL | room above ...  | NULL       | NULL ... NULL |
//! ```
//!
//! An array of ours has slots of its own. The list that the kernel made gets a header and notes, too, once it is changed: its slots stay
//! where they are, and there is no room around them.
//!
//! # Invariants
//! - A1: an array describes itself; no word elsewhere needs to agree with it. So who finds its address can use it, unless a change of it
//!   was broken off ([`Hints::is_at_rest`]).
//! - A2: what is below `first` and not below `lowest` has been in a list. Of these slots, some hold a copy that a move left there: a
//!   [`Left`](State::Left) one of an entry that is live elsewhere, a [`Free`](State::Free) or [`Idle`](State::Idle) one of the stand-in.
//! - A3: what is below `lowest` was in no list since the array was written.

use crate::hints::{self, Change, Hint, Hints, RESTS};
use crate::machine::GROUP;
use crate::slot::{Slot, own_slots};
use crate::sync::{self, AtomicPtr, AtomicU16};
use core::cell::Cell;
use core::ffi::c_char;
use core::ops::Range;
use core::ptr::{self, NonNull};

/// See the module text. Everything in cells: only under the update lock.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Array {
    /// What readers and writers know of the slots, besides what is in them.
    hints: Hints,
    /// For each slot, the bits of the hash of its name that are not in the tag, and its [`State`].
    rests: *const Cell<u16>,
    /// Slots, terminator included.
    capacity: usize,
    /// False for the kernel's slots.
    ours: bool,
    /// True if the list in it was left because the program assigned `environ`: it may come back.
    pub(crate) assigned_away: Cell<bool>,
    /// When it was live last: larger is later. 0: never.
    pub(crate) live_at: Cell<usize>,
    /// How many changes had been made when its list moved on last: see `same`.
    pub(crate) left_at: Cell<usize>,
    /// Where the list in this array starts, as far as we moved it.
    pub(crate) first: Cell<*const Slot>,
    /// Slots that hold an entry which is fixed, and one which is not, but for what the program stored.
    held: Cell<[usize; 2]>,
    /// True if a name may be in the list twice, though the program stored neither entry.
    pub(crate) may_repeat: Cell<bool>,
    /// Where the list ended when that was last asked.
    end: Cell<*const Slot>,
    /// The lowest slot that was ever used.
    pub(crate) lowest: Cell<*const Slot>,
    /// How many slots below the first are `Left`.
    pub(crate) left: Cell<usize>,
    /// The entry that all `Free` and `Idle` slots hold, a live one, or null if the list is empty; and what is known of it.
    pub(crate) stand_in: Cell<(*mut c_char, Option<Hint>)>,
}

/// What a slot below the first is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// As the program left it, or in the list.
    Plain,
    /// A live entry left it: it keeps that name as long as it is set.
    Left,
    /// The name that it held is no longer set; it holds the stand-in.
    Free,
    /// As `Free`, since before the array became live: whoever was in that slot has left long ago.
    Idle,
}

impl State {
    const LEFT: u16 = 1 << RESTS.count_ones();
    const FREE: u16 = State::LEFT << 1;
    const BITS: u16 = State::LEFT | State::FREE;
}

/// What lies behind the header, in bytes from its start.
struct Layout {
    shadows: usize,
    slots: usize,
    rests: usize,
    end: usize,
}

impl Layout {
    const TAGS: usize = size_of::<Array>();

    /// For `count` slots, a multiple of [`GROUP`]; `None` if no address space could hold it.
    fn of(count: usize, ours: bool) -> Option<Layout> {
        let after = |start: usize, size: usize, times: usize| {
            start.checked_add(count.checked_mul(size)?.checked_mul(times)?)
        };
        let shadows = after(Layout::TAGS, size_of::<AtomicU16>(), 1)?;
        let slots = after(shadows, size_of::<AtomicPtr<c_char>>(), 1)?;
        // Under loom, slots are not memory to count in.
        let times = if cfg!(loom) { 1 } else { 2 };
        let rests = after(slots, size_of::<Slot>(), if ours { times } else { 0 })?;
        Some(Layout { shadows, slots, rests, end: after(rests, size_of::<Cell<u16>>(), 1)? })
    }
}

/// Which of [`Array::held`] counts an entry.
pub(crate) fn kind(entry: *mut c_char, hint: Option<Hint>) -> Option<usize> {
    (!entry.is_null()).then(|| usize::from(!hint.is_some_and(|hint| hint.fixed)))
}

/// Slots for so many, in whole groups.
fn grouped(slots: usize) -> Option<usize> {
    slots.checked_next_multiple_of(GROUP)
}

impl Array {
    /// Bytes of an array for `capacity` slots, or `None` if no address space could hold it.
    pub(crate) fn bytes(capacity: usize, ours: bool) -> Option<usize> {
        Some(Layout::of(grouped(capacity)?, ours)?.end)
    }

    /// Makes an array of `capacity` slots or a few more, holding an empty list, in fresh memory.
    ///
    /// # Safety
    /// - `at` is zeroed memory of `bytes(capacity, true)` bytes, aligned for an `Array`, and nobody else's; `capacity` is not 0;
    ///   `limit` is as for [`Hints::new`].
    pub(crate) unsafe fn place<'a>(at: NonNull<u8>, capacity: usize, limit: usize) -> &'a Array {
        let count = capacity.next_multiple_of(GROUP);
        // SAFETY: the caller's promise: all of it fits.
        unsafe {
            let slots: NonNull<Slot> =
                at.add(Layout::of(count, true).map_or(0, |layout| layout.slots)).cast();
            sync::place(slots.as_ptr(), count, Slot::new);
            Array::describe(at, slots, count, true, limit)
        }
    }

    /// Makes a header for the kernel's list of `len` entries at `slots`, which holds that list, in fresh memory. Nothing is noted yet.
    ///
    /// # Safety
    /// - `at` is zeroed memory of `bytes(len + 1, false)` bytes, aligned for an `Array`, and nobody else's;
    /// - `slots` are those of the list, and whole groups from there on are readable for ever; `limit` is as for [`Hints::new`].
    pub(crate) unsafe fn over<'a>(
        at: NonNull<u8>,
        slots: NonNull<Slot>,
        len: usize,
        limit: usize,
    ) -> &'a Array {
        // SAFETY: the caller's promise.
        let array = unsafe { Array::describe(at, slots, len + 1, false, limit) };
        array.first.set(array.base());
        array.lowest.set(array.base());
        array
    }

    /// # Safety
    /// - as for the two above.
    unsafe fn describe<'a>(
        at: NonNull<u8>,
        slots: NonNull<Slot>,
        capacity: usize,
        ours: bool,
        limit: usize,
    ) -> &'a Array {
        let count = capacity.next_multiple_of(GROUP);
        let layout = Layout::of(count, ours).unwrap_or(Layout { shadows: 0, slots: 0, rests: 0, end: 0 });
        // SAFETY: the callers' promise: all of it fits.
        unsafe {
            let tags: *mut AtomicU16 = at.add(Layout::TAGS).cast().as_ptr();
            let shadows: *mut AtomicPtr<c_char> = at.add(layout.shadows).cast().as_ptr();
            sync::place(tags, count, || AtomicU16::new(0));
            sync::place(shadows, count, || AtomicPtr::new(ptr::null_mut()));
            let last = slots.add(capacity - 1).as_ptr().cast_const();
            let array: NonNull<Array> = at.cast();
            array.write(Array {
                hints: Hints::new(slots, shadows, tags, count, limit),
                rests: at.add(layout.rests).cast().as_ptr(),
                capacity,
                ours,
                assigned_away: Cell::new(false),
                live_at: Cell::new(0),
                left_at: Cell::new(0),
                first: Cell::new(last),
                held: Cell::new([0; 2]),
                may_repeat: Cell::new(!ours),
                end: Cell::new(last),
                lowest: Cell::new(last),
                left: Cell::new(0),
                stand_in: Cell::new((ptr::null_mut(), None)),
            });
            array.as_ref()
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// True if there is room around its slots, now or when it is used again.
    pub(crate) fn is_ours(&self) -> bool {
        self.ours
    }

    pub(crate) fn hints(&self) -> &Hints {
        &self.hints
    }

    pub(crate) fn base(&self) -> *const Slot {
        self.slot(0)
    }

    /// The last slot, null for ever (L1), unless the program writes over it.
    pub(crate) fn last(&self) -> *const Slot {
        self.slot(self.capacity - 1)
    }

    /// True unless the program has written over the last slot, or a change was broken off.
    pub(crate) fn is_sound(&self) -> bool {
        // SAFETY: one of the array's slots.
        unsafe { &*self.last() }.own().is_null() && self.hints.is_at_rest()
    }

    /// Slot `i`.
    pub(crate) fn slot(&self, i: usize) -> &Slot {
        self.hints.slot(i)
    }

    /// The number of a slot of this array.
    pub(crate) fn index(&self, slot: *const Slot) -> usize {
        slot.addr().wrapping_sub(self.base().addr()) / size_of::<Slot>()
    }

    /// True if `slot` is one of this array's.
    pub(crate) fn holds(&self, slot: *const Slot) -> bool {
        self.hints.index(slot).is_some_and(|i| i < self.capacity)
    }

    /// A change begins.
    pub(crate) fn change(&self) -> Change<'_> {
        self.hints.change()
    }

    fn rest(&self, i: usize) -> &Cell<u16> {
        debug_assert!(i < self.capacity);
        // SAFETY: by construction there is one for each slot.
        unsafe { &*self.rests.add(i) }
    }

    /// Notes what is stored into slot `i`: what we know of it later without looking at the entry, whose owner may have freed it since it
    /// left the environment. The slot becomes plain. Under the update lock, during a change.
    pub(crate) fn note(&self, i: usize, entry: *mut c_char, hint: Option<Hint>) {
        self.hints.note(i, entry, hint);
        self.rest(i).set(hint.map_or(0, |hint| hints::rest(hint.hash)));
    }

    /// Stores an entry into slot `i`, with what is known of it.
    pub(crate) fn put(&self, i: usize, entry: *mut c_char, hint: Option<Hint>) {
        self.count_held(self.kind_in(i), kind(entry, hint));
        self.note(i, entry, hint);
        self.slot(i).store(entry);
    }

    /// Notes that this string, whose name has that hash, is not fixed any more, wherever it is here.
    #[cold]
    pub(crate) fn give_back(&self, string: *mut c_char, hash: u32) {
        let hint = Some(Hint { hash, fixed: false });
        let _change = self.change();
        for i in (0..self.capacity()).filter(|&i| self.hints.noted(i, string) == Some(true)) {
            let (kind, state) = (self.kind_in(i), self.state(i));
            self.note(i, string, hint);
            self.mark(i, state);
            self.count_held(kind, self.kind_in(i));
        }
        let (entry, _) = self.stand_in.get();
        if entry == string {
            self.stand_in.set((entry, hint));
        }
    }

    /// Which of `held` counts the entry in slot `i`.
    fn kind_in(&self, i: usize) -> Option<usize> {
        let entry = self.slot(i).own();
        kind(entry, self.noted(i, entry))
    }

    /// Counts all: the entries of the kernel's list, which nobody put there.
    pub(crate) fn count_all(&self) {
        (0..self.capacity()).for_each(|i| self.count_held(None, self.kind_in(i)));
    }

    /// The entry in slot `i` is about to go, and the one in slot `j` to be in two slots for a while.
    pub(crate) fn count_again(&self, i: usize, j: usize) {
        self.count_held(self.kind_in(i), self.kind_in(j));
    }

    fn count_held(&self, less: Option<usize>, more: Option<usize>) {
        if less == more {
            return;
        }
        let mut held = self.held.get();
        less.into_iter().for_each(|kind| held[kind] = held[kind].saturating_sub(1));
        more.into_iter().for_each(|kind| held[kind] += 1);
        self.set_held(held);
    }

    /// So many slots hold an entry of each [`kind`].
    pub(crate) fn set_held(&self, held: [usize; 2]) {
        self.held.set(held);
        self.hints.set_loose(held[1] > held[0]);
    }

    /// What was noted of slot `i`, if it still holds that `entry`: not if the program stored it. Under the update lock.
    pub(crate) fn noted(&self, i: usize, entry: *mut c_char) -> Option<Hint> {
        let fixed = self.hints.noted(i, entry)?;
        let rest = u32::from(self.rest(i).get()) & RESTS;
        Some(Hint { hash: self.hints.noted_hash(i) | rest, fixed })
    }

    /// The hash of the name that was noted of slot `i` last, whatever the program stored there since; `None` if nothing was.
    pub(crate) fn noted_last(&self, i: usize) -> Option<u32> {
        let rest = u32::from(self.rest(i).get()) & RESTS;
        self.hints.noted_last(i).map(|hash| hash | rest)
    }

    /// Where the list that starts at `first` ends: at a null behind an entry, but not at the first one if the program cut the list since that was
    /// asked last.
    pub(crate) fn end(&self) -> usize {
        let (first, end) = (self.index(self.first.get()), self.index(self.end.get()));
        let is_null = |i: usize| self.slot(i).own().is_null();
        if first <= end && is_null(end) && (end == first || !is_null(end - 1)) {
            return end;
        }
        self.count()
    }

    /// Where it does end.
    pub(crate) fn count(&self) -> usize {
        let first = self.index(self.first.get());
        let is_null = |i: usize| self.slot(i).own().is_null();
        let end = (first..self.capacity()).find(|&i| is_null(i)).unwrap_or(self.capacity() - 1);
        self.end.set(self.slot(end));
        end
    }

    /// True if slot `i` holds what was noted of it, and that is fixed; and if slot `j` of the other array holds the same, and this was noted
    /// there, too.
    #[inline(always)]
    pub(crate) fn agrees(&self, i: usize, other: &Array, j: usize) -> (bool, bool) {
        let (entry, theirs) = (self.slot(i).own(), other.slot(j).own());
        let fixed = self.hints.noted(i, entry) == Some(true);
        // An owner's string may have had another name there.
        let alike = || fixed || self.noted(i, entry) == other.noted(j, theirs);
        let same = entry == theirs && self.hints.agrees(i, &other.hints, j) && alike();
        (fixed, same)
    }

    /// True if slot `i` holds what was noted of it, and that is fixed.
    pub(crate) fn is_noted(&self, i: usize) -> bool {
        self.hints.noted(i, self.slot(i).own()) == Some(true)
    }

    /// What slot `i` is.
    pub(crate) fn state(&self, i: usize) -> State {
        match self.rest(i).get() & State::BITS {
            State::BITS => State::Idle,
            State::FREE => State::Free,
            State::LEFT => State::Left,
            _ => State::Plain,
        }
    }

    /// Says what slot `i` is now.
    pub(crate) fn mark(&self, i: usize, state: State) {
        let rest = self.rest(i).get() & RESTS as u16;
        self.rest(i).set(match state {
            State::Plain => rest,
            State::Left => rest | State::LEFT,
            State::Free => rest | State::FREE,
            State::Idle => rest | State::BITS,
        });
    }

    /// Moves the notes of these slots up by one, with one thread. Their entries were moved before. During a change.
    pub(crate) fn shift_up(&self, slots: Range<usize>) {
        for i in slots.clone().rev() {
            self.rest(i + 1).set(self.rest(i).get());
        }
        self.hints.shift_up(slots);
    }

    /// True if slot `i` holds the copy that a move left there: it is not the program's doing.
    pub(crate) fn is_copy(&self, i: usize) -> bool {
        let entry = self.slot(i).own();
        match self.state(i) {
            State::Plain => false,
            State::Left => self.noted(i, entry).is_some(),
            State::Free | State::Idle => entry == self.stand_in.get().0 && !entry.is_null(),
        }
    }

    /// True if all slots from `first` on are copies of what is in the list at `left`: few different ones, or nobody looks.
    pub(crate) fn is_copied(&self, first: *const Slot, left: *const Slot) -> bool {
        const FEW: usize = 64;
        let (mut before, mut different) = (ptr::null_mut(), 0);
        (self.index(first)..self.index(left)).all(|i| {
            let entry = self.slot(i).own();
            if self.is_copy(i) && entry == before {
                return true;
            }
            (before, different) = (entry, different + 1);
            // SAFETY: a list in this array.
            let listed = || unsafe { own_slots(left) }.any(|(_, listed)| listed == entry);
            self.is_copy(i) && different <= FEW && listed()
        })
    }

    /// The slots that are below the list and were in it.
    pub(crate) fn below(&self) -> Range<usize> {
        self.index(self.lowest.get())..self.index(self.first.get())
    }
}

const _: () = assert!(RESTS.count_ones() + 2 <= u16::BITS);

#[cfg(all(test, not(loom)))]
pub(crate) mod tests;
