//! Reads by hints beside plain scans: after every step, for any name, both give the very same pointer.
//!
//! The steps are the library's changes and whatever a program does to its list by itself: stores into slots, duplicates, entries
//! without a name, lists of its own, compaction in place, strings that it renames. The reference is a scan written here, from
//! the bytes alone; `Head::get`, the library's own scan, must agree, too. One thread: beside writers is for `tests/c/threads.c` and loom.
#![cfg(all(target_os = "linux", not(loom), not(miri)))]

mod random;

use mtsafe_env_core::{CName, Change, Head, Store};
use random::Random;
use std::collections::{BTreeSet, HashMap};
use std::env;
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Steps with one seed.
const STEPS: usize = 2_500;
/// Variables of the large list. With 16 bits to tell names apart, some 750 pairs of so many names look the same.
const LARGE: usize = 10_000;
/// Around the sizes at which names are looked at in another way: a word, a chunk, all that is hashed at once.
const LENGTHS: [usize; 16] = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 41, 64, 300];
/// Bytes of each string of the program's own: room for the longest name and value.
const ROOM: usize = 512;

impl Random {
    fn of<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }
}

/// Names of all lengths that start and end alike and differ in one byte, and enough others that arrays are outgrown.
fn names() -> Vec<Vec<u8>> {
    let mut names = BTreeSet::new();
    for len in LENGTHS {
        let base: Vec<u8> = (0..len).map(|i| b'A' + (i * 7 % 26) as u8).collect();
        for at in [0, 1, 7, 8, len / 2, len.saturating_sub(33), len.saturating_sub(32), len - 1] {
            for byte in [b'_', 0xff] {
                let mut name = base.clone();
                name[at.min(len - 1)] = byte;
                names.insert(name);
            }
        }
        names.insert(base);
    }
    names.extend((0..150).map(|i| format!("N{i}").into_bytes()));
    names.into_iter().collect()
}

fn bytes_of<'a>(entry: *const c_char) -> &'a [u8] {
    // SAFETY: an entry of a list: a string that stays; its owner, this test, changes it later at most.
    unsafe { std::ffi::CStr::from_ptr(entry) }.to_bytes()
}

/// The name of an entry, if it has one.
fn name_of<'a>(entry: *const c_char) -> Option<&'a [u8]> {
    let bytes = bytes_of(entry);
    bytes.iter().position(|&b| b == b'=').filter(|&at| at > 0).map(|at| &bytes[..at])
}

/// What every read has to find: the first entry that starts with the name and `=`.
fn reference(list: &[*mut c_char], name: &[u8]) -> *const c_char {
    if name.is_empty() || name.contains(&b'=') {
        return ptr::null();
    }
    let starts = |entry: *mut c_char| {
        // SAFETY: each byte before was equal to one that is not NUL.
        let at = |i| unsafe { *entry.cast::<u8>().add(i) };
        name.iter().chain(b"=").enumerate().all(|(i, &wanted)| at(i) == wanted)
    };
    match list.iter().find(|&&entry| starts(entry)) {
        Some(entry) => entry.wrapping_add(name.len() + 1),
        None => ptr::null(),
    }
}

/// A program with a list and a store of its own.
struct Program {
    head: &'static Head,
    store: &'static Store,
    random: Random,
    names: Vec<Vec<u8>>,
    /// Its strings, each of `ROOM` bytes, for ever.
    strings: Vec<*mut c_char>,
    /// Values that `environ` had.
    saved: Vec<*mut *mut c_char>,
    /// Slots that were set to null, and what was in them.
    cut: Vec<(*mut *mut c_char, *mut c_char)>,
}

impl Program {
    fn new(seed: u64, names: Vec<Vec<u8>>) -> Program {
        Program {
            head: Box::leak(Box::new(Head::new())),
            store: Box::leak(Box::new(Store::new())),
            random: Random(seed),
            names,
            strings: Vec::new(),
            saved: Vec::new(),
            cut: Vec::new(),
        }
    }

