//! What two arrays have in common: the list that moves on, and what is in the array that it moves to, as it was a few changes ago.
//!
//! Mostly they hold the same, slot by slot, if laid end to end. After changes of other variables each time, they hold the same in another
//! order, but for the names that were changed since. Which those are is noted ([`Touched`]); that nothing else differs is not believed but
//! counted: a sum over the addresses of all other entries, keyed as hashes are (T1), is the same on both sides.
//!
//! Only what is known is compared: entries that are fixed and are what was noted of their slots. What the program stored is neither, and then
//! nothing is in common.

use crate::array::Array;
use crate::hints::RESTS;
use crate::slot::Slot;
use crate::text::Keyed;
use core::cell::Cell;
use core::ops::Range;

/// The names of the last changes, by their hashes. All zero at first; only under the update lock. A hint: see the module text.
#[derive(Debug)]
pub(crate) struct Touched {
    hashes: [Cell<u32>; Touched::MOST],
    /// Changes in all.
    count: Cell<usize>,
}

impl Touched {
    /// Changes that are remembered: more than mostly fall between two uses of an array.
    const MOST: usize = 32;

    pub(crate) const fn new() -> Touched {
        Touched { hashes: [const { Cell::new(0) }; Touched::MOST], count: Cell::new(0) }
    }

    /// Notes that a variable is about to be changed whose name has this hash.
    #[inline]
    pub(crate) fn note(&self, hash: u32) {
        self.hashes[self.count.get() % Touched::MOST].set(hash);
        self.count.set(self.count.get().wrapping_add(1));
    }

    /// How many changes were made before the one that was noted last.
    pub(crate) fn made(&self) -> usize {
        self.count.get().wrapping_sub(1)
    }

    /// The names that were changed since `before` changes were made, if that is remembered.
    fn since(&self, before: usize) -> Option<Names> {
        let changes = self.count.get().wrapping_sub(before);
        if changes > Touched::MOST {
            return None;
        }
        let mut names = Names([0; Names::WORDS]);
        for i in 0..changes {
            names.insert(self.hashes[before.wrapping_add(i) % Touched::MOST].get());
        }
        Some(names)
    }
}

/// Names by a few bits of their hashes: those that were put in, and by chance some others.
#[derive(Clone, Copy, Debug)]
struct Names([u64; Names::WORDS]);

impl Names {
    const WORDS: usize = 8;

    fn place(hash: u32) -> (usize, u64) {
        let bit = (hash >> RESTS.count_ones()) as usize; // the tag: all that is noted in one place
        (bit / 64 % Names::WORDS, 1 << (bit % 64))
    }

    fn insert(&mut self, hash: u32) {
        let (word, bit) = Names::place(hash);
        self.0[word] |= bit;
    }

    fn has(&self, hash: u32) -> bool {
        let (word, bit) = Names::place(hash);
        self.0[word] & bit != 0
    }
}

/// A list that moves on, and the one in the array that it moves to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Same<'a> {
    lists: Lists<'a>,
    /// Which entries both hold: those of all other names than these; or, without such, those that are as many slots before the ends of the two.
    but: Option<Names>,
    /// Entries of the list that the other one does not hold, or that may be other ones.
    pub(crate) different: usize,
    /// True if that one holds nothing else, and all of these.
    pub(crate) is_all: bool,
}

impl<'a> Same<'a> {
    /// Compares the list of `len` entries at `first` in `from` with the one in `to`. `None` if a name may be there twice (nothing is known of what
    /// the program stored), or the program cut the other list.
    pub(crate) fn between(
        from: &'a Array,
        first: *const Slot,
        len: usize,
        to: &'a Array,
        touched: &Touched,
        keys: Keyed,
    ) -> Option<Same<'a>> {
        let (first, start, to_end) = (from.index(first), to.index(to.first.get()), to.end());
        let lists = Lists { from, first, from_end: first + len, to, start, to_end };
        let few = if cfg!(loom) { 0 } else { len / 8 + 4 };
        lists.by_place(few).or_else(|| lists.by_name(touched, keys)).or_else(|| lists.by_place(len))
    }

    /// True if the other list holds the entry in slot `i` of the list that moves on, and the same is known of it.
    pub(crate) fn holds(&self, i: usize) -> bool {
        match &self.but {
            Some(names) => !names.has(self.lists.from.hints().noted_hash(i)),
            None => self.lists.agree(self.lists.from_end.wrapping_sub(i)),
        }
    }

    /// True if the list that moves on holds the entry in slot `j` of the other list, and the same is known of it.
    pub(crate) fn held(&self, j: usize) -> bool {
        match &self.but {
            Some(names) => !names.has(self.lists.to.hints().noted_hash(j)),
            None => self.lists.agree(self.lists.to_end.wrapping_sub(j)),
        }
    }
}

