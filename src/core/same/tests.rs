//! What two lists are said to have in common, beside what they have.

use super::*;
use crate::array::tests::array;
use crate::entry::Key;
use crate::hints::Hint;
use crate::testing::{self, random};
use core::ffi::c_char;
use std::collections::HashSet;
use std::vec::Vec;

const MANY: usize = 200;

/// What is to be noted of a string, with keys that are always the same.
fn hint_of(string: *mut c_char) -> Hint {
    // SAFETY: a name and its `=`.
    let key = unsafe { Key::of(string, Keyed::of_tests()) };
    Hint { hash: key.unwrap().hash, fixed: true }
}

/// Entries, with what is to be noted of them.
fn strings() -> Vec<(*mut c_char, Hint)> {
    testing::strings(MANY).into_iter().map(|string| (string, hint_of(string))).collect()
}

/// An array whose list begins in slot `first`.
fn holding(list: &[(*mut c_char, Hint)], first: usize) -> &'static Array {
    let array = array(2 * MANY);
    array.first.set(array.slot(first));
    let _change = array.change();
    list.iter().enumerate().for_each(|(i, &(entry, hint))| array.put(first + i, entry, Some(hint)));
    array.count(); // remembered from now on
    array
}

/// The lists of `from` and `to`, with what must be true of what is said of them.
fn compared<'a>(from: &'a Array, to: &'a Array, touched: &Touched) -> Option<Same<'a>> {
    let entries = |array: &Array| {
        let first = array.index(array.first.get());
        let slots = (first..).map(|i| (i, array.slot(i).own()));
        slots.take_while(|(_, entry)| !entry.is_null()).collect::<Vec<_>>()
    };
    let (ours, theirs) = (entries(from), entries(to));
    let same = Same::between(from, from.first.get(), ours.len(), to, touched, Keyed::of_tests())?;
    let are_equal = ours.iter().map(|&(_, entry)| entry).eq(theirs.iter().map(|&(_, entry)| entry));
    assert_eq!(same.is_all, are_equal && same.but.is_none());
    if same.is_all {
        assert_eq!(same.different, 0);
        return Some(same); // nobody asks for more
    }
    let set = |list: &[(usize, *mut c_char)]| list.iter().map(|&(_, entry)| entry).collect::<HashSet<_>>();
    let (here, there) = (set(&ours), set(&theirs));
    let held: Vec<_> = ours.iter().filter(|&&(i, _)| same.holds(i)).map(|&(_, entry)| entry).collect();
    let back: Vec<_> = theirs.iter().filter(|&&(j, _)| same.held(j)).map(|&(_, entry)| entry).collect();
    assert!(held.iter().all(|entry| there.contains(entry)) && back.iter().all(|entry| here.contains(entry)));
    assert_eq!((held.len(), same.different), (back.len(), ours.len() - held.len()));
    Some(same)
}

#[test]
fn names_are_remembered_for_a_while() {
    let mut below = random(7);
    let mut hash = || below(1 << 30) as u32;
    let touched = Touched::new();
    let mut noted = Vec::new();
    for made in 0..200 {
        for ago in 0..=noted.len() {
            let names = touched.since(made - ago);
            assert_eq!(names.is_some(), ago <= Touched::MOST);
            let Some(names) = names else { break };
            let since = &noted[made - ago..];
            assert!(since.iter().all(|&hash| names.has(hash)));
            let others = (0..100).map(|_| hash()).filter(|&other| names.has(other)).count();
            // 32 of 512 places at most.
            assert!(others <= 4 + ago, "{others} of 100 others beside {ago}");
        }
        let hash = hash();
        touched.note(hash);
        noted.push(hash);
        assert_eq!(touched.made(), made);
    }
    // Each bit of what is noted of a slot counts, of whatever else none.
    let rests = RESTS.count_ones();
    let mut names = Names([0; Names::WORDS]);
    names.insert(0);
    assert!(names.has(0) && names.has(RESTS));
    assert!((0..9).all(|bit| !names.has(1 << (rests + bit))));
}

#[test]
fn what_is_in_both_lists_at_its_place_is_in_common() {
    let (strings, mut below) = (strings(), random(11));
    for _ in 0..if cfg!(miri) { 5 } else { 500 } {
        let len = 1 + below(MANY - 1);
        let ours = &strings[..len];
        let mut theirs = strings[below(len.min(4))..].to_vec();
        theirs.truncate(theirs.len() - (MANY - len));
        // Few differ.
        let most = (len / 8 + 4).saturating_sub(len - theirs.len());
        let gone: HashSet<usize> = (0..below(most + 1)).map(|_| below(theirs.len())).collect();
        gone.iter().for_each(|&i| theirs[i] = strings[MANY - 1]);
        let (from, to) = (holding(ours, below(9)), holding(&theirs, below(9)));
        let same = compared(from, to, &Touched::new()).unwrap();
        let different = len - theirs.len() + gone.len();
        // (The last one may be in both.)
        if different <= len / 8 + 4 && len < MANY - 1 {
            assert_eq!((same.different, same.but.is_some()), (different, false));
        }
    }
}

