#!/usr/bin/env python3
"""Breaks the orderings of src/core one at a time and runs the loom models: each mutant must make one of them fail.

    python3 tests/mutants.py            all mutants, a few seconds each
    python3 tests/mutants.py list.rs    those of one file; `list.rs:120` those of one line
    python3 tests/mutants.py --list     only prints them
    python3 tests/mutants.py --models   each model (or those named after it) until it was seen to fail, with
                                        these mutants and with VARIANTS of behaviour
    python3 tests/mutants.py --histories
                                        the delayed stores only, against the recorded histories under shuttle (tests/histories.rs):
                                        shows what that checker sees; survivors are no failure here

The mutants are derived from the source:
- relax: each Ordering::Release, Acquire and AcqRel becomes Relaxed;
- no check: a check of CHECKS is left out;
- delay: of each two consecutive stores of a block (statements that contain one of the calls in OPS), the first one is moved
  behind the second one.

A comment above an ordering that says "Without it loom `x` fails" (or "`x` and `y` fail") is a claim: each model it names must fail.
A mutant may survive only if the source says why, on the line or in the comment above it: `mutant survives: <reason>`.
"""
import json, os, re, shutil, subprocess, sys, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / "target" / "mutants"
OPS = r"(\.store|\bmove_head|\bpublish|\.replace|\b(?:list|ours)\.add|\bremove|\bcompact|\bgrow|\blink|\bwrote)\("
# Changes of behaviour, for `--models` only: what each of the models that no ordering breaks is there to forbid.
VARIANTS = [
    ("lock.rs", "swap(CONTENDED, Ordering::Acquire)", "swap(HELD, Ordering::Acquire)"),
    ("list.rs", ".compare_exchange(from, to, Ordering::Release, Ordering::Relaxed)\n                .map_err(|_| Moved)?;",
     ".store({ let _ = from; to }, Ordering::Release);"),
    ("list.rs", "self.head.0.compare_exchange(from, to, Ordering::Release, Ordering::Relaxed).map_err(|_| Moved)?;",
     "let _ = from; self.head.0.store(to, Ordering::Release);"),
    ("list.rs", "below.store(first.own());", ""),
    ("list.rs", "self.move_head(self.array.last())", "Ok(())"),
    ("store.rs", "self.lock.acquire();\n        let _held = Held(&self.lock);\n        // SAFETY: the caller's promise: a proper list.",
     "// SAFETY:"),
    ("store.rs", "remove(list, last_from(list, slot, name))?;", "remove(list, slot)?;"),
    ("store.rs", "remove(list, last)?;", "remove(list, slot)?;"),
    ("store.rs", "list.replace(slot, string);\n                return Ok(());", "remove(list, slot)?;\n                return Ok(list.add(string)?);"),
    ("store.rs", "(self.keep.owns(old) && unsafe { entry::is(old, value) })", "unsafe { entry::is(old, value) }"),
    ("store.rs", "if !overwrite || ", "if true || "),
    ("store.rs", "list.clear()?;", ""),
    ("keep.rs", "table.insert(hash, string);\n        Ok(string)", "let _ = hash;\n        Ok(string)"),
    ("adopt.rs", "!theirs.has(entry, theirs.len) || twin(ours, entry) != Some(slot)", "true"),
    ("adopt.rs", "ours.replace(slot, entry);", "let _ = slot;"),
]
# Checks that are not orderings, and the model that must fail without each; among the mutants of every run.
CHECKS = [
    ("list.rs", "while at > ended {", "while false && at > ended {", "a_bystander_survives_a_sweep_after_a_cut"),
    ("hints.rs", "self.generation.load(Ordering::Relaxed) == before", "{ let _ = before; true }", "a_bystander_survives_a_group_load"),
    ("hints.rs", "&& sync::own_count(&self.hints.generation) == self.generation", "", "two_writers_add_one_entry"),
]
HISTORIES = "--histories" in sys.argv
TEST = "histories" if HISTORIES else "loom"
# The models of some files are in test programs of their own.
TESTS = {"batch.rs": "loom_batch"}
ENV = {
    **os.environ,
    "RUSTFLAGS": "--cfg loom --cfg shuttle" if HISTORIES else "--cfg loom",
    "LOOM_MAX_PREEMPTIONS": os.environ.get("LOOM_MAX_PREEMPTIONS", "2"),
    "CARGO_PROFILE_LOOM_INCREMENTAL": "true",
    "CARGO_PROFILE_LOOM_OPT_LEVEL": "1",
    "RUST_BACKTRACE": "0",
}


def blank(source):
    """The source with comments, strings and character literals blanked, every offset kept."""
    pattern = r'//[^\n]*|/\*.*?\*/|b?"(?:\\.|[^"\\])*"|b?\'(?:\\.|[^\'\\])\''
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), source, flags=re.S)


