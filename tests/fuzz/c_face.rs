//! Arbitrary calls of the C functions, and all a program may do to `environ` itself, against a plain model.
//!
//! ```text
//! .ci/fuzz [seconds]
//! ```
//!
//! The model is what a C program sees: the first value of each name, and the entries that have none, read by a scan that shares
//! no code with the library. After each call the list must be what the call makes of the model; `getenv` must agree with it for
//! every name; results and `errno` must be those of the table of calls.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mtsafe_env_core::c;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

type Bytes = Vec<u8>;

/// What there is: the first value of each name; the entries without a name, sorted.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    values: BTreeMap<Bytes, Bytes>,
    rest: Vec<Bytes>,
}

impl Model {
    fn read() -> Model {
        let mut model = Model::default();
        // SAFETY: one thread; `environ` is null or a null-terminated list of strings.
        for entry in unsafe { entries() } {
            match entry.iter().position(|&byte| byte == b'=') {
                Some(end) if end > 0 => {
                    let (name, value) = (entry[..end].to_vec(), entry[end + 1..].to_vec());
                    model.values.entry(name).or_insert(value);
                }
                _ => model.rest.push(entry),
            }
        }
        // (Where the program puts an older head back, copies below the list are seen until the next change.)
        model.rest.sort();
        model.rest.dedup();
        model
    }
}

/// # Safety
/// - `environ` is null or a null-terminated list of strings, and nobody changes it.
unsafe fn entries() -> Vec<Bytes> {
    let mut found = Vec::new();
    // SAFETY: the caller's promise.
    unsafe {
        let mut at = environ;
        while !at.is_null() && !(*at).is_null() {
            found.push(CStr::from_ptr(*at).to_bytes().to_vec());
            at = at.add(1);
        }
    }
    found
}

/// What the program did to `environ` itself.
#[derive(Default)]
struct Program {
    saved: *mut *mut c_char,
    /// True from when it put an older head back until it assigns another list. Copies lie below the list then, which go with the next change. If it has
    /// meanwhile stored another value over the one or the other, the entry behind the copy is seen from that change on.
    put_back: bool,
}

/// Takes the input apart.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A C string: mostly one of a few names or values, sometimes anything.
    fn text(&mut self) -> CString {
        const FEW: [&[u8]; 8] = [b"A", b"B", b"AB", b"C", b"", b"=", b"A=B", b"PATH"];
        let what = self.byte();
        let mut text = FEW[usize::from(what & 7)].to_vec();
        for _ in 0..if what & 0xc0 == 0 { what >> 3 & 7 } else { 0 } {
            text.push(self.byte());
        }
        text.retain(|&byte| byte != 0);
        CString::new(text).unwrap()
    }

    /// A string for `putenv` or a list: never freed.
    fn entry(&mut self) -> *mut c_char {
        let (name, value) = (self.text(), self.text());
        let mut entry = name.into_bytes();
        if self.byte() % 8 != 0 {
            entry.push(b'=');
            entry.extend(value.to_bytes());
        }
        CString::new(entry).unwrap().into_raw()
    }
}

fn errno() -> &'static mut c_int {
    // SAFETY: this thread's own.
    unsafe { &mut *libc::__errno_location() }
}

/// A call's result, with what it does to `errno`: nothing if it succeeds.
fn result(call: impl FnOnce() -> c_int) -> c_int {
    *errno() = 4_242;
    let result = call();
    assert_eq!(*errno(), if result == 0 { 4_242 } else { libc::EINVAL });
    assert!(result == 0 || result == -1);
    result
}

fn good_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.contains(&b'=')
}

fn get(name: &CStr) -> Option<Bytes> {
    // SAFETY: a C string; what comes back is null or one.
    unsafe {
        let value = c::getenv(name.as_ptr());
        let secure = c::secure_getenv(name.as_ptr());
        assert_eq!(value, secure);
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes().to_vec())
    }
}

