//! The sources as text: rules that the compiler does not know.
//!
//! - only `sync` (and `system` below it) names the atomics or loom; - each ordering has a comment that begins with its name; a Release or an Acquire
//!   there names a tag, and each tag has both sides; - each `unsafe` and each `asm!` has its reason; - the floors of `src/core/lib.rs`: nobody
//!   imports from a higher one, and no files import each other in a circle.
//!
//! Each rule is seen to fail on a text that breaks it.

#![cfg(not(any(loom, miri)))]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A file: its path below the package, and its lines without those of its tests.
struct File {
    path: String,
    lines: Vec<String>,
}

impl File {
    fn new(path: &str, text: &str) -> File {
        // By custom, tests are the last thing in a file.
        let end = text.find("\n#[cfg(test)]\nmod").or(text.find("\n#[cfg(all(test, not(loom)))]\nmod tests"));
        let lines = text[..end.unwrap_or(text.len())].lines().map(str::to_owned).collect();
        File { path: path.to_owned(), lines }
    }

    /// `slot` for `src/core/slot.rs`, `keep` for all of `src/core/keep/`.
    fn module(&self) -> &str {
        let inside = ["src/core/", "src/"].iter().find_map(|folder| Some(self.path.rsplit_once(folder)?.1));
        let inside = inside.unwrap_or(&self.path);
        inside.split(['/', '.']).next().unwrap_or(inside)
    }

    fn is_comment(&self, at: usize) -> bool {
        self.lines[at].trim_start().starts_with("//")
    }

    /// The line without its comment.
    fn code(&self, at: usize) -> &str {
        if self.is_comment(at) { "" } else { self.lines[at].split(" //").next().unwrap_or("") }
    }

    /// The comments that belong to line `at`: on it, and right above the statement it is in, attributes passed over.
    fn reason(&self, at: usize) -> String {
        let mut start = at;
        // Up to the start of the statement: the line above ends one, or opens a block.
        let is_end =
            |line: &str| line.trim_end().ends_with([';', '{', '}', ',', ']']) || line.trim().is_empty();
        while start > 0 && !self.is_comment(start - 1) && !is_end(self.code(start - 1)) {
            start -= 1;
        }
        while start > 0 && self.lines[start - 1].trim_start().starts_with("#[") {
            start -= 1;
        }
        let mut first = start;
        while first > 0 && self.is_comment(first - 1) {
            first -= 1;
        }
        let own =
            self.lines[start..=at].iter().filter_map(|line| line.split_once("//")).map(|(_, text)| text);
        self.lines[first..start].iter().map(String::as_str).chain(own).collect::<Vec<_>>().join("\n")
    }

    /// All comments of the function that line `at` is in, from its own down to there; `most` lines of it.
    fn reasons_above(&self, at: usize, most: usize) -> String {
        let start = (0..=at).rev().find(|line| self.code(*line).contains("fn ")).unwrap_or(0);
        let inside = start.max((at + 1).saturating_sub(most));
        let comments =
            (inside..=at).filter_map(|line| self.lines[line].split_once("//")).map(|(_, text)| text);
        let own = if inside == start { self.reason(start) } else { String::new() };
        comments.fold(own, |all, text| all + "\n" + text)
    }
}

/// All of a folder, in order.
fn files(folder: &str) -> Vec<File> {
    fn add(folder: &Path, all: &mut Vec<File>) {
        let mut paths: Vec<_> =
            fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                add(&path, all);
            } else if path.extension().is_some_and(|end| end == "rs")
                && !path.ends_with("tests.rs")
                && !path.ends_with("testing.rs")
            {
                all.push(File::new(&path.to_string_lossy(), &fs::read_to_string(&path).expect("UTF-8")));
            }
        }
    }
    let mut all = Vec::new();
    add(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut all);
    assert!(all.len() > 2, "the sources are in {folder}");
    all
}

/// What is wrong: file, line, why.
type Faults = Vec<String>;

fn fault(file: &File, at: usize, why: &str) -> String {
    format!("{}:{}: {why}: {}", file.path, at + 1, file.lines[at].trim())
}

/// Atomics, locks and loom come from `sync`. It takes some from `system`, below it, which models do not have; `asking` of the crate is not in
/// models either, and keeps one byte.
fn names_of_sync(files: &[File]) -> Faults {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| !matches!(file.module(), "sync" | "system")) {
        for at in 0..file.lines.len() {
            let code = file.code(at);
            let named =
                ["std::sync", "core::sync", "loom::", "shuttle::"].iter().any(|name| code.contains(name));
            if named && !file.path.ends_with("/asking.rs") && !code.contains("std::sync::OnceLock") {
                faults.push(fault(file, at, "only sync names these"));
            }
        }
    }
    faults
}

const SIDES: [&str; 3] = ["Relaxed", "Acquire", "Release"];