def closing(code, start):
    """The offset behind the bracket that closes the one at `start`."""
    depth = 0
    for i in range(start, len(code)):
        depth += code[i] in "([{"
        depth -= code[i] in ")]}"
        if depth == 0:
            return i + 1
    raise ValueError("unbalanced brackets")


def without_tests(code):
    """Also blanks the items that do not ship: `#[cfg(test)]`, `#[cfg(loom)]`, `#[cfg(all(test, ...))]`."""
    for m in re.finditer(r"#\[cfg\((?:all\()?(?:test|loom)\b[^\]]*\]", code):
        brace, semicolon = code.find("{", m.end()), code.find(";", m.end())
        end = semicolon + 1 if 0 <= semicolon < brace or brace < 0 else closing(code, brace)
        code = code[: m.start()] + re.sub(r"[^\n]", " ", code[m.start() : end]) + code[end:]
    return code


def statements(code, start, end):
    """The (start, end) of each statement of the block whose inside is code[start:end]."""
    found, i, begin = [], start, None
    while i < end:
        c = code[i]
        if begin is None:
            if c.isspace():
                i += 1
                continue
            begin = i
        if c == ";":
            found.append((begin, i + 1))
            begin = None
        elif c in "([{":
            i = closing(code, i)
            rest = code[i:end].lstrip()
            block = c == "{" and re.match(r"(if|for|while|loop|match|unsafe|\{)", code[begin:])
            if block and not rest.startswith(("else", ".", "?", ";", ")", ",")):
                found.append((begin, i))
                begin = None
            continue
        i += 1
    if begin is not None:
        found.append((begin, end))
    return found


def line_of(source, offset):
    return source.count("\n", 0, offset) + 1


def comment_above(lines, line):
    """The text of `line` and of the comment right above it; a statement may have begun some lines before."""
    i = line - 2
    while i >= 0 and line - i < 8 and not re.search(r"//|[{}]\s*$", lines[i]) and ("let " in lines[i] or ";" not in lines[i]):
        i -= 1
    text = []
    while i >= 0 and lines[i].lstrip().startswith("//"):
        text.insert(0, lines[i].lstrip().lstrip("/").strip())
        i -= 1
    own = lines[line - 1]
    return " ".join(text) + (" " + own[own.index("//") :] if "//" in own else "")


def mutants():
    for path in sorted((ROOT / "src" / "core").glob("*.rs")):
        if path.name == "sync.rs":
            continue  # the switch to loom itself; what ships of it orders nothing
        source = path.read_text()
        code = without_tests(blank(source))
        lines = source.splitlines()
        for m in re.finditer(r"Ordering::(Release|Acquire|AcqRel)\b", code):
            line = line_of(source, m.start())
            text = source[: m.start()] + "Ordering::Relaxed" + source[m.end() :]
            yield path, line, f"relax {m[1]}", text, comment_above(lines, line)
        for m in re.finditer(r"\{", code):
            inside = m.end(), closing(code, m.start()) - 1
            if not re.search(r"[;}]", code[inside[0] : inside[1]]):
                continue
            if re.search(r"\b(struct|enum|trait|impl|mod|macro_rules!)\b[^;{}]*$", code[: m.start()]):
                continue  # items, not statements
            ops = [s for s in statements(code, *inside) if re.search(OPS, code[s[0] : s[1]]) and not re.match(r"(pub|fn|impl)\b", code[s[0] :])]
            for (a, b), (c, d) in zip(ops, ops[1:]):
                line = line_of(source, a)
                first, second = source[a:b], source[c:d]
                if not second.endswith((";", "}")):
                    continue  # the block's value
                text = source[:a] + source[b:d] + "\n" + first + source[d:]
                op = lambda s: re.search(OPS, s)[1].lstrip(".")
                what = f"delay {op(blank(first))} behind {op(blank(second))} in line {line_of(source, c)}"
                yield path, line, what, text, comment_above(lines, line)


def checks():
    for name, old, new, model in CHECKS:
        path = ROOT / "src" / "core" / name
        source = path.read_text()
        if source.count(old) != 1:
            sys.exit(f"{name} does not have once: {old}")
        yield path, line_of(source, source.index(old)), "no check", source.replace(old, new), f"Without it loom `{model}` fails."


def copy_tree():
    tree = SCRATCH / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for source in ROOT.iterdir():
        if source.name.startswith(".") or source.name == "target":
            continue
        if source.is_dir():
            # With new times, or cargo would take the last run's mutant for this source.
            shutil.copytree(source, tree / source.name, copy_function=shutil.copy)
        else:
            shutil.copy(source, tree / source.name)
    return tree


def test_of(path):
    """The test program with the models of a source file."""
    return TEST if HISTORIES else TESTS.get(path.name, TEST)


def build(tree, test=TEST):
    """The path of the test program, or None if the mutant does not compile."""
    command = ["cargo", "test", "--profile", "loom", "--test", test, "--no-run", "--message-format", "json"]
    command += ["--target-dir", str(SCRATCH / TEST)]
    done = subprocess.run(command, cwd=tree, env=ENV, capture_output=True, text=True)
    if done.returncode:
        return None
    for message in done.stdout.splitlines():
        message = json.loads(message)
        if message.get("executable") and message["target"]["name"] == test:
            return message["executable"]


