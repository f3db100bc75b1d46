//! What few programs do, or only many changes bring about.

use super::*;

/// The list of `env` goes on in one array after the other, by changes of a variable that stays.
fn move_on(env: &Env, times: usize) {
    for _ in 0..times {
        let value: &[u8] = if env.get("MOVES").as_deref() == Some("1") { b"2" } else { b"1" };
        // SAFETY: proper lists.
        unsafe { env.store.batch(&env.head, &[(b"MOVES", Some(value))]) }.unwrap();
    }
}

/// A program may keep the address behind an array's last slot.
#[test]
fn what_is_behind_an_array_is_not_in_it() {
    let env = Env::of(&[c"A=1"]);
    move_on(&env, 1);
    let array = env.store.arrays.latest().unwrap();
    let (first, slots) = (array.base(), array.hints().slots_in_groups());
    assert_eq!(array.hints().index(first.wrapping_add(slots - 1)), Some(slots - 1));
    assert_eq!(array.hints().index(first.wrapping_add(slots)), None);
    assert_eq!(array.hints().index(first.wrapping_sub(1)), None);
    assert_eq!(array.hints().index(first.wrapping_byte_add(1)), None);
}

/// It has no hash: what it left when it filled a gap is known by its address alone. It goes while the list is in another array.
#[test]
fn an_entry_without_a_name_leaves_nothing_behind() {
    let env = Env::of(&[]);
    move_on(&env, 1);
    ["C", "B", "A"].iter().for_each(|name| env.set(name, "1"));
    let (old, array) = (env.head.load(), env.store.arrays.latest().unwrap());
    store_at(&env.head, 0, Some(c"NAMELESS"));
    env.unset("C").unwrap();
    assert_eq!(entries(&env.head)[..2], ["B=1", "NAMELESS"]);
    assert_eq!(entries_at(old)[0], "NAMELESS");
    move_on(&env, 1);
    let at = entries(&env.head).iter().position(|entry| entry == "NAMELESS").unwrap();
    store_at(&env.head, at, Some(c"OTHER=1"));
    for moves in 0.. {
        assert!(moves < 100, "the array was not used again");
        move_on(&env, 1);
        if ptr::eq(array, env.store.arrays.latest().unwrap()) {
            break;
        }
    }
    assert!(!entries_at(old).contains(&"NAMELESS".into()), "{:?}", entries_at(old));
}

/// The list moves on for an addition, to an array whose first entry, and no other, has gone: nobody finds that in between.
#[test]
fn what_has_gone_is_not_back_before_an_addition() {
    let env = Env::of(&[]);
    ["B", "A", "GOES"].iter().for_each(|name| env.set(name, "1"));
    move_on(&env, 20);
    env.unset("GOES").unwrap();
    let before = entries(&env.head);
    let keys = env.store.inherited.keys.get();
    let name: &[u8] = b"NEW";
    let key = Key::new(&name, keys).unwrap();
    let added = env.store.locked(|| {
        let Where::Ours(list) = env.store.place(&env.head)? else { panic!("not ours") };
        let string = env.store.strings.string(key, b"1", keys)?;
        let end = list.found(&key, &mut Look::default()).end;
        let mut list = env.store.move_on(&env.head, &list, end, true)?;
        assert_eq!(entries(&env.head), before);
        assert!(list.add(string, Some(Hint { hash: key.hash, fixed: true }), ptr::null())?);
        Ok(())
    });
    added.unwrap();
    assert_eq!(entries(&env.head).len(), before.len() + 1);
}

