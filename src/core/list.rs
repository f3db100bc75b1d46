//! The list: an array of slots, read from the head up to the null terminator. The algorithm.
//!
//! Readers ([`Head::get`]) load the head and scan upwards. ([`hints`](crate::hints) makes most reads faster; its answer is that of this
//! scan, or this scan is made.) Writers ([`Editor`]), one at a time, change the list by a few moves, each of which leaves a proper list
//! after every single store. There are two ways to move:
//!
//! | | in a process that never had a second thread | with threads |
//! |---|---|---|
//! | **add** | [`append`](Editor::append): one store over the terminator, behind which all is null | [`add_below`](Editor::add_below): the slot below the head, then the head; the terminator never moves |
//! | **remove** | [`close_up`](Editor::close_up): the entries before it move up by one, last one first; then the head. The last one: a null over it | [`fill_gap`](Editor::fill_gap): the first entry into the gap, then the head up by one (Solaris) |
//! | **replace** | one store into the slot | the same |
//!
//! With one thread, order and `environ[0]` are those of every libc, and a pointer kept into the list finds what it finds there. With
//! threads, a list never gets longer once its head was loaded, and readers that go downwards, in no order, or load a slot twice find
//! every variable, too: a slot keeps its name as long as that name is set. Where there is no room, the list moves on to another array
//! (`adopt`), which leaves the old one whole.
//!
//! # Invariants
//! - L1: every list ends in a null slot inside its array; the last slot of an array is null and never written.
//! - L2: an entry's bytes are final before its address enters a slot (`putenv` strings: their owner's business).
//! - L3: only the holder of the update lock stores to the slots and the head. A C program may also store to `environ` and
//!   `environ[i]`; each such store is honoured, but two writers of which one takes no lock are not ordered.
//! - L4: an array or entry that a reader may hold stays allocated.
//! - L5: a live entry only ever moves to a higher slot, and its copy there is stored before its old slot is used again.
//! - L6: outside a change, no slot below the head that a move left names an entry that has left the list. Programs keep pointers into the
//!   list (`for (p = environ; *p; )` around `unsetenv`; `saved = environ` and back): they must not meet what was removed, again and
//!   again, or after its owner freed it. What [`fill_gap`](Editor::fill_gap) leaves keeps its name, and follows it ([`State::Left`]); all other
//!   such slots hold one live entry, the *stand-in* ([`State::Free`]), so that most changes need not look at them.
//! - L7: as many slots as the array has follow it, null for ever. A program that counts (`environ[i]`, loading `environ` anew each
//!   time) goes past the end when the head moves up under its index; it finds null there.
//! - L8: with threads, a slot that was in the list gets another name only once its name is not set any more; or once the list has moved on to
//!   another array more often than there are arrays in turn, less one.
//!
//! # Pairs
//! Those of [`slot`](crate::slot), `[head]` and `[slot]`.
//!
//! # Why a variable that nobody removes is always found
//! Let X be in the list when a reader loads the head, and be neither removed nor replaced until the reader is done. The reader goes upwards.
//! 1. X does not move: its slot is at or above the head, and no slot from there up to X is ever null (what a move leaves holds an entry: L6), so
//!    the reader reaches it.
//! 2. X moves (it was first when another entry was removed, or lay before one that was removed with one thread): its copy went to a
//!    higher slot, and the store of the copy comes before any store that overwrites the old slot. A reader that finds the old slot
//!    overwritten has thereby acquired the copy (`[slot]`; this is why *every* slot load acquires), and the copy lies ahead of it. The same
//!    holds for an old slot that is given X's new value: that was stored before, ahead of the reader. If X moves once more before the reader is
//!    at the copy, the same is true of that slot; each move is upwards, so there is a last one.
//! 3. The list moves on to another array: the old one keeps its content, the reader finishes there. An array is used again only when it was
//!    not live for several such moves, and then by the moves above.
//!
//! A reader of another kind, beside threads: the slot in which X was at that time keeps X (L8, with its bound), so it finds X whatever the order
//! of its loads.
//!
//! # Why an add below needs a slot that nobody is in
//! Storing the entry first and moving the head second is Solaris's order. Where the slot was in the list just before, it is not linearizable:
//! a reader that loaded the head before a remove moved it up scans the vacated slot, too, and so finds the entry *before* the head is moved;
//! a second reader, started after the first is done, loads the head and misses it. Loom `an_added_variable_stays_found` fails then. A copy of
//! the first entry in between, with the head moved first, cures that, and brings a reader that loads a slot twice the name of the one and the
//! value of the other. So the slot is one that was in no list, or in none since the array became live again (`Idle`: whoever was there is late by
//! several moves to another array); otherwise the list moves on.
//!
//! # Linearization points
//! | operation | point |
//! |---|---|
//! | add | with one thread, the store over the terminator; with threads, the move of the head, or the store into a slot that was kept for it |
//! | replace | the store of the entry into its slot |
//! | remove | the store over the victim; the move of the head when the victim is first |
//! | clear, adoption | the move of the head |
//! | read, hit | at the load of the slot, or at the last moment before it at which the entry was still in the list |
//! | read, miss | at the load of the head, or at the removal of the last entry of that name after it |

