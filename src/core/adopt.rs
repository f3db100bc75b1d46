//! Bringing a list into an array of ours: the kernel's, one that the program assigned to `environ`, or our own when it moves on.
//!
//! What the list is to be is collected first, as a [`Plan`]: the first entry of each name, in order, with what is known of it. What a batch
//! changes is changed there. Then an array is made to hold it: written, if no reader can be in it, otherwise *edited* by the ordinary moves of
//! [`list`](crate::list), so that a reader who came into that array long ago finds every variable that both lists have. Both are linear:
//! one table of names, keyed so that nobody can choose names that collide (T1), and no loop over pairs.
//!
//! The list itself is only read: it may be constant, on a stack, or freed later.
//!
//! What is known of a string travels with it. A string of which nothing is known is the program's, unless it is surely one of ours
//! ([`Strings::made`]): where it lies does not tell whose it is.

use crate::array::Array;
use crate::arrays::Arrays;
use crate::entry::{self, Key};
use crate::error::Stop;
use crate::hints::Hint;
use crate::inherited::Inherited;
use crate::keep::Strings;
use crate::list::{Editor, Moves};
use crate::slot::{Head, Slot, slots};
use crate::sync::{self, AtomicPtr, Ordering, const_new};
use crate::text::{HASH, Keyed};
use core::cell::Cell;
use core::ffi::c_char;
use core::ptr::{self, NonNull};

/// Memory for one plan after the other; null at first. Only under the update lock.
#[derive(Debug)]
pub(crate) struct Scratch(AtomicPtr<Room>);

/// The header of that memory: so many entries fit.
#[repr(C)]
struct Room {
    len: usize,
}

const_new! {
    Scratch,
    pub(crate) fn new() -> Scratch {
        Scratch(AtomicPtr::new(ptr::null_mut()))
    }
}

impl Scratch {
    /// Forgets it. In a child that was forked in the middle of a change.
    pub(crate) fn forget(&self) {
        // Relaxed: only the lock's holders use it.
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// An empty plan with room for `len` entries. The memory of the one before is used again.
    fn plan(&self, strings: &Strings, len: usize, keys: Keyed) -> Result<Plan<'_>, Stop> {
        const LEAST: usize = 64;
        let bytes = |len: usize| {
            // An entry, its mark, and two places of the table.
            let each = size_of::<*mut c_char>() + 3 * size_of::<u32>();
            len.checked_mul(each)?.checked_add(size_of::<Room>())
        };
        // SAFETY: null or a room of ours, which stays.
        let old = unsafe { sync::own(&self.0).as_ref() };
        let room = match old.filter(|old| old.len >= len) {
            Some(old) => old,
            None => {
                let len = len.max(LEAST).checked_next_power_of_two().ok_or(Stop::Memory(usize::MAX))?;
                let bytes = bytes(len).ok_or(Stop::Memory(usize::MAX))?;
                let fresh: NonNull<Room> = strings.take(bytes, align_of::<Room>())?.cast();
                // SAFETY: K1: fresh and large enough.
                unsafe { fresh.write(Room { len }) };
                // Relaxed: only the lock's holders use it.
                self.0.store(fresh.as_ptr(), Ordering::Relaxed);
                // SAFETY: just written.
                unsafe { fresh.as_ref() }
            }
        };
        let places = (2 * len.max(4)).next_power_of_two().min(2 * room.len);
        let start = ptr::from_ref(room).addr() + size_of::<Room>();
        // SAFETY: by construction `room.len` entries, as many marks and twice as many places follow, in memory that `take` exposed; only
        // the update lock's holder touches them.
        let plan = unsafe {
            let entries: *const Cell<*mut c_char> = ptr::with_exposed_provenance(start);
            let marks: *const Cell<u32> = entries.add(room.len).cast();
            Plan {
                keys,
                entries: core::slice::from_raw_parts(entries, room.len),
                marks: core::slice::from_raw_parts(marks, room.len),
                table: core::slice::from_raw_parts(marks.add(room.len), places),
                len: 0,
            }
        };
        plan.table.iter().for_each(|place| place.set(0));
        Ok(plan)
    }
}