/// However the list moves on, an array that it left is not live again before it was in all others.
#[test]
fn the_arrays_are_used_in_turn() {
    const OTHERS: usize = 7;
    let env = Env::of(&[]);
    (0..5).for_each(|i| env.set(&format!("V{i}"), "1"));
    let live = || env.store.arrays.latest().unwrap();
    let mut left = vec![ptr::from_ref(live())];
    for round in 0..100 {
        match round % 3 {
            0 => move_on(&env, 1),
            _ => {
                env.unset("V3").unwrap();
                env.set("V3", "1");
            }
        }
        let now = ptr::from_ref(live());
        if left.last() != Some(&now) {
            let others = left.iter().rev().take_while(|&&array| array != now).count();
            assert!(others >= OTHERS.min(left.len()), "round {round}: live again after {others} others");
            left.push(now);
        }
    }
    assert!(left.len() > 50);
}

/// Entries move down there: a read through the crate that began before starts over, whichever change it is.
#[test]
fn a_read_beside_a_change_of_the_programs_list_looks_again() {
    let env = Env::alone(&[c"A=1", c"A=2", c"B=1", c"C=1"]);
    let list = env.head.load();
    let is_seen = |change: &dyn Fn()| env.store.batch.undisturbed(change).is_none();
    assert!(is_seen(&|| env.set("A", "3")));
    assert!(is_seen(&|| env.put(c"B=2").unwrap()));
    assert!(is_seen(&|| env.unset("C").unwrap()));
    assert!(!is_seen(&|| env.unset("ABSENT").unwrap()));
    assert_eq!((entries(&env.head), env.head.load()), (vec!["A=3".to_string(), "B=2".into()], list));
}

/// The program puts an older head back, and stores an entry of its own over what stands in there. From then on it is in the list.
#[test]
fn what_the_program_stored_over_a_stand_in_stays() {
    for threads in [false, true] {
        let env = if threads { Env::of(&[]) } else { Env::alone(&[]) };
        ["A", "B", "C", "D", "E"].iter().for_each(|name| env.set(name, "1"));
        let start = env.head.load();
        let first = entries(&env.head)[0].strip_suffix("=1").unwrap().to_string();
        env.unset(&first).unwrap();
        let stands_in = entries_at(start)[0].strip_suffix("=1").unwrap().to_string();
        // SAFETY: a list of ours.
        unsafe { env.head.assign(start) };
        store_at(&env.head, 0, Some(c"MINE=1"));
        env.set(&stands_in, "2");
        let found = entries(&env.head);
        assert_eq!((found.len(), found[0].as_str()), (5, "MINE=1"), "{found:?}");
    }
}

/// The same over what the first entry left when it filled a gap: it comes before the one of its name that the list has.
#[test]
fn what_the_program_stored_over_a_left_copy_comes_first() {
    let env = Env::of(&[]);
    ["E", "D", "C", "B", "A"].iter().for_each(|name| env.set(name, "1"));
    let start = env.head.load();
    assert_eq!(entries(&env.head)[0], "A=1");
    env.unset("D").unwrap(); // A fills its gap
    assert_eq!(entries_at(start)[0], "A=1");
    // SAFETY: a list of ours.
    unsafe { env.head.assign(start) };
    store_at(&env.head, 0, Some(c"C=mine"));
    env.set("NEW", "1");
    assert_eq!(env.get("C").as_deref(), Some("mine"));
}

/// A change was broken off once, and the list was copied then: from there on lists of the program's are changed in place again.
#[test]
fn a_list_that_was_copied_is_not_broken_any_more() {
    let env = Env::alone(&[c"A=1", c"B=1"]);
    env.set("C", "1");
    // As a child does that was forked in the middle of a change. Relaxed: one thread.
    env.store.arrays.forget();
    env.store.broken.store(1, Ordering::Relaxed);
    env.set("D", "1");
    let mine = foreign(&[c"A=1", c"B=1"]);
    // SAFETY: a proper list that is never freed.
    unsafe { env.head.assign(mine) };
    env.unset("A").unwrap();
    assert_eq!((env.head.load(), entries_at(mine)), (mine, vec!["B=1".to_string()]));
}

