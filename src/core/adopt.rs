//! Bringing a list into an array of ours: the kernel's, one that the program assigned to `environ`, or our own when it moves on.
//!
//! In a process that never had a second thread the list is *copied* as it is, duplicates and all, as libc copies it; no name is looked at.
//!
//! With threads, and for a batch, what the list is to be is collected first, as a [`Plan`]: the first entry of each name, in order, with what is
//! known of it. What a batch changes is changed there. Then an array is made to hold it: written, if no reader can be in it, otherwise
//! *edited* by the ordinary moves of [`list`](crate::list), so that a reader who came into that array long ago finds every variable that both
//! lists have. A list that moves on from one array to another mostly finds itself there, as it was a few changes ago ([`Same`]): then
//! only what differs is planned and edited. All of it is linear.
//!
//! The list itself is only read: it may be constant, on a stack, or freed later.
//!
//! What is known of a string travels with it. A string of which nothing is known is the program's, unless it is surely one of ours
//! ([`Strings::made`]): where it lies does not tell whose it is.

use crate::array::Array;
use crate::arrays::Arrays;
use crate::entry::Key;
use crate::error::Stop;
use crate::hints::{Hint, Hints};
use crate::inherited::Inherited;
use crate::keep::Strings;
use crate::list::{Editor, Moves};
use crate::plan::{Plan, Scratch};
use crate::same::{Same, Touched};
use crate::slot::{Head, Slot, slots};
use crate::sync;
use crate::text::Keyed;
use core::ffi::c_char;
use core::iter;
use core::ops::Range;
use core::ptr;