/// What a list is to be: entries in their order, each name once.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    keys: Keyed,
    /// Null where one was removed.
    entries: &'a [Cell<*mut c_char>],
    /// The hash of each one's name, [`FIXED`] and [`SEATED`].
    marks: &'a [Cell<u32>],
    /// Open addressing: the number of an entry, and 1; or 0.
    table: &'a [Cell<u32>],
    len: usize,
}

/// The entry is fixed (H1).
const FIXED: u32 = 1 << 30;
/// The entry is in the array that is being edited.
const SEATED: u32 = 1 << 31;
const _: () = assert!(HASH < FIXED);

impl Plan<'_> {
    /// Entries.
    pub(crate) fn len(&self) -> usize {
        (0..self.len).filter(|&i| !self.entries[i].get().is_null()).count()
    }

    /// The numbers of the entries whose name may have this hash.
    fn alike(&self, hash: u32) -> impl Iterator<Item = usize> {
        let mask = self.table.len() - 1;
        let places = (hash as usize..).map(move |i| self.table[i & mask].get());
        let numbers = places.take_while(|&number| number != 0).map(|number| number as usize - 1);
        numbers.filter(move |&i| self.marks[i].get() & HASH == hash)
    }

    /// The number of the entry with this name.
    pub(crate) fn find(&self, key: Key<'_>) -> Option<usize> {
        self.alike(key.hash).find(|&i| {
            let entry = self.entries[i].get();
            // SAFETY: L2, L4: an entry of the list.
            !entry.is_null() && unsafe { key.value_in(entry) }.is_some()
        })
    }

    /// Appends an entry, for which there is room.
    pub(crate) fn push(&mut self, entry: *mut c_char, hint: Hint) {
        let i = self.len;
        self.len += 1;
        self.set(i, entry, hint);
        let mask = self.table.len() - 1;
        let place = (hint.hash as usize..).map(|i| i & mask).find(|&i| self.table[i].get() == 0);
        // There always is one: the table has twice as many places as there are entries.
        if let Some(place) = place {
            self.table[place].set(i as u32 + 1);
        }
    }

    /// Gives entry `i` another string of the same name.
    pub(crate) fn set(&mut self, i: usize, entry: *mut c_char, hint: Hint) {
        self.entries[i].set(entry);
        self.marks[i].set(hint.hash | if hint.fixed { FIXED } else { 0 });
    }

    /// Entry `i`.
    pub(crate) fn get(&self, i: usize) -> (*mut c_char, Hint) {
        let mark = self.marks[i].get();
        (self.entries[i].get(), Hint { hash: mark & HASH, fixed: mark & FIXED != 0 })
    }

    /// Removes entry `i`.
    pub(crate) fn remove(&mut self, i: usize) {
        self.entries[i].set(ptr::null_mut());
    }

    /// All entries, in order.
    pub(crate) fn list(&self) -> impl DoubleEndedIterator<Item = (*mut c_char, Option<Hint>)> {
        let all = (0..self.len).map(|i| self.get(i)).filter(|(entry, _)| !entry.is_null());
        all.map(|(entry, hint)| (entry, Some(hint)))
    }

    /// Adds an entry of the list that is collected, unless it or one of that name is there.
    fn collect(&mut self, entry: *mut c_char, known: Option<Hint>) {
        // A string that its owner may have renamed is looked at; and of one without a name, only the address counts.
        let hint = known.filter(|hint| hint.fixed).unwrap_or_else(|| {
            // SAFETY: L2, L4: an entry of the list.
            let key = unsafe { Key::of(entry, self.keys) };
            let hash = key.map_or_else(|| self.keys.hash_number(entry.addr()), |key| key.hash);
            Hint { hash, fixed: false }
        });
        let twin = self.alike(hint.hash).any(|i| {
            // SAFETY: as above.
            unsafe { entry::same_name(self.entries[i].get(), entry) }
        });
        if !twin {
            self.push(entry, hint);
        }
    }

    /// It is known that `entry` is fixed, if it is one of these.
    fn learn(&self, entry: *mut c_char, hash: u32) {
        for i in self.alike(hash).filter(|&i| ptr::eq(self.entries[i].get(), entry)) {
            self.marks[i].set(self.marks[i].get() | FIXED);
        }
    }

    /// The entry that is to be where `entry` is, in the array that is being edited; what was noted of that is `hint`. It may have been
    /// freed, and is not looked at unless it is fixed: otherwise the hash decides. (Two names with one hash: it is as good a place as any.)
    fn seat(&self, entry: *mut c_char, hint: Hint) -> Option<usize> {
        let free = |&i: &usize| self.marks[i].get() & SEATED == 0 && !self.entries[i].get().is_null();
        let same = |&i: &usize| {
            let theirs = self.entries[i].get();
            // SAFETY: an entry of the list, and one that stays.
            entry == theirs || !hint.fixed || unsafe { entry::same_name(entry, theirs) }
        };
        let i = self.alike(hint.hash).filter(free).find(same)?;
        self.marks[i].set(self.marks[i].get() | SEATED);
        Some(i)
    }
}

