//! `interpose!` in an executable, which this test binary is one of.

#![cfg(all(target_os = "linux", feature = "std", not(loom), not(miri)))]

mod builds;

use mtsafe_env::Status;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::{ptr, thread};

mtsafe_env::interpose!();

/// A C library that says where its calls go, and makes some.
const C_TEXT: &str = r#"
    #define _GNU_SOURCE
    #include <stdlib.h>
    void homes(const void **functions) {
        functions[0] = (void *) getenv;   functions[1] = (void *) secure_getenv; functions[2] = (void *) setenv;
        functions[3] = (void *) putenv;   functions[4] = (void *) unsetenv;      functions[5] = (void *) clearenv;
    }
    const char *read_it(const char *name) { return getenv(name); }
    int write_it(const char *name, const char *value) { return setenv(name, value, 1); }
"#;

/// A function of the library, which is opened.
///
/// # Safety
/// - `F` is the type of the function.
unsafe fn function<F>(handle: *mut c_void, name: &CStr) -> F {
    // SAFETY: the handle is open; the caller's promise.
    unsafe {
        let at = libc::dlsym(handle, name.as_ptr());
        assert!(!at.is_null(), "{name:?}");
        std::mem::transmute_copy(&at)
    }
}

fn base(function: *const c_void) -> *mut c_void {
    let mut info = libc::Dl_info {
        dli_fname: ptr::null(),
        dli_fbase: ptr::null_mut(),
        dli_sname: ptr::null(),
        dli_saddr: ptr::null_mut(),
    };
    // SAFETY: `info` has room for the answer.
    assert_ne!(unsafe { libc::dladdr(function, &mut info) }, 0);
    info.dli_fbase
}

/// Run before `main`, as other people's start-up code is.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = {
    extern "C" fn early() {
        mtsafe_env::set_var("INTERPOSE_EARLY", format!("{:?}", mtsafe_env::status()));
    }
    early
};

/// The answer is known before `main`, and still right in it.
#[test]
fn it_answers_before_main() {
    assert_eq!(mtsafe_env::var("INTERPOSE_EARLY").as_deref(), Ok("LinkedIn"));
}

#[test]
fn std_uses_it() {
    assert_eq!(mtsafe_env::status(), Status::LinkedIn);
    assert!(mtsafe_env::interposed());
    let before = mtsafe_env::process::retained_bytes();
    // SAFETY: the C function behind this is ours: safe beside any reader.
    unsafe { std::env::set_var("INTERPOSE_STD", "a value that only this test has") };
    assert!(mtsafe_env::process::retained_bytes() > before, "the string is ours");
    assert_eq!(mtsafe_env::process::get(b"INTERPOSE_STD"), Ok(Some(c"a value that only this test has")));
    // SAFETY: as above.
    unsafe { std::env::remove_var("INTERPOSE_STD") };
    assert_eq!(mtsafe_env::var_os("INTERPOSE_STD"), None);
}

#[test]
fn a_library_loaded_later_uses_it() {
    let path = CString::new(builds::c_library("later", C_TEXT).as_os_str().as_bytes()).unwrap();
    // SAFETY: our own library, which runs nothing when it is loaded.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!handle.is_null());
    let mut functions = [ptr::null::<c_void>(); 6];
    // SAFETY: the types are those of the C text.
    unsafe { function::<extern "C" fn(*mut *const c_void)>(handle, c"homes")(functions.as_mut_ptr()) };
    let here = base(std_uses_it as *const c_void);
    for (i, function) in functions.into_iter().enumerate() {
        assert_eq!(base(function), here, "function {i}");
    }
    assert_ne!(base(libc::sysconf as *const c_void), here);

    // SAFETY: the types are those of the C text.
    let (read, write) = unsafe {
        (
            function::<extern "C" fn(*const c_char) -> *const c_char>(handle, c"read_it"),
            function::<extern "C" fn(*const c_char, *const c_char) -> c_int>(handle, c"write_it"),
        )
    };
    assert_eq!(write(c"INTERPOSE_C".as_ptr(), c"from C".as_ptr()), 0);
    assert_eq!(mtsafe_env::var("INTERPOSE_C").as_deref(), Ok("from C"));
    mtsafe_env::set_var("INTERPOSE_C", "from Rust");
    // SAFETY: the variable is there, its strings live for ever.
    assert_eq!(unsafe { CStr::from_ptr(read(c"INTERPOSE_C".as_ptr())) }, c"from Rust");
}

