//! The free functions without `interpose!`: reads go through std, changes are refused, and both say what the matter is. And under the
//! preload library, where all goes through that.

#![cfg(all(target_os = "linux", feature = "std", not(loom), not(miri)))]

mod builds;

use mtsafe_env::process::{self, Error};
use mtsafe_env::{Batch, ChangeError, Reason, Scope, Status};
use std::env::VarError;
use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::Command;
use std::{ptr, thread};

/// Runs one test of this binary again in a process of its own, with `library` preloaded if there is one.
fn again(library: Option<&Path>, test: &str, variables: &[(&str, &[u8])]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("FACE_AGAIN", "1");
    command.envs(variables.iter().map(|&(name, value)| (name, OsStr::from_bytes(value))));
    if let Some(library) = library {
        command.env("LD_PRELOAD", library);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn is_again() -> bool {
    std::env::var_os("FACE_AGAIN").is_some()
}

/// Every change is refused with `status`, in words that contain `advice`, and nothing is changed.
fn all_changes_are_refused(status: Status, advice: &str) {
    assert_eq!(mtsafe_env::status(), status);
    assert!(!mtsafe_env::interposed());
    assert!(status.to_string().contains(advice), "{status}");
    let before = mtsafe_env::snapshot();
    let batch: Batch = [("FACE_R", "1")].into_iter().collect();
    let refused: [(&str, Result<(), ChangeError>); 7] = [
        ("FACE_R", mtsafe_env::try_set_var("FACE_R", "1")),
        ("FACE_R", mtsafe_env::try_set_var_if_absent("FACE_R", "1")),
        ("FACE_R", mtsafe_env::try_remove_var("FACE_R")),
        ("", mtsafe_env::try_clear()),
        ("FACE_R", batch.publish()),
        ("FACE_R", Scope::new().set("FACE_R", "1").map(drop)),
        ("FACE_R", Scope::new().remove("FACE_R").map(drop)),
    ];
    for (name, result) in refused {
        let error = result.unwrap_err();
        assert_eq!((error.name(), error.reason()), (OsStr::new(name), Reason::NotInterposed(status)));
        assert!(error.to_string().contains(advice), "{error}");
        assert!(!error.to_string().contains("\"\""), "{error}");
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::Unsupported);
    }
    let panics: [fn(); 4] = [
        || mtsafe_env::set_var("FACE_R", "1"),
        || mtsafe_env::set_var_if_absent("FACE_R", "1"),
        || mtsafe_env::remove_var("FACE_R"),
        mtsafe_env::clear,
    ];
    for panic in panics {
        let words = catch_unwind(panic).unwrap_err();
        assert!(words.downcast_ref::<String>().unwrap().contains(advice));
    }
    let no = Error::NotInterposed(status);
    // SAFETY: a literal lives for ever.
    let put = unsafe { process::put(c"FACE_R=1".as_ptr().cast_mut()) };
    assert_eq!(put, Err(no));
    assert_eq!(process::get(b"PATH"), Err(no));
    assert_eq!(process::set(b"FACE_R", b"1", true), Err(no));
    assert_eq!(process::unset(b"FACE_R"), Err(no));
    assert_eq!(process::clear(), Err(no));
    assert_eq!(process::batch(&[(b"FACE_R", None)]), Err(no));
    assert_eq!(process::snapshot(&mut [ptr::null(); 4]), Err(no));
    assert_eq!(process::retained_bytes(), 0);
    assert!(no.to_string().contains(advice) && no.errno() == libc::ENOTSUP);
    assert_eq!(mtsafe_env::snapshot(), before);
}

#[test]
fn nothing_is_changed_beside_libc() {
    if !is_again() {
        return again(None, "nothing_is_changed_beside_libc", &[]);
    }
    all_changes_are_refused(Status::NotInterposed, "add `mtsafe_env::interpose!();` to the executable");
}

/// Reads are std's, in every form.
#[test]
fn reads_are_those_of_std() {
    if !is_again() {
        let long = "L".repeat(1000);
        let variables: [(&str, &[u8]); 4] =
            [("FACE_ONE", b"1"), ("FACE_BYTES", b"\xff"), ("FACE_EQUALS", b"B=C"), (&long, b"long")];
        return again(None, "reads_are_those_of_std", &variables);
    }
    assert_eq!(mtsafe_env::var("FACE_ONE").as_deref(), Ok("1"));
    assert_eq!(mtsafe_env::var("FACE_NONE"), Err(VarError::NotPresent));
    let bytes = OsStr::from_bytes(b"\xff");
    assert_eq!(mtsafe_env::var("FACE_BYTES"), Err(VarError::NotUnicode(bytes.to_owned())));
    assert_eq!(mtsafe_env::var_os("L".repeat(1000)).as_deref(), Some("long".as_ref()));
    assert_eq!(mtsafe_env::with_var("FACE_ONE", CStr::to_owned).as_deref(), Some(c"1"));
    for name in ["", "=", "FACE_EQUALS=B", "FACE\0ONE"] {
        assert_eq!(mtsafe_env::var_os(name), None, "{name:?}");
    }
    let sorted = |variables: &mut dyn Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>| {
        let mut variables: Vec<_> = variables.collect();
        variables.sort();
        variables
    };
    assert_eq!(sorted(&mut mtsafe_env::vars_os()), sorted(&mut std::env::vars_os()));
    assert!(!mtsafe_env::vars().any(|(name, _)| name == "FACE_BYTES"));
    // A change by std is seen at once, and a snapshot keeps what it had.
    let then = mtsafe_env::snapshot();
    // SAFETY: no other thread of this process uses the environment.
    unsafe { std::env::set_var("FACE_ONE", "2") };
    assert_eq!(mtsafe_env::var("FACE_ONE").as_deref(), Ok("2"));
    assert_eq!(then.var("FACE_ONE").as_deref(), Ok("1"));
    assert_eq!(mtsafe_env::Environ::from_process().var("FACE_ONE").as_deref(), Ok("2"));
}

/// Somebody else's definition of any one of the six is noticed, and of all six, too.
#[test]
fn beside_foreign_definitions() {
    const TEXTS: [(&str, &str); 6] = [
        (
            "getenv",
            "char *getenv(const char *n) { extern char *secure_getenv(const char *); return secure_getenv(n); }",
        ),
        ("setenv", "int setenv(const char *n, const char *v, int o) { return 0; }"),
        ("putenv", "int putenv(char *s) { return 0; }"),
        ("unsetenv", "int unsetenv(const char *n) { return 0; }"),
        ("clearenv", "int clearenv(void) { return 0; }"),
        ("secure_getenv", "char *secure_getenv(const char *n) { return 0; }"),
    ];
    if is_again() {
        return all_changes_are_refused(Status::Foreign, "neither mtsafe-env's nor libc's");
    }
    for (name, text) in TEXTS {
        again(Some(&builds::c_library(&format!("foreign-{name}"), text)), "beside_foreign_definitions", &[]);
    }
    let all = TEXTS.map(
        |(name, text)| if name == "getenv" { "char *getenv(const char *n) { return 0; }" } else { text },
    );
    let library = builds::c_library("foreign-all", &all.concat().replace("extern", ""));
    // Without a `getenv` the test harness itself does not know its variables: this one does not ask.
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", "the_status_is_foreign", "--ignored"]).env("LD_PRELOAD", library);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[ignore = "run by `beside_foreign_definitions`"]
fn the_status_is_foreign() {
    assert_eq!(mtsafe_env::status(), Status::Foreign);
}

/// Beside the preload library, the functions of the crate are its functions: one lock, whoever writes.
#[test]
fn under_the_preload_library() {
    const ROUNDS: u32 = 2_000;
    if !is_again() {
        let args = ["build", "--quiet", "--release", "--package", "mtsafe-env-preload"];
        let target = builds::cargo(Path::new(env!("CARGO_MANIFEST_DIR")), "preload", &args, "");
        let library = target.join("release/libmtsafe_env_preload.so");
        return again(Some(&library), "under_the_preload_library", &[]);
    }
    assert_eq!(mtsafe_env::status(), Status::Preloaded);
    assert!(mtsafe_env::interposed());
    let mut batch = Batch::new();
    batch.set("FACE_PRE_A", "1").unwrap().set("FACE_PRE_B", "1").unwrap().remove("FACE_PRE_A").unwrap();
    batch.publish().unwrap();
    assert_eq!(mtsafe_env::var_os("FACE_PRE_A"), None);
    assert_eq!(mtsafe_env::var("FACE_PRE_B").as_deref(), Ok("1"));
    assert_eq!(mtsafe_env::snapshot().get("FACE_PRE_B"), Some("1".as_ref()));
    // Names and values of every length around those that are copied to the stack.
    for length in [1, 2, 254, 255, 256, 257, 5000] {
        let (name, value) = ("N".repeat(length), "v".repeat(length));
        mtsafe_env::set_var(&name, &value);
        assert_eq!(mtsafe_env::var(&name), Ok(value.clone()));
        mtsafe_env::set_var_if_absent(&name, "other");
        assert_eq!(std::env::var(&name), Ok(value));
        mtsafe_env::remove_var(&name);
        assert_eq!(mtsafe_env::var_os(&name), None);
    }
    thread::scope(|threads| {
        threads.spawn(|| {
            for round in 0..ROUNDS {
                mtsafe_env::set_var("FACE_PRE_A", round.to_string());
                assert_eq!(mtsafe_env::var("FACE_PRE_A"), Ok(round.to_string()));
                mtsafe_env::remove_var("FACE_PRE_A");
                assert_eq!(mtsafe_env::var_os("FACE_PRE_A"), None);
            }
        });
        for round in 0..ROUNDS {
            // SAFETY: C's function is the preload library's: safe beside any reader.
            unsafe { std::env::set_var("FACE_PRE_C", round.to_string()) };
            assert_eq!(mtsafe_env::var("FACE_PRE_C"), Ok(round.to_string()));
        }
    });
    process_goes_elsewhere();
    // Nothing of this was made by the copy in this binary.
    assert_eq!(process::retained_bytes(), 0);
    mtsafe_env::clear();
    assert_eq!(mtsafe_env::vars_os().count(), 0);
}

/// The functions on bytes answer as the table of `tests/api.rs` has it, wherever the environment is kept.
fn process_goes_elsewhere() {
    assert_eq!(process::set(b"FACE_P", b"1", true), Ok(()));
    assert_eq!(process::set(b"FACE_P", b"2", false), Ok(()));
    assert_eq!(process::get(b"FACE_P"), Ok(Some(c"1")));
    for name in ["", "=", "A=B", "FACE_P\0"] {
        let name = name.as_bytes();
        assert_eq!(process::get(name), Ok(None));
        assert_eq!(process::set(name, b"", true), Err(Error::InvalidName));
        assert_eq!(process::unset(name), Err(Error::InvalidName));
        assert_eq!(process::batch(&[(b"FACE_P", None), (name, None)]), Err(Error::InvalidName));
    }
    assert_eq!(process::set(b"FACE_P", b"\0", true), Err(Error::InvalidValue));
    assert_eq!(process::batch(&[(b"FACE_P", None), (b"A", Some(b"\0"))]), Err(Error::InvalidValue));
    for (string, result) in
        [("=x", Err(Error::InvalidName)), ("FACE_P", Err(Error::InvalidName)), ("FACE_Q=2", Ok(()))]
    {
        let string: *mut c_char = CString::new(string).unwrap().into_raw();
        // SAFETY: a string that lives for ever.
        assert_eq!(unsafe { process::put(string) }, result);
    }
    assert_eq!(process::get(b"FACE_P"), Ok(Some(c"1")));
    assert_eq!(process::get(b"FACE_Q"), Ok(Some(c"2")));
    let count = mtsafe_env::snapshot().len();
    assert_eq!(process::snapshot(&mut []), Ok(count));
    assert_eq!(process::unset(b"FACE_Q"), Ok(()));
    assert_eq!(process::snapshot(&mut vec![ptr::null(); count]), Ok(count - 1));
}