/// The list of a program's that is changed is not the environment any more: a child came back from a handler in which it had copied that. The
/// change is to be made again.
#[test]
fn a_change_of_a_list_that_was_left_does_not_count() {
    let env = Env::alone(&[c"A=1", c"B=1"]);
    let keys = env.store.inherited.keys.get();
    let (list, other) = (env.head.load(), foreign(&[c"A=1"]));
    for (name, at) in [(&b"A"[..], 0), (b"B", 0)] {
        let key = Key::new(&name, keys).unwrap();
        let string = c"C=1".as_ptr().cast_mut();
        for (head, counts) in [(list, true), (other, false)] {
            // SAFETY: proper lists that are never freed, and can be written.
            unsafe {
                env.head.assign(head);
                let program = &env.store.program;
                let slot = list.add(at);
                let done = if name == b"A" {
                    program.replace(&env.head, list, key, slot, &program::Text::default(), Some(string))
                } else {
                    program.remove(&env.head, list, key, slot)
                };
                assert_eq!(done.is_ok(), counts);
            }
        }
    }
}

/// A list moves on to arrays of which the end lies in the middle, at every length: there is room for one more each time.
#[test]
fn a_list_of_every_length_moves_on() {
    for cut in [false, true] {
        let mut env = Env::alone(&[c"A=1"]);
        env.clear();
        (0..9).for_each(|i| env.set(&format!("V{i}"), "1"));
        env.store.one_thread = false;
        for len in 9..MIN_SLOTS {
            env.set(&format!("N{len}"), "1");
            for _ in 0..9 {
                env.unset("V3").unwrap();
                env.set("V3", "1");
                is_in_order(&env, cut);
            }
            if cut && len % 16 == 0 {
                // The program takes the last one off, and puts it back.
                let last = env.snapshot().len() - 1;
                // SAFETY: a slot of the list.
                let slot: &Slot = unsafe { &*env.head.load().add(last) };
                let entry = slot.own();
                slot.store(ptr::null_mut());
                env.set("V3", "2");
                slot.store(entry);
            }
            assert_eq!(env.snapshot().len(), len + 1);
        }
    }
}

/// With one thread what a batch adds comes last, and what it changes stays where it is, whichever array the list is in.
#[test]
fn batches_keep_the_order_with_one_thread() {
    let env = Env::alone(&[c"A=1", c"B=1", c"C=1"]);
    let mut list: Vec<String> = ["A=1", "B=1", "C=1"].map(String::from).into();
    for round in 0..40 {
        let (set, added, gone) = (format!("S{}", round % 3), format!("N{round}"), format!("N{}", round - 2));
        let value = format!("{round}");
        let changes: [(&[u8], Option<&[u8]>); 3] = [
            (set.as_bytes(), Some(value.as_bytes())),
            (added.as_bytes(), Some(b"1")),
            (gone.as_bytes(), None),
        ];
        // SAFETY: proper lists.
        unsafe { env.store.batch(&env.head, &changes) }.unwrap();
        let entry = format!("{set}={round}");
        match list.iter_mut().find(|old| old.starts_with(&format!("{set}="))) {
            Some(old) => *old = entry,
            None => list.push(entry),
        }
        list.push(format!("{added}=1"));
        list.retain(|entry| !entry.starts_with(&format!("{gone}=")));
        assert_eq!(entries(&env.head), list);
        is_in_order(&env, false);
    }
}

/// Its owner has renamed a string in the list, and gives it to `put` again: what is known of it is that name from then on.
#[test]
fn a_string_that_was_renamed_and_put_again_is_noted_anew() {
    for env in [Env::of(&[]), Env::alone(&[])] {
        ["X", "Y"].iter().for_each(|name| env.set(name, "1"));
        let string = c"A=1".to_owned().into_raw();
        // SAFETY: never freed, and ours to edit; proper lists.
        unsafe {
            env.store.put(&env.head, string).unwrap();
            string.write(b'B' as c_char);
            env.store.put(&env.head, string).unwrap();
        }
        assert_eq!((env.get("A"), env.get("B").as_deref(), entries(&env.head).len()), (None, Some("1"), 3));
        is_in_order(&env, false);
    }
}