/// Each ordering's comment has its name; where it is more than Relaxed also a tag, `[head]`.
fn orderings(files: &[File]) -> Faults {
    let mut faults = Vec::new();
    // The tag, and which sides of it there are.
    let mut tags: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        for at in 0..file.lines.len() {
            let code = file.code(at);
            for ordering in code.split("Ordering::").skip(1) {
                let ordering = ordering.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
                // AcqRel is both.
                let sides: &[&str] = match ordering {
                    "AcqRel" => &["Acquire", "Release"],
                    "SeqCst" if code.contains("compiler_fence") => continue, // no ordering of the machine's
                    _ => &[ordering],
                };
                for side in sides {
                    // One comment may speak for several Relaxed in a function ("all of these"); the others have theirs close by.
                    let most = if *side == "Relaxed" { usize::MAX } else { 6 };
                    let own = file.reason(at);
                    let reason = if own.contains(side) { own } else { file.reasons_above(at, most) };
                    if !SIDES.contains(side) {
                        faults.push(fault(file, at, "not an ordering that is used here"));
                    } else if !reason.contains(side) {
                        faults.push(fault(file, at, &format!("{side} without a comment that says why")));
                    } else if *side != "Relaxed" {
                        let found: Vec<_> = tags_of(&reason).collect();
                        if found.is_empty() && !reason.contains("as in `") {
                            faults.push(fault(file, at, &format!("{side} without a tag")));
                        }
                        for tag in found {
                            tags.entry(tag.to_owned()).or_default().insert(side);
                        }
                    }
                }
            }
        }
    }
    let one_sided = tags.iter().filter(|(_, sides)| sides.len() < 2);
    faults.extend(one_sided.map(|(tag, sides)| format!("[{tag}] has {sides:?} only")));
    faults
}

/// `head` of `// Release [head]: ...`; not of links, nor of `[a](b)`.
fn tags_of(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('[').filter_map(|(at, _)| {
        let rest = &text[at + 1..];
        let (tag, behind) = rest.split_once(']')?;
        let is_tag =
            !tag.is_empty() && tag.chars().all(|c| c.is_ascii_lowercase()) && !behind.starts_with('(');
        is_tag.then_some(tag)
    })
}

/// `SAFETY:` above each block and `impl`; a list for the caller above each function, but for those of models, which promise what those
/// of `system` do.
fn reasons_of_unsafe(files: &[File]) -> Faults {
    let mut faults = Vec::new();
    for file in files {
        for at in 0..file.lines.len() {
            let code = file.code(at);
            let (wanted, what) = if code.contains("unsafe {") || code.contains("unsafe impl") {
                ("SAFETY:", "no SAFETY")
            } else if code.contains("unsafe fn")
                && file.module() != "sync"
                && !code.contains("= unsafe ")
                && !code.trim_end().ends_with(',')
            {
                ("# Safety", "no list for the caller")
            } else {
                continue;
            };
            if !file.reason(at).contains(wanted) {
                faults.push(fault(file, at, what));
            }
        }
    }
    faults
}

/// Above the assembly, or the function it is in, stands what it is for.
fn reasons_of_assembly(files: &[File]) -> Faults {
    let mut faults = Vec::new();
    for file in files {
        for at in 0..file.lines.len() {
            if !file.code(at).contains("asm!(") {
                continue;
            }
            let is_start =
                |line: &usize| file.code(*line).contains("fn ") || file.code(*line).contains("macro_rules!");
            let start = (0..at).rev().find(is_start).unwrap_or(0);
            // What it needs is no reason.
            let above = file.reason(start);
            let above = above.split("# Safety").next().unwrap_or("").trim_matches(['/', ' ', '\n']).len();
            let inside =
                file.reasons_above(at, at - start).lines().filter(|line| !line.contains("SAFETY")).count();
            if above < 12 && inside < 2 {
                faults.push(fault(file, at, "assembly without its reason"));
            }
        }
    }
    faults
}

/// Module and floor, by the table in the header of `lib.rs`. What stands beside the floors is used by nobody.
fn plan(lib: &File) -> BTreeMap<String, u32> {
    let rows = lib.lines.iter().filter_map(|line| line.strip_prefix("//! | "));
    let cells = rows.filter_map(|row| row.split_once(" | "));
    cells
        .filter_map(|(floor, rest)| {
            let floor = if floor == "beside" { 99 } else { floor.parse().ok()? };
            Some((floor, rest.split(" | ").next()?))
        })
        .flat_map(|(floor, names)| {
            names.split('`').skip(1).step_by(2).map(move |name| (name.to_owned(), floor))
        })
        .collect()
}

