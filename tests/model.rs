//! Random operations against a plain `Vec` of pairs: after every step the environment is what the model says.
//!
//! The operations are the library's and the program's own: direct stores into `environ[i]`, lists assigned to `environ`, saved and
//! restored ones, `putenv` strings that their owner renames. What the program does to the list by itself is done to the model by
//! hand; what the library does must agree with the model. One test per process, and one thread: `environ` is global.
#![cfg(all(target_os = "linux", not(loom), not(miri)))]

mod random;

use mtsafe_env_core::{Error, process};
use random::Random;
use std::collections::{HashMap, HashSet};
use std::env;
use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const STEPS: usize = 10_000;
/// Enough that arrays are outgrown.
const NAMES: usize = 300;

unsafe extern "C" {
    static environ: AtomicPtr<*mut c_char>;
}

fn head() -> &'static AtomicPtr<*mut c_char> {
    // SAFETY: one word of libc's, for the life of the process.
    unsafe { &*ptr::addr_of!(environ) }
}

/// The entries, in their order.
fn raw() -> Vec<*mut c_char> {
    let mut entries = Vec::new();
    // Relaxed: this test has one thread. So everywhere below.
    let mut slot = head().load(Ordering::Relaxed);
    // SAFETY: null or a null-terminated array of entries.
    unsafe {
        while !slot.is_null() && !(*slot).is_null() {
            entries.push(*slot);
            slot = slot.add(1);
        }
    }
    entries
}

fn bytes_of(entry: *mut c_char) -> Vec<u8> {
    // SAFETY: an entry of the list: a string that stays.
    unsafe { CStr::from_ptr(entry) }.to_bytes().to_vec()
}

/// A string that lives for ever, as C programs make them.
fn leaked(text: &[u8]) -> *mut c_char {
    CString::new(text).expect("no NUL in it").into_raw()
}

/// Variables with their values, and entries that are none. Both sorted by [`Model::sort`].
#[derive(Debug, Default, PartialEq, Eq)]
struct Model {
    variables: Vec<(Vec<u8>, Vec<u8>)>,
    odd: Vec<Vec<u8>>,
}

impl Model {
    /// What a list means: the first of each name counts. A string without a name counts once, however often the list has it: a
    /// head that the program moved down shows copies of the first entry.
    fn of(list: &[*mut c_char]) -> Model {
        let mut first: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let (mut odd, mut seen) = (Vec::new(), HashSet::new());
        for (at, entry) in list.iter().map(|&entry| (entry, bytes_of(entry))) {
            match entry.iter().position(|&b| b == b'=') {
                None | Some(0) if !seen.insert(at) => {}
                None | Some(0) => odd.push(entry),
                Some(at) => {
                    first.entry(entry[..at].to_vec()).or_insert_with(|| entry[at + 1..].to_vec());
                }
            }
        }
        let mut model = Model { variables: first.into_iter().collect(), odd };
        model.sort();
        model
    }

    fn sort(&mut self) {
        self.variables.sort();
        self.odd.sort();
    }

    fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| &value[..])
    }

    fn unset(&mut self, name: &[u8]) {
        self.variables.retain(|(known, _)| known != name);
    }

    fn set(&mut self, name: &[u8], value: &[u8]) {
        self.unset(name);
        self.variables.push((name.to_vec(), value.to_vec()));
    }
}

impl Random {
    fn name(&mut self) -> Vec<u8> {
        // Half of the time one of a few, so that operations meet.
        let i = if self.chance(2) { self.below(12) } else { self.below(NAMES) };
        name(i)
    }

    fn value(&mut self) -> Vec<u8> {
        let length = if self.chance(50) { self.below(5000) } else { self.below(4) };
        (0..length).map(|_| b"=ab\xff"[self.below(4)]).collect()
    }

    fn entry(&mut self) -> Vec<u8> {
        match self.below(12) {
            0 => b"odd".to_vec(),
            1 => b"=odd".to_vec(),
            2 => Vec::new(),
            _ => [self.name(), self.value()].join(&b'='),
        }
    }
}

/// Names that are starts of each other, and one that is no UTF-8.
fn name(i: usize) -> Vec<u8> {
    match i {
        0 => b"\xff\x80".to_vec(),
        1..4 => b"XXX"[..i].to_vec(),
        _ => format!("N{i}").into_bytes(),
    }
}

/// What the program remembers.
#[derive(Default)]
struct Program {
    saved: Vec<*mut *mut c_char>,
    put: Vec<*mut c_char>,
    /// Its own arrays.
    arrays: Vec<*mut *mut c_char>,
}