#[test]
fn a_change_of_a_list_that_is_not_live_does_not_count() {
    let env = Env::of(&[]);
    env.set("A", "1");
    let first = env.head.load();
    for (head, is_live) in [(first, true), (foreign(&[c"A=1"]), false), (ptr::null(), false)] {
        let list = Env::default();
        // SAFETY: proper lists; nobody else is there.
        unsafe {
            list.head.assign(head);
            let editor = Editor::live(&list.head, env.store.arrays.latest().unwrap(), first, Moves::Beside);
            assert_eq!((editor.is_live(), env.store.ended(&editor).is_ok()), (is_live, is_live));
        }
    }
}

#[test]
fn a_store_for_one_thread_keeps_the_order_beside_others() {
    let (one, any) = (Store::for_one_thread(), store());
    assert_eq!((one.moves(), any.moves()), (Moves::Alone, Moves::Beside));
}

/// What the kernel wipes in a forked child is the words that say so, and nothing else.
#[test]
fn what_is_wiped_is_known() {
    let env = Env::of(&[]);
    env.set("A", "1");
    env.store.wiped.lock.acquire();
    let (at, bytes) = env.store.wiped();
    // SAFETY: words that may be wiped: nobody else is there.
    unsafe { at.cast_mut().write_bytes(0, bytes) };
    assert_eq!(sync::own_count(&env.store.wiped.known), 0);
    // Who took it is not there any more; all else is as it was.
    env.set("B", "1");
    assert_eq!(entries(&env.head), ["B=1", "A=1"]);
    assert!(!env.store.is_broken());
}

/// A child that was forked in the middle of a change, with one thread: what it finds is brought into an array of its own, what moves left twice once,
/// and nothing is changed where it is.
#[test]
fn a_list_whose_change_was_broken_off_is_copied_without_what_is_there_twice() {
    for change in 0..3 {
        let env = Env::alone(&[c"A=1", c"B=1", c"B=1", c"C=1"]);
        let list = env.head.load();
        // Relaxed, both: one thread.
        env.store.wiped.known.store(0, Ordering::Relaxed);
        env.store.busy.store(4711, Ordering::Relaxed); // Relaxed: as said
        match change {
            0 => env.set("A", "1"),
            1 => env.put(c"A=1").unwrap(),
            _ => env
                .unset("ABSENT")
                .and_then(|()| env.unset("C"))
                .and_then(|()| env.try_set("C", "1", true))
                .unwrap(),
        }
        assert_eq!(entries(&env.head), ["A=1", "B=1", "C=1"]);
        assert_eq!(entries_at(list), ["A=1", "B=1", "B=1", "C=1"]);
        assert!(!env.store.is_broken(), "until the next one");
    }
}

/// A text that came into no list is given back to `malloc`, which gives the same memory again.
#[cfg(all(target_env = "gnu", not(miri)))]
#[test]
fn a_text_that_is_not_used_is_freed() {
    let composed = || {
        let text = program::Text::default();
        text.compose(b"A", b"1234567890").unwrap();
        text
    };
    let places = |at: &dyn Fn() -> usize| {
        let places = (0..1_000).map(|_| at()).collect::<std::collections::HashSet<_>>();
        places.len()
    };
    assert_eq!(places(&|| composed().take().unwrap().addr()), 1_000, "the list's");
    // (Memory checkers keep all that is freed for a while.)
    let freed = places(&|| {
        let at = sync::from_malloc(13).unwrap();
        // SAFETY: as it was given.
        unsafe { sync::to_malloc(at) };
        at.addr().get()
    });
    assert!(places(&|| composed().peek().unwrap().addr().get()) < 100 || freed > 900);
    let text = composed();
    assert_eq!((crate::testing::text(text.take().unwrap()).as_str(), text.take()), ("A=1234567890", None));
}