    /// `environ`, as C sees it.
    fn environ(&self) -> &'static AtomicPtr<*mut c_char> {
        // SAFETY: a head is one pointer.
        unsafe { &*ptr::from_ref(self.head).cast() }
    }

    // Relaxed, here and below: one thread.
    fn first(&self) -> *mut *mut c_char {
        self.environ().load(Ordering::Relaxed)
    }

    fn assign(&self, list: *mut *mut c_char) {
        self.environ().store(list, Ordering::Relaxed);
    }

    /// The slots of the list.
    fn slots(&self) -> Vec<*mut *mut c_char> {
        let mut slots = Vec::new();
        let mut slot = self.first();
        // SAFETY: null or a null-terminated array of entries.
        unsafe {
            while !slot.is_null() && !(*slot).is_null() {
                slots.push(slot);
                slot = slot.add(1);
            }
        }
        slots
    }

    fn list(&self) -> Vec<*mut c_char> {
        // SAFETY: slots of the list.
        self.slots().iter().map(|&slot| unsafe { *slot }).collect()
    }

    /// Each face of a read finds what the reference finds.
    #[track_caller]
    fn compare(&self, list: &[*mut c_char], name: &[u8], what: &str) {
        let expected = reference(list, name);
        let c = CString::new(name).expect("no NUL in it");
        // SAFETY: proper lists throughout, of strings that stay.
        let found = unsafe {
            [
                ("Store::value", self.store.value(self.head, name)),
                ("Store::value of a C string", self.store.value(self.head, CName::new(c.as_ptr()))),
                ("Store::get", self.store.get(self.head, name)),
                ("Head::get", self.head.get(name)),
            ]
        };
        for (how, found) in found {
            let found = found.unwrap_or(ptr::null());
            let text = |at: *const c_char| (!at.is_null()).then(|| String::from_utf8_lossy(bytes_of(at)));
            assert!(
                found == expected,
                "{how} of {:?} ({} bytes) finds {:?} at {found:?}, a scan {:?} at {expected:?}, {what}",
                String::from_utf8_lossy(name),
                name.len(),
                text(found),
                text(expected),
            );
        }
    }

    fn name(&mut self) -> Vec<u8> {
        self.random.of(&self.names)
    }

    fn value(&mut self) -> Vec<u8> {
        (0..self.random.below(9)).map(|_| self.random.of(b"=ab\xff")).collect()
    }

    /// Something to look for: a name, something near one, or what no entry can be called.
    fn query(&mut self) -> Vec<u8> {
        let mut name = self.name();
        let i = self.random.below(name.len());
        match self.random.below(12) {
            0 => name.truncate(name.len() - 1),
            1 => name.push(self.random.of(b"A=_\xff")),
            2 => name[i] = self.random.of(b"A=_\xff\x01"),
            3 => name.truncate(i),
            4 => {
                let list = self.list();
                if !list.is_empty() {
                    name = bytes_of(list[self.random.below(list.len())]).to_vec();
                }
            }
            _ => {}
        }
        name
    }

    /// The text of an entry, one in eight without a name.
    fn entry(&mut self) -> Vec<u8> {
        match self.random.below(32) {
            0 => Vec::new(),
            1 => b"=".to_vec(),
            2 => [b"=", &self.name()[..]].concat(),
            3 => self.name(),
            _ => [self.name(), self.value()].join(&b'='),
        }
    }

    /// Writes `text` into a string of the program's own.
    fn write(string: *mut c_char, text: &[u8]) {
        assert!(text.len() < ROOM);
        // SAFETY: `ROOM` bytes of this test's.
        unsafe {
            ptr::copy(text.as_ptr(), string.cast(), text.len());
            *string.add(text.len()) = 0;
        }
    }

    /// A string of the program's own: a new one, or one that may be in the list already.
    fn string(&mut self) -> *mut c_char {
        if self.strings.len() > 20 && self.random.chance(2) {
            return self.random.of(&self.strings);
        }
        let string: *mut c_char = vec![0u8; ROOM].leak().as_mut_ptr().cast();
        Program::write(string, &self.entry());
        self.strings.push(string);
        string
    }

    fn store(&self, slot: *mut *mut c_char, entry: *mut c_char) {
        // SAFETY: the callers pass slots of lists, below the last one of each array.
        unsafe { *slot = entry };
    }

    /// Does something and says what. What lasts is compared by the caller; what is undone at once, here.
    fn step(&mut self) -> String {
        let slots = self.slots();
        let len = slots.len();
        match self.random.below(34) {
            0..7 => self.set(),
            7..12 => {
                let name = self.name();
                // SAFETY: proper lists throughout.
                unsafe { self.store.unset(self.head, name.as_slice()) }.expect("memory");
                assert_eq!(reference(&self.list(), &name), ptr::null(), "unset leaves one");
                format!("unset {name:?}")
            }
            12..16 => {
                let string = self.string();
                let Some(name) = name_of(string) else { return "nothing".into() };
                // SAFETY: proper lists throughout.
                unsafe { self.store.put(self.head, string) }.expect("memory");
                let expected = string.wrapping_add(name.len() + 1).cast_const();
                assert_eq!(reference(&self.list(), name), expected, "put of another string");
                format!("put {:?}", bytes_of(string))
            }
            16 => self.batch(8),
            17 if self.random.chance(20) => {
                // SAFETY: proper lists throughout.
                unsafe { self.store.clear(self.head) }.expect("memory");
                "clear".into()
            }
            // From here on the program itself.
            18..21 if len > 0 => {
                let slot = self.random.of(&slots);
                // Its own string, or a second time what is in another slot.
                let other = self.random.of(&slots);
                // SAFETY: a slot of the list.
                let entry = if self.random.chance(3) { unsafe { *other } } else { self.string() };
                self.store(slot, entry);
                format!("environ[i] = {:?}", bytes_of(entry))
            }
            21 if len > 1 => {
                let (a, b) = (self.random.below(len), self.random.below(len));
                // SAFETY: the slots of the list, which nobody else uses now.
                let list = unsafe { std::slice::from_raw_parts_mut(slots[0], len) };
                match self.random.below(3) {
                    0 => list.swap(a, b),
                    1 => list.reverse(),
                    _ => list.rotate_left(a),
                }
                "slots are exchanged".into()
            }
            22 if len > 0 => {
                let slot = slots[if self.random.chance(2) { len - 1 } else { self.random.below(len) }];
                // SAFETY: as above.
                let entry = unsafe { *slot };
                self.store(slot, ptr::null_mut());
                if self.random.chance(6) {
                    self.cut.push((slot, entry));
                    return "environ[i] = NULL".into();
                }
                self.look("a short list");
                self.store(slot, entry);
                "environ[i] = NULL and back".into()
            }
            23 if !self.cut.is_empty() => {
                let (slot, entry) = self.cut.swap_remove(self.random.below(self.cut.len()));
                self.store(slot, entry);
                "what was cut comes back".into()
            }
            24 if len > 0 && self.random.chance(3) => {
                // As sanitisers of environments do. The rest of the array keeps its entries.
                let one_in = [2, 30][self.random.below(2)];
                let mut to = 0;
                for &from in &slots {
                    if !self.random.chance(one_in) {
                        // SAFETY: as above.
                        self.store(slots[to], unsafe { *from });
                        to += 1;
                    }
                }
                if to < len {
                    self.store(slots[to], ptr::null_mut());
                }
                "compacted in place".into()
            }
            25 if self.random.chance(3) => {
                let mut own: Vec<_> = self.list().into_iter().filter(|_| !self.random.chance(20)).collect();
                for _ in 0..self.random.below(60) {
                    own.insert(self.random.below(own.len() + 1), self.string());
                }
                own.push(ptr::null_mut());
                self.assign(own.leak().as_mut_ptr());
                "environ = own array".into()
            }
            26 if self.random.chance(30) => {
                self.assign(ptr::null_mut());
                "environ = NULL".into()
            }
            27 if len > 0 => {
                let up = if self.random.chance(8) { self.random.below(len + 1) } else { 1 };
                self.saved.push(self.first());
                self.assign(self.first().wrapping_add(up));
                if self.random.chance(4) {
                    return format!("environ += {up}");
                }
                self.look("environ was moved up");
                self.assign(slots[0]);
                format!("environ += {up} and back")
            }
            28 => {
                self.saved.push(self.first());
                "save environ".into()
            }
            29 if !self.saved.is_empty() && self.random.chance(4) => {
                let list = self.random.of(&self.saved);
                self.assign(list);
                "restore environ".into()
            }
            30 | 31 if !self.strings.is_empty() => {
                let string = self.random.of(&self.strings);
                let old = bytes_of(string).to_vec();
                let mut text = self.entry();
                if self.random.chance(2) {
                    // A name of the same length, and the same value.
                    let len = name_of(string).map_or(0, <[u8]>::len);
                    let alike: Vec<_> = self.names.iter().filter(|name| name.len() == len).cloned().collect();
                    if !alike.is_empty() {
                        text = [&self.random.of(&alike)[..], &old[len..]].concat();
                    }
                }
                Program::write(string, &text);
                format!("rename {old:?} to {text:?}")
            }
            32 if len > 0 => {
                // Many programs split an entry to look at its name, and mend it.
                // SAFETY: a slot of the list.
                let entry = unsafe { *self.random.of(&slots) };
                let Some(name) = name_of(entry) else { return "nothing".into() };
                let (at, name) = (entry.wrapping_add(name.len()), name.to_vec());
                // SAFETY: the `=` of a string that this test or the library made, all of them writable.
                unsafe { *at = 0 };
                let list = self.list();
                self.compare(&list, &name, "an entry is cut at its =");
                self.look("an entry is cut at its =");
                // SAFETY: as above.
                unsafe { *at = b'=' as c_char };
                self.compare(&list, &name, "an entry was cut and mended");
                format!("cut {name:?} at its = and mend it")
            }
            33 if len > 0 => {
                // SAFETY: a slot of the list.
                let entry = unsafe { *self.random.of(&slots) };
                let Some(name) = name_of(entry) else { return "nothing".into() };
                let value = entry.wrapping_add(name.len() + 1);
                if !bytes_of(value).is_empty() {
                    // SAFETY: a byte of a value, as `strtok` writes it.
                    unsafe { *value = self.random.of(b"=z\0") as c_char };
                }
                "edit a value".into()
            }
            _ => "nothing".into(),
        }
    }

    fn set(&mut self) -> String {
        let (name, value, overwrite) = (self.name(), self.value(), !self.random.chance(4));
        let before = reference(&self.list(), &name);
        // SAFETY: proper lists throughout.
        unsafe { self.store.set(self.head, &name, &value, overwrite) }.expect("memory");
        if overwrite || before.is_null() {
            assert_eq!(bytes_of(reference(&self.list(), &name)), value, "set of another value");
        }
        format!("set {name:?} {value:?} {overwrite}")
    }

    fn batch(&mut self, most: usize) -> String {
        let pairs: Vec<_> = (0..1 + self.random.below(most)).map(|_| (self.name(), self.value())).collect();
        let changes: Vec<Change<'_>> = pairs
            .iter()
            .map(|(name, value)| (&name[..], (!self.random.chance(3)).then_some(&value[..])))
            .collect();
        // SAFETY: as above.
        unsafe { self.store.batch(self.head, &changes) }.expect("memory");
        format!("batch {changes:?}")
    }

    /// Compares for a few names.
    fn look(&mut self, what: &str) {
        let list = self.list();
        for _ in 0..10 {
            let name = self.query();
            self.compare(&list, &name, what);
        }
        for name in [&b""[..], b"=", b"=A"] {
            self.compare(&list, name, what);
        }
    }

    /// Compares for all names.
    fn look_at_all(&self, what: &str) {
        let list = self.list();
        self.names.iter().for_each(|name| self.compare(&list, name, what));
    }
}