/// Writers of all three kinds lose nothing: they take one lock.
#[test]
fn all_writers_are_one() {
    const ROUNDS: u32 = 2_000;
    thread::scope(|threads| {
        threads.spawn(|| {
            for round in 0..ROUNDS {
                mtsafe_env::set_var("INTERPOSE_ONE", round.to_string());
                assert_eq!(mtsafe_env::var("INTERPOSE_ONE"), Ok(round.to_string()));
            }
        });
        threads.spawn(|| {
            for round in 0..ROUNDS {
                // SAFETY: ours, as in `std_uses_it`.
                unsafe { std::env::set_var("INTERPOSE_TWO", round.to_string()) };
                assert_eq!(std::env::var("INTERPOSE_TWO"), Ok(round.to_string()));
                // SAFETY: as above.
                unsafe { std::env::remove_var("INTERPOSE_TWO") };
                assert_eq!(std::env::var_os("INTERPOSE_TWO"), None);
            }
        });
        for round in 0..ROUNDS {
            let value = CString::new(round.to_string()).unwrap();
            // SAFETY: C strings.
            assert_eq!(unsafe { libc::setenv(c"INTERPOSE_THREE".as_ptr(), value.as_ptr(), 1) }, 0);
            assert_eq!(mtsafe_env::process::get(b"INTERPOSE_THREE"), Ok(Some(value.as_c_str())));
        }
    });
}

/// The question that `status` asks is refused like any other bad name, and leaves `errno` to the caller of `status`.
#[test]
fn asking_leaves_no_trace() {
    // In a process of its own: only the first call asks.
    if std::env::var_os("INTERPOSE_AGAIN").is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "asking_leaves_no_trace"]).env("INTERPOSE_AGAIN", "1");
        let output = child.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    // SAFETY: the calling thread's own errno.
    unsafe { *libc::__errno_location() = 77 };
    mtsafe_env::status();
    // SAFETY: as above.
    assert_eq!(unsafe { *libc::__errno_location() }, 77);
    for name in [c"=", c"=mtsafe-env", c"=mtsafe-env?x", c""] {
        // SAFETY: a C string; then as above.
        let (result, errno) = unsafe { (libc::unsetenv(name.as_ptr()), *libc::__errno_location()) };
        assert_eq!((result, errno), (-1, libc::EINVAL), "{name:?}");
        // SAFETY: as above.
        let (result, errno) =
            unsafe { (libc::setenv(name.as_ptr(), c"".as_ptr(), 1), *libc::__errno_location()) };
        assert_eq!((result, errno), (-1, libc::EINVAL), "{name:?}");
    }
}

/// Builds some examples as a program of their own, in a package that depends on this one as anybody's would, and with nothing
/// else to build. Returns the folder of the programs.
fn build(release: bool, linker: &str) -> PathBuf {
    let (here, package) =
        (env!("CARGO_MANIFEST_DIR"), Path::new(env!("CARGO_TARGET_TMPDIR")).join("dependent"));
    let programs =
        ["status", "std_safe", "std_unsafe", "server", "dotenv", "dotenvy", "parallel_tests", "child"]
            .map(|name| format!("[[bin]]\nname = \"{name}\"\npath = \"{here}/examples/{name}.rs\"\n"));
    let manifest = format!(
        "[package]\nname = \"dependent\"\nedition = \"2024\"\n[workspace]\n{}[lib]\nname = \"plugin\"\n\
         path = \"{here}/examples/plugin.rs\"\ncrate-type = [\"cdylib\"]\n[dependencies]\nlibc = \"0.2\"\n\
         dotenvy = \"0.15\"\nmtsafe-env = {{ path = \"{here}\" }}\n\
         [profile.release]\nlto = \"fat\"\ncodegen-units = 1\nstrip = true\n",
        programs.concat()
    );
    // Written whole, once: other tests build in it at the same time.
    static WRITTEN: Once = Once::new();
    WRITTEN.call_once(|| {
        std::fs::create_dir_all(&package).unwrap();
        std::fs::write(package.join("Cargo.toml"), &manifest).unwrap();
        std::fs::copy(Path::new(here).join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    });
    let flags = if linker.is_empty() { String::new() } else { format!("-Clink-arg=-fuse-ld={linker}") };
    let args: &[&str] = if release { &["build", "--quiet", "--release"] } else { &["build", "--quiet"] };
    let target = builds::cargo(&package, &format!("dependent-{linker}"), args, &flags);
    target.join(if release { "release" } else { "debug" })
}

/// Runs the example `status` with a C library, and demands that all six are the executable's.
fn check(release: bool, linker: &str) {
    let program = build(release, linker).join("status");
    let library = builds::c_library(&format!("status-{release}-{linker}"), C_TEXT);
    let output = Command::new(&program).arg(library).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.lines().count(), 7, "{text}");
    assert!(text.starts_with("LinkedIn"), "{text}");
    // Stripped: nothing but the dynamic symbols may be needed.
    if let (true, Ok(symbols)) = (release, Command::new("nm").arg(&program).output()) {
        assert!(symbols.stdout.is_empty(), "not stripped");
    }
}

#[test]
fn debug_with_the_default_linker() {
    check(false, "");
}

#[test]
fn fat_lto_and_stripped_with_the_default_linker() {
    check(true, "");
}

#[test]
fn debug_with_bfd() {
    check(false, "bfd");
}

#[test]
fn fat_lto_and_stripped_with_bfd() {
    check(true, "bfd");
}

