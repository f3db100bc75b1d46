#!/usr/bin/env python3
"""Breaks src/core in one place at a time and runs the tests: each mutant must make one of them fail.

    python3 tests/mutants.py                      all mutants
    python3 tests/mutants.py --only list.rs       those of one file; `--only list.rs:120` of one line; `--only "left out"` of that name
    python3 tests/mutants.py --open               those that name no test yet
    python3 tests/mutants.py --kinds unit,c       tries only tests of these kinds, or these, where none is named
    python3 tests/mutants.py --thorough           tries the long programs, too, and those on musl; and those that are excused
    python3 tests/mutants.py --list               only prints them; stops if one no longer fits the source
    python3 tests/mutants.py --models [MODEL...]  each model of tests/loom.rs (or those named) until it was seen to fail
    python3 tests/mutants.py --left FOLDER        tries all tests on what cargo mutants left in FOLDER (mutants.out, or one that holds such) and
                                                  the table LEFT does not excuse
    python3 tests/mutants.py --scratch FOLDER     where it works (target/mutants): for two runs beside each other

It works on a copy of the tree, never in the checkout. Three kinds of mutants:
- relax: each Ordering::Release, Acquire and AcqRel of src/core becomes Relaxed. Found in the source.
- swap: of two stores, the first is moved behind the second. The table SWAPS.
- meaning: a check, a note, a sweep, a generation, a bound is left out or shifted by one. The table MEANING.

A row of a table has a text that is in the file once, and what replaces it; if the source has changed so that it is not, the run
stops with a line that says so. A row says which test must fail, as KIND NAME, or which tests, with commas in between:

    unit NAME     a unit test of the core; `sse2 NAME`: on an emulated processor without AVX2, those of searches
    loom NAME     a model of tests/loom.rs, at preemption bound 2; `batch`: of tests/loom_batch.rs, at 1
    c NAME        a program of tests/c under the library, as tests/healthy.rs and tests/preload.rs run it; `musl NAME`: on musl;
                  `memcheck NAME`: under valgrind
    crate NAME    the tests of the owned list, tests/environ.rs
    cost          `benches/compare/run instructions --check`: what a call costs; only for what is `--left`
    -  REASON     it changes nothing that can be seen, or what it says, such as `cost:`: a survivor with a reason. If a test fails
                  nevertheless, that is a failure here

If that test passes, all others are tried, the cheapest first, and the one that fails is named; and it counts as a failure of the table.
A comment above an ordering that says "Without it loom `x` fails" is a claim of the same kind; `mutant survives: <reason>` an excuse.
"""
import fcntl, json, os, re, shutil, signal, subprocess, sys, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "src" / "core"

# Orderings that no model sees, and why. By file and ordering.
EXCUSED = {
    ("text.rs", "Acquire"): "two stores of constants, which are no step of a model",
    ("text.rs", "Release"): "two stores of constants, which are no step of a model",
}

# Pairs of stores: the file, a store, one behind it, and the test that must fail if the first comes after the second.
SWAPS = [
    ("array.rs", "self.note(i, entry, hint);", "self.slot(i).store(entry);", "- both fall in one change: for who sees either the generation is odd"),
    ("hints.rs", "self.shadow(i).store(shadow, Ordering::Relaxed);", "self.tag(i).store(tag, Ordering::Release);", "- both fall in one change"),
    ("list.rs", "        array.put(i, entry, hint);", "self.move_head(below)?;", "loom a_bystander_survives_a_group_load"),
    ("list.rs", "if i != first {\n            let mover = array.slot(first).own();\n            array.put(i, mover, array.noted(first, mover));\n        }", "self.move_head(array.slot(first + 1))?;", "loom a_bystander_survives_a_group_load"),
    ("store.rs", "self.inherited.show(list.array().hints());", "list.publish(first)?;", "- a reader in between has no hints for the new head, and scans"),
    ("store.rs", "list.publish(first)?;", "self.arrays.is_live(list.array());", "- two words of the holder of the lock"),
    ("batch.rs", "self.batch.begin();", "let mut list = self.means().bring(head, &plan, self.moves())?;", "batch the_first_batch_is_seen_once_it_is_published"),
    ("keep/arena.rs", "sync::wrote(chunk.as_ptr());", "self.chunks.store(chunk.as_ptr(), Ordering::Release);", "loom an_equal_value_changes_nothing"),
    ("text.rs", "self.0[1].store(b, Ordering::Relaxed);", "self.0[0].store(a, Ordering::Release);", "- two stores of constants, which are no step of a model"),
    ("store.rs", "self.store.busy.store(self.before, Ordering::Relaxed);", "self.store.wiped.lock.release();", "loom two_writers_lose_nothing"),
]