fn run(seed: u64) {
    println!("seed {seed}: MTSAFE_TEST_SEED={seed} repeats it");
    let mut program = Program::new(seed, names());
    for number in 0..STEPS {
        let what = format!("after step {number}, {}", program.step());
        program.look(&what);
        if number % 64 == 0 {
            program.look_at_all(&what);
        }
    }
}

fn fresh_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64 | 1
}

fn given_seed() -> Option<u64> {
    let seed = env::var("MTSAFE_TEST_SEED").ok()?;
    Some(seed.parse().expect("MTSAFE_TEST_SEED is a number other than 0"))
}

/// A few seconds; with `MTSAFE_TEST_SECONDS`, new seeds for so long.
#[test]
fn every_read_finds_what_a_plain_scan_finds() {
    if let Some(seed) = given_seed() {
        return run(seed);
    }
    let seconds = env::var("MTSAFE_TEST_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(seconds);
    [1, 88_172_645_463_325_252, fresh_seed()].into_iter().for_each(run);
    while Instant::now() < end {
        run(fresh_seed());
    }
}

/// Names of all short lengths, and families of names that differ in one place only: where two of one family look alike, that place
/// alone tells which is which. Twice as many as there will be variables, no two the same.
fn many_names(random: &mut Random) -> Vec<Vec<u8>> {
    const FAMILIES: [(usize, usize); 7] = [(6, 0), (9, 0), (32, 0), (32, 8), (32, 16), (40, 0), (64, 26)];
    let mut names = BTreeSet::new();
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdef";
    let letters = |random: &mut Random, len| -> Vec<u8> { (0..len).map(|_| random.of(LETTERS)).collect() };
    for (len, place) in FAMILIES {
        for _ in 0..2 * LARGE / 8 {
            let mut name: Vec<u8> = (0..len).map(|at| b'A' + (at * 7 % 26) as u8).collect();
            name[place..place + 6].copy_from_slice(&letters(random, 6));
            names.insert(name);
        }
    }
    while names.len() < 2 * LARGE {
        let len = 3 + random.below(40);
        names.insert(letters(random, len));
    }
    // Not sorted: of each kind, half is in the list.
    let mut names: Vec<Vec<u8>> = names.into_iter().collect();
    for i in (1..names.len()).rev() {
        names.swap(i, random.below(i + 1));
    }
    names
}

/// Each variable of the list is found by its hints, and none that is not in it. (By plain scans it would take minutes.)
fn check_all(program: &Program, names: &[Vec<u8>]) {
    let mut expected = HashMap::new();
    for entry in program.list() {
        if let Some(name) = name_of(entry) {
            expected.entry(name).or_insert(entry.wrapping_add(name.len() + 1).cast_const());
        }
    }
    for name in names {
        // SAFETY: proper lists throughout.
        let found = unsafe { program.store.value(program.head, &name[..]) };
        assert_eq!(found, expected.get(&name[..]).copied(), "{:?}", String::from_utf8_lossy(name));
    }
}

#[test]
fn names_that_look_alike_in_a_large_list_are_told_apart() {
    let seed = given_seed().unwrap_or_else(fresh_seed);
    println!("seed {seed}: MTSAFE_TEST_SEED={seed} repeats it");
    let mut random = Random(seed);
    let all = many_names(&mut random);
    let mut program = Program::new(seed, all[..LARGE + 200].to_vec());
    let text = |name: &Vec<u8>| [&name[..], b"=", &name[..2]].concat();
    let (own, rest) = all[..LARGE].split_at(LARGE / 40);
    let mut list: Vec<_> =
        own.iter().map(|name| CString::new(text(name)).expect("no NUL in it").into_raw()).collect();
    list.push(ptr::null_mut());
    program.assign(list.leak().as_mut_ptr());
    program.look("a list of its own");
    // The first change adopts the list: from then on there are hints. The strings of that list are the program's, which might rename
    // them, so they are always looked at; these here are the library's.
    for name in rest {
        // SAFETY: proper lists throughout.
        unsafe { program.store.set(program.head, name, b"set", true) }.expect("memory");
    }
    assert_eq!(program.list().len(), LARGE, "one took another's place");
    check_all(&program, &all);
    for number in 0..150 {
        let what = match number % 5 {
            0 => program.set(),
            1 => {
                let name = program.name();
                // SAFETY: as above.
                unsafe { program.store.unset(program.head, name.as_slice()) }.expect("memory");
                format!("unset {name:?}")
            }
            2 => {
                let (slots, string) = (program.slots(), program.string());
                let slot = program.random.of(&slots);
                program.store(slot, string);
                "environ[i] = a string".into()
            }
            3 => {
                let slots = program.slots();
                let slot = program.random.of(&slots[slots.len() / 2..]);
                // SAFETY: a slot of the list.
                let entry = unsafe { slot.read() };
                program.store(slot, ptr::null_mut());
                program.look("a short list");
                program.store(slot, entry);
                "environ[i] = NULL and back".into()
            }
            _ => {
                let string = program.string();
                let text = program.entry();
                Program::write(string, &text);
                format!("rename a string to {text:?}")
            }
        };
        program.look(&format!("after step {number}, {what}"));
    }
    check_all(&program, &all);
    program.batch(100);
    check_all(&program, &all);
}
