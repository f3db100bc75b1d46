//! Says who answers the six environment functions here: `cargo run --example status [LIBRARY…]`
//!
//! Each LIBRARY is opened, and asked through its function `homes`, if it has one: a C library for which the answers must be the
//! same. Ends with status 0 if all of them are the executable's.

#[cfg(not(target_os = "linux"))]
fn main() {}

mtsafe_env::interpose!();

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use std::ffi::{CString, c_void};
    use std::os::unix::ffi::OsStringExt;

    const NAMES: [&str; 6] = ["getenv", "secure_getenv", "setenv", "putenv", "unsetenv", "clearenv"];
    let own = home(main as *const c_void);
    println!("{:?}, in {own:?}", mtsafe_env::status());
    let mut good = mtsafe_env::interposed();
    for library in std::env::args_os().skip(1) {
        let Ok(path) = CString::new(library.into_vec()) else { continue };
        // SAFETY: C strings. The library was named by who runs this.
        let homes = unsafe {
            let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
            if handle.is_null() { handle } else { libc::dlsym(handle, c"homes".as_ptr()) }
        };
        if homes.is_null() {
            println!("{path:?}: cannot be asked");
            good = false;
            continue;
        }
        let mut functions = [std::ptr::null::<c_void>(); NAMES.len()];
        // SAFETY: `homes` is declared so: it fills in the addresses of the six.
        unsafe {
            let homes: extern "C" fn(*mut *const c_void) = std::mem::transmute(homes);
            homes(functions.as_mut_ptr());
        }
        for (name, function) in NAMES.iter().zip(functions) {
            let home = home(function);
            println!("{path:?}: {name} is in {home:?}");
            good &= home == own;
        }
    }
    if good { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

/// The program or library that `function` is in.
#[cfg(target_os = "linux")]
fn home(function: *const std::ffi::c_void) -> std::ffi::CString {
    let mut info: libc::Dl_info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: `info` has room for the answer.
    if unsafe { libc::dladdr(function, &mut info) } == 0 || info.dli_fname.is_null() {
        return c"nowhere".to_owned();
    }
    // SAFETY: a C string of the dynamic linker's.
    unsafe { std::ffi::CStr::from_ptr(info.dli_fname) }.to_owned()
}