/// Two lists, each from a slot of its array up to one.
#[derive(Clone, Copy, Debug)]
struct Lists<'a> {
    from: &'a Array,
    first: usize,
    from_end: usize,
    to: &'a Array,
    start: usize,
    to_end: usize,
}

impl<'a> Lists<'a> {
    /// The lengths of both.
    fn lens(&self) -> (usize, usize) {
        (self.from_end - self.first, self.to_end - self.start)
    }

    /// True if both hold the same entry so many slots before their ends, and the same is known of it.
    fn agree(&self, i: usize) -> bool {
        let (len, len_there) = self.lens();
        let common = 1..=len.min(len_there);
        common.contains(&i) && self.from.agrees(self.from_end - i, self.to, self.to_end - i) == (true, true)
    }

    /// `None` if they differ in more than `few` places, or nothing is known.
    fn by_place(&self, few: usize) -> Option<Same<'a>> {
        let &Lists { from, first, from_end, to, start, to_end } = self;
        let (len, len_there) = self.lens();
        let most = len_there.min(len);
        let (mut fixed, mut different) = (0, len - most);
        for i in 1..=most {
            let (is_fixed, agrees) = from.agrees(from_end - i, to, to_end - i);
            fixed += usize::from(is_fixed);
            different += usize::from(!agrees);
            if different > few {
                return None;
            }
        }
        let is_all = different == 0 && len == len_there;
        let known = || {
            let stays = |i| from.is_noted(i);
            let is_whole = || (start..to_end).all(|j| !to.slot(j).own().is_null());
            self.are_single() && fixed == most && (first..from_end - most).all(stays) && is_whole()
        };
        (is_all || known()).then_some(Same { lists: *self, but: None, different, is_all })
    }

    /// `None` if they differ in the entries of other names than those that were touched, or nothing is known.
    fn by_name(&self, touched: &Touched, keys: Keyed) -> Option<Same<'a>> {
        let names = touched.since(self.to.left_at.get()).filter(|_| self.are_single())?;
        let (theirs, sum) = sum_of_others(self.to, self.start..self.to_end, &names, keys)?;
        let (ours, sum_here) = sum_of_others(self.from, self.first..self.from_end, &names, keys)?;
        let same = (ours, sum_here) == (theirs, sum);
        let different = self.lens().0 - ours;
        same.then_some(Same { lists: *self, but: Some(names), different, is_all: false })
    }

    /// True if no name is in one of them twice. (Of an empty list an edit leaves what is there.)
    fn are_single(&self) -> bool {
        self.first < self.from_end && !self.from.may_repeat.get() && !self.to.may_repeat.get()
    }
}

/// How many entries of other names are in these slots, and the sum over their addresses. `None` if one is not what was noted, and fixed.
fn sum_of_others(array: &Array, slots: Range<usize>, names: &Names, keys: Keyed) -> Option<(usize, u64)> {
    let (mut count, mut sum, mut known) = (0, 0u64, true);
    // Without a branch: which names were touched cannot be predicted.
    for i in slots {
        let is_other = !names.has(array.hints().noted_hash(i));
        known &= array.is_noted(i);
        count += usize::from(is_other);
        sum = sum.wrapping_add(keys.mix(array.slot(i).own().addr()) & u64::from(is_other).wrapping_neg());
    }
    known.then_some((count, sum))
}

#[cfg(all(test, not(loom)))]
mod tests;
