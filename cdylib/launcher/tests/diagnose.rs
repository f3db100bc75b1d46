//! `mtsafe-env diagnose` on the corpus: real crashes, printed by several debuggers and programs (`backtraces/make`).
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Fewest files of each kind: an empty folder must not pass.
const FOLDERS: [(&str, i32, usize); 3] = [("yes", 0, 20), ("unsure", 3, 8), ("no", 1, 25)];

fn diagnose(input: &str, text: &[u8]) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mtsafe-env"))
        .args(["diagnose", input])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // It may end before it has read everything.
    let _ = child.stdin.take().expect("a pipe").write_all(text);
    let output = child.wait_with_output().expect("it ends");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

#[test]
fn every_backtrace_of_the_corpus_is_judged_rightly() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/backtraces");
    let mut wrong = Vec::new();
    for (folder, wanted, fewest) in FOLDERS {
        let files: Vec<_> = fs::read_dir(corpus.join(folder)).expect("a folder").flatten().collect();
        assert!(files.len() >= fewest, "{folder}: {} files", files.len());
        for file in files {
            let path = file.path();
            let (status, text) = diagnose(path.to_str().expect("a name"), b"");
            if status != Some(wanted) {
                wrong.push(format!("{}: {status:?}, not {wanted}\n{text}", path.display()));
            }
            // The same from standard input.
            assert_eq!(
                diagnose("-", &fs::read(&path).expect("readable")),
                (status, text),
                "{}",
                path.display()
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_the_writer_and_the_libc_are_named() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/backtraces/yes");
    for (file, words) in [
        ("gdb-all-mktime.txt", &["getenv", "for tzset_internal", "writer:", "glibc"][..]),
        ("gdb-musl-read-localtime.txt", &["getenv", "musl"]),
        ("java-race.txt", &["Java_java_lang_ProcessEnvironment_environ"]),
        ("python-race.txt", &["setlocale", "writer:"]),
    ] {
        let (_, text) = diagnose(corpus.join(file).to_str().expect("a name"), b"");
        for word in words {
            assert!(text.contains(word), "{file}: no {word} in\n{text}");
        }
    }
}

#[test]
fn bad_input_gets_one_line() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let program = env!("CARGO_BIN_EXE_mtsafe-env");
    for (input, text, words) in [
        ("/nonexistent/core", &b""[..], "No such file"),
        (folder, b"", "is a folder"),
        (program, b"", "not a core file"),
        ("-", b"", "no backtrace"),
        ("-", b"nothing but words\n", "no backtrace"),
        ("-", b"\x28\xb5\x2f\xfd...", "zstd -d"),
    ] {
        let (status, said) = diagnose(input, text);
        assert_eq!(status, Some(2), "{input}: {said}");
        assert!(said.contains(words) && said.lines().count() == 1, "{input}: {said}");
    }
}