/// What a list is collected from and brought into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means<'a> {
    pub(crate) inherited: &'a Inherited,
    pub(crate) strings: &'a Strings,
    pub(crate) arrays: &'a Arrays,
    pub(crate) scratch: &'a Scratch,
}

impl<'a> Means<'a> {
    /// The list that starts at `first`: in `array`, or the program's. With room for `more` entries.
    ///
    /// # Safety
    /// - `first` is null or points into a proper list, which stays; under the update lock.
    pub(crate) unsafe fn collect(
        self,
        first: *const Slot,
        array: Option<&Array>,
        more: usize,
    ) -> Result<Plan<'a>, Stop> {
        // SAFETY: the caller's promise.
        unsafe { self.collect_but(first, array, more, None) }
    }

    /// The same without what is in another array already.
    ///
    /// # Safety
    /// - as there.
    #[inline(never)]
    unsafe fn collect_but(
        self,
        first: *const Slot,
        array: Option<&Array>,
        more: usize,
        same: Option<Same<'_>>,
    ) -> Result<Plan<'a>, Stop> {
        let keys = self.inherited.keys.get();
        // SAFETY: the caller's promise.
        let len = same.map_or_else(|| unsafe { slots(first) }.count(), |same| same.different);
        let room = len.checked_add(more).filter(|&room| room < u32::MAX as usize / 2);
        let mut plan = self.scratch.plan(self.strings, room.ok_or(Stop::Memory(usize::MAX))?, keys)?;
        // SAFETY: as above.
        let list = unsafe { slots(first) };
        let differs = |slot| same.is_none_or(|same| !same.holds(same.from.index(slot)));
        // Not more than were counted: the program's list may be growing.
        for (slot, entry) in list.filter(|&(slot, _)| differs(slot)).take(len) {
            let ours = array.filter(|array| array.holds(slot)).map(|array| (array, array.index(slot)));
            // A head that the program put back: copies that moves left below the list are not entries.
            if ours.is_some_and(|(array, i)| slot < array.first.get() && array.is_copy(i)) {
                continue;
            }
            plan.collect(entry, ours.and_then(|(array, i)| array.noted(i, entry)));
        }
        if array.is_none() {
            self.learn(&plan);
        }
        Ok(plan)
    }

    /// Finds out which entries of the program's list are known.
    fn learn(self, plan: &Plan<'_>) {
        for i in 0..plan.len {
            let (entry, hint) = plan.get(i);
            // SAFETY: L2, L4: an entry of the list.
            if unsafe { self.strings.made(entry, plan.keys) } {
                plan.learn(entry, hint.hash);
            }
        }
        // What was the environment before; and what the kernel gave, unless some of that was given to `putenv` since.
        let kernel = self.arrays.kernel().filter(|_| !self.strings.some_were_put());
        for array in self.arrays.latest().into_iter().chain(kernel) {
            for i in 0..array.capacity() {
                let entry = array.slot(i).own();
                match array.noted(i, entry) {
                    Some(hint) if hint.fixed && !entry.is_null() => plan.learn(entry, hint.hash),
                    _ => {}
                }
            }
        }
        for entry in self.inherited.built().filter(|_| !self.strings.some_were_put()) {
            // SAFETY: one of the kernel's strings: it stays.
            if let Some(key) = unsafe { Key::of(entry, plan.keys) } {
                plan.learn(entry, key.hash);
            }
        }
    }

    /// The list from `first` to `end` in `array`, one of ours, brought into another array, and not yet published there: as [`bring`](Self::bring), but
    /// where both arrays hold the same, nothing is done.
    ///
    /// # Safety
    /// - the list in `array` starts and ends there; under the update lock.
    #[inline(never)]
    pub(crate) unsafe fn move_on(
        self,
        head: &'a Head,
        array: &Array,
        (first, end): (*const Slot, *const Slot),
        moves: Moves,
        adding: bool,
    ) -> Result<Editor<'a>, Stop> {
        let len = array.index(end) - array.index(first);
        let mut next = self.next(len, moves, false)?;
        let edited = moves != Moves::Alone && next.live_at.get() != 0;
        let same = if edited { Same::between(array, first, len, next) } else { None };
        if edited && same.is_none() {
            next = self.next(len, moves, true)?;
        }
        if same.is_some_and(|same| same.is_all) {
            // SAFETY: the lock is held; the head does not point into `next`, which is not the live one.
            let list = unsafe { Editor::private(head, next, moves) };
            list.tidy(4 * FEW);
            list.settle(adding);
            return Ok(list);
        }
        // SAFETY: the caller's promise.
        let plan = unsafe { self.collect_but(first, Some(array), 0, same) }?;
        self.fill(head, next, &plan, same, moves, adding)
    }

    /// An array for a list of `len` entries and one more. With `exact`, the program may have cut the list that is in it.
    fn next(self, len: usize, moves: Moves, exact: bool) -> Result<&'a Array, Stop> {
        let fits = |array: &Array| {
            let end = if exact { array.count() } else { array.end() };
            moves == Moves::Alone || end > len
        };
        self.arrays.next(self.strings, || self.inherited.limit(), len, fits)
    }

    /// An array that holds the plan, private as yet, with room for one entry more; one that would hold `least`, too (L7: a program that has
    /// counted the list before goes on to count). `adding`: the next change, once it is live, is an addition.
    #[inline(never)]
    pub(crate) fn bring(
        self,
        head: &'a Head,
        plan: &Plan<'_>,
        least: usize,
        moves: Moves,
        adding: bool,
    ) -> Result<Editor<'a>, Stop> {
        let next = self.next(plan.len().max(least), moves, true)?;
        self.fill(head, next, plan, None, moves, adding)
    }

    /// Makes the list in `array` the planned one; of `same`, if there is one, the plan holds what differs.
    fn fill(
        self,
        head: &'a Head,
        array: &'a Array,
        plan: &Plan<'_>,
        same: Option<Same<'_>>,
        moves: Moves,
        adding: bool,
    ) -> Result<Editor<'a>, Stop> {
        let written = moves == Moves::Alone || array.live_at.get() == 0;
        // SAFETY: the lock is held; the head does not point into `array`, which is not the live one.
        let mut list = unsafe { Editor::private(head, array, moves) };
        if written {
            list.write(plan.len(), plan.list());
        } else {
            edit(&mut list, plan, same, adding)?;
        }
        list.take_up(moves);
        Ok(list)
    }
}