/// One call or one deed of the program.
fn step(input: &mut Input<'_>, program: &mut Program) {
    let before = Model::read();
    // SAFETY: one thread.
    let covered = if program.put_back { unsafe { entries() } } else { Vec::new() };
    let mut wanted = before.clone();
    // SAFETY: C strings, NULL where C allows it; one thread, so that the program may do to `environ` what it likes.
    unsafe {
        match input.byte() % 16 {
            0..4 => {
                let (name, value, overwrite) =
                    (input.text(), input.text(), c_int::from(input.byte() % 4 != 0));
                let done = result(|| c::setenv(name.as_ptr(), value.as_ptr(), overwrite));
                assert_eq!(done == 0, good_name(name.to_bytes()));
                let (name, value) = (name.into_bytes(), value.into_bytes());
                if done == 0 && (overwrite != 0 || !wanted.values.contains_key(&name)) {
                    wanted.values.insert(name, value);
                }
            }
            4..6 => {
                let name = input.text();
                let done = result(|| c::unsetenv(name.as_ptr()));
                assert_eq!(done == 0, good_name(name.to_bytes()));
                wanted.values.remove(name.to_bytes());
            }
            6 | 7 => {
                let string = input.entry();
                let text = CStr::from_ptr(string).to_bytes().to_vec();
                let done = result(|| c::putenv(string));
                let end = text.iter().position(|&byte| byte == b'=');
                assert_eq!(done == 0, !text.is_empty() && end != Some(0));
                match end {
                    Some(end) if done == 0 => {
                        wanted.values.insert(text[..end].to_vec(), text[end + 1..].to_vec());
                        let name = CString::new(&text[..end]).unwrap();
                        assert_eq!(c::getenv(name.as_ptr()), string.add(end + 1), "the string itself");
                    }
                    _ => _ = wanted.values.remove(&text),
                }
            }
            8 if input.byte() % 4 == 0 => {
                assert_eq!(result(|| c::clearenv()), 0);
                wanted = Model::default();
            }
            9 if input.byte() % 4 == 0 => {
                let name = c"A".as_ptr();
                assert!(c::getenv(ptr::null()).is_null());
                assert_eq!(result(|| c::setenv(ptr::null(), name, 1)), -1);
                assert_eq!(result(|| c::setenv(name, ptr::null(), 1)), -1);
                assert_eq!(result(|| c::putenv(ptr::null_mut())), -1);
                assert_eq!(result(|| c::unsetenv(ptr::null())), -1);
            }
            // From here on the program's own doing: the model is what the list then says.
            10 => {
                let count = entries().len();
                if count > 0 {
                    let i = usize::from(input.byte()) % count;
                    *environ.add(i) = if input.byte() % 4 == 0 { ptr::null_mut() } else { input.entry() };
                }
                wanted = Model::read();
            }
            11 => {
                let count = usize::from(input.byte() % 32);
                let mut list: Vec<*mut c_char> = (0..count).map(|_| input.entry()).collect();
                list.push(ptr::null_mut());
                environ = list.leak().as_mut_ptr();
                program.put_back = false;
                wanted = Model::read();
            }
            12 => {
                match input.byte() % 4 {
                    0 => environ = ptr::null_mut(),
                    1 if !entries().is_empty() => environ = environ.add(1),
                    2 => program.saved = environ,
                    _ if !program.saved.is_null() => {
                        environ = program.saved;
                        program.put_back = true;
                    }
                    _ => {}
                }
                wanted = Model::read();
            }
            // An entry edited in place, as by `strtok(getenv("PATH"), ":")`.
            13 => {
                let value = c::getenv(input.text().as_ptr());
                if !value.is_null() && *value != 0 {
                    let end = CStr::from_ptr(value).to_bytes().len();
                    *value.add(usize::from(input.byte()) % end) = input.byte() as c_char;
                }
                wanted = Model::read();
            }
            // Enough variables for growth.
            14 if input.byte() % 8 == 0 => {
                for i in 0..usize::from(input.byte()) {
                    let name = CString::new(format!("N{i}")).unwrap();
                    assert_eq!(result(|| c::setenv(name.as_ptr(), c"n".as_ptr(), 1)), 0);
                    wanted.values.insert(name.into_bytes(), b"n".into());
                }
            }
            _ => {
                let name = input.text();
                assert_eq!(get(&name), before.values.get(name.to_bytes()).cloned());
            }
        }
    }
    let found = Model::read();
    for (name, value) in &mut wanted.values {
        let now = found.values.get(name).filter(|_| before.values.get(name) == Some(value));
        if let Some(now) = now.filter(|now| covered.contains(&[name, &b"="[..], now].concat())) {
            value.clone_from(now);
        }
    }
    assert_eq!(found, wanted);
    for (name, value) in &found.values {
        assert_eq!(get(&CString::new(name.as_slice()).unwrap()).as_ref(), Some(value));
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let mut program = Program::default();
    // SAFETY: one thread.
    unsafe { environ = ptr::null_mut() };
    while !input.0.is_empty() {
        step(&mut input, &mut program);
    }
});
