//! Who is compared: functions shaped as C's, each with the list that they keep.
//!
//! All are called through a pointer, as a program calls what the dynamic linker bound.

use super::Variables;
use mtsafe_env_core::c::{ClearEnvFn, GetEnvFn, PutEnvFn, SetEnvFn, UnsetEnvFn};
use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::OnceLock;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) getenv: GetEnvFn,
    pub(crate) setenv: SetEnvFn,
    pub(crate) unsetenv: UnsetEnvFn,
    pub(crate) clearenv: ClearEnvFn,
    /// A hash map has no strings of its users.
    pub(crate) putenv: Option<PutEnvFn>,
    /// Variables in its list.
    len: fn() -> usize,
}

/// This project's functions.
pub(crate) const OURS: Contestant = Contestant {
    name: "mtsafe-env",
    getenv: ours::getenv,
    setenv: ours::setenv,
    unsetenv: ours::unsetenv,
    clearenv: ours::clearenv,
    putenv: Some(ours::putenv),
    len: environ_len,
};

/// libc's own functions, also where others stand before them.
pub(crate) fn libc() -> Contestant {
    let own = own();
    Contestant {
        name: "libc",
        getenv: own.getenv,
        setenv: own.setenv,
        unsetenv: own.unsetenv,
        clearenv: own.clearenv,
        putenv: Some(own.putenv),
        len: environ_len,
    }
}

/// libc's functions under one `pthread_rwlock_t`: what is commonly preloaded to stop the crashes. It is not enough, since libc itself
/// reads without the lock, but it is what one would use instead.
pub(crate) const LOCKED: Contestant = Contestant {
    name: "libc + rwlock",
    getenv: locked::getenv,
    setenv: locked::setenv,
    unsetenv: locked::unsetenv,
    clearenv: locked::clearenv,
    putenv: Some(locked::putenv),
    len: environ_len,
};

/// `RwLock<HashMap<Vec<u8>, CString>>`: what one would write in Rust. C code does not see it. `getenv` returns a pointer that is valid until that
/// variable is changed; a real one has to copy the value, so this flatters it.
pub(crate) const MAP: Contestant = Contestant {
    name: "RwLock<HashMap>",
    getenv: map::getenv,
    setenv: map::setenv,
    unsetenv: map::unsetenv,
    clearenv: map::clearenv,
    putenv: None,
    len: map::len,
};

/// Everybody, ours first.
pub(crate) fn all() -> [Contestant; 4] {
    [OURS, libc(), LOCKED, MAP]
}

impl Contestant {
    /// The first byte of the value of `name`, or 0 if there is none: a hit that was not looked at is no hit.
    #[inline(always)]
    pub(crate) fn first_byte(&self, name: &CStr) -> u8 {
        // SAFETY: a C string. No benchmark changes or removes the very variable that another of its threads reads.
        let value = unsafe { (self.getenv)(name.as_ptr()) };
        if value.is_null() {
            return 0;
        }
        // SAFETY: not null, so a C string, as above.
        unsafe { value.cast::<u8>().read() }
    }

    #[inline(always)]
    pub(crate) fn set(&self, name: &CStr, value: &CStr) {
        // SAFETY: C strings. Other threads read through the same contestant, which is fit for that.
        assert_eq!(unsafe { (self.setenv)(name.as_ptr(), value.as_ptr(), 1) }, 0);
    }

    #[inline(always)]
    pub(crate) fn unset(&self, name: &CStr) {
        // SAFETY: as in `set`.
        assert_eq!(unsafe { (self.unsetenv)(name.as_ptr()) }, 0);
    }

    pub(crate) fn clear(&self) {
        // SAFETY: no other thread reads or writes the environment now.
        assert_eq!(unsafe { (self.clearenv)() }, 0);
        assert_eq!((self.len)(), 0);
    }

    /// Makes `variables` the whole list, by this contestant's own functions.
    pub(crate) fn own(&self, variables: &Variables) {
        self.clear();
        for (name, value) in variables.names.iter().zip(&variables.values) {
            self.set(name, value);
        }
        self.check(variables, &variables.values);
    }