/// What a list is collected from and brought into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means<'a> {
    pub(crate) inherited: &'a Inherited,
    pub(crate) strings: &'a Strings,
    pub(crate) arrays: &'a Arrays,
    pub(crate) scratch: &'a Scratch,
    pub(crate) touched: &'a Touched,
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
        same: Option<&Same<'_>>,
    ) -> Result<Plan<'a>, Stop> {
        let keys = self.inherited.keys.get();
        // SAFETY: the caller's promise.
        let len = same.map_or_else(|| unsafe { slots(first) }.count(), |same| same.different);
        let room = len.checked_add(more).filter(|&room| room < u32::MAX as usize / 2);
        let mut plan = self.scratch.plan(self.strings, room.ok_or(Stop::Memory(usize::MAX))?, keys)?;
        // SAFETY: as above.
        let list = unsafe { slots(first) };
        let differs = |slot| same.zip(array).is_none_or(|(same, array)| !same.holds(array.index(slot)));
        // Not more than were counted: the program's list may be growing.
        let list = list.filter(|&(slot, _)| differs(slot)).take(len);
        let ours = |slot: *const Slot| {
            array.filter(|array| array.holds(slot)).map(|array| (array, array.index(slot)))
        };
        let is_below = |slot| ours(slot).is_some_and(|(array, _)| slot < array.first.get());
        let is_copy = |slot| is_below(slot) && ours(slot).is_some_and(|(array, i)| array.is_copy(i));
        // What moves left below the list, before the program put an older head back, comes last: mostly what it is a copy of is there, too.
        let turns: &[bool] = if is_below(first) { &[false, true] } else { &[false] };
        for &copies in turns {
            for (slot, entry) in list.clone().filter(|&(slot, _)| is_copy(slot) == copies) {
                plan.collect(entry, ours(slot).and_then(|(array, i)| array.noted(i, entry)));
            }
        }
        if array.is_none() {
            self.learn(&plan);
        }
        Ok(plan)
    }

    /// Finds out which entries of the program's list are known.
    fn learn(self, plan: &Plan<'_>) {
        for i in plan.numbers() {
            let (entry, hint) = plan.get(i);
            // SAFETY: L2, L4: an entry of the list.
            if unsafe { self.strings.made(entry, plan.keys) } {
                plan.learn(entry, hint.hash);
            }
        }
        for notes in self.notes() {
            for i in 0..notes.len() {
                if let Some(hint) = notes.fixed(i, plan.keys) {
                    plan.learn(notes.entry(i), hint.hash);
                }
            }
        }
    }

    /// What tells something of the strings in a list of the program's own: what was the environment before; and what the kernel gave, as a
    /// writer or a reader noted it, unless some of that was given to `putenv` since.
    fn notes(self) -> impl Iterator<Item = Notes<'a>> {
        let as_it_was = !self.strings.some_were_put();
        let kernel = self.arrays.kernel().filter(|_| as_it_was).map(Notes::Writers);
        let built = self.inherited.built().filter(|_| as_it_was).map(Notes::Readers);
        self.arrays.latest().map(Notes::Writers).into_iter().chain(kernel).chain(built)
    }

    /// The list at `first`, in `array` or the program's, copied into another array, and not yet published there. For a process with one thread.
    ///
    /// # Safety
    /// - `first` is null or points into a proper list, which stays; under the update lock.
    #[inline(never)]
    unsafe fn copy(
        self,
        head: &'a Head,
        first: *const Slot,
        array: Option<&Array>,
    ) -> Result<Editor<'a>, Stop> {
        // SAFETY: the caller's promise.
        let (list, len) = unsafe { (slots(first), slots(first).count()) };
        let next = self.next(len, Moves::Alone, false)?;
        // SAFETY: the lock is held; the head does not point into `next`, which is not the live one.
        let mut copy = unsafe { Editor::private(head, next, Moves::Alone) };
        // Not more than were counted: a thread that was hidden from us may make the program's list longer.
        let list = list.take(len);
        let mut known = array.is_none().then(|| Known::new(self));
        let entries = list.map(|(slot, entry)| match array.filter(|array| array.holds(slot)) {
            Some(array) => (entry, array.noted(array.index(slot), entry)),
            None => (entry, known.as_mut().and_then(|known| known.hint(entry))),
        });
        copy.write(len, entries);
        next.may_repeat.set(true);
        Ok(copy)
    }

    /// The list at `first`, in `array` or the program's, brought into another array, and not yet published there. `planned`: an entry may be in it
    /// twice, as moves left it.
    ///
    /// # Safety
    /// - as for [`copy`](Self::copy).
    pub(crate) unsafe fn adopt(
        self,
        head: &'a Head,
        first: *const Slot,
        array: Option<&Array>,
        moves: Moves,
        planned: bool,
    ) -> Result<Editor<'a>, Stop> {
        // SAFETY: the caller's promise.
        unsafe {
            if moves == Moves::Alone && !planned {
                return self.copy(head, first, array);
            }
            self.bring(head, &self.collect(first, array, 0)?, moves)
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
        if moves == Moves::Alone {
            // SAFETY: the caller's promise.
            return unsafe { self.copy(head, first, Some(array)) };
        }
        let len = array.index(end) - array.index(first);
        let mut next = self.next(len, moves, false)?;
        let edited = !is_written(next, moves);
        let keys = self.inherited.keys.get();
        let same = if edited { Same::between(array, first, len, next, self.touched, keys) } else { None };
        array.left_at.set(self.touched.made());
        if edited && same.is_none() {
            next = self.next(len, moves, true)?;
        }
        if same.as_ref().is_some_and(|same| same.is_all) {
            // SAFETY: the lock is held; the head does not point into `next`, which is not the live one.
            let list = unsafe { Editor::private(head, next, moves) };
            list.tidy(4 * FEW);
            list.settle(adding);
            return Ok(list);
        }
        // SAFETY: the caller's promise.
        let plan = unsafe { self.collect_but(first, Some(array), 0, same.as_ref()) }?;
        self.fill(head, next, &plan, same.as_ref(), moves, adding)
    }

    /// An array for a list of `len` entries and one more. With `exact`, the program may have cut the list that is in it.
    ///
    /// Not one that was written with one thread, if there are more: what is in it was not noted, so that it cannot be told what both lists have; and
    /// readers may be in it. It is let go.
    fn next(self, len: usize, moves: Moves, exact: bool) -> Result<&'a Array, Stop> {
        let fits = |array: &Array| {
            let end = if exact { array.count() } else { array.end() };
            moves == Moves::Alone || (end > len && !array.may_repeat.get())
        };
        self.arrays.next(self.strings, || self.inherited.limit(), len, fits)
    }

    /// An array that holds the plan, private as yet, with room for one entry more.
    #[inline(never)]
    pub(crate) fn bring(self, head: &'a Head, plan: &Plan<'_>, moves: Moves) -> Result<Editor<'a>, Stop> {
        let next = self.next(plan.len(), moves, true)?;
        self.fill(head, next, plan, None, moves, false)
    }

    /// An array that holds an empty list, private as yet, and would hold one of `len` entries, too (L7: a program that has counted the list
    /// before goes on to count).
    pub(crate) fn empty(self, head: &'a Head, len: usize, moves: Moves) -> Result<Editor<'a>, Stop> {
        let array = self.next(len, moves, true)?;
        // SAFETY: the lock is held; the head does not point into `array`, which is not the live one.
        let mut list = unsafe { Editor::private(head, array, moves) };
        if is_written(array, moves) {
            list.write(0, iter::empty());
        } else {
            list.abandon();
        }
        array.may_repeat.set(false);
        Ok(list)
    }

    /// Makes the list in `array` the planned one, for the next change, which is an addition if `adding`; of `same`, if there is one, the plan holds what differs.
    fn fill(
        self,
        head: &'a Head,
        array: &'a Array,
        plan: &Plan<'_>,
        same: Option<&Same<'_>>,
        moves: Moves,
        adding: bool,
    ) -> Result<Editor<'a>, Stop> {
        // SAFETY: the lock is held; the head does not point into `array`, which is not the live one.
        let mut list = unsafe { Editor::private(head, array, moves) };
        if is_written(array, moves) {
            list.write(plan.len(), plan.list());
        } else {
            edit(&mut list, plan, same, adding)?;
        }
        array.may_repeat.set(false);
        list.take_up(moves);
        Ok(list)
    }
}