def failing(program, names):
    """The first model that fails (of those named, or of all), or None."""
    command = [program, "--test-threads=1", *(["--exact", *names] if names else [])]
    # The models of the batch have many steps.
    env = {**ENV, "LOOM_MAX_PREEMPTIONS": "1"} if "loom_batch" in program else ENV
    run = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    os.set_blocking(run.stdout.fileno(), False)
    seen, started = "", time.time()
    try:
        while True:
            alive = run.poll() is None
            seen += (run.stdout.read() or b"").decode()
            failed = re.search(r"^test ([\w:]+) \.\.\. FAILED", seen, re.M)
            if failed:
                return failed[1]
            if time.time() - started > 180:
                return re.findall(r"^test ([\w:]+)", seen, re.M)[-1] + " (no end)"
            if not alive:
                # A crash: the model that was running.
                return None if run.returncode == 0 else re.findall(r"^test ([\w:]+)", seen, re.M)[-1] + " (crash)"
            time.sleep(0.02)
    finally:
        run.kill()
        run.wait()


def seen_red(all_of_them, wanted):
    """Runs each model (or those wanted) on one mutant after another until it fails."""
    for name, old, new in VARIANTS:
        path = ROOT / "src" / "core" / name
        source = path.read_text()
        if old not in source:
            sys.exit(f"{name} no longer has: {old}")
        line = line_of(source, source.index(old))
        all_of_them.append((path, line, f"variant {' '.join(new.split()) or 'without it'}"[:48], source.replace(old, new, 1), ""))
    tree = copy_tree()
    listed = subprocess.run([build(tree), "--list"], capture_output=True, text=True).stdout
    models = [m for m in re.findall(r"^(\w+): test", listed, re.M) if not wanted or m in wanted]
    for path, line, what, text, _ in all_of_them:
        if not models:
            break
        target = tree / path.relative_to(ROOT)
        target.write_text(text)
        program = build(tree, test_of(path))
        shutil.copy(path, target)
        os.utime(target)
        if not program:
            print(f"{path.relative_to(ROOT)}:{line} {what}: does not compile")
        for model in [m for m in models if program and failing(program, [m])]:
            print(f"{model:50} fails with {path.relative_to(ROOT)}:{line} {what}", flush=True)
            models.remove(model)
    print("never seen to fail:", ", ".join(models) or "none")
    return 1 if models else 0


def main(arguments):
    wanted = [a for a in arguments if not a.startswith("-")]
    all_of_them = [m for m in [*mutants(), *checks()] if not wanted or any(f"{m[0].name}:{m[1]}".startswith(w) for w in wanted)]
    if HISTORIES:
        all_of_them = [m for m in all_of_them if m[2].startswith("delay")]
    if "--models" in arguments:
        return seen_red(list(mutants()), wanted)
    if "--list" in arguments:
        for path, line, what, _, _ in all_of_them:
            print(f"{path.relative_to(ROOT)}:{line} {what}")
        return 0
    started = time.time()
    tree = copy_tree()
    for test in {test_of(m[0]) for m in all_of_them}:
        program = build(tree, test)
        if not program or failing(program, []):
            sys.exit(f"the unchanged source does not pass its models in {test}")
    counts, bad = {}, 0
    for path, line, what, text, comment in all_of_them:
        place = f"{path.relative_to(ROOT)}:{line}"
        target = tree / path.relative_to(ROOT)
        target.write_text(text)
        program = build(tree, test_of(path))
        shutil.copy(path, target)
        os.utime(target)
        excused = re.search(r"mutant survives: (.*)", comment)
        claimed = re.search(r"Without (?:it|them) loom ((?:`\w+`(?:, | and )?)+) fails?", comment)
        claimed = re.findall(r"`(\w+)`", claimed[1]) if claimed and what.startswith(("relax", "no check")) else []
        if program is None:
            verdict = "does not compile"
        else:
            false = [name for name in claimed if not failing(program, [name])]
            killer = claimed[0] if claimed and not false else failing(program, [])
            verdict = f"killed by {killer}" if killer else "SURVIVED"
            if false:
                verdict += f"; FALSE CLAIM: {', '.join(false)} passes"
            elif claimed[1:]:
                verdict += f", {', '.join(claimed[1:])}"
            bad += bool(false)
            if excused and not killer:
                verdict = f"survives: {excused[1]}"
            elif excused:
                verdict, bad = verdict + "; FALSE EXCUSE", bad + 1
            elif not killer:
                bad += 1
        counts[verdict.split()[0]] = counts.get(verdict.split()[0], 0) + 1
        print(f"{place:24} {what:48} {verdict}", flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())), f"in {time.time() - started:.0f} s")
    return 1 if bad and not HISTORIES else 0


sys.exit(main(sys.argv[1:]))
