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

/// What was collected before `diagnose` had seen it (`held_out/make`), 110 backtraces. Of the first 87 it judged 57 rightly and 11 wrongly,
/// was unsure of 9, and found no backtrace in 10; made better by those, of the 23 others 15 rightly and 1 wrongly, unsure of 2, no
/// backtrace in 5. It was made better by them, too, so that the figures below say no more how it does on what is new.
#[test]
fn the_second_corpus_is_judged_as_it_was() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/held_out");
    // A string of putenv's that was freed, beside a thread that sleeps: the same backtrace as of a race.
    let known_wrong = ["gdb-string-gone-threads.txt"];
    let (mut right, mut unsure, mut wrong) = (0, 0, Vec::new());
    for (folder, wanted) in [("race", 0), ("other", 1)] {
        for file in fs::read_dir(corpus.join(folder)).expect("a folder").flatten() {
            let path = file.path();
            let name = file.file_name();
            match diagnose(path.to_str().expect("a name"), b"") {
                (Some(3), _) => unsure += 1,
                (Some(status), _) if status == wanted => right += 1,
                _ if known_wrong.iter().any(|known| name == *known) => {}
                (status, text) => wrong.push(format!("{}: {status:?}\n{text}", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(right >= 88 && unsure <= 21, "{right} right, {unsure} unsure");
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

/// A core file that gdb makes of a program without symbols, in this folder.
fn core_file(folder: &Path) -> Option<std::path::PathBuf> {
    let works = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let (program, core) = (folder.join("stripped"), folder.join("core"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/backtraces/crash.c");
    let built = works(
        Command::new("cc").args(["-w", "-O1", "-pthread", "-s", "-o"]).arg(&program).arg(source).arg("-ldl"),
    );
    let save = format!("generate-core-file {}", core.display());
    let saved = built
        && works(
            Command::new("gdb")
                .args([
                    "-nx",
                    "-batch",
                    "-iex",
                    "set debuginfod enabled off",
                    "-ex",
                    "run",
                    "-ex",
                    &save,
                    "--args",
                ])
                .args([program.as_os_str(), "null".as_ref()]),
        );
    (saved && core.exists()).then_some(core)
}

#[test]
fn a_core_without_symbols_is_said_to_be_one_and_a_cut_off_one_is_refused() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let Some(core) = core_file(folder) else {
        eprintln!("skipped: no C compiler or no gdb");
        return;
    };
    let name = core.to_str().expect("a name");
    let (status, text) = diagnose(name, b"");
    // Where libc has debug symbols, a function without a name is at least not libc's.
    assert!(status == Some(3) || (status == Some(1) && text.contains("not in libc")), "{text}");
    assert!(text.contains("no names") || text.contains("without a name"), "{text}");
    // Its program is gone.
    fs::remove_file(folder.join("stripped")).expect("ours");
    let (status, text) = diagnose(name, b"");
    assert!(status == Some(2) && text.contains("name its program with --program"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    for length in [5, 70, 2000] {
        let bytes = fs::read(&core).expect("ours");
        fs::write(&core, &bytes[..length]).expect("ours");
        let (status, text) = diagnose(name, b"");
        assert!(status == Some(2) && text.lines().count() == 1, "{length}: {text}");
        fs::write(&core, bytes).expect("ours");
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