/// In another order, and some have changed: those whose names were touched, or not.
#[test]
fn what_differs_but_for_what_was_touched_is_found_out() {
    let (strings, mut below) = (strings(), random(13));
    let (mut by_name, mut by_place) = (0, 0);
    for round in 0..if cfg!(miri) { 5 } else { 500 } {
        let len = 60 + below(MANY - 80);
        let mut theirs = strings[..len].to_vec();
        (0..len).for_each(|i| theirs.swap(i, below(len)));
        let touched = Touched::new();
        touched.note(strings[MANY - 1].1.hash);
        let to = holding(&theirs, below(9));
        to.left_at.set(1);
        let mut ours = theirs.clone();
        (0..len).for_each(|i| ours.swap(i, below(len)));
        // Whether the names that were touched are all that differs; a name may be taken for one of them.
        let (changes, mut noted) = (1 + below(5), true);
        for i in 0..changes {
            let at = below(ours.len());
            let gone = match below(3) {
                0 => {
                    ours.insert(0, strings[len + i]);
                    ours.remove(at + 1)
                }
                1 => ours.remove(at),
                _ => std::mem::replace(&mut ours[at], strings[len + i]),
            };
            // The last one of a round is forgotten now and then.
            noted = round % 3 != 0
                || i + 1 < changes
                || touched.since(1).is_some_and(|names| names.has(gone.1.hash));
            if noted {
                touched.note(gone.1.hash);
                touched.note(strings[len + i].1.hash);
            }
        }
        let from = holding(&ours, below(9));
        let same = compared(from, to, &touched).unwrap();
        match same.but {
            Some(_) => {
                by_name += 1;
                assert!(same.different <= 2 * changes + len / 4, "{} of {len}", same.different);
            }
            None => by_place += 1,
        }
        assert!(noted || same.but.is_none() || same.different > 0);
        assert!(!noted || same.but.is_some() || same.different <= len / 8 + 4);
    }
    assert!(by_name > 0 && by_place > 0, "{by_name} {by_place}");
}

/// Of lists with such entries nothing is said, unless they are the same all through.
#[test]
fn what_is_not_known_is_not_in_common() {
    let strings = strings();
    let (list, mine) = (&strings[..50], strings[MANY - 1]);
    let put = |array: &Array, i: usize, (entry, hint): (*mut c_char, Hint), fixed: bool| {
        let _change = array.change();
        array.put(i, entry, Some(Hint { fixed, ..hint }));
    };
    let compare = |change: &dyn Fn(&Array, &Array)| {
        let (from, to) = (holding(list, 3), holding(&list[1..], 5));
        change(from, to);
        compared(from, to, &Touched::new()).map(|same| same.different)
    };
    assert_eq!(compare(&|_, _| {}), Some(1));
    assert_eq!(compare(&|from, _| put(from, 20, mine, true)), Some(2));
    assert_eq!(compare(&|from, _| put(from, 20, mine, false)), None, "an owner's string");
    assert_eq!(compare(&|from, _| put(from, 3, mine, false)), None, "one before the others");
    assert_eq!(compare(&|from, _| from.slot(20).store(mine.0)), None, "the program stored it");
    assert_eq!(compare(&|from, _| from.slot(3).store(mine.0)), None);
    assert_eq!(compare(&|from, _| from.may_repeat.set(true)), None);
    assert_eq!(compare(&|_, to| to.may_repeat.set(true)), None);
    assert_eq!(compare(&|_, to| to.slot(20).store(core::ptr::null_mut())), None, "the program cut it");
    // The same all through: then it is, whatever is known.
    let (from, to) = (holding(list, 3), holding(list, 5));
    put(from, 20, mine, false);
    put(to, 22, mine, false);
    assert!(compared(from, to, &Touched::new()).is_some_and(|same| same.is_all));
    // Of an empty list an edit leaves what is there.
    assert!(compared(holding(&[], 3), holding(list, 5), &Touched::new()).is_none());
    assert!(
        compared(holding(list, 3), holding(&[], 5), &Touched::new()).is_some_and(|same| same.different == 50)
    );
}

#[test]
fn sums_are_over_all_others() {
    let (strings, keys) = (strings(), Keyed::of_tests());
    let array = holding(&strings[..100], 5);
    let mut names = Names([0; Names::WORDS]);
    strings[10..20].iter().for_each(|(_, hint)| names.insert(hint.hash));
    let others = strings[..100].iter().filter(|(_, hint)| !names.has(hint.hash));
    let sum = others.clone().fold(0u64, |sum, (entry, _)| sum.wrapping_add(keys.mix(entry.addr())));
    assert_eq!(sum_of_others(array, 5..105, &names, keys), Some((others.count(), sum)));
    assert_eq!(sum_of_others(array, 5..5, &names, keys), Some((0, 0)));
    array.slot(50).store(strings[150].0);
    assert_eq!(sum_of_others(array, 5..105, &names, keys), None);
    assert!(sum_of_others(array, 51..105, &names, keys).is_some());
}