    /// Panics unless the list holds just these names, with these values.
    pub(crate) fn check(&self, variables: &Variables, values: &[CString]) {
        assert_eq!((self.len)(), variables.names.len(), "{}", self.name);
        for (name, value) in variables.names.iter().zip(values) {
            // SAFETY: a C string; nobody else is there.
            let found = unsafe { (self.getenv)(name.as_ptr()) };
            assert!(!found.is_null(), "{}: {name:?}", self.name);
            // SAFETY: not null, so a C string.
            assert_eq!(unsafe { CStr::from_ptr(found) }, &**value, "{}: {name:?}", self.name);
        }
        for name in &variables.absent {
            assert_eq!(self.first_byte(name), 0, "{}: {name:?}", self.name);
        }
    }
}

unsafe extern "C" {
    // By the name that no program may use for something else.
    #[link_name = "__environ"]
    static mut ENVIRON: *const *const std::ffi::c_char;
}

/// The entries of `environ`, first to last.
pub(crate) fn entries() -> Vec<&'static CStr> {
    let mut entries = Vec::new();
    // SAFETY: nobody else is there.
    let mut at = unsafe { ENVIRON };
    // SAFETY: `environ` is null or a null-terminated array.
    while let Some(&entry) = unsafe { at.as_ref() }.filter(|entry| !entry.is_null()) {
        // SAFETY: an entry is a C string. It may be gone after the next change: callers are done with it by then.
        entries.push(unsafe { CStr::from_ptr(entry) });
        at = at.wrapping_add(1);
    }
    entries
}

/// The names of the first and the last entry of `environ`.
pub(crate) fn ends() -> (CString, CString) {
    let entries = entries();
    let name = |entry: Option<&&CStr>| {
        let bytes = entry.expect("a list that is not empty").to_bytes();
        let end = bytes.iter().position(|&byte| byte == b'=').expect("NAME=VALUE");
        CString::new(&bytes[..end]).expect("no NUL")
    };
    (name(entries.first()), name(entries.last()))
}

fn environ_len() -> usize {
    entries().len()
}

mod ours {
    use mtsafe_env_core::c;
    use std::ffi::{c_char, c_int};

    pub(super) unsafe extern "C" fn getenv(name: *const c_char) -> *mut c_char {
        // SAFETY: the caller's promise.
        unsafe { c::getenv(name) }
    }
    pub(super) unsafe extern "C" fn setenv(name: *const c_char, value: *const c_char, over: c_int) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { c::setenv(name, value, over) }
    }
    pub(super) unsafe extern "C" fn putenv(string: *mut c_char) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { c::putenv(string) }
    }
    pub(super) unsafe extern "C" fn unsetenv(name: *const c_char) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { c::unsetenv(name) }
    }
    pub(super) unsafe extern "C" fn clearenv() -> c_int {
        // SAFETY: the caller's promise.
        unsafe { c::clearenv() }
    }
}

struct Own {
    getenv: GetEnvFn,
    setenv: SetEnvFn,
    putenv: PutEnvFn,
    unsetenv: UnsetEnvFn,
    clearenv: ClearEnvFn,
}

/// libc's functions: the definitions after this program's in the order of the dynamic linker.
fn own() -> &'static Own {
    static OWN: OnceLock<Own> = OnceLock::new();
    OWN.get_or_init(|| {
        let find = |name: &CStr| {
            // SAFETY: a C string.
            let at = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
            assert!(!at.is_null(), "no {name:?} in libc");
            // SAFETY: all zero is a valid value: numbers and null pointers.
            let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
            // SAFETY: `found` is ours to write.
            assert_ne!(unsafe { libc::dladdr(at, &mut found) }, 0);
            // SAFETY: `dladdr` filled it in with the path of a loaded file.
            let file = unsafe { CStr::from_ptr(found.dli_fname) }.to_string_lossy().into_owned();
            let base = file.rsplit('/').next().unwrap_or_default();
            // A preloaded library would pass for libc.
            assert!(
                ["libc.", "libc-", "ld-musl"].iter().any(|s| base.starts_with(s)),
                "{name:?} is in {file}"
            );
            at
        };
        // SAFETY: C declares these functions so.
        unsafe {
            Own {
                getenv: std::mem::transmute::<*mut libc::c_void, GetEnvFn>(find(c"getenv")),
                setenv: std::mem::transmute::<*mut libc::c_void, SetEnvFn>(find(c"setenv")),
                putenv: std::mem::transmute::<*mut libc::c_void, PutEnvFn>(find(c"putenv")),
                unsetenv: std::mem::transmute::<*mut libc::c_void, UnsetEnvFn>(find(c"unsetenv")),
                clearenv: std::mem::transmute::<*mut libc::c_void, ClearEnvFn>(find(c"clearenv")),
            }
        }
    })
}