/// A list that moves on, and the one in the array that it moves to, laid end to end: there they mostly hold the same, slot by slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Same<'a> {
    from: &'a Array,
    to: &'a Array,
    /// The first slot of the list that moves on.
    first: usize,
    /// The first slot of the other one, and its end.
    start: usize,
    end: usize,
    /// Slots by which the list lies higher in `from` than in `to`, wrapping.
    shift: usize,
    /// Entries of the list that the other one does not hold at their place.
    different: usize,
    /// True if that one holds nothing else.
    is_all: bool,
}

impl<'a> Same<'a> {
    /// Compares the list of `len` entries at `first` in `from` with the one in `to`. `None` if something in it is not known to stay (what the
    /// program stored may have the name of an entry that both have), or the program cut the other one.
    fn between(from: &'a Array, first: *const Slot, len: usize, to: &'a Array) -> Option<Same<'a>> {
        let (first, start, end) = (from.index(first), to.index(to.first.get()), to.end());
        if first < from.index(from.first.get()) {
            return None;
        }
        let shift = (first + len).wrapping_sub(end);
        let common = (end - start).min(len);
        let (mut fixed, mut same) = (0, 0);
        for i in first + len - common..first + len {
            let (is_fixed, agrees) = from.agrees(i, to, i.wrapping_sub(shift));
            fixed += usize::from(is_fixed);
            same += usize::from(agrees);
        }
        let is_all = same == len && end - start == len;
        let stays = |i| from.is_noted(i);
        let whole = || (start..end).all(|j| !to.slot(j).own().is_null());
        let known = || fixed == common && (first..first + len - common).all(stays) && whole();
        (is_all || known()).then_some(Same {
            from,
            to,
            first,
            start,
            end,
            shift,
            different: len - same,
            is_all,
        })
    }

    /// True if both lists hold the same entry at the place that is slot `i` in `from`, and know the same of it.
    fn holds(&self, i: usize) -> bool {
        let j = i.wrapping_sub(self.shift);
        i >= self.first && j >= self.start && j < self.end && self.from.agrees(i, self.to, j) == (true, true)
    }
}

