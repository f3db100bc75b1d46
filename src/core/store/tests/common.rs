//! What two arrays are taken to have in common.

use super::*;
use crate::array::Array;
use crate::same::Same;
use crate::testing::random;

const MANY: usize = 200;

/// A list that went through all arrays in turn, by changes of another variable each time.
fn toggled() -> Env {
    let env = Env::of(&[]);
    (0..MANY).for_each(|i| env.set(&format!("VAR_{i}"), "1"));
    for round in 0..100 {
        let name = format!("VAR_{}", round * 7 % MANY);
        env.unset(&name).unwrap();
        env.set(&name, &format!("{round}"));
    }
    env
}

/// The live array and its list, and the array that it would move on to.
fn arrays(env: &Env) -> (&Array, &Array, usize) {
    let (from, len) = (env.store.arrays.latest().unwrap(), entries(&env.head).len());
    let to = env.store.arrays.next(&env.store.strings, || usize::MAX, len, |_| true).unwrap();
    (from, to, len)
}

fn same(env: &Env) -> Option<Same<'_>> {
    let ((from, to, len), keys) = (arrays(env), env.store.inherited.keys.get());
    Same::between(from, env.head.load(), len, to, &env.store.touched, keys)
}

/// What is said to be in both lists is: this many of the live one.
fn in_common(env: &Env, same: &Same<'_>) -> usize {
    let (from, to, len) = arrays(env);
    let slots = |array: &Array, first: *const Slot, len: usize| {
        let first = array.index(first);
        (first..first + len).map(|i| (i, array.slot(i).own())).collect::<Vec<_>>()
    };
    let ours = slots(from, env.head.load(), len);
    let theirs = slots(to, to.first.get(), to.end() - to.index(to.first.get()));
    let is_in =
        |entry: *mut c_char, list: &[(usize, *mut c_char)]| list.iter().any(|&(_, other)| other == entry);
    let held = ours.iter().filter(|&&(i, _)| same.holds(i));
    let there = theirs.iter().filter(|&&(j, _)| same.held(j));
    assert_eq!(held.clone().count(), there.clone().count());
    held.clone().for_each(|&(_, entry)| assert!(is_in(entry, &theirs)));
    there.for_each(|&(_, entry)| assert!(is_in(entry, &ours)));
    assert_eq!(same.different, len - held.clone().count());
    held.count()
}

/// In another order, but for the names that were touched since.
#[test]
fn lists_in_another_order_have_most_in_common() {
    let env = toggled();
    let same = same(&env).unwrap();
    assert!(in_common(&env, &same) > MANY - 40);
}

/// A batch changes a variable, and nothing notes its name: it is not what the other list holds.
#[test]
fn a_change_that_was_not_noted_is_not_in_common() {
    let env = toggled();
    for i in 0..MANY {
        let (name, value) = (format!("VAR_{i}"), "2");
        // SAFETY: proper lists.
        unsafe { env.store.batch(&env.head, &[(name.as_bytes(), Some(value.as_bytes()))]) }.unwrap();
        if let Some(same) = same(&env) {
            in_common(&env, &same);
        }
    }
}

/// Its owner may rename it: what was noted of it may be wrong in one of the lists.
#[test]
fn lists_with_a_string_of_the_programs_have_nothing_in_common() {
    let env = toggled();
    env.put(c"MINE=1").unwrap();
    for round in 0..50 {
        let name = format!("VAR_{}", round * 7 % MANY);
        env.unset(&name).unwrap();
        env.set(&name, "1");
    }
    assert!(same(&env).is_none());
}

/// It kept a pointer into the array, and nobody knows what it does with the rest.
#[test]
fn a_list_that_the_program_cut_has_nothing_in_common() {
    let env = toggled();
    let (_, to, _) = arrays(&env);
    assert!(same(&env).is_some());
    to.slot(to.index(to.first.get()) + MANY / 2).store(ptr::null_mut());
    assert!(same(&env).is_none());
}

/// The program cuts the list, a variable behind the cut is set, and then the list is made whole again: there are two entries of that name, neither
/// of which the program stored. The first one counts, wherever the list moves on to.
#[test]
fn a_name_that_a_cut_hid_keeps_its_new_value() {
    let mut below = random(20_261_126);
    for round in 0..if cfg!(miri) { 2 } else { 1_200 } {
        let many = 20 + below(100);
        let env = Env::of(&[]);
        (0..many).for_each(|i| env.set(&format!("VAR_{i}"), "1"));
        for _ in 0..100 {
            let name = format!("VAR_{}", below(many));
            env.unset(&name).unwrap();
            env.set(&name, "1");
        }
        let cut = 1 + below(many - 1);
        // SAFETY: a slot of the list.
        let slot: &Slot = unsafe { &*env.head.load().add(cut) };
        let (entry, hidden) = (slot.own(), entries(&env.head)[cut].strip_suffix("=1").unwrap().to_string());
        slot.store(ptr::null_mut());
        env.set(&hidden, "2");
        slot.store(entry);
        for _ in 0..60 {
            let name = format!("VAR_{}", below(many));
            match env.get(&name) {
                _ if name == hidden => {}
                Some(_) => env.unset(&name).unwrap(),
                None => env.set(&name, "1"),
            }
            assert_eq!(env.get(&hidden).as_deref(), Some("2"), "round {round}, cut at {cut}");
        }
    }
}