#[test]
#[ignore = "needs gold, which binutils no longer has everywhere"]
fn with_gold() {
    check(false, "gold");
    check(true, "gold");
}

/// A program of std's functions alone, and the macro.
#[test]
fn the_safe_example_survives() {
    let output = Command::new(build(true, "").join("std_safe")).arg("2").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// `cargo test --test interpose -- --ignored --nocapture the_safe`
#[test]
#[ignore = "a minute; and the twin crashes only where libc is glibc before 2.41"]
fn the_safe_example_survives_a_minute_and_its_twin_does_not() {
    let programs = build(true, "");
    let run = |name: &str| Command::new(programs.join(name)).arg("60").output().unwrap();
    let output = run("std_safe");
    assert!(output.status.success(), "{output:?}");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let output = run("std_unsafe");
    assert!(!output.status.success(), "{output:?}");
    println!("without the macro: {}", output.status);
}

/// Runs an example, which must succeed, and returns what it printed.
fn output_of(example: &str) -> String {
    let output = Command::new(build(false, "").join(example)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_example_of_a_crate_that_uses_std_loads_files_beside_readers() {
    assert_eq!(output_of("dotenvy"), "100 look-ups beside 1000 loads\nHOST=example.org ROUND=999\n");
}

#[test]
fn the_example_of_a_loader_shows_whole_files() {
    let text = output_of("dotenv");
    assert!(text.starts_with("2000 snapshots, each of one file\n"), "{text}");
    let mut variables: Vec<_> = text.lines().skip(1).collect();
    variables.sort_unstable();
    assert_eq!(variables, ["HOST=example.org", "PORT=80"]);
}

#[test]
fn the_example_of_children_gives_each_its_own() {
    assert_eq!(output_of("child"), "hello one\nhello two\nhello three\n");
}

/// Its tests run with this package's tests; here it is the program.
#[test]
fn the_example_of_parallel_tests_has_its_default() {
    assert_eq!(output_of("parallel_tests"), "3 retries\n");
}

#[test]
fn the_example_of_a_server_answers_while_its_admin_changes_settings() {
    let mut server = Command::new(build(false, "").join("server"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut admin, mut said) = (server.stdin.take().unwrap(), BufReader::new(server.stdout.take().unwrap()));
    let mut heard = || {
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let address = heard().strip_prefix("http://").expect("its address").to_owned();
    let get = |name: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET /{name} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
    };
    let mut tell = |line: &str| {
        writeln!(admin, "{line}").unwrap();
        heard()
    };
    let found = |value: &str| ("200".to_owned(), value.to_owned());
    assert_eq!(get("GREETING"), found("hello"));
    assert_eq!(tell("GREETING=good day"), "done: GREETING=good day");
    assert_eq!(get("GREETING"), found("good day"));
    assert!(tell("=bad").starts_with("refused: "));
    thread::scope(|threads| {
        threads.spawn(|| (0..200).for_each(|_| assert_eq!(get("GREETING").0, "200")));
        (0..200).for_each(|round| assert!(tell(&format!("GREETING={round}")).starts_with("done")));
    });
    assert_eq!(get("GREETING"), found("199"));
    assert_eq!(tell("GREETING"), "done: GREETING");
    assert_eq!(get("GREETING").0, "404");
    writeln!(admin, "quit").unwrap();
    assert!(server.wait().unwrap().success());
}

/// A program in C that loads a plugin, and ends with 1 if it refuses.
const HOST_TEXT: &str = r#"
    #include <dlfcn.h>
    #include <stdio.h>
    int main(int argc, char **argv) {
        void *plugin = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
        int (*start)(void) = plugin ? (int (*)(void)) dlsym(plugin, "plugin_start") : NULL;
        if (!start) { fprintf(stderr, "no plugin: %s\n", dlerror()); return 2; }
        return start() != 0;
    }
"#;

#[test]
fn the_example_of_a_plugin_refuses_to_load_unprotected() {
    let plugin = build(false, "").join("libplugin.so");
    // This program has the macro.
    let path = CString::new(plugin.as_os_str().as_bytes()).unwrap();
    // SAFETY: our own library, which runs nothing when it is loaded; the type is that of its text.
    let start = unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!handle.is_null());
        function::<extern "C" fn() -> c_int>(handle, c"plugin_start")
    };
    assert_eq!(start(), 0);
    assert_eq!(mtsafe_env::var("PLUGIN").as_deref(), Ok("loaded"));

    // That one has not.
    let host = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("host-{}", std::process::id()));
    std::fs::write(host.with_extension("c"), HOST_TEXT).unwrap();
    let compiler = std::env::var_os("CC").unwrap_or("cc".into());
    let mut command = Command::new(compiler);
    command.arg("-o").args([&host, &host.with_extension("c")]).arg("-ldl");
    assert!(command.status().unwrap().success());
    let output = Command::new(&host).arg(&plugin).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("plugin: not loaded: ") && said.contains("LD_PRELOAD"), "{said}");
}