/// Changes of an array, up to which an edit cares for readers of every kind in it, as beside them: each may look at what lies below the list.
const FEW: usize = 64;

/// Makes the list in an array the planned one. Readers may still be in it: ordinary moves only, and as few as can be. What both have stays in its
/// slot, so that even a reader that does not go upwards finds it there, however late it is.
/// With `adding`, a slot is kept for the addition that follows, if there is one.
fn edit(list: &mut Editor<'_>, plan: &Plan<'_>, same: Option<Same<'_>>, adding: bool) -> Result<(), Stop> {
    if plan.len() == 0 && same.is_none() {
        list.abandon();
        return Ok(());
    }
    list.tidy(4 * FEW);
    // What both have. What the program itself stored there has no note, and counts as not in the plan.
    let mut going = 0;
    for (slot, entry) in list.slots() {
        if same.is_some_and(|same| same.holds(list.index(slot).wrapping_add(same.shift))) {
            continue;
        }
        let noted = list.noted(slot, entry);
        let Some(i) = noted.and_then(|hint| plan.seat(entry, hint)) else {
            list.mark(slot);
            going += 1;
            continue;
        };
        let (theirs, hint) = plan.get(i);
        if !ptr::eq(entry, theirs) || noted != Some(hint) {
            list.replace(slot, theirs, Some(hint));
        }
    }
    if going > FEW {
        list.take_up(Moves::Apart);
    }
    // What is only in the plan, the last one first, so that what is added below is in order: into the slots of what is not, as long as there
    // are such; that goes. Upwards: what takes the place of what goes was looked at before.
    let missing = (0..plan.len).rev().filter(|&i| plan.marks[i].get() & SEATED == 0);
    let mut missing = missing.map(|i| plan.get(i)).filter(|(entry, _)| !entry.is_null());
    let mut goes = None;
    for (slot, entry) in list.slots() {
        if going == 0 {
            break;
        }
        if !list.unmark(slot) {
            continue;
        }
        going -= 1;
        match missing.next() {
            Some((theirs, hint)) => list.exchange(slot, theirs, hint),
            // The highest one of those that go is kept for last: what fills gaps never reaches it.
            None => goes.replace((slot, entry)).map_or(Ok(()), |(slot, entry)| list.drop(slot, entry))?,
        }
    }
    match goes {
        Some((slot, entry)) if !adding || !list.reserve(slot, entry) => list.drop(slot, entry)?,
        _ => {}
    }
    for (entry, hint) in missing {
        if !list.add(entry, Some(hint), ptr::null())? {
            list.tidy(0);
            if !list.add(entry, Some(hint), ptr::null())? {
                return Err(Stop::Memory(usize::MAX)); // there is room: `Means::next`
            }
        }
    }
    list.settle(adding);
    Ok(())
}