use crate::array::{self, Array, State};
use crate::entry::Key;
use crate::error::Moved;
use crate::hints::{self, Found, Hint, Look};
use crate::machine::{GROUP, Side};
use crate::slot::{Head, Slot, own_slots};
use core::ffi::c_char;
use core::ptr;

/// How an editor moves entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moves {
    /// The process never had a second thread.
    Alone,
    /// There are readers of every kind.
    Beside,
    /// The array is not live, and was not for several moves to another: only readers that go upwards are thought of.
    Apart,
}

/// The right to change one array: held by who holds the update lock (L3).
#[derive(Debug)]
pub(crate) struct Editor<'a> {
    head: &'a Head,
    array: &'a Array,
    /// The first slot of the list.
    first: *const Slot,
    /// True if the head points into this array, so that each move of `first` is to be published.
    live: bool,
    moves: Moves,
    /// A slot that holds the first entry once more, and waits for the next addition; or null. Only between an edit and that.
    reserved: *const Slot,
}

impl<'a> Editor<'a> {
    /// The list that starts at `first`, which the head is.
    ///
    /// # Safety
    /// - the caller holds the update lock for the life of the editor; `array` is one of ours, sound, and holds `first`.
    pub(crate) unsafe fn live(
        head: &'a Head,
        array: &'a Array,
        first: *const Slot,
        moves: Moves,
    ) -> Editor<'a> {
        Editor { head, array, first, live: true, moves, reserved: ptr::null() }
    }

    /// The list that `array` held last, while the head points elsewhere: changes are private until [`publish`](Self::publish).
    ///
    /// # Safety
    /// - as for [`live`](Self::live), but for the head.
    pub(crate) unsafe fn private(head: &'a Head, array: &'a Array, moves: Moves) -> Editor<'a> {
        Editor { head, array, first: array.first.get(), live: false, moves, reserved: ptr::null() }
    }

    pub(crate) fn array(&self) -> &'a Array {
        self.array
    }

    pub(crate) fn first(&self) -> *const Slot {
        self.first
    }

    /// The slots of the list, with their entries.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (*const Slot, *mut c_char)> + use<> {
        // SAFETY: `first` points into our array, which ends in null and is not freed while it is edited (L1, L4).
        unsafe { own_slots(self.first) }
    }

    /// True if there is no entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots().next().is_none()
    }

    /// Finds the places of a name, and the end of the list.
    #[inline(never)]
    pub(crate) fn find(&self, key: &Key<'_>, found: &mut Found) {
        // SAFETY: L1, L2, L4: the list starts there.
        unsafe {
            if self.is_plain() {
                let fixed = |slot, entry| self.noted(slot, entry).is_some_and(|hint| hint.fixed);
                hints::found_plainly(own_slots(self.first), key, &fixed, &|_| false, found);
            } else {
                let (hints, first) = (self.array.hints(), self.index(self.first));
                hints::found_in(hints, first, key, Side::Writer, &|_| false, found);
            }
        }
    }

    /// True if a plain scan is all that there is, or faster.
    fn is_plain(&self) -> bool {
        !hints::ENABLED || self.array.hints().is_loose()
    }

    /// The next slot of that name behind `slot`.
    pub(crate) fn next_of(&self, key: Key<'_>, slot: *const Slot) -> Option<*const Slot> {
        let next = slot.wrapping_add(1);
        if self.is_plain() {
            // SAFETY: as in `slots`.
            let mut slots = unsafe { own_slots(next) };
            // SAFETY: L2, L4.
            return unsafe { slots.next_named(key.wanted()) }.map(|(slot, ..)| slot);
        }
        // SAFETY: a slot was there, so another one follows; L2, L4.
        let mut named = unsafe { self.array.hints().named(self.index(next), key) };
        named.next().map(|place| place.slot)
    }

    pub(crate) fn moves(&self) -> Moves {
        self.moves
    }

    /// What was found without the lock, if that still is so; otherwise looks again.
    pub(crate) fn found<'b>(&self, key: &Key<'_>, look: &'b mut Look<'_>) -> &'b mut Found {
        if !look.still(self.array.hints(), self.first) {
            self.find(key, &mut look.found);
        }
        &mut look.found
    }

    /// The number of a slot in the array.
    pub(crate) fn index(&self, slot: *const Slot) -> usize {
        self.array.index(slot)
    }

    /// What was noted of a slot, whose entry is not looked at; `None` if the program stored it.
    pub(crate) fn noted(&self, slot: *const Slot, entry: *mut c_char) -> Option<Hint> {
        self.array.noted(self.index(slot), entry)
    }

    /// Notes the name of an entry of which nothing was noted, as it is about to leave a copy behind that is to be known for one.
    pub(crate) fn get_to_know(&self, slot: *const Slot, entry: *mut c_char, hash: u32) {
        if self.noted(slot, entry).is_none() {
            let _change = self.array.change();
            self.array.note(self.index(slot), entry, Some(Hint { hash, fixed: false }));
        }
    }

    /// Moves the start of the list; for a live one the head, too, unless the program moved that meanwhile.
    fn move_head(&mut self, to: *const Slot) -> Result<(), Moved> {
        if self.live {
            self.head.exchange(self.first, to)?;
        }
        self.first = to;
        self.array.first.set(to);
        self.array.lowest.set(self.array.lowest.get().min(to));
        Ok(())
    }

    /// Makes a private list the live one, if the head is still `instead_of`. Linearization point of adoption and clear.
    pub(crate) fn publish(&mut self, instead_of: *const Slot) -> Result<(), Moved> {
        self.head.exchange(instead_of, self.first)?;
        self.live = true;
        Ok(())
    }

    /// True if a reader that starts now reads this list.
    pub(crate) fn is_live(&self) -> bool {
        self.array.holds(self.head.load())
    }

    /// Adds `entry` to the list, which ends at `end`. False if there is no room for it here.
    pub(crate) fn add(
        &mut self,
        entry: *mut c_char,
        hint: Option<Hint>,
        end: *const Slot,
    ) -> Result<bool, Moved> {
        if !self.reserved.is_null() {
            // One store, visible to all at once.
            let _change = self.array.change();
            self.array.put(self.index(self.reserved), entry, hint);
            self.reserved = ptr::null();
            return Ok(true);
        }
        match self.moves {
            _ if !self.array.is_ours() => Ok(false),
            Moves::Alone => Ok(self.append(entry, hint, end)),
            Moves::Beside | Moves::Apart => {
                // The program has cut the list there, by a null over an entry of ours. When it puts that back, a name may be there twice.
                if self.array.holds(end) && self.array.noted_last(self.index(end)).is_some() {
                    self.array.may_repeat.set(true);
                }
                self.add_below(entry, hint)
            }
        }
    }

    /// Adds `entry` behind the last one.
    fn append(&mut self, entry: *mut c_char, hint: Option<Hint>, end: *const Slot) -> bool {
        if !self.array.holds(end) || end == self.array.last() {
            return false;
        }
        let _change = self.array.change();
        let end = self.index(end);
        // What the program cut off, by a null in the list, must not come back.
        for i in end + 1..self.array.capacity() {
            if self.array.slot(i).own().is_null() {
                break;
            }
            self.array.put(i, ptr::null_mut(), None);
        }
        self.array.put(end, entry, hint);
        true
    }

    /// Adds `entry` in front, in a slot that no reader can be in. See the module text.
    fn add_below(&mut self, entry: *mut c_char, hint: Option<Hint>) -> Result<bool, Moved> {
        let array = self.array;
        let Some(i) = self.index(self.first).checked_sub(1) else { return Ok(false) };
        let below = array.slot(i);
        let unused = ptr::from_ref(below) < array.lowest.get();
        if !unused && self.moves == Moves::Beside && array.state(i) != State::Idle {
            return Ok(false); // L8: it holds a live entry
        }
        let _change = array.change();
        array.put(i, entry, hint);
        self.move_head(below)?;
        Ok(true)
    }

    /// Stores `entry` into a slot of the list.
    #[inline(never)]
    pub(crate) fn replace(&mut self, slot: *const Slot, entry: *mut c_char, hint: Option<Hint>) {
        let _change = self.array.change();
        let i = self.index(slot);
        let old = self.array.slot(i).own();
        self.array.put(i, entry, hint);
        if self.moves == Moves::Apart {
            return;
        }
        // L6. Not before: until then what is below is live.
        let hash = hint.map(|hint| hint.hash);
        for stale in self.left_by(old, hash) {
            self.array.put(stale, entry, hint);
            self.array.mark(stale, State::Left);
        }
        if self.stands_in(old, hash) {
            self.array.stand_in.set((entry, hint));
            self.fill();
        }
    }

    /// Removes the entry in `slot`, whose name has that hash.
    #[inline(never)]
    pub(crate) fn remove(&mut self, slot: *const Slot, hash: u32) -> Result<(), Moved> {
        let _change = self.array.change();
        let i = self.index(slot);
        let old = self.array.slot(i).own();
        match self.moves {
            Moves::Alone => self.close_up(i)?,
            Moves::Beside | Moves::Apart => self.fill_gap(i)?,
        }
        self.left_behind(old, Some(hash));
        Ok(())
    }

    /// L6, after an entry was unlinked. Not before: until then what is below is live.
    fn left_behind(&self, old: *mut c_char, hash: Option<u32>) {
        if self.moves == Moves::Apart {
            return;
        }
        let _change = self.array.change();
        if self.stands_in(old, hash) {
            self.array.stand_in.set(self.new_stand_in());
            self.fill();
        }
        for stale in self.left_by(old, hash) {
            self.array.left.set(self.array.left.get() - 1);
            self.vacate(stale);
        }
    }

    /// Removes the entry in slot `i`: those before it move up by one. The last one: a null over it.
    fn close_up(&mut self, i: usize) -> Result<(), Moved> {
        let array = self.array;
        if array.slot(i + 1).own().is_null() {
            array.put(i, ptr::null_mut(), None);
            return Ok(());
        }
        let first = self.index(self.first);
        array.count_again(i, first);
        for from in (first..i).rev() {
            array.slot(from + 1).store(array.slot(from).own()); // L5: last one first
        }
        array.shift_up(first..i);
        self.move_head(array.slot(first + 1))?;
        self.vacate(first);
        Ok(())
    }

    /// Removes the entry in slot `i`: the first entry takes its place (L5), then the head moves up.
    fn fill_gap(&mut self, i: usize) -> Result<(), Moved> {
        let (array, first) = (self.array, self.index(self.first));
        if i != first {
            let mover = array.slot(first).own();
            array.put(i, mover, array.noted(first, mover));
        }
        self.move_head(array.slot(first + 1))?;
        if self.moves == Moves::Apart {
            return Ok(());
        }
        if i == first {
            self.vacate(first);
        } else {
            array.mark(first, State::Left);
            array.left.set(array.left.get() + 1);
        }
        Ok(())
    }

    /// Gives slot `i`, below the list, to the stand-in.
    fn vacate(&self, i: usize) {
        // The program may have stored over it, or cut the list before it, and freed the string.
        let (entry, _) = self.array.stand_in.get();
        if entry.is_null() || !self.slots().any(|(_, listed)| listed == entry) {
            self.array.stand_in.set(self.new_stand_in());
            self.fill();
        }
        let (entry, hint) = self.array.stand_in.get();
        self.array.put(i, entry, hint);
        self.array.mark(i, State::Free);
    }

    /// Gives all free slots below the list to the stand-in.
    fn fill(&self) {
        let (entry, hint) = self.array.stand_in.get();
        for i in self.array.below() {
            let state = self.array.state(i);
            if matches!(state, State::Free | State::Idle) {
                self.array.put(i, entry, hint);
                self.array.mark(i, state);
            }
        }
    }

    /// True if the stand-in is this entry, or has a name with this hash.
    fn stands_in(&self, old: *mut c_char, hash: Option<u32>) -> bool {
        let (entry, hint) = self.array.stand_in.get();
        !entry.is_null() && (entry == old || hint.is_some_and(|hint| Some(hint.hash) == hash))
    }

    /// An entry to stand in: one in the middle, so that it will rarely be the one that is removed next, or next but one; and one that
    /// stays, whatever the program stores, if there is such a one from there on. Null if the list is empty.
    #[cold]
    fn new_stand_in(&self) -> (*mut c_char, Option<Hint>) {
        let middle = self.slots().count() / 2;
        let mut from = self.slots().skip(middle).map(|(slot, entry)| (entry, self.noted(slot, entry)));
        let any = from.next().unwrap_or((ptr::null_mut(), None));
        let stays = |&(_, hint): &(_, Option<Hint>)| hint.is_some_and(|hint| hint.fixed);
        if stays(&any) { any } else { from.find(stays).unwrap_or(any) }
    }

    /// The slots that an entry left which is this one, or whose name has this hash.
    fn left_by(&self, old: *mut c_char, hash: Option<u32>) -> impl Iterator<Item = usize> + use<'a> {
        let array = self.array;
        let below = if array.left.get() == 0 { 0..0 } else { array.below() };
        below.filter(move |&i| {
            let entry = array.slot(i).own();
            array.state(i) == State::Left
                && (entry == old || array.noted(i, entry).is_some_and(|hint| Some(hint.hash) == hash))
        })
    }

    /// True if so much lies below the list that a change had better move on: each one looks at it, if there is something `Left` in it.
    pub(crate) fn is_cluttered(&self) -> bool {
        const SOME: usize = 256;
        let below = self.array.below().len();
        self.moves == Moves::Beside
            && self.array.is_ours()
            && self.array.left.get() > 0
            && below > SOME
            && below > 2 * self.slots().count()
    }

    /// Removes the entry in `slot`, whatever its name. If the program stored it over one of ours, copies of that go.
    pub(crate) fn drop(&mut self, slot: *const Slot) -> Result<(), Moved> {
        // (A hash that no name has, if nothing was noted.)
        self.remove(slot, self.array.noted_last(self.index(slot)).unwrap_or(u32::MAX))
    }

    /// Gives a slot whose entry goes to one of another name.
    pub(crate) fn exchange(&mut self, slot: *const Slot, entry: *mut c_char, hint: Hint) {
        let i = self.index(slot);
        let old = self.array.slot(i).own();
        let gone = self.array.noted_last(i);
        {
            let _change = self.array.change();
            self.array.put(i, entry, Some(hint));
        }
        self.left_behind(old, gone);
    }

    /// Keeps a slot whose entry goes for an addition that follows once the list is live: until then it holds the first entry once more,
    /// so that nothing else need move. False if it is the first.
    pub(crate) fn reserve(&mut self, slot: *const Slot, entry: *mut c_char) -> bool {
        if slot == self.first {
            return false;
        }
        let gone = self.array.noted_last(self.index(slot));
        let first = self.index(self.first);
        let again = self.array.slot(first).own();
        {
            let _change = self.array.change();
            self.array.put(self.index(slot), again, self.array.noted(first, again));
        }
        self.left_behind(entry, gone);
        self.reserved = slot;
        true
    }

    /// Marks an entry that goes in an edit. (No slot of a list is `Left`.)
    pub(crate) fn mark(&self, slot: *const Slot) {
        self.array.mark(self.index(slot), State::Left);
    }

    /// Takes the mark away. True if there was one. What fills a gap has none: those below it were looked at before.
    pub(crate) fn unmark(&self, slot: *const Slot) -> bool {
        let marked = self.array.state(self.index(slot)) == State::Left;
        if marked {
            self.array.mark(self.index(slot), State::Plain);
        }
        marked
    }

    /// Makes all below the list idle, if it is more than `most` slots: who was there is not thought of any more.
    pub(crate) fn tidy(&self, most: usize) {
        if self.array.below().len() <= most {
            return;
        }
        let _change = self.array.change();
        self.array.left.set(0);
        self.array.below().for_each(|i| self.array.mark(i, State::Idle));
        self.stand_in_more();
        if most > 0 {
            // So much is not looked at again.
            self.array.lowest.set(self.first);
        }
    }

    /// Leaves all entries where they are, below an empty list. (Null must not be where an entry was: somebody may still be there.)
    pub(crate) fn abandon(&mut self) {
        let _change = self.array.change();
        // Its end stays where it is: a list that ends there must not get longer.
        self.first = self.array.slot(self.array.count());
        self.array.first.set(self.first);
        self.array.left.set(0);
        self.array.stand_in.set((ptr::null_mut(), None));
        self.array.below().for_each(|i| self.array.mark(i, State::Idle));
    }

    /// Ends an edit: what was free before is idle now. With `adding` there is a place for an addition.
    pub(crate) fn settle(&self, adding: bool) {
        let next = self.index(self.first).wrapping_sub(1);
        let blocked = adding && self.reserved.is_null() && self.array.below().contains(&next);
        let blocked = blocked && matches!(self.array.state(next), State::Left | State::Plain);
        if self.moves == Moves::Apart || blocked {
            return self.tidy(0);
        }
        let _change = self.array.change();
        for i in self.array.below().filter(|&i| self.array.state(i) == State::Free) {
            self.array.mark(i, State::Idle);
        }
    }

    /// Gives the slots that are free now to the stand-in, too.
    fn stand_in_more(&self) {
        let (entry, _) = self.array.stand_in.get();
        if entry.is_null() || !self.slots().any(|(_, listed)| listed == entry) {
            self.array.stand_in.set(self.new_stand_in());
        }
        // (Not null where an entry was, with threads: somebody may still be there.)
        if !self.is_empty() {
            self.fill();
        }
    }

    /// From now on the list is changed by these moves.
    pub(crate) fn take_up(&mut self, moves: Moves) {
        self.moves = moves;
    }

    /// Writes the list anew, in order. For an array that no reader can be in: the process has one thread, or nobody ever saw it. With
    /// one thread there is room for additions above the list, and some below for the time when there are more; otherwise all room is below.
    /// The array is large enough for `len` entries, and there are no more.
    pub(crate) fn write(&mut self, len: usize, list: impl Iterator<Item = (*mut c_char, Option<Hint>)>) {
        let _change = self.array.change();
        let array = self.array;
        let free = array.capacity() - 1 - len;
        // From the start of a group on, if there is as much room: then fewer of them need be looked at.
        let whole = (free / 4).next_multiple_of(GROUP);
        let below = if whole <= free / 2 { whole } else { free / 4 };
        let first = if self.moves == Moves::Alone { below } else { free };
        let (mut end, mut held) = (first, [0; 2]);
        for (entry, hint) in list {
            array.note(end, entry, hint);
            array.slot(end).store(entry);
            array::kind(entry, hint).into_iter().for_each(|kind| held[kind] += 1);
            end += 1;
        }
        debug_assert!(end <= first + len);
        // Nothing of what was there before may be met, whatever head the program kept.
        let lowest = array.index(array.lowest.get());
        if lowest != array.capacity() - 1 {
            for i in (lowest.min(first)..first).chain(end..array.capacity()) {
                if !array.slot(i).own().is_null() {
                    array.put(i, ptr::null_mut(), None);
                }
            }
        }
        array.set_held(held);
        self.first = array.slot(first);
        array.first.set(self.first);
        array.lowest.set(self.first);
        array.left.set(0);
        array.stand_in.set((ptr::null_mut(), None));
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