/// Does something, to the environment and to the model, and returns what, for the message.
fn step(random: &mut Random, model: &mut Model, program: &mut Program) -> String {
    let head = head();
    let Program { saved, put, arrays } = program;
    let list = raw();
    match random.below(24) {
        0..6 => {
            let (name, value, overwrite) = (random.name(), random.value(), !random.chance(4));
            assert_eq!(process::set(&name, &value, overwrite), Ok(()));
            if overwrite || model.get(&name).is_none() {
                model.set(&name, &value);
            }
            format!("set {name:?} {value:?} {overwrite}")
        }
        6..11 => {
            let name = random.name();
            assert_eq!(process::unset(&name), Ok(()));
            model.unset(&name);
            format!("unset {name:?}")
        }
        11..14 => {
            let (name, value) = (random.name(), random.value());
            let string = leaked(&[&name[..], &value].join(&b'='));
            // SAFETY: it lives for ever, and this thread alone changes it.
            assert_eq!(unsafe { process::put(string) }, Ok(()));
            put.push(string);
            model.set(&name, &value);
            format!("put {name:?} {value:?}")
        }
        14 => {
            let name = [&b""[..], b"=", b"A=B", b"=A", b"A\0"][random.below(5)];
            assert_eq!(process::set(name, b"1", true), Err(Error::InvalidName));
            assert_eq!(process::unset(name), Err(Error::InvalidName));
            assert_eq!(process::set(b"A", b"\0", true), Err(Error::InvalidValue));
            // SAFETY: a string that lives for ever.
            assert_eq!(unsafe { process::put(leaked(b"=x")) }, Err(Error::InvalidName));
            format!("refuse {name:?}")
        }
        15 if random.chance(20) => {
            assert_eq!(process::clear(), Ok(()));
            *model = Model::default();
            "clear".into()
        }
        // From here on the program itself changes the list.
        16 | 17 if !list.is_empty() => {
            let (i, entry) = (random.below(list.len()), random.entry());
            // SAFETY: a slot of the list, before its terminator. (The arrays are the library's or this test's.)
            unsafe { *head.load(Ordering::Relaxed).add(i) = leaked(&entry) };
            let mut list = list;
            list[i] = leaked(&entry);
            *model = Model::of(&list);
            format!("environ[{i}] = {entry:?}")
        }
        18 if !list.is_empty() && random.chance(10) => {
            let i = if random.chance(2) { 0 } else { random.below(list.len()) };
            // SAFETY: as above.
            unsafe { *head.load(Ordering::Relaxed).add(i) = ptr::null_mut() };
            *model = Model::of(&list[..i]);
            format!("environ[{i}] = NULL")
        }
        19 if random.chance(4) => {
            // All or most of what is there, and some more; duplicates, too.
            let mut own: Vec<_> = list.iter().copied().filter(|_| !random.chance(20)).collect();
            for _ in 0..random.below(30) {
                own.insert(random.below(own.len() + 1), leaked(&random.entry()));
            }
            *model = Model::of(&own);
            own.push(ptr::null_mut());
            arrays.push(own.leak().as_mut_ptr());
            head.store(arrays[arrays.len() - 1], Ordering::Relaxed);
            "environ = own array".into()
        }
        20 if random.chance(40) => {
            head.store(ptr::null_mut(), Ordering::Relaxed);
            *model = Model::default();
            "environ = NULL".into()
        }
        21 => {
            saved.push(head.load(Ordering::Relaxed));
            "save environ".into()
        }
        22 if !saved.is_empty() && random.chance(8) => {
            // What a saved pointer shows after later changes is not for the model to say; that it is a list, is. The next change
            // drops copies that the library left there, also of what the program has removed by itself.
            head.store(saved[random.below(saved.len())], Ordering::Relaxed);
            assert_eq!(process::set(b"RESTORED", b"1", true), Ok(()));
            assert_eq!(process::unset(b"RESTORED"), Ok(()));
            *model = Model::of(&raw());
            "restore environ".into()
        }
        23 if !put.is_empty() => {
            let string = put[random.below(put.len())];
            // SAFETY: a string of this test's, at least one byte long (its name); its length stays.
            unsafe { *string = b"XYN"[random.below(3)] as c_char };
            *model = Model::of(&list);
            format!("rename a put string to {:?}", bytes_of(string))
        }
        _ => "nothing".into(),
    }
}

fn run(seed: u64) {
    println!("seed {seed}: MTSAFE_TEST_SEED={seed} repeats it");
    let mut random = Random(seed);
    let (mut model, mut program) = (Model::of(&raw()), Program::default());
    let mut adoptions = 0;
    for number in 0..STEPS {
        let before = head().load(Ordering::Relaxed);
        let what = step(&mut random, &mut model, &mut program);
        model.sort();
        let list = raw();
        let walk = Model::of(&list);
        let differs = |a: &Model, b: &Model| -> Vec<_> {
            a.variables.iter().filter(|pair| !b.variables.contains(pair)).cloned().collect()
        };
        assert!(
            walk == model,
            "walk after step {number}, {what}: only in the list {:?}, only in the model {:?}, odd {} and {}",
            differs(&walk, &model),
            differs(&model, &walk),
            walk.odd.len(),
            model.odd.len()
        );
        let all = number % 64 == 0;
        for i in 0..if all { NAMES } else { 10 } {
            let name = if all { name(i) } else { random.name() };
            let found = process::get(&name).map(CStr::to_bytes);
            assert_eq!(found, model.get(&name), "get {name:?} after step {number}, {what}");
        }
        // The library made an array, or emptied one, out of a list of the test's: it holds each name once.
        if program.arrays.contains(&before)
            && head().load(Ordering::Relaxed) != before
            && !what.contains("environ")
        {
            adoptions += 1;
            assert_eq!(
                list.len(),
                model.variables.len() + model.odd.len(),
                "duplicates after step {number}, {what}"
            );
        }
    }
    assert!(adoptions > 10, "{adoptions} adoptions");
}

#[test]
fn random_operations_agree_with_a_list_of_pairs() {
    // The model is of a process that had another thread, one that called us: elsewhere than on glibc's usual machines only that tells.
    std::thread::spawn(|| _ = process::get(b"HOME")).join().expect("it returns");
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64 | 1;
    match env::var("MTSAFE_TEST_SEED").ok() {
        Some(seed) => run(seed.parse().expect("MTSAFE_TEST_SEED is a number other than 0")),
        None => [1, 88_172_645_463_325_252, fresh].into_iter().for_each(run),
    }
}