fn floors(files: &[File]) -> Faults {
    let lib = files.iter().find(|file| file.module() == "lib").expect("lib.rs");
    let plan = plan(lib);
    let mut faults = Vec::new();
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.module() != "lib") {
        let module = file.module();
        let Some(floor) = plan.get(module) else {
            faults.push(format!("{module} is on no floor"));
            continue;
        };
        for at in 0..file.lines.len() {
            let code = file.code(at);
            for used in code.split("crate::").skip(1).flat_map(names) {
                let Some(its) = plan.get(used).filter(|_| used != module) else { continue };
                // A macro's `$crate` is the user's view of the crate.
                if code.contains("$crate::") {
                    continue;
                }
                if its > floor {
                    faults.push(fault(file, at, "up"));
                }
                uses.entry(module).or_default().insert(used);
            }
        }
    }
    let gone = plan.keys().filter(|name| !files.iter().any(|file| file.module() == name.as_str()));
    faults.extend(gone.map(|name| format!("{name} has a floor and no file")));
    // Who is reached from whom: by repeated steps.
    let reached = |from: &str| {
        let mut seen: BTreeSet<&str> = uses.get(from).into_iter().flatten().copied().collect();
        loop {
            let more: BTreeSet<_> =
                seen.iter().filter_map(|name| uses.get(name)).flatten().copied().collect();
            let before = seen.len();
            seen.extend(more);
            if seen.len() == before {
                return seen;
            }
        }
    };
    let circular: Vec<_> = uses.keys().copied().filter(|name| reached(name).contains(name)).collect();
    if !circular.is_empty() {
        faults.push(format!("a circle: {circular:?}"));
    }
    faults
}

/// The first words of a path, or of each in braces.
fn names(rest: &str) -> Vec<&str> {
    let word = |text: &'_ str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    match rest.strip_prefix('{') {
        Some(list) => list.split(", ").map(|item| &item[..word(item)]).collect(),
        None => vec![&rest[..word(rest)]],
    }
}

fn none(faults: &Faults) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The core, and the crate.
fn all() -> Vec<File> {
    files("src")
}

#[test]
fn only_sync_names_atomics_and_loom() {
    none(&names_of_sync(&all()));
    assert_eq!(
        names_of_sync(&[File::new("src/core/list.rs", "use core::sync::atomic::AtomicU32;")]).len(),
        1
    );
    assert_eq!(names_of_sync(&[File::new("src/core/list.rs", "    loom::skip_branch();")]).len(), 1);
}

#[test]
fn each_ordering_says_why_and_each_tag_has_two_sides() {
    none(&orderings(&all()));
    let broken = |text: &str| orderings(&[File::new("src/core/list.rs", text)]);
    let pair = "// Release [x]: of this.\na.store(1, Ordering::Release);\n// Acquire [x]: of that.\na.load(Ordering::Acquire);\n";
    none(&broken(pair));
    for (from, to) in [
        ("// Acquire [x]: of that.\n", ""),
        ("// Acquire [x]: of that.\n", "// Acquire: of that.\n"),
        ("// Acquire [x]: of that.\n", "// Release [x]: of that.\n"),
        ("Acquire [x]", "Acquire [y]"),
        ("(Ordering::Acquire)", "(Ordering::SeqCst)"),
        ("(Ordering::Acquire)", "(Ordering::Relaxed)"),
    ] {
        assert!(!broken(&pair.replace(from, to)).is_empty(), "{from} {to}");
    }
}

#[test]
fn each_unsafe_has_its_reason() {
    none(&reasons_of_unsafe(&all()));
    let broken = |text: &str| reasons_of_unsafe(&[File::new("src/core/list.rs", text)]).len();
    assert_eq!(broken("// SAFETY: so.\nunsafe { f() };\nunsafe { f() };"), 1);
    assert_eq!(broken("/// Does it.\nunsafe fn f() {}"), 1);
    assert_eq!(broken("/// # Safety\n/// - so.\nunsafe fn f() {}"), 0);
}

#[test]
fn each_assembly_has_its_reason() {
    none(&reasons_of_assembly(&all()));
    let broken = |text: &str| reasons_of_assembly(&[File::new("src/core/list.rs", text)]).len();
    assert_eq!(broken("/// Eight bytes at once, as a number.\nfn f() {\nasm!(\"nop\");\n}"), 0);
    assert_eq!(broken("fn f() {\nasm!(\"nop\");\n}"), 1);
    assert_eq!(
        broken(
            "/// # Safety\n/// - it is readable, all of it.\nunsafe fn f() {\n// SAFETY: so.\nasm!(\"nop\");\n}"
        ),
        1
    );
}

#[test]
fn no_file_imports_from_a_higher_floor_or_in_a_circle() {
    none(&floors(&files("src/core")));
    let broken = |lib: &str, text: &str| {
        let files = [
            File::new("src/core/lib.rs", lib),
            File::new("src/core/a.rs", text),
            File::new("src/core/b.rs", "use crate::a;"),
        ];
        floors(&files).len()
    };
    let lib = "//! | 1 | `a` | x |\n//! | 2 | `b` | y |\n";
    assert_eq!(broken(lib, ""), 0);
    assert_eq!(broken(lib, "use crate::b::B;"), 2);
    assert_eq!(broken(&lib.replace('2', "1"), "use crate::{b, c};"), 1);
    assert_eq!(broken("//! | 1 | `a` | x |\n", ""), 1);
    assert_eq!(broken(&format!("{lib}//! | 3 | `c` | z |\n"), ""), 1);
}