/// True if an array is written, not edited: no reader can be in it.
fn is_written(array: &Array, moves: Moves) -> bool {
    moves == Moves::Alone || array.live_at.get() == 0
}

/// What was noted of slots.
enum Notes<'a> {
    Writers(&'a Array),
    Readers(&'a Hints),
}

impl Notes<'_> {
    fn len(&self) -> usize {
        match self {
            Notes::Writers(array) => array.capacity(),
            Notes::Readers(hints) => hints.slots_in_groups(),
        }
    }

    fn entry(&self, i: usize) -> *mut c_char {
        match self {
            Notes::Writers(array) => array.slot(i).own(),
            Notes::Readers(hints) => hints.slot(i).load(),
        }
    }

    /// What was noted of slot `i`, if it holds an entry that is known to be fixed.
    fn fixed(&self, i: usize, keys: Keyed) -> Option<Hint> {
        let entry = self.entry(i);
        if entry.is_null() {
            return None;
        }
        let hint = match self {
            Notes::Writers(array) => array.noted(i, entry)?,
            Notes::Readers(hints) => {
                let fixed = hints.noted(i, entry)?;
                // SAFETY: one of the kernel's strings: it stays.
                Hint { hash: unsafe { Key::of(entry, keys) }?.hash, fixed }
            }
        };
        Some(hint).filter(|hint| hint.fixed)
    }
}

/// What is known of the entries of a program's list, asked for one after the other. A list that the program made of the one before has them in the
/// order in which they were there, or nearly so; of others only those that we made are found, and the rest counts as the program's.
struct Known<'a> {
    means: Means<'a>,
    keys: Keyed,
    /// Where the kernel's strings are.
    kernel: Range<usize>,
    /// Notes, and from which slot on they are looked through.
    notes: [Option<(Notes<'a>, usize)>; 3],
}

impl<'a> Known<'a> {
    fn new(means: Means<'a>) -> Known<'a> {
        let mut all = means.notes();
        let notes = [0; 3].map(|_| {
            let notes = all.next()?;
            let from = match notes {
                Notes::Writers(array) => array.index(array.first.get()),
                Notes::Readers(_) => 0,
            };
            Some((notes, from))
        });
        Known { means, keys: means.inherited.keys.get(), kernel: sync::initial_strings(), notes }
    }

    #[inline(never)]
    fn hint(&mut self, entry: *mut c_char) -> Option<Hint> {
        /// Slots.
        const AHEAD: usize = 8;
        let ours = self.means.strings.owns(entry);
        if !ours && !self.kernel.contains(&entry.addr()) {
            return None;
        }
        for (notes, from) in self.notes.iter_mut().flatten() {
            let found = (*from..notes.len().min(*from + AHEAD)).find(|&i| notes.entry(i) == entry);
            if let Some(i) = found {
                *from = i + 1;
                return notes.fixed(i, self.keys);
            }
        }
        // SAFETY: L2, L4: an entry of the list.
        unsafe {
            let made = ours && self.means.strings.made(entry, self.keys);
            made.then(|| Key::of(entry, self.keys))?.map(|key| Hint { hash: key.hash, fixed: true })
        }
    }
}

/// Changes of an array, up to which an edit cares for readers of every kind in it, as beside them: each may look at what lies below the list.
const FEW: usize = 64;

/// Makes the list in an array the planned one. Readers may still be in it: ordinary moves only, and as few as can be. What both have stays in its
/// slot, so that even a reader that does not go upwards finds it there, however late it is.
/// With `adding`, a slot is kept for the addition that follows, if there is one.
fn edit(list: &mut Editor<'_>, plan: &Plan<'_>, same: Option<&Same<'_>>, adding: bool) -> Result<(), Stop> {
    if plan.len() == 0 && same.is_none() {
        list.abandon(); // the moves need an entry
        return Ok(());
    }
    list.tidy(4 * FEW);
    // What both have. What the program itself stored there has no note, and counts as not in the plan.
    let mut going = 0;
    for (slot, entry) in list.slots() {
        if same.is_some_and(|same| same.held(list.index(slot))) {
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
    let mut missing = plan.missing();
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
            None => goes.replace((slot, entry)).map_or(Ok(()), |(slot, _)| list.drop(slot))?,
        }
    }
    match goes {
        Some((slot, entry)) if !adding || !list.reserve(slot, entry) => list.drop(slot)?,
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