mod locked {
    use super::own;
    use std::cell::UnsafeCell;
    use std::ffi::{c_char, c_int};

    struct Lock(UnsafeCell<libc::pthread_rwlock_t>);
    // SAFETY: made to be shared.
    unsafe impl Sync for Lock {}
    static LOCK: Lock = Lock(UnsafeCell::new(libc::PTHREAD_RWLOCK_INITIALIZER));

    #[inline(always)]
    fn reading<T>(read: impl FnOnce() -> T) -> T {
        // SAFETY: initialised, and it lives for ever.
        assert_eq!(unsafe { libc::pthread_rwlock_rdlock(LOCK.0.get()) }, 0);
        let result = read();
        // SAFETY: this thread holds it.
        assert_eq!(unsafe { libc::pthread_rwlock_unlock(LOCK.0.get()) }, 0);
        result
    }

    #[inline(always)]
    fn writing<T>(write: impl FnOnce() -> T) -> T {
        // SAFETY: initialised, and it lives for ever.
        assert_eq!(unsafe { libc::pthread_rwlock_wrlock(LOCK.0.get()) }, 0);
        let result = write();
        // SAFETY: this thread holds it.
        assert_eq!(unsafe { libc::pthread_rwlock_unlock(LOCK.0.get()) }, 0);
        result
    }

    pub(super) unsafe extern "C" fn getenv(name: *const c_char) -> *mut c_char {
        // SAFETY: the caller's promise; nobody writes.
        reading(|| unsafe { (own().getenv)(name) })
    }
    pub(super) unsafe extern "C" fn setenv(name: *const c_char, value: *const c_char, over: c_int) -> c_int {
        // SAFETY: the caller's promise; nobody else is there.
        writing(|| unsafe { (own().setenv)(name, value, over) })
    }
    pub(super) unsafe extern "C" fn putenv(string: *mut c_char) -> c_int {
        // SAFETY: as above.
        writing(|| unsafe { (own().putenv)(string) })
    }
    pub(super) unsafe extern "C" fn unsetenv(name: *const c_char) -> c_int {
        // SAFETY: as above.
        writing(|| unsafe { (own().unsetenv)(name) })
    }
    pub(super) unsafe extern "C" fn clearenv() -> c_int {
        // SAFETY: as above.
        writing(|| unsafe { (own().clearenv)() })
    }
}

mod map {
    use super::ptr;
    use std::collections::HashMap;
    use std::ffi::{CStr, CString, c_char, c_int};
    use std::sync::{LazyLock, RwLock};

    static MAP: LazyLock<RwLock<HashMap<Vec<u8>, CString>>> = LazyLock::new(Default::default);
    const UNHARMED: &str = "nobody panics while holding the lock";

    /// # Safety
    /// - `string` is a C string that stays as it is while the bytes are used.
    unsafe fn bytes<'a>(string: *const c_char) -> &'a [u8] {
        // SAFETY: the caller's promise.
        unsafe { CStr::from_ptr(string) }.to_bytes()
    }

    pub(super) fn len() -> usize {
        MAP.read().expect(UNHARMED).len()
    }
    pub(super) unsafe extern "C" fn getenv(name: *const c_char) -> *mut c_char {
        // SAFETY: the caller's promise.
        let name = unsafe { bytes(name) };
        MAP.read().expect(UNHARMED).get(name).map_or(ptr::null_mut(), |value| value.as_ptr().cast_mut())
    }
    pub(super) unsafe extern "C" fn setenv(name: *const c_char, value: *const c_char, over: c_int) -> c_int {
        // SAFETY: the caller's promise.
        let (name, value) = unsafe { (bytes(name).to_vec(), CStr::from_ptr(value).to_owned()) };
        let mut map = MAP.write().expect(UNHARMED);
        if over != 0 {
            map.insert(name, value);
        } else {
            map.entry(name).or_insert(value);
        }
        0
    }
    pub(super) unsafe extern "C" fn unsetenv(name: *const c_char) -> c_int {
        // SAFETY: the caller's promise.
        MAP.write().expect(UNHARMED).remove(unsafe { bytes(name) });
        0
    }
    pub(super) unsafe extern "C" fn clearenv() -> c_int {
        *MAP.write().expect(UNHARMED) = HashMap::new();
        0
    }
}