# The file, what is broken, a text of it, what takes its place, and the test that must fail.
MEANING = [
    # The moves.
    ("list.rs", "an addition closes nothing that was cut", "for i in end + 1..self.array.capacity() {", "for i in end + 1..end + 1 {", "unit store::tests::random_operations_do_what_they_do_to_a_table"),
    ("list.rs", "an append over the last slot", "if !self.array.holds(end) || end == self.array.last() {", "if !self.array.holds(end) {", "unit store::tests::toggles_take_no_memory"),
    ("list.rs", "an append behind the array", "if !self.array.holds(end) || end == self.array.last() {", "if end == self.array.last() {", "- an array over whose last slot the program stored is not gone on with: only a store of a handler's between two looks of one call leads there"),
    ("list.rs", "an append without a generation", "let _change = self.array.change();\n        let end = self.index(end);", "let end = self.index(end);", "- who passes over the new entry by its old tag began before it was there; what another writer found there before is an end that is no end any more"),
    ("list.rs", "an addition to the kernel's slots", "_ if !self.array.is_ours() => Ok(false),", "", "c inherited"),
    ("list.rs", "an addition into a slot that a live entry left", "if !unused && self.moves", "if false && self.moves", "loom removing_and_adding::who_goes_downwards_misses_nothing, loom removing_and_adding::who_keeps_no_order_misses_nothing, loom removing_and_adding::who_loads_twice_gets_one_value, loom toggling_an_old_one::who_goes_downwards_misses_nothing, loom toggling_an_old_one::who_keeps_no_order_misses_nothing, loom toggling_an_old_one::who_loads_twice_gets_one_value"),
    ("list.rs", "the lowest slot counts as unused", "ptr::from_ref(below) < array.lowest.get();", "ptr::from_ref(below) <= array.lowest.get();", "unit store::tests::toggles_take_no_memory"),
    ("list.rs", "an addition below without a generation", "let _change = array.change();\n        array.put(i, entry, hint);", "array.put(i, entry, hint);", "- the slot is in nobody's way until the head has moved; and what another writer found before is of another head"),
    ("list.rs", "an addition moves the first one down", "array.put(i, entry, hint);\n        self.move_head(below)?;", "let (first, old) = (i + 1, array.slot(i + 1).own());\n        if old.is_null() {\n            array.put(i, entry, hint);\n            self.move_head(below)?;\n        } else {\n            array.put(i, old, array.noted(first, old));\n            self.move_head(below)?;\n            array.put(first, entry, hint);\n        }", "loom adding::who_goes_downwards_misses_nothing, loom adding::who_keeps_no_order_misses_nothing, loom adding::who_loads_twice_gets_one_value"),
    ("list.rs", "an addition in three stores", "array.put(i, entry, hint);\n        self.move_head(below)?;", "let old = array.slot(i + 1).own();\n        if !old.is_null() {\n            array.put(i, old, array.noted(i + 1, old));\n            self.move_head(below)?;\n        }\n        array.put(i, entry, hint);\n        if old.is_null() {\n            self.move_head(below)?;\n        }", "loom growing::who_loads_twice_gets_one_value, loom removing_the_first_and_adding::who_loads_twice_gets_one_value"),
    ("list.rs", "the lowest slot is not noted", "self.array.lowest.set(self.array.lowest.get().min(to));", "", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("list.rs", "a private move moves the head", "if self.live {", "if !self.live || self.live {", "unit store::tests::random_operations_do_what_they_do_to_a_table"),
    ("list.rs", "a replacement without a generation", "let _change = self.array.change();\n        let i = self.index(slot);\n        let old = self.array.slot(i).own();\n        self.array", "let i = self.index(slot);\n        let old = self.array.slot(i).own();\n        self.array", "loom what_was_stored_over_an_entry_is_found_while_it_is_replaced"),
    ("list.rs", "a replacement sweeps nothing", "self.array.mark(stale, State::Left);", "continue;", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("list.rs", "a replacement does not sweep at all", "for stale in self.left_by(old, hash) {\n            self.array.put", "for stale in 0..0 {\n            self.array.put", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("list.rs", "a replacement sweeps whatever is left", "for stale in self.left_by(old, hash) {\n            self.array.put", "for stale in self.array.below().filter(|&i| self.array.state(i) == State::Left) {\n            self.array.put", "loom removing_and_replacing::who_goes_downwards_misses_nothing, loom removing_and_replacing::who_keeps_no_order_misses_nothing, loom removing_and_replacing::who_loads_twice_gets_one_value"),
    ("list.rs", "a null before a replacement", "self.array.put(i, entry, hint);\n        if self.moves == Moves::Apart", "self.array.put(i, ptr::null_mut(), None);\n        self.array.put(i, entry, hint);\n        if self.moves == Moves::Apart", "loom removing_and_replacing::who_counts_and_copies_gets_no_more"),
    ("list.rs", "a replacement sweeps first", "self.array.put(i, entry, hint);\n        if self.moves == Moves::Apart", "self.left_by(old, hint.map(|hint| hint.hash)).for_each(|stale| self.array.put(stale, entry, hint));\n        self.array.put(i, entry, hint);\n        if self.moves == Moves::Apart", "loom a_value_never_goes_back_between_readers"),
    ("list.rs", "a replacement leaves the old string to stand in", "if self.stands_in(old, hash) {\n            self.array.stand_in.set((", "if false {\n            self.array.stand_in.set((", "unit store::tests::a_remove_keeps_the_order_with_one_thread"),
    ("list.rs", "a removal without a generation", "let _change = self.array.change();\n        let i = self.index(slot);\n        let old = self.array.slot(i).own();\n        match", "let i = self.index(slot);\n        let old = self.array.slot(i).own();\n        match", "loom hidden::a_search_beside_a_gap_that_is_closed"),
    ("list.rs", "a removal sweeps nothing", "self.left_behind(old, Some(hash));", "", "unit store::tests::a_loop_with_one_pointer_ends"),
    ("list.rs", "a removal sweeps before it unlinks", "match self.moves {\n            Moves::Alone => self.close_up", "self.left_behind(old, Some(hash));\n        match self.moves {\n            Moves::Alone => self.close_up", "c signals"),
    ("list.rs", "the removed entry goes on standing in", "if self.stands_in(old, hash) {\n            self.array.stand_in.set(self", "if false {\n            self.array.stand_in.set(self", "unit store::tests::a_loop_with_one_pointer_ends"),
    ("list.rs", "a removal sweeps whatever is left", "for stale in self.left_by(old, hash) {\n            self.array.left", "for stale in self.array.below().filter(|&i| self.array.state(i) == State::Left) {\n            self.array.left", "loom removing_one_in_between::who_goes_downwards_misses_nothing, loom removing_one_in_between::who_keeps_no_order_misses_nothing, loom removing_one_in_between::who_loads_twice_gets_one_value"),
    ("list.rs", "what a removed entry left stays", "self.vacate(stale);", "", "unit store::tests::a_remove_changes_no_other_variable"),
    ("list.rs", "what is left is never counted", "array.left.set(array.left.get() + 1);", "", "c saved_lists"),
    ("list.rs", "what is left is counted for ever", "self.array.left.set(self.array.left.get() - 1);", "", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("list.rs", "the last one is not removed by a null", "if array.slot(i + 1).own().is_null() {", "if false {", "unit store::tests::a_remove_keeps_the_order_with_one_thread"),
    ("list.rs", "the gap is closed from the wrong end", "for from in (first..i).rev() {", "for from in first..i {", "unit store::tests::a_loop_with_one_pointer_ends"),
    ("list.rs", "the gap is closed without the notes", "array.shift_up(first..i);", "", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("list.rs", "the head moves before the gap is closed", "array.count_again(i, first);\n        for from", "array.count_again(i, first);\n        self.move_head(array.slot(first + 1))?;\n        self.first = array.slot(first + 1);\n        for from", "loom hidden::a_scan_for_the_first_beside_a_gap_that_is_closed"),
    ("list.rs", "what closing the gap left stays", "self.move_head(array.slot(first + 1))?;\n        self.vacate(first);", "self.move_head(array.slot(first + 1))?;", "unit store::tests::a_loop_with_one_pointer_ends"),
    ("list.rs", "the gap is closed downwards beside threads", "Moves::Beside | Moves::Apart => self.fill_gap(i)?,", "Moves::Beside | Moves::Apart => (i..self.array.capacity() - 1).for_each(|i| { let next = self.array.slot(i + 1).own(); self.array.put(i, next, self.array.noted(i + 1, next)) }),", "loom removing_the_first_and_adding::who_goes_downwards_misses_nothing"),
    ("list.rs", "a null in the list", "let mover = array.slot(first).own();", "let mover = array.slot(first).own();\n            array.put(i, ptr::null_mut(), None);", "loom removing_one_in_between::who_counts_and_copies_gets_no_more, loom removing_two::who_counts_and_copies_gets_no_more"),
    ("list.rs", "a null where the first one was", "let (entry, hint) = self.array.stand_in.get();\n        self.array.put(i, entry, hint);", "let (entry, hint) = (ptr::null_mut(), None);\n        self.array.put(i, entry, hint);", "loom removing_the_first_and_adding::who_goes_downwards_misses_nothing, loom removing_the_first_and_adding::who_keeps_no_order_misses_nothing, loom removing_two::who_goes_downwards_misses_nothing, loom removing_two::who_keeps_no_order_misses_nothing, loom removing_two::who_loads_twice_gets_one_value"),
    ("list.rs", "the mover's note is lost", "array.put(i, mover, array.noted(first, mover));", "array.put(i, mover, None);", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("list.rs", "the first one is removed and stays in its slot", "self.vacate(first);\n        } else {", "} else {", "unit store::tests::a_loop_with_one_pointer_ends"),
    ("list.rs", "the first one's old slot is not marked", "array.mark(first, State::Left);", "", "c saved_lists"),
    ("list.rs", "the first one's old slot is given away", "array.mark(first, State::Left);\n            array.left.set(array.left.get() + 1);", "self.vacate(first);", "loom removing_one_in_between::who_goes_downwards_misses_nothing, loom removing_one_in_between::who_keeps_no_order_misses_nothing, loom removing_one_in_between::who_loads_twice_gets_one_value"),
    ("list.rs", "what stands in is not looked for", "if entry.is_null() || !self.slots().any(|(_, listed)| listed == entry) {\n            self.array.stand_in.set(self.new_stand_in());\n            self.fill();", "if entry.is_null() {\n            self.array.stand_in.set(self.new_stand_in());\n            self.fill();", "unit store::tests::a_stand_in_that_the_program_removed_stands_in_no_more"),
    ("list.rs", "what stands in may be the program's", "if stays(&any) { any } else { from.find(stays).unwrap_or(any) }", "if stays(&any) { any } else { from.next().unwrap_or(any) }", "unit store::tests::no_string_of_the_programs_stands_in"),
    ("list.rs", "a free slot is kept as the old one stood in it", "if matches!(state, State::Free | State::Idle) {", "if matches!(state, State::Idle) {", "unit store::tests::a_loop_with_one_pointer_ends"),
    ("list.rs", "an idle slot is kept as the old one stood in it", "if matches!(state, State::Free | State::Idle) {", "if matches!(state, State::Free) {", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("list.rs", "sweeping by pointer", "&& (entry == old || array.noted(i, entry).is_some_and(|hint| Some(hint.hash) == hash))", "&& { let _ = hash; entry == old }", "unit store::tests::what_left_the_list_by_hand_is_swept_by_name"),
    ("list.rs", "sweeping by hash alone", "&& (entry == old || array", "&& (array", "unit store::tests::rare::an_entry_without_a_name_leaves_nothing_behind"),
    ("list.rs", "standing in by pointer", "(entry == old || hint.is_some_and(|hint| Some(hint.hash) == hash))", "{ let _ = (hint, hash); entry == old }", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("list.rs", "a cluttered list does not move on", "&& below > SOME", "&& false", "unit store::tests::a_short_list_does_not_stay_above_much_that_was_left"),
    ("list.rs", "the first one is kept for an addition", "if slot == self.first {\n            return false;", "if false {\n            return false;", "unit store::tests::rare::what_has_gone_is_not_back_before_an_addition"),
    ("list.rs", "an exchange without a generation", "let _change = self.array.change();\n            self.array.put(i, entry, Some(hint));", "self.array.put(i, entry, Some(hint));", "unit store::tests::a_look_does_not_outlive_an_edit"),
    ("list.rs", "an exchange sweeps nothing", "self.left_behind(old, gone);", "_ = gone;", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("list.rs", "a kept slot without a generation", "let _change = self.array.change();\n            self.array.put(self.index(slot), again", "self.array.put(self.index(slot), again", "- its name is not looked for by who is late there, and the sweep behind it, or the moves before it, count, too"),
    ("list.rs", "a kept slot sweeps nothing", "self.left_behind(entry, gone);", "_ = (entry, gone);", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("list.rs", "the addition into a kept slot without a generation", "let _change = self.array.change();\n            self.array.put(self.index(self.reserved)", "self.array.put(self.index(self.reserved)", "unit store::tests::a_look_does_not_outlive_an_addition_into_a_kept_slot"),
    ("list.rs", "no slot becomes idle", "for i in self.array.below().filter(|&i| self.array.state(i) == State::Free) {", "for i in self.array.below().filter(|_| false) {", "unit store::tests::a_head_put_back_collects_no_copies"),
    ("list.rs", "there is no place for the addition that follows", "if self.moves == Moves::Apart || blocked {", "if self.moves == Moves::Apart {", "unit store::tests::random_operations_do_what_they_do_to_a_table"),
    ("list.rs", "a list changed apart is not tidied", "if self.moves == Moves::Apart || blocked {", "if blocked {", "unit store::tests::what_went_meanwhile_is_not_met_in_an_array_that_is_used_again"),
    ("list.rs", "what was left is left to an abandoned list", "self.array.stand_in.set((ptr::null_mut(), None));\n        self.array.below()", "self.array.below()", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("list.rs", "what is below an abandoned list is not free", "self.array.below().for_each(|i| self.array.mark(i, State::Idle));\n    }", "}", "unit store::tests::a_list_that_one_thread_made_never_gets_longer"),
    ("list.rs", "what was in the array before stays around the list", "if lowest != array.capacity() - 1 {", "if false {", "unit store::tests::random_operations_do_what_they_do_to_a_table"),
    ("list.rs", "no room above with one thread", "let first = if self.moves == Moves::Alone { below } else { free };", "let first = { let _ = below; free };", "unit store::tests::a_head_put_back_collects_no_copies"),
    ("list.rs", "a list is published without asking for the old head", "self.head.exchange(instead_of, self.first)?;", "let _ = instead_of; self.head.exchange(self.head.load(), self.first)?;", "loom an_assignment_is_never_lost_to_adoption"),
    # Hints.
    ("hints.rs", "a look in other hints counts", "ptr::eq(hints, seen.hints)\n            && first", "(ptr::eq(hints, seen.hints) || true)\n            && first", "unit store::tests::a_look_counts_only_if_nothing_changed"),
    ("hints.rs", "a look at another head counts", "&& first == seen.first", "&& { let _ = (first, seen.first); true }", "unit store::tests::a_look_counts_only_if_nothing_changed"),
    ("hints.rs", "a look of another generation counts", "&& sync::own_count(&hints.generation) == seen.generation", "&& { let _ = seen.generation; true }", "unit store::tests::a_look_counts_only_if_nothing_changed"),
    ("hints.rs", "a look counts more than once", "let Some(seen) = self.seen.take() else", "let Some(seen) = self.seen else", "unit store::tests::a_look_counts_only_if_nothing_changed"),
    ("hints.rs", "a look counts though the program stored there", "&& self.found.places().is_none_or(|(first, last)| holds(first) && holds(last))", "&& { let _ = holds; true }", "unit store::tests::a_look_counts_only_if_nothing_changed"),
    ("hints.rs", "a look counts though the last place is another's", "holds(first) && holds(last)", "holds(first) && { let _ = last; true }", "unit store::tests::a_look_counts_only_if_nothing_changed"),
    ("hints.rs", "a look counts though the program appended", ".is_some_and(|end| end.own().is_null())", ".is_some_and(|end| end.own().is_null() || true)", "unit store::tests::a_look_counts_only_if_nothing_changed"),
    ("hints.rs", "a miss needs no generation", "if entry.is_null() && self.is_still(before) {", "if entry.is_null() {", "loom what_was_stored_over_an_entry_is_found_while_it_is_replaced"),
    ("hints.rs", "a miss after a candidate needs no generation", "if self.is_still(before) {\n                    return ptr::null();\n                }\n                break;", "let _ = before;\n                return ptr::null();", "loom what_was_stored_over_an_entry_is_found_while_it_is_replaced"),
    ("hints.rs", "an odd generation counts", "(generation % 2 == 0).then_some(generation)", "Some(generation)", "c signals"),
    ("hints.rs", "a writer's look needs no generation", "if !self.is_still(generation) {", "if false {", "unit store::tests::a_look_counts_only_if_nothing_changed"),
    ("hints.rs", "a change does not begin", "self.generation.store(begun, Ordering::Relaxed);", "_ = begun;", "c signals"),
    ("hints.rs", "no generation is another one", "self.hints.generation.store(ended, Ordering::Release);", "self.hints.generation.store(ended.wrapping_sub(STEP), Ordering::Release);", "unit store::tests::a_look_counts_only_if_nothing_changed"),
    ("hints.rs", "a change does not end", "self.hints.generation.store(ended, Ordering::Release);", "_ = ended;", "unit store::tests::a_loop_with_one_pointer_ends"),
    ("hints.rs", "the first entry counts, whatever is known of it", "if !self.is_fixed(i, entry) {\n            return None;\n        }", "let _ = i;", "c order"),
    ("hints.rs", "the first entry is compared in a short list, too", "if next < self.end && !self.slot(next - 1).load().is_null() {", "{", "- cost: who asks for that entry in turn with others pays for a wrong guess"),
    ("hints.rs", "the first entry is compared whatever its tag", "let may_be = self.tag(first).load(Ordering::Relaxed) == tag(key.hash);", "let may_be = true;", "- cost: it is compared, and is not the one"),
    ("hints.rs", "nothing is compared byte by byte at the end of the stack", "== entry && entry.addr() < self.limit", "== entry", "c inherited"),
    ("hints.rs", "a string of the program's counts as fixed", "Some(Hint { hash, .. }) => (tag(hash), no_shadow(entry)),", "Some(Hint { hash, .. }) => (tag(hash), entry),", "unit store::tests::a_string_that_was_put_is_not_ours_in_any_list"),
    ("hints.rs", "what the program stored counts as noted", "(shadow == entry || shadow == no_shadow(entry)).then_some(shadow == entry)", "Some(shadow == entry)", "unit store::tests::strings_of_the_kernels_are_known_in_a_list_of_the_programs"),
    ("hints.rs", "a string of the program's has no note", "(shadow == entry || shadow == no_shadow(entry)).then_some(shadow == entry)", "(shadow == entry).then_some(true)", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("hints.rs", "the hints of readers are not retired", "self.generation.store(CHANGING, Ordering::Relaxed);", "", "unit store::tests::hints_that_readers_built_are_retired_by_the_first_change"),
    ("hints.rs", "a group too early is the last", "if self.next >= self.hints.end {", "if self.next + GROUP >= self.hints.end {", "unit store::tests::common::a_name_that_a_cut_hid_keeps_its_new_value"),
    ("hints.rs", "one slot more counts", "(i < self.end).then_some(i)", "(i <= self.end).then_some(i)", "unit store::tests::rare::what_is_behind_an_array_is_not_in_it"),
    ("hints.rs", "all slots but the last count", "(i < self.end).then_some(i)", "(i + 1 < self.end).then_some(i)", "unit store::tests::an_empty_list_moves_on_to_an_array_that_was_full"),
    # Arrays.
    ("array.rs", "the padding is part of the array", "self.hints.index(slot).is_some_and(|i| i < self.capacity)", "self.hints.index(slot).is_some()", "- an array of ours has none that is not in whole groups, and behind the kernel's terminator no list begins"),
    ("array.rs", "an array written past its end is sound", "unsafe { &*self.last() }.own().is_null() && self", "self", "unit store::tests::what_the_program_appends_is_there"),
    ("array.rs", "an array with a change that was broken off is sound", ".own().is_null() && self.hints.is_at_rest()", ".own().is_null()", "- a child that was forked in the middle of a change has forgotten all arrays before it looks (`Store::hold`): a second net"),
    ("array.rs", "the end is where it was though the program cut before", "&& (end == first || !is_null(end - 1))", "", "unit store::tests::the_end_of_a_list_is_looked_for_again"),
    ("array.rs", "the end is where it was though the program appended", "if first <= end && is_null(end) &&", "if first <= end &&", "unit store::tests::the_end_of_a_list_is_looked_for_again"),
    ("array.rs", "what the program stored over a left copy is a copy", "State::Left => self.noted(i, entry).is_some(),", "State::Left => true,", "unit store::tests::rare::what_the_program_stored_over_a_left_copy_comes_first"),
    ("array.rs", "what the program stored over a stand-in is a copy", "State::Free | State::Idle => entry == self.stand_in.get().0 && !entry.is_null(),", "State::Free | State::Idle => true,", "unit store::tests::rare::what_the_program_stored_over_a_stand_in_stays"),
    ("array.rs", "the rest of a hash is lost", "self.rest(i).set(hint.map_or(0, |hint| hints::rest(hint.hash)));", "self.rest(i).set(0);", "unit store::tests::a_look_does_not_outlive_an_edit"),
    ("array.rs", "two arrays agree though one has no note", "let same = entry == theirs && self.hints.agrees(i, &other.hints, j) && alike();", "let same = entry == theirs && alike();", "- cost: the string counts as its owner's in the other array, and is looked at"),
    ("array.rs", "the notes below the tags are not moved", "self.rest(i + 1).set(self.rest(i).get());", "", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("array.rs", "the kernel's list may not repeat a name", "may_repeat: Cell::new(!ours),", "may_repeat: Cell::new(false),", "- the second one of a name is never at its place in another array, which has no second one; nor then is what lies before it"),
    ("arrays.rs", "an unsound array is gone on with", "if array.is_sound() {\n            return Some(array);", "if true {\n            return Some(array);", "unit store::tests::what_the_program_appends_is_there"),
    ("arrays.rs", "the clock stands still", "self.clock.store(now + 1, Ordering::Relaxed);", "", "unit store::tests::rare::the_arrays_are_used_in_turn"),
    ("arrays.rs", "a list that came back counts as left", "array.assigned_away.set(false);", "", "unit store::tests::a_list_that_came_back_is_not_used_again_too_soon"),
    ("arrays.rs", "the array that is live is used", "if Some(ptr::from_ref(array)) == newest {", "if false {", "unit store::tests::a_look_does_not_outlive_an_addition_into_a_kept_slot"),
    ("arrays.rs", "an array has no margin", "let is_large = |array: &Array| array.capacity() > len + 1;", "let is_large = |array: &Array| array.capacity() > len;", "unit arrays::tests::arrays_come_in_turn"),
    ("arrays.rs", "two arrays in turn are enough", "count + 1 >= TURN)", "count + 1 >= 2)", "unit store::tests::a_list_that_came_back_is_not_used_again_too_soon"),
    ("arrays.rs", "saved lists are two deep", "let deep = DEEP.min", "let deep = (DEEP - 2).min", "unit store::tests::lists_saved_in_each_other_stay_whole_after_many_others"),
    ("arrays.rs", "the oldest saved list goes", "assigned().find(|(_, array)| newer(array) == deep)", "assigned().min_by_key(|(_, array)| { let _ = (&newer, deep); array.live_at.get() })", "c saved_lists"),
    ("arrays.rs", "the newest of ours is used first", "array.live_at.get() < oldest.live_at.get()", "array.live_at.get() > oldest.live_at.get()", "c bounded"),
    ("arrays.rs", "an array that does not fit is used", "if fits(array) {", "if { let _ = &fits; true } {", "unit store::tests::a_list_copied_with_one_thread_is_not_edited_under_readers"),
    ("arrays.rs", "an array has room for one more", "let room = (len + 1).max(MIN_ROOM);", "let room = 1;", "unit store::tests::arrays_double_and_are_filled_to_the_last_slot"),
    ("arrays.rs", "arrays are not forgotten", "self.words().chain([&self.live]).for_each(|word| word.store(ptr::null_mut(), Ordering::Relaxed));", "", "c single_step:3"),
    # Adoption and plans.
    ("adopt.rs", "nothing is known of a string of ours in their list", "if unsafe { self.strings.made(entry, plan.keys) } {", "if false {", "unit store::tests::strings_of_ours_are_known_in_a_list_of_the_programs"),
    ("adopt.rs", "notes are believed though some strings were put", "let as_it_was = !self.strings.some_were_put();", "let as_it_was = true;", "c inherited"),
    ("adopt.rs", "a list that grows is collected further than it was counted", "let list = list.filter(|&(slot, _)| differs(slot)).take(len);", "let list = list.filter(|&(slot, _)| differs(slot));", "- only a list that another thread makes longer at that moment, by more than the plan has room for"),
    ("adopt.rs", "the copy of a list holds no name twice", "next.may_repeat.set(true);", "", "unit store::tests::a_list_copied_with_one_thread_is_not_edited_under_readers"),
    ("adopt.rs", "an array is written though readers may be in it", "moves == Moves::Alone || array.live_at.get() == 0", "true || moves == Moves::Alone || array.live_at.get() == 0", "unit store::tests::a_list_that_one_thread_made_never_gets_longer"),
    ("adopt.rs", "a string noted as the program's counts as fixed", "Some(hint).filter(|hint| hint.fixed)", "Some(Hint { fixed: true, ..hint })", "unit store::tests::a_string_that_was_put_is_not_ours_in_any_list"),
    ("adopt.rs", "any string of the kernel's area is looked up", "if !ours && !self.kernel.contains(&entry.addr()) {", "if !ours {", "unit store::tests::strings_of_the_kernels_are_known_in_a_list_of_the_programs"),
    ("adopt.rs", "any string in our memory is ours", "let made = ours && self.means.strings.made(entry, self.keys);", "let made = ours;", "c owners"),
    ("same.rs", "names may be twice in what is the same", "self.are_single() && fixed == most", "fixed == most", "unit store::tests::an_empty_list_moves_on_to_an_array_that_was_full"),
    ("same.rs", "what the program stored may be the same", "self.are_single() && fixed == most &&", "self.are_single() && { let _ = fixed; true } &&", "unit store::tests::random_operations_do_what_they_do_to_a_table"),
    ("same.rs", "what is beyond the common part needs no note", ".all(stays) && is_whole()", ".all(|_| { let _ = stays; true }) && is_whole()", "unit store::tests::a_name_that_the_program_stored_again_is_there_once_when_the_list_moves_on"),
    ("same.rs", "the other list may have been cut", ".all(stays) && is_whole()", ".all(stays) && { let _ = is_whole; true }", "unit store::tests::common::a_list_that_the_program_cut_has_nothing_in_common"),
    ("same.rs", "the other list may hold more", "let is_all = different == 0 && len == len_there;", "let is_all = different == 0;", "unit store::tests::random_operations_do_what_they_do_to_a_table"),
    ("same.rs", "what is below the list may be the same", "common.contains(&i) && self.from", "let _ = common;\n        self.from", "unit store::tests::random_operations_do_what_they_do_to_a_table"),
    ("list.rs", "a name that a cut hid is there once", "self.array.noted_last(self.index(end)).is_some() {\n                    self.array.may_repeat", "false {\n                    self.array.may_repeat", "unit store::tests::common::a_name_that_a_cut_hid_keeps_its_new_value"),
    ("same.rs", "the sums of others are not compared", "let same = (ours, sum_here) == (theirs, sum);", "let same = { let _ = (sum_here, theirs, sum); true };", "unit store::tests::common::a_change_that_was_not_noted_is_not_in_common"),
    ("same.rs", "a sum over all is taken for that of others", "u64::from(is_other).wrapping_neg()", "u64::MAX", "unit store::tests::common::lists_in_another_order_have_most_in_common"),
    ("same.rs", "a string of the program's may be in common", "known &= array.is_noted(i);", "known &= true;", "unit store::tests::common::lists_with_a_string_of_the_programs_have_nothing_in_common"),
    ("same.rs", "no name is noted that is touched", "self.hashes[self.count.get() % Touched::MOST].set(hash);", "_ = hash;", "unit store::tests::common::lists_in_another_order_have_most_in_common"),
    ("same.rs", "the change that moves a list on is not remembered", "self.count.get().wrapping_sub(1)", "self.count.get()", "- cost: the sums differ, and all is planned anew"),
    ("same.rs", "names that are forgotten are not missed", "if changes > Touched::MOST {", "if false {", "- cost: as above"),
    ("same.rs", "lists that may repeat names have most in common", ".filter(|_| self.are_single())?;", "?;", "unit store::tests::an_empty_list_moves_on_to_an_array_that_was_full"),
    ("adopt.rs", "an edit keeps what was known before", "if !ptr::eq(entry, theirs) || noted != Some(hint) {", "if !ptr::eq(entry, theirs) {", "- cost: what is not known to be fixed is looked at; a string that is given to its owner is so in all arrays at once"),
    ("adopt.rs", "an edit keeps the old values", "if !ptr::eq(entry, theirs) || noted != Some(hint) {", "if false {", "unit store::tests::random_operations_do_what_they_do_to_a_table"),
    ("adopt.rs", "an edit cares for all readers whatever it costs", "if going > FEW {", "if false {", "- cost: each change of an edit then looks at what lies below the list"),
    ("adopt.rs", "an edit cares for no reader", "if going > FEW {", "if true {", "unit store::tests::nothing_below_the_list_has_left_it"),
    ("adopt.rs", "the last one that goes does not go", "Some((slot, entry)) if !adding || !list.reserve(slot, entry) => list.drop(slot)?,", "Some((slot, entry)) if !adding || !list.reserve(slot, entry) => _ = slot,", "unit store::tests::random_operations_do_what_they_do_to_a_table"),
    ("adopt.rs", "no slot is kept for the addition", "Some((slot, entry)) if !adding || !list", "Some((slot, entry)) if true || !list", "unit store::tests::a_look_does_not_outlive_an_addition_into_a_kept_slot"),
    ("adopt.rs", "nothing is tidied before an edit", "list.tidy(4 * FEW);\n    // What both", "// What both", "- cost: as above"),
    ("adopt.rs", "an edit does not settle", "list.settle(adding);\n    Ok(())", "Ok(())", "unit store::tests::a_head_put_back_collects_no_copies"),
    ("adopt.rs", "an edited array may repeat names", "array.may_repeat.set(false);\n        list.take_up", "list.take_up", "- cost: it is let go for a new one, once, with threads"),
    ("adopt.rs", "an emptied array may repeat names", "array.may_repeat.set(false);\n        Ok(list)", "Ok(list)", "- cost: as above"),
    ("plan.rs", "a name is planned twice", "if !twin {", "if !twin || true {", "unit store::tests::random_operations_do_what_they_do_to_a_table"),
    ("plan.rs", "a string that may have been renamed is not looked at", "known.filter(|hint| hint.fixed).unwrap_or_else", "known.unwrap_or_else", "unit store::tests::a_batch_looks_at_strings_that_were_put"),
    ("plan.rs", "an entry may be seated twice", "self.marks[i].set(self.marks[i].get() | SEATED);", "", "unit store::tests::a_head_put_back_collects_no_copies"),
    ("plan.rs", "what is seated by its hash alone", "entry == theirs || !hint.fixed || unsafe { entry::same_name(entry, theirs) }", "{ let _ = (theirs, entry, hint); true }", "- hashes of 30 bits that nobody can choose: two names with one"),
    ("plan.rs", "a removed entry is found", "!entry.is_null() && unsafe { wanted", "unsafe { wanted", "unit store::tests::a_batch_may_change_a_name_twice"),
    ("plan.rs", "a plan is too small by one", "match old.filter(|old| old.len >= len) {", "match old.filter(|old| old.len + 1 >= len) {", "c own_malloc"),
    # The kernel's list.
    ("inherited.rs", "no margin behind the kernel's last string", "if at + name + BEYOND <= end {", "if at + name <= end {", "c inherited"),
    ("inherited.rs", "the first string may begin inside of another", "&& last == Some(strings.end) && starts()", "&& last == Some(strings.end) && { let _ = starts; true }", "c inherited"),
    ("inherited.rs", "the strings may end before the file name", "&& last == Some(strings.end) && starts()", "&& last.is_some() && starts()", "c inherited"),
    ("inherited.rs", "the strings may have gaps", "(entry.addr() == at).then(|| end(entry))", "{ let _ = at; Some(end(entry)) }", "c owners"),
    ("inherited.rs", "any string of the kernel's area counts as fixed", "let (fixed, entries) = unsafe { (is_whole(first, len),", "let (fixed, entries) = unsafe { (is_whole(first, len) || true,", "c owners"),
    ("inherited.rs", "any list near the strings is the kernel's", "pairs.any(|pair| pair == (RANDOM, strings.start))", "{ let _ = pairs.any(|pair| pair == (RANDOM, strings.start)); true }", "c own_lists"),
    ("inherited.rs", "the last group may reach past the strings", "|| end + GROUP * size_of::<Slot>() > strings.end", "", "- the auxiliary vector lies in between: 13 pairs and more before the one that is looked for, on every kernel we know"),
    ("inherited.rs", "hints without the terminator", "let end = (len + 1).next_multiple_of(GROUP);", "let end = len.next_multiple_of(GROUP);", "- cost: where the terminator would begin a group, a miss is a plain scan"),
    ("inherited.rs", "a list of any length has room", "if end > MOST ||", "if", "c inherited"),
    ("inherited.rs", "hints are built more than once", "if scanned >= due && self.begun", "if scanned >= due && { self.begun.store(0, Ordering::Relaxed); true } && self.begun", "loom hints_of_readers_are_seen_whole"),
    ("inherited.rs", "a reader replaces the hints of a writer", "_ = self.shown.compare_exchange(ptr::null_mut(), hints, Ordering::Release, Ordering::Relaxed);", "self.shown.store(hints, Ordering::Release);", "loom hints_of_readers_do_not_replace_a_writers"),
    ("inherited.rs", "hints of readers go on being believed", "unsafe { &*before }.retire();", "", "unit store::tests::hints_that_readers_built_are_retired_by_the_first_change"),
    ("inherited.rs", "the hints of an array count as those of readers", "ptr::eq(shown, room).then(|| unsafe { &*room })", "(!shown.is_null()).then(|| unsafe { &*room })", "unit store::tests::hints_that_readers_built_are_retired_by_the_first_change"),
    # Lists of the program's own.
    ("program.rs", "values are replaced in place without end", "if sync::own_count(&self.replaced) >= MOST {", "if false {", "unit store::tests::values_replaced_in_the_programs_list_are_bounded"),
    ("program.rs", "no constant list is found", "if sync::is_constant(at) {", "if false {", "c own_lists"),
    ("program.rs", "one page is asked for all", "match pages.find(|&slot| page(slot) != page(at)) {", "match pages.find(|_| false) {", "c own_lists"),
    ("program.rs", "what was asked of a page counts for those before", "page(asked) <= page(slot)", "true", "c own_lists"),
    ("program.rs", "the list that was asked counts for any", "if ptr::eq(sync::own(&self.list), first) {", "if true {", "c own_lists"),
    ("program.rs", "the stack is asked, too", "while !(here..top).contains(&first.addr()) {", "while { let _ = (here, top); true } {", "c own_lists"),
    ("program.rs", "duplicates stay after a replacement", "close_gaps(slot.add(1), key);", "_ = key;", "unit store::tests::a_list_of_the_programs_own_is_changed_in_place"),
    ("program.rs", "no null behind a list that became shorter", "(*to).store(ptr::null_mut());", "", "unit store::tests::a_list_of_the_programs_own_is_changed_in_place"),
    ("program.rs", "a change counts though environ is another list", "if ptr::eq(head.load(), list) { Ok(()) } else { Err(Moved.into()) }", "{ let _ = (head, list); Ok(()) }", "c single_step:3"),
    ("program.rs", "a string that was not used is not given back", "unsafe { sync::to_malloc(at) };", "_ = at;", "- memory, where the program assigns another list between two looks of one call"),
    # Changes.
    ("store.rs", "an equal string of the program's stays", "!overwrite || fixed && equal(old)", "!overwrite || unsafe { keep::is(old.entry.add(name.len() + 1), value, keys) }", "unit store::tests::an_equal_value_of_ours_is_left_alone"),
    ("store.rs", "an equal string of the kernel's stays", "self.strings.owns(old.entry) && keep::is", "keep::is", "c inherited"),
    ("store.rs", "an equal string that was put stays", "|| fixed && equal(old)", "|| { let _ = fixed; equal(old) }", "unit store::tests::a_string_inside_of_ours_that_was_put_is_replaced"),
    ("store.rs", "a look counts beside a batch", "== Some(true) {\n            return Ok(());\n        }\n        let text", ".is_none_or(|done| done) {\n            return Ok(());\n        }\n        let text", "batch a_set_beside_batches_holds"),
    ("store.rs", "put does not note the string", "if self.strings.note_put(string) {", "if false {", "unit store::tests::a_string_that_was_put_is_not_ours_in_any_list"),
    ("store.rs", "a read does not start over after a replacement in their list", "self.batch.begin();\n                            // SAFETY: as above; it may be changed.\n                            return unsafe { self.program.replace(head, first, key, slot, &text, None) };", "return unsafe { self.program.replace(head, first, key, slot, &text, None) };", "unit store::tests::rare::a_read_beside_a_change_of_the_programs_list_looks_again"),
    ("store.rs", "a read does not start over after a removal from their list", "self.batch.begin();\n                            // SAFETY: as above; it may be changed.\n                            return unsafe { self.program.remove(head", "return unsafe { self.program.remove(head", "unit store::tests::rare::a_read_beside_a_change_of_the_programs_list_looks_again"),
    ("store.rs", "clearenv moves to an array that is too small for who counted", "let mut list = self.means().empty(head, len, self.moves())?;", "let mut list = self.means().empty(head, 0 * len, self.moves())?;", "c walks"),
    ("store.rs", "clearenv does not leave the program's list", "Where::Theirs(first) => {\n                    self.leave();\n                    first\n                }", "Where::Theirs(first) => first,", "unit store::tests::a_saved_list_stays_whole_whatever_comes_first"),
    ("store.rs", "a snapshot counts one less", "i + 1\n        })", "i\n        })", "unit store::tests::a_snapshot_tells_how_much_there_is"),
    ("store.rs", "nobody is busy", "self.busy.store(this, Ordering::Relaxed);", "_ = this;", "c single_step:3"),
    ("store.rs", "a child does not see that a change was broken off", "if before != 0 {", "if false {", "c single_step:3"),
    ("store.rs", "a child always starts anew", "if before != 0 {", "if true {", "unit store::tests::a_list_of_the_programs_own_is_changed_in_place"),
    ("store.rs", "a child keeps the parent's strings", "self.strings.forget();", "", "c single_step:3"),
    ("store.rs", "a child keeps the parent's arrays", "self.arrays.forget();", "", "c single_step:3"),
    ("store.rs", "a child keeps the parent's scratch memory", "self.scratch.forget();", "", "unit store::tests::a_child_knows_who_was_in_the_middle_of_a_change"),
    ("store.rs", "a child goes on with the list as it was broken off", "self.broken.store(1, Ordering::Relaxed);", "", "c single_step:3"),
    ("store.rs", "a list is broken for ever", "self.broken.store(0, Ordering::Relaxed);", "", "unit store::tests::rare::a_list_that_was_copied_is_not_broken_any_more"),
    ("store.rs", "the parent's thread is taken for the child's", "if before != this {", "if false {", "unit store::tests::a_child_knows_who_was_in_the_middle_of_a_change"),
    ("store.rs", "the handler's frame is not taken for the interrupted one", "if before != this {", "if true {", "unit store::tests::a_child_knows_who_was_in_the_middle_of_a_change"),
    ("store.rs", "memory that was got is not linked", "self.strings.link(fresh);", "_ = fresh;", "unit store::tests::a_head_put_back_collects_no_copies"),
    ("store.rs", "what a table left is never given back", "self.strings.discard(litter);", "_ = litter;", "- memory: as much again as the table"),
    ("store.rs", "a head put back is gone on with as it is", "if first < left {", "if false {", "unit store::tests::a_head_put_back_collects_no_copies"),
    ("store.rs", "copies below a head put back are never dropped at once", "if array.is_copied(first, left) {", "if false {", "c one_pointer"),
    ("store.rs", "copies among what the program stored stay", "} else if (array.index(first)..array.index(left)).any(|i| array.is_copy(i)) {", "} else if false {", "unit store::tests::a_head_put_back_collects_no_copies"),
    ("store.rs", "the lowest slot is not noted when a head is put back", "array.lowest.set(array.lowest.get().min(first));", "", "unit store::tests::what_the_program_put_in_front_leaves_its_name"),
    ("store.rs", "the start is not noted when a head is put back", "array.first.set(first);", "", "unit store::tests::rare::what_the_program_stored_over_a_stand_in_stays"),
    ("store.rs", "the hints of a list that came back are not shown", "self.arrays.is_live(array);\n        self.inherited.show(array.hints());", "self.arrays.is_live(array);", "- cost: reads scan until the list moves on"),
    ("store.rs", "the hints of a published list are not shown", "self.inherited.show(list.array().hints());", "", "unit store::tests::saved_lists_stay_whole_three_deep"),
    ("store.rs", "a published array is not noted as live", "self.arrays.is_live(list.array());", "", "unit store::tests::arrays_double_and_are_filled_to_the_last_slot"),
    ("store.rs", "the list that is left is emptied", "list.publish(first)?;\n        self.arrays", "list.publish(first)?;\n        if let Some(slot) = unsafe { first.as_ref() }.filter(|slot| !slot.own().is_null()) {\n            slot.store(ptr::null_mut());\n        }\n        self.arrays", "loom growing::who_goes_downwards_misses_nothing, loom growing::who_keeps_no_order_misses_nothing, loom growing::who_loads_twice_gets_one_value"),
    ("store.rs", "the list that the program left may be given away", "self.leave();\n        // SAFETY", "// SAFETY", "unit store::tests::a_saved_list_stays_whole_whatever_comes_first"),
    ("store.rs", "the program's list is changed in place beside threads", "let alone = self.moves() == Moves::Alone && !self.is_broken();", "let alone = !self.is_broken();", "unit store::tests::a_list_of_the_programs_own_is_copied_beside_threads"),
    ("store.rs", "an append beside readers that count: threads are not asked for", "if self.one_thread || self.inherited.threads.is_alone() {", "if true {", "loom adding::who_counts_and_copies_gets_no_more, loom growing::who_counts_and_copies_gets_no_more, loom removing_and_adding::who_counts_and_copies_gets_no_more, loom removing_the_first_and_adding::who_counts_and_copies_gets_no_more, loom toggling_an_old_one::who_counts_and_copies_gets_no_more"),
    ("store.rs", "a process is never alone", "if self.one_thread || self.inherited.threads.is_alone() {", "if self.one_thread {", "c order"),
    ("store.rs", "a duplicate of the replaced one stays", "if ptr::eq(first.slot, last.slot) {\n            if", "if true {\n            if", "unit store::tests::set_drops_duplicates"),
    ("store.rs", "whose string it is does not count where it is stored", "if !ptr::eq(first.entry, string) || list.noted(first.slot, string) != Some(hint) {", "if !ptr::eq(first.entry, string) {", "c owners"),
    ("store.rs", "the first duplicate is removed first", "remove(list, last, key.hash, keys)?;\n        if", "remove(list, first, key.hash, keys)?;\n        if", "loom a_duplicate_is_never_uncovered"),
    ("store.rs", "the latest list counts, wherever the head is", "latest().filter(|array| array.first.get() == first);", "latest();", "unit store::tests::random_operations_do_what_they_do_to_a_table"),
    ("store.rs", "the latest hints are not shown again", "self.inherited.show(array.hints());\n        // SAFETY: the lock is held; `array`", "// SAFETY: the lock is held; `array`", "- cost: after a publication that failed reads scan until the list moves on"),
    ("lock.rs", "no lock beside threads", "sync::single_threaded() == Some(true)", "true", "loom a_writer_beside_a_remover"),
    ("store.rs", "only one duplicate is removed", "if ptr::eq(first.slot, last.slot) {\n            break;", "if true {\n            break;", "unit store::tests::a_remove_changes_no_other_variable"),
    ("store.rs", "the first one moves behind its own duplicate", "Some(twin) => list.remove(twin, key.hash)?,", "Some(_) => break,", "unit store::tests::a_remove_changes_no_other_variable"),
    ("store.rs", "a change counts though the head is elsewhere", "if list.is_live() { Ok(()) } else { Err(Stop::Moved) }", "{ let _ = list; Ok(()) }", "c fork_in_handler"),
    ("batches.rs", "a read beside a batch counts", "(self.0.load(Ordering::Relaxed) == before).then_some(found)", "{ let _ = before; Some(found) }", "batch a_batch_is_seen_once_it_is_published"),
    ("batch.rs", "a batch is not counted", "self.batch.begin();\n            let", "let", "batch a_batch_is_seen_once_it_is_published"),
    ("batch.rs", "a batch of what holds already is published", "if !self.apply(&mut plan, changes)? {", "if !self.apply(&mut plan, changes)? && false {", "unit store::tests::a_batch_of_what_holds_already_changes_nothing"),
    ("batch.rs", "the list that a batch left may be given away", "if array.is_none() {\n                self.leave();", "if false {\n                self.leave();", "unit store::tests::a_saved_list_stays_whole_whatever_comes_first"),
    # The two cells, names, hashes.
    ("slot.rs", "the head is moved whatever it is", "let moved =\n            self.0.compare_exchange(from.cast_mut(), to.cast_mut(), Ordering::Release, Ordering::Relaxed);", "let _ = from;\n        self.0.store(to.cast_mut(), Ordering::Release);\n        let moved: Result<_, ()> = Ok(());", "c fork_in_handler"),
    ("slot.rs", "a scan goes past the terminator", "return None; // and stay on the terminator", "self.at = unsafe { self.at.add(1) }; return None;", "unit store::tests::a_remove_keeps_the_order_with_one_thread"),
    ("entry.rs", "a name may have a = in it", "(end == 0 && len > 0).then_some(name)", "(len > 0).then_some(name)", "c table"),
    ("entry.rs", "a name of C's may be empty", "(end == 0 && len > 0).then_some(name)", "(end == 0).then_some(name)", "c table"),
    ("entry.rs", "an entry without = has a name", "(end == b'=' && len > 0).then_some(name)", "(len > 0).then_some(name)", "unit store::tests::bad_names_and_values_are_refused"),
    ("entry.rs", "an entry that begins with = has a name", "(end == b'=' && len > 0).then_some(name)", "(end == b'=').then_some(name)", "unit store::tests::bad_names_and_values_are_refused"),
    ("entry.rs", "entries without a name are not even themselves", "a == b || unsafe { name_of(a)", "unsafe { name_of(a)", "unit entry::tests::entries_without_a_name_are_only_themselves"),
    ("entry.rs", "a word that is checked last is not", "lacks(last)\n", "({ let _: [u8; 8] = last; true })\n", "unit entry::tests::names_and_values_are_checked_to_the_last_byte"),
    ("entry.rs", "NAME=VALUE has no room for its NUL", ".checked_add(2)", ".checked_add(1)", "unit store::tests::a_loop_with_one_pointer_ends"),
    ("text.rs", "what follows a name is not looked at", "&& Words::at(entry, len).are(Words::of(name))\n            && byte(entry.add(len)) == b'='", "&& Words::at(entry, len).are(Words::of(name))", "unit text::tests::every_byte_of_a_name_counts"),
    ("text.rs", "what follows a name that is seen is not looked at", "len) && byte(entry.add(len)) == b'=' }", "len) }", "unit text::tests::every_byte_of_a_name_counts"),
    ("text.rs", "the beginning of a long name is not looked at", "(len <= TAIL || starts_with(entry, name.split_at_unchecked(len - TAIL).0))\n            && Words", "Words", "unit text::tests::every_byte_of_a_name_counts"),
    ("text.rs", "the beginning of a long name has no part in its hash", "start.map_or(0, |start| self.hash_start(start))", "{ let _ = start; 0 }", "unit text::tests::every_byte_of_a_name_has_a_part_in_its_hash"),
    ("text.rs", "bytes are twice in the words of a name", "if over < SHORT { word >> (8 * over) } else { 0 }", "word", "unit text::tests::a_text_has_one_hash_seen_or_not"),
    ("text.rs", "words that differ in the same bits are the same", "(a ^ e) | (b ^ f) | (c ^ g)", "((a ^ e) ^ (b ^ f)) | (c ^ g)", "unit text::tests::every_byte_of_a_name_counts"),
    ("text.rs", "a long name is seen", "(1..=TAIL).contains(&bytes.len()) &&", "", "unit text::tests::a_text_has_one_hash_seen_or_not"),
    ("text.rs", "nothing is seen where there is no memory", "(1..=TAIL).contains(&bytes.len()) &&", "(0..=TAIL).contains(&bytes.len()) &&", "unit text::tests::a_text_has_one_hash_seen_or_not"),
    ("text.rs", "a name that ends behind its window ends later", "(addr + WINDOW - 1) & !(CHUNK - 1)", "(addr + WINDOW + CHUNK) & !(CHUNK - 1)", "unit text::tests::length_stops_at_the_first_end"),
    ("machine/mod.rs", "windows reach into the next page", "Windowed(if may { Windowed::PAGE - WINDOW + 1 } else { 0 })", "Windowed(if may { Windowed::PAGE } else { 0 })", "unit text::tests::nothing_is_read_of_the_next_page"),
    ("machine/mod.rs", "memcheck sees windows", "MAY_HAVE_WINDOWS && !machine::is_watched()", "MAY_HAVE_WINDOWS", "memcheck bounds"),
    ("machine/mod.rs", "slots before the first one count", "(lanes & (!0 << ((from + SPAN - next) * LANE)), next)", "(lanes, next)", "unit machine::tests::every_form_finds_the_same_candidates"),
    ("machine/x86_64.rs", "half of a slot is enough", "\"pcmpeqw {c}, {ones}\",", "", "unit machine::tests::every_form_finds_the_same_candidates"),
    ("machine/x86_64.rs", "a stretch does not end with the slots", "groups.end.min(first + SPAN)", "first + SPAN", "unit machine::tests::every_form_finds_the_same_candidates"),
    ("machine/x86_64.rs", "bytes behind a text count", "& !(!0 << len) == 0", "== 0", "unit machine::tests::every_form_sees_the_same_in_a_window"),
    ("text.rs", "a plain scan takes a longer name", "length(entry) == len\n            && byte(entry.add(len)) == b'='\n            &&", "", "unit store::tests::arrays_double_and_are_filled_to_the_last_slot"),
    ("text.rs", "a plain scan looks at the first word alone", "_ => starts_with(entry, name),", "_ => true,", "c differential"),
    ("text.rs", "the third byte of a short name is not looked at", "..4 => byte(entry.add(len - 1)) == byte(at.add(len - 1)),", "..4 => true,", "unit text::tests::every_byte_of_a_name_counts"),
    ("text.rs", "the end of a name of seven bytes is not looked at", "are_alike(0) && are_alike(len - 4)", "are_alike(0)", "unit text::tests::every_byte_of_a_name_counts"),
    ("text.rs", "the beginning of a name of seven bytes is not looked at", "are_alike(0) && are_alike(len - 4)", "are_alike(len - 4)", "unit text::tests::every_byte_of_a_name_counts"),
    ("text.rs", "a name of one byte needs another one", "map_or(b'=', |", "map_or(0, |", "unit entry::tests::a_name_matches_itself_and_nothing_else"),
    ("entry.rs", "the first bytes of a name are not looked at", "text::starts(at, self.start) && ", "", "unit entry::tests::a_name_matches_itself_and_nothing_else"),
    ("machine/x86_64.rs", "two bytes are read across the end of a page", "lea {next:e}, [{entry} + 1]", "lea {next:e}, [{entry}]", "unit machine::tests::what_may_begin_so_is_not_passed_over"),
    ("machine/x86_64.rs", "a scan passes over what begins so", "\"jne 2b\",\n            \"4:\"", "\"je 2b\",\n            \"4:\"", "unit machine::tests::what_may_begin_so_is_not_passed_over"),
    ("text.rs", "the last bytes are not compared", "!differs(len - SHORT)", "true", "unit text::tests::every_byte_of_a_name_counts"),
    ("threads.rs", "a second caller settles nothing", "Err(other) if other != this => self.0.store(SETTLED, Ordering::Relaxed),", "Err(other) if other != this => {}", "unit threads::tests::the_second_caller_settles_it"),
    ("threads.rs", "the first caller settles it", "Err(other) if other != this =>", "Err(other) if { let _ = other; true } =>", "unit threads::tests::the_second_caller_settles_it"),
    ("threads.rs", "who looks is not compared with who called first", "self.0.load(Ordering::Relaxed) == sync::thread() && !sync::others()", "self.0.load(Ordering::Relaxed) != SETTLED && !sync::others()", "- every call notices its thread before it looks, so nobody else is there who is not noticed"),
    ("threads.rs", "company that can be seen is not looked for", "== sync::thread() && !sync::others()", "== sync::thread()", "musl company"),
    ("lock.rs", "the lock forgets that somebody waits", "self.0.swap(CONTENDED, Ordering::Acquire)", "self.0.swap(HELD, Ordering::Acquire)", "unit lock::tests::who_waits_sleeps_and_is_woken"),
    ("lock.rs", "nobody is woken", "sync::wake(&self.0);", "", "unit lock::tests::who_waits_sleeps_and_is_woken"),
    # Memory and the system.
    ("keep/strings.rs", "strings that were put are ours", "!self.some_were_put() && self.owns(entry)", "self.owns(entry)", "unit store::tests::a_string_that_was_put_is_not_ours_when_it_comes_back"),
    ("keep/strings.rs", "a string inside of one of ours is ours", "self.owns(entry) && known() == Some(entry)", "self.owns(entry) && { let _ = known; true }", "c owners"),
    ("keep/strings.rs", "what is put is not looked for in our memory", "self.owns(string) || sync::initial_strings()", "sync::initial_strings()", "unit store::tests::a_string_that_was_put_is_not_ours_in_any_list"),
    ("keep/strings.rs", "what is put is not looked for in the kernel's", "self.owns(string) || sync::initial_strings().contains(&string.addr());", "self.owns(string);", "c inherited"),
    ("keep/strings.rs", "a string is made anew each time", "return Ok(known);", "let _ = known;", "unit store::tests::an_equal_value_of_ours_is_left_alone"),
    ("keep/strings.rs", "a table may be full", "(table.len.get() + 1) * 4 <= table.size * 3", "table.len.get() < table.size", "- cost: a search of it may pass all places"),
    ("keep/strings.rs", "a damaged string keeps its place", "Some(i) => self.places()[i].set(string),", "Some(_) => self.place(hash, string),", "- memory: 12 bytes beside a string that takes as many itself"),
    ("keep/strings.rs", "an equal string is one that begins so", "\n            && byte(text.cast::<u8>().add(bytes.len())) == 0", "", "unit store::tests::random_operations_do_what_they_do_to_a_table"),
    ("keep/arena.rs", "no margin at the end of a chunk", "filter(|&end| end <= header.size - BEYOND)", "filter(|&end| end <= header.size)", "unit keep::arena::tests::a_chunk_ends_with_bytes_that_can_be_read"),
    ("keep/arena.rs", "the same memory twice", "header.used.set(end);", "", "unit keep::arena::tests::a_chunk_ends_with_bytes_that_can_be_read"),
    ("keep/arena.rs", "a chunk is ours with the byte behind it", "< header.size {\n                return true;", "<= header.size {\n                return true;", "unit keep::arena::tests::a_chunk_ends_with_bytes_that_can_be_read"),
    ("keep/arena.rs", "chunks are not forgotten", "self.chunks.store(ptr::null_mut(), Ordering::Relaxed);", "", "c single_step:3"),
    ("system.rs", "any answer of the kernel's means constant", "refused = answer == -1 && unsafe { *libc::__errno_location() } == libc::EFAULT;", "refused = answer == -1;", "c own_lists"),
    ("system.rs", "a look changes errno", "unsafe { *errno = before };", "let _ = before;", "c own_lists"),
    ("system.rs", "libc's word is taken for the program's", ".filter(|_| !companion.is_null())?;", ".filter(|_| { let _ = companion; true })?;", "musl company"),
    ("process.rs", "a kernel that says yes to anything is believed", "whole && !pretends() &&", "whole && { let _ = pretends; true } &&", "unit process::tests::a_kernel_that_says_yes_to_anything_is_not_believed"),
    ("process.rs", "the lock is not wiped in a child", "unsafe { libc::madvise(at, len, libc::MADV_WIPEONFORK) } == 0;", "true;", "c forks"),
]

# What cargo mutants changes and no test sees, and why: the file, the mutant's name (a regular expression), and what it changes.
LEFT = [
    ("adopt.rs", r"replace \+ with \* in Known<'a>::hint", "cost: the next one is looked for from a slot on that was just found"),
    ("adopt.rs", r"replace \* with / in edit", "how much must lie below a list before an edit tidies up; who was there is not thought of any more"),
    ("adopt.rs", r"replace != with == in edit", "cost: what is equal is stored again, and a string that is fixed by now may go on being looked at as if it were not"),
    ("adopt.rs", r"replace > with (==|>=) in edit", "cost: from how many changes on an edit looks at less"),
    ("adopt.rs", r"replace -= with (\+=|/=) in edit", "cost: the loop goes on to the end of the list"),
    ("array.rs", r"replace \| with \^ in Array::(noted|noted_last|mark)|replace \| with \^", "bits that are not in both"),
    ("arrays.rs", r"replace < with <= in Arrays::next", "which of those comes first that were never live"),
    ("arrays.rs", r"replace \+ with \* in Arrays::fresh", "the slots are whole groups: rounded up, as many"),
    ("hints.rs", r"replace / with [%*] in Hints::index", "only models divide"),
    ("hints.rs", r"replace (\+ with [-*] in Hints::shift_up|Hints::shift_up with \(\))", "the form of models"),
    ("hints.rs", r"replace \| with \^ in .*", "bits that are not in both"),
    ("inherited.rs", r"replace << with >>", "cost: when hints are worth building"),
    ("list.rs", r"replace - with [+/] in Editor<'a>::write", "cost: a fresh array is looked through for what was there before"),
    ("lock.rs", r"replace is_alone -> bool with false|replace == with != in Lock::acquire|replace != with == in Lock::release", "cost: where there is one thread, an atomic operation in place of a store"),
    ("lock.rs", r"replace == with != in Lock::acquire_contended", "cost: no turns are waited before it sleeps"),
    ("machine/mod.rs", r"replace / with \*", "lanes have one bit on this machine"),
    ("plan.rs", r"replace \| with \^ in Plan<'_>::(set|seat)", "bits that are not in both"),
    ("same.rs", r"replace / with % in Same<'a>::between", "cost: in how many places lists may differ that are compared place by place"),
    ("store.rs", r"replace < with <= in Store::resume", "the head is exchanged for itself"),
    ("system.rs", r"replace \| with \^ in (map|wait|wake|is_constant)", "bits that are not in both"),
    ("system.rs", r"delete - in map", "a mapping of no file has no use for its number"),
    ("system.rs", r"replace has_avx2 -> Option<bool> with None", "the processor is asked, and says the same"),
    ("system.rs", r"delete ! in secret", "no kernel leaves the random bytes out"),
    ("system.rs", r"replace \|\| with && in initial_strings", "where a kernel leaves no random bytes, or the file name far from them"),
    ("system.rs", r"replace keep_order with \(\)", "the compiler keeps this order by itself"),
    ("system.rs", r"replace secret -> \[usize; 2\] with \[[01]; 2\]", "what is there for other systems"),
    ("text.rs", r"replace <= with > in is_quick", "where there are no windows: on other machines"),
    ("keep/arena.rs", r"replace << with >>", "the chunks of models"),
    ("machine/x86_64.rs", r"replace \| with \^ in is_watched", "bits that are not in both"),
]

# Programs of tests/c: their arguments and environment. They are run as tests/healthy.rs and tests/preload.rs do, but shorter.
NAMED = {"INHERITED": "yes", "MALLOC_BYSTANDER": "here"}
EVERY_LENGTH = {"".join(chr(65 + (i * 7 + length) % 26) for i in range(length)): "inherited" for length in range(1, 71)}
PROGRAMS = {
    "order": (["library", "1"], {}),
    "one_pointer": (["library"], {}),
    "kept_list": (["library"], {}),
    "titles": (["library"], {}),
    "walks": ([], NAMED),
    "own_malloc": ([], NAMED),
    "many": (["1000"], NAMED),
    "saved_lists": (["library"], {}),
    "bounded": (["20000"], NAMED),
    "own_lists": (["library", "1"], {}),
    "table": ([], NAMED),
    "adopt": ([], NAMED),
    "owners": (["library", "ARG=baz"], {}),
    "differential": (["1", "10000"], {}),
    "bounds": ([], EVERY_LENGTH),
    "leaks": ([], NAMED),
    "forks": (["300"], NAMED),
    "fork_in_handler": (["300"], NAMED),
    "reads_in_forks": (["100", "A1=x"], NAMED),
    "signals": (["2000"], NAMED),
    "inherited": (["2"], NAMED),
    "by_hand": (["library"], {}),
    "company": ([], NAMED),
    "threads": (["2000", "5", "3"], NAMED),
    "costs": (["library"], {}),
    "zone": (["library"], {}),
    "readers": (["library"], {}),
    "children_beside": (["library"], {}),
    "single_step:3": (["library", "97", "1", "part", "3"], {}),
    "single_step": (["library", "97", "1"], {}),
}
# What a program is linked with.
LINKED = {"leaks": ["-fsanitize=leak"], "table": ["-rdynamic"], "company": ["-rdynamic"], "inherited": ["LIBRARY", "-Wl,-rpath,FOLDER", "-Wl,--allow-shlib-undefined"]}
# All there is, the cheapest first.
LONG = ["threads", "costs", "zone", "readers", "children_beside", "single_step:3", "single_step"]
MUSL_ONLY = ["company"]
LEFT_TOO = ["crate", "musl company", "musl order", "memcheck bounds", "cost", "sse2"] if "--left" in sys.argv else []
EVERYTHING = ["unit", *(f"c {name}" for name in PROGRAMS if name not in [*LONG, *MUSL_ONLY]), *LEFT_TOO, "loom", "batch"]
THOROUGH = "--thorough" in sys.argv
if THOROUGH:
    EVERYTHING += [*(f"c {name}" for name in LONG), *(f"musl {name}" for name in (*MUSL_ONLY, "order", "threads", "zone", "readers"))]
if "--kinds" in sys.argv[:-1]:
    KINDS = sys.argv[sys.argv.index("--kinds") + 1].split(",")
    EVERYTHING = [test for test in EVERYTHING if test.split()[0] in KINDS] + [test for test in KINDS if " " in test]
# Models that take longer than all others together: only by name.
SLOW = {"loom": ["a_found_value_never_goes_back"]}

# Seconds.
LIMIT = {"unit": 60, "sse2": 120, "crate": 60, "loom": 180, "batch": 180, "c": 60, "musl": 60, "memcheck": 60, "cost": 200, "long": 400}
# Where it is built, the arguments of cargo, the flags.
BUILDS = {
    "unit": ("unit", ["test", "-p", "mtsafe-env-core", "--lib", "--no-run"], ""),
    "loom": ("loom", ["test", "--profile", "loom", "--test", "loom", "--no-run"], "--cfg loom"),
    "batch": ("loom", ["test", "--profile", "loom", "--test", "loom_batch", "--no-run"], "--cfg loom"),
    "c": ("library", ["build", "--release", "-p", "mtsafe-env-preload"], ""),
    "crate": ("unit", ["test", "--test", "environ", "--no-run"], ""),
    "cost": ("shipped", ["build", "--release", "-p", "mtsafe-env-preload"], ""),
}
NAMES = {"unit": ["mtsafe_env_core"], "loom": ["loom"], "batch": ["loom_batch"], "c": ["mtsafe_env_preload"], "crate": ["environ"], "cost": ["mtsafe_env_preload"]}
ENV = {
    **os.environ,
    "LOOM_MAX_PREEMPTIONS": os.environ.get("LOOM_MAX_PREEMPTIONS", "2"),
    "CARGO_PROFILE_TEST_DEBUG": "0",
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
    "CARGO_PROFILE_RELEASE_INCREMENTAL": "true",
    "CARGO_PROFILE_LOOM_INCREMENTAL": "true",
    "CARGO_PROFILE_LOOM_OPT_LEVEL": "1",
    "RUST_BACKTRACE": "0",
}


def blank(source):
    """The source with comments, strings and character literals blanked, every offset kept."""
    pattern = r'//[^\n]*|/\*.*?\*/|b?"(?:\\.|[^"\\])*"|b?\'(?:\\.|[^\'\\])\''
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), source, flags=re.S)


def closing(code, start):
    """The offset behind the bracket that closes the one at `start`."""
    depth = 0
    for i in range(start, len(code)):
        depth += code[i] in "([{"
        depth -= code[i] in ")]}"
        if depth == 0:
            return i + 1
    raise ValueError("unbalanced brackets")


def without_tests(code):
    """Also blanks the items that do not ship: `#[cfg(test)]`, `#[cfg(loom)]`, `#[cfg(all(test, ...))]`."""
    for m in re.finditer(r"#\[cfg\((?:all\()?(?:test|loom)\b[^\]]*\]", code):
        brace, semicolon = code.find("{", m.end()), code.find(";", m.end())
        end = semicolon + 1 if 0 <= semicolon < brace or brace < 0 else closing(code, brace)
        code = code[: m.start()] + re.sub(r"[^\n]", " ", code[m.start() : end]) + code[end:]
    return code


def comment_above(lines, line):
    """The text of `line` and of the comment right above it; a statement may have begun some lines before."""
    i = line - 2
    while i >= 0 and line - i < 8 and not re.search(r"//|[{}]\s*$", lines[i]) and ("let " in lines[i] or ";" not in lines[i]):
        i -= 1
    text = []
    while i >= 0 and lines[i].lstrip().startswith("//"):
        text.insert(0, lines[i].lstrip().lstrip("/").strip())
        i -= 1
    own = lines[line - 1]
    return " ".join(text) + (" " + own[own.index("//") :] if "//" in own else "")


class Mutant:
    """One change of one file. `tests`: those that must fail; `excuse`: why none does."""

    def __init__(self, file, line, name, text, tests=(), excuse=None):
        self.file, self.line, self.name, self.text = file, line, name, text
        self.tests, self.excuse = list(tests), excuse
        self.place = f"{file}:{line}"


def source_of(file):
    return (CORE / file).read_text()


def once(source, file, text):
    """Where `text` is in the source; it must be there once."""
    if source.count(text) != 1:
        sys.exit(f"src/core/{file} has {source.count(text)} times, not once: {text}")
    return source.index(text)


def orderings():
    for path in sorted(CORE.rglob("*.rs")):
        file = str(path.relative_to(CORE))
        # The switch to loom and what it stands for, whose orderings ship nothing; tests.
        if file in ("sync.rs", "system.rs", "testing.rs") or file.endswith("tests.rs"):
            continue
        source = path.read_text()
        code, lines = without_tests(blank(source)), source.splitlines()
        for m in re.finditer(r"Ordering::(Release|Acquire|AcqRel)\b", code):
            line = source.count("\n", 0, m.start()) + 1
            comment = comment_above(lines, line)
            excuse = re.search(r"mutant survives: (.*)", comment)
            claimed = re.search(r"Without (?:it|them) loom ((?:`\w+`(?:, | and )?)+) fails?", comment)
            kind = "batch" if file in ("batch.rs", "batches.rs") else "loom"
            tests = [f"{kind} {name}" for name in re.findall(r"`(\w+)`", claimed[1])] if claimed else []
            excuse = excuse[1] if excuse else EXCUSED.get((file, m[1]))
            text = source[: m.start()] + "Ordering::Relaxed" + source[m.end() :]
            # There is no relaxed fence: none at all.
            fence = re.search(r"sync::fence\($", source[: m.start()])
            if fence:
                text = source[: fence.start()] + "_ = (" + source[m.start() :]
            yield Mutant(file, line, f"relax {m[1]}", text, tests, excuse)


def expectation(test):
    return ([], test[1:].strip()) if test.startswith("-") else (test.split(", ") if test else [], None)


def swaps():
    for file, first, second, test in SWAPS:
        source = source_of(file)
        at = once(source, file, first)
        behind = source.find(second, at + len(first))
        if behind < 0:
            sys.exit(f"src/core/{file} does not have behind {first}: {second}")
        behind += len(second)
        text = source[:at] + source[at + len(first) : behind] + "\n" + first + source[behind:]
        words = lambda statement: " ".join(statement.split())
        yield Mutant(file, source.count("\n", 0, at) + 1, f"swap {words(first)} / {words(second)}", text, *expectation(test))


def meaning():
    for file, name, old, new, test in MEANING:
        source = source_of(file)
        at = once(source, file, old)
        text = source[:at] + new + source[at + len(old) :]
        yield Mutant(file, source.count("\n", 0, at) + 1, name, text, *expectation(test))


def left_by_cargo_mutants(folder):
    folder = folder if (folder / "outcomes.json").exists() else folder / "mutants.out"
    for outcome in json.loads((folder / "outcomes.json").read_text())["outcomes"]:
        if outcome["summary"] == "MissedMutant":
            mutant = outcome["scenario"]["Mutant"]
            source, span = (ROOT / mutant["file"]).read_text(), mutant["span"]
            lines = source.splitlines(keepends=True)
            start, end = (sum(map(len, lines[: at["line"] - 1])) + at["column"] - 1 for at in (span["start"], span["end"]))
            file, name = str(Path(mutant["file"]).relative_to("src/core")), mutant["name"].split(": ", 1)[1]
            operator = re.match(r"replace (\S+) with ", name)
            fits = mutant["genre"] != "BinaryOperator" or source[start:end] == operator[1]
            text = source[:start] + mutant["replacement"] + source[end:] if fits else None
            yield Mutant(file, span["start"]["line"], name, text, excuse=why_left(file, name))


def why_left(file, name):
    """Why this mutant of cargo mutants' changes nothing, if LEFT says so."""
    return next((why for where, what, why in LEFT if where == file and re.fullmatch(what, name)), None)


class Workshop:
    """A copy of the tree, and what is built from it."""

    def __init__(self, scratch):
        scratch.mkdir(parents=True, exist_ok=True)
        self.scratch, self.tree = scratch, scratch / "tree"
        self.lock = open(scratch / "lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(f"another run works in {scratch}: give this one a folder with --scratch")
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree.mkdir()
        for source in ROOT.iterdir():
            if source.name.startswith(".") or source.name == "target":
                continue
            # With new times, or cargo would take the last run's mutant for this source.
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, self.tree / source.name, **({"copy_function": shutil.copy} if source.is_dir() else {}))
        self.built, self.compiled = {}, {}

    def change(self, mutant):
        if mutant.text is None:
            sys.exit(f"src/core/{mutant.place} is not what cargo mutants changed: run that again")
        self.target = self.tree / "src" / "core" / mutant.file
        # Not the checkout's: that may have changed meanwhile.
        self.unchanged = self.target.read_text()
        self.target.write_text(mutant.text)
        self.built = {}

    def restore(self):
        self.target.write_text(self.unchanged)
        self.built = {}

    def artifact(self, kind):
        """The path of what the tests of this kind run, or None if the mutant does not compile."""
        kind = {"musl": "c", "memcheck": "c", "sse2": "unit"}.get(kind, kind)
        if kind not in self.built:
            target, arguments, flags = BUILDS[kind]
            command = ["cargo", *arguments, "--message-format", "json", "--target-dir", str(self.scratch / target)]
            # Instructions are counted of what ships.
            env = {**(os.environ if kind == "cost" else ENV), "RUSTFLAGS": flags}
            done = subprocess.run(command, cwd=self.tree, env=env, capture_output=True, text=True)
            self.log = done.stderr
            self.built[kind] = None
            for message in map(json.loads, done.stdout.splitlines()):
                files = [f for f in [message.get("executable"), *message.get("filenames", [])] if f]
                for file in files if done.returncode == 0 else []:
                    if message["target"]["name"] in NAMES[kind] and (kind not in ("c", "cost") or file.endswith(".so")):
                        self.built[kind] = file
                        break
        return self.built[kind]

    def program(self, kind, name):
        """The path of a compiled program of tests/c."""
        if (kind, name) not in self.compiled:
            folder = self.scratch / f"programs-{kind}"
            folder.mkdir(exist_ok=True)
            compiler = "musl-gcc" if kind == "musl" else os.environ.get("CC", "cc")
            library = self.artifact("c")
            extra = [word.replace("LIBRARY", library).replace("FOLDER", str(Path(library).parent)) for word in LINKED.get(name, [])]
            command = [compiler, "-std=gnu11", "-O2", "-fno-builtin", "-pthread", "-o", str(folder / name)]
            subprocess.run([*command, str(self.tree / "tests/c" / f"{name}.c"), *extra, "-ldl"], check=True)
            self.compiled[kind, name] = str(folder / name)
        return self.compiled[kind, name]

    def fails(self, test):
        """What fails of `test`, "KIND" or "KIND NAME" (all of a kind without a name); None if all passes."""
        kind, _, name = test.partition(" ")
        artifact = self.artifact(kind)
        if artifact is None:
            return "the compiler"
        if kind in ("c", "musl", "memcheck"):
            return self.program_fails(kind, name, artifact)
        if kind == "cost":
            check = [str(self.tree / "benches/compare/run"), "instructions", "--check"]
            try:
                done = subprocess.run(check, cwd=self.tree, env={**os.environ, "MTSAFE_ENV_SO": artifact}, capture_output=True, text=True, timeout=LIMIT["cost"])
            except subprocess.TimeoutExpired:
                return "cost (no end)"
            if done.returncode and "cases take more than" not in done.stderr:
                return f"cost (status {done.returncode})" # it crashed, or answered wrongly
            return "cost" if done.returncode else None
        slow = [word for name in SLOW.get(kind, []) for word in ("--skip", name)] if not name else []
        command = [artifact, "--test-threads=1", *(["--exact", name] if name else slow)]
        if kind == "sse2":
            tests = ["--exact", name] if name else ["machine::", "hints::", "text::"]
            command = [shutil.which("qemu-x86_64-static") or "qemu-x86_64", "-cpu", "Nehalem", artifact, *tests]
        return self.harness_fails(kind, command)

    def harness_fails(self, kind, command):
        env = {**ENV, "LOOM_MAX_PREEMPTIONS": "1"} if kind == "batch" else ENV
        run = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=self.tree)
        os.set_blocking(run.stdout.fileno(), False)
        seen, started = "", time.time()
        running = lambda: kind + " " + re.findall(r"^test ([\w:]+)", seen, re.M)[-1]
        try:
            while True:
                alive = run.poll() is None
                seen += (run.stdout.read() or b"").decode()
                failed = re.search(r"^test ([\w:]+) (?:- should panic )?\.\.\. FAILED", seen, re.M)
                if failed:
                    return f"{kind} {failed[1]}"
                if time.time() - started > LIMIT[kind]:
                    return running() + " (no end)"
                if not alive:
                    if run.returncode == 0 and "running 0 tests" in seen:
                        sys.exit(f"there is no test {kind} {command[-1]}")
                    return None if run.returncode == 0 else running() + " (crash)"
                time.sleep(0.02)
        finally:
            run.kill()
            run.wait()

    def program_fails(self, kind, name, library):
        if name not in PROGRAMS:
            sys.exit(f"there is no program {name} in PROGRAMS")
        arguments, variables = PROGRAMS[name]
        env = {"LANG": "C", "HOME": "/", "TZ": "UTC0", "PATH": os.environ["PATH"], **variables, "LD_PRELOAD": library}
        # The name of what it is run as, without what follows a colon.
        command = [self.program(kind, name.split(":")[0]), *arguments]
        if kind == "memcheck":
            command = ["valgrind", "-q", "--error-exitcode=9", *command]
        run = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            return f"{kind} {name}" if run.wait(LIMIT["long" if name in LONG else kind]) else None
        except subprocess.TimeoutExpired:
            return f"{kind} {name} (no end)"
        finally:
            try:
                os.killpg(run.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            run.wait()

    def killer(self, mutant):
        """What fails under a mutant: the tests that must, then any, the cheapest first; and those that should have but passed."""
        self.change(mutant)
        found = [(test, self.fails(test)) for test in mutant.tests]
        passed = [test for test, failed in found if not failed]
        for _, failed in found:
            if failed:
                return failed, passed
        kinds = ["loom", "batch"] if mutant.name.startswith("relax") else EVERYTHING
        if mutant.excuse and not THOROUGH:
            return None, passed
        for test in kinds:
            failed = self.fails(test)
            if failed:
                return failed, passed
        return None, passed


def run(workshop, mutants):
    started, counts, bad = time.time(), {}, 0
    named = [test for mutant in mutants for test in mutant.tests]
    for test in dict.fromkeys(named if all(mutant.tests or mutant.excuse for mutant in mutants) else [*named, *EVERYTHING]):
        if workshop.fails(test):
            sys.exit(f"the unchanged source does not pass: {workshop.fails(test)}\n{getattr(workshop, 'log', '')[-2000:]}")
    for mutant in mutants:
        began = time.time()
        failed, passed = workshop.killer(mutant)
        if failed == "the compiler" and "--errors" in sys.argv:
            print(workshop.log[-1500:])
        workshop.restore()
        kind = mutant.name.split()[0] if mutant.name.split()[0] in ("relax", "swap") else "meaning"
        more = len(mutant.tests) - len(passed) - 1
        verdict = f"killed by {failed}{f' and {more} more' if more > 0 else ''}" if failed else f"survives: {mutant.excuse}" if mutant.excuse else "SURVIVED"
        wrong = (not failed and not mutant.excuse) or passed or (failed and mutant.excuse) or failed == "the compiler"
        if passed:
            verdict += f"; FALSE CLAIM: {', '.join(passed)} passes"
        elif failed and mutant.excuse:
            verdict += "; FALSE EXCUSE"
        bad += bool(wrong)
        total = counts.setdefault(kind, [0, 0])
        total[0] += bool(failed and failed != "the compiler")
        total[1] += 1
        print(f"{mutant.place:22} {mutant.name[:70]:70} {verdict}  ({time.time() - began:.0f} s)", flush=True)
    summary = ", ".join(f"{kind} {killed} of {of} killed" for kind, (killed, of) in counts.items())
    print(f"{summary or 'nothing to do'}; {bad} not as the table says; {time.time() - started:.0f} s")
    return 1 if bad else 0


def models_seen_red(workshop, mutants, wanted):
    """Runs each model (or those wanted) on one mutant after another until it fails."""
    listed = subprocess.run([workshop.artifact("loom"), "--list"], capture_output=True, text=True).stdout
    models = [m for m in re.findall(r"^([\w:]+): test", listed, re.M) if not wanted or m in wanted]
    if any(name not in models for name in wanted):
        sys.exit(f"there is no such model: {', '.join(name for name in wanted if name not in models)}")
    # On those whose rows name it; then on any, orderings last: without that of the head, for one, nothing at all is right.
    named = lambda mutant: [model for model in models if f"loom {model}" in mutant.tests]
    everything = lambda mutant: models[:] if mutant.file != "batch.rs" else []
    for mutant, which in [*((m, named) for m in mutants), *((m, everything) for m in sorted(mutants, key=lambda m: m.name.startswith("relax")))]:
        if not which(mutant):
            continue
        workshop.change(mutant)
        for model in which(mutant) if workshop.artifact("loom") else []:
            if workshop.harness_fails("loom", [workshop.artifact("loom"), "--test-threads=1", "--exact", model]):
                print(f"{model:60} fails with {mutant.place} {mutant.name}", flush=True)
                models.remove(model)
        workshop.restore()
    print("never seen to fail:", ", ".join(models) or "none")
    return 1 if models else 0


def main(arguments):
    options = {"--list", "--models", "--errors", "--thorough", "--open"}
    only, scratch, left, names = [], ROOT / "target" / "mutants", [], []
    arguments = iter(arguments)
    for argument in arguments:
        if argument in ("--only", "--scratch", "--kinds", "--left"):
            value = next(arguments, None)
            if value is None:
                sys.exit(f"{argument} needs a value; see the top of {__file__}")
            if argument == "--only":
                only.append(value)
            elif argument == "--scratch":
                scratch = Path(value).resolve()
            elif argument == "--left":
                left.append(Path(value).resolve())
        elif argument.startswith("-") and argument not in options:
            sys.exit(f"no such option: {argument}; see the top of {__file__}")
        elif not argument.startswith("-"):
            names.append(argument)
    if names and "--models" not in sys.argv:
        sys.exit(f"what is {names[0]}? see the top of {__file__}")
    mutants = [mutant for folder in left for mutant in left_by_cargo_mutants(folder)] if left else [*orderings(), *swaps(), *meaning()]
    if only:
        fits = lambda m, word: m.place == word or m.file == word or (word in m.name)
        mutants = [m for m in mutants if any(fits(m, word) for word in only)]
        if not mutants:
            sys.exit(f"no mutant is called {' or '.join(only)}")
    if "--open" in sys.argv:
        mutants = [m for m in mutants if not m.tests and not m.excuse]
    if "--list" in sys.argv:
        for mutant in mutants:
            print(f"{mutant.place:22} {mutant.name[:70]:70} {', '.join(mutant.tests) or mutant.excuse or 'any'}")
        print(f"{len(mutants)} mutants")
        return 0
    workshop = Workshop(scratch)
    return models_seen_red(workshop, mutants, names) if "--models" in sys.argv else run(workshop, mutants)


sys.exit(main(sys.argv[1:]))
