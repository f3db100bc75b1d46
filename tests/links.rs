//! Every link of the documents leads somewhere: in the repository, and in what `cargo doc` makes of them.

#![cfg(not(any(loom, miri)))]

mod builds;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The files below a folder whose names end so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(&*name, "target" | ".git" | "fuzz-target" | "shared") {
            all.extend(files(&path, end));
        } else if name.ends_with(end) {
            all.push(path);
        }
    }
    all
}

/// The text without blocks and pieces of code.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        is_code ^= fence;
        !is_code && !fence
    });
    lines.map(|line| line.to_owned() + "\n").collect()
}

/// Where the links of a page lead: `[a](b)`, `[a]: b`, and `a]` for a name without its definition.
fn links(text: &str) -> Vec<String> {
    let text = prose(text);
    let defined = |line: &str| {
        let (name, to) = line.strip_prefix('[')?.split_once("]: ")?;
        Some((name.to_owned(), to.trim().to_owned()))
    };
    let names: Vec<_> = text.lines().filter_map(defined).collect();
    let mut all: Vec<_> = names.iter().map(|(_, to)| to.clone()).collect();
    for (at, _) in text.match_indices("](") {
        all.extend(text[at + 2..].split([')', ' ']).next().map(str::to_owned));
    }
    for (at, _) in text.match_indices("][") {
        let name = text[at + 2..].split(']').next().unwrap_or("");
        all.extend((!names.iter().any(|(known, _)| known == name)).then(|| format!("[{name}]")));
    }
    all
}

/// The anchors of a page: headings in small letters, with `-` for spaces.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let headings = headings.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        text.chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(anchor).collect()
}

/// What is wrong with a link of a page in the repository.
fn fault(page: &Path, text: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() { page.to_owned() } else { page.parent()?.join(path) };
    if !target.exists() {
        return Some(format!("{}: {link}: no such file", page.display()));
    }
    let other =
        if path.is_empty() { text.to_owned() } else { fs::read_to_string(target).unwrap_or_default() };
    let missing = anchor.filter(|anchor| !anchors(&other).contains(*anchor));
    missing.map(|_| format!("{}: {link}: no such heading", page.display()))
}

#[test]
fn every_link_of_the_repository_leads_somewhere() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut faults, mut count) = (Vec::new(), 0);
    for page in files(here, ".md") {
        let text = fs::read_to_string(&page).expect("UTF-8");
        let links = links(&text);
        count += links.len();
        faults.extend(links.iter().filter_map(|link| fault(&page, &text, link)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 40, "{count} links");
    // Seen to find what is wrong.
    let page = here.join("README.md");
    for (text, faults) in [
        ("[a](LIMITS.md)", 0),
        ("[a](LIMITS.md#order)", 0),
        ("[a](LIMITS.md#disorder)", 1),
        ("[a](limits)", 1),
        ("[a]: nowhere", 1),
        ("[a][b]", 1),
        ("# A\n[a](#a)", 0),
        ("# A\n[a](#b)", 1),
    ] {
        assert_eq!(links(text).iter().filter_map(|link| fault(&page, text, link)).count(), faults, "{text}");
    }
}

/// Values of an attribute, `href="..."`.
fn attributes<'a>(html: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    html.split(name).skip(1).filter_map(|rest| rest.strip_prefix("=\"")?.split('"').next())
}

/// A broken link of an HTML page, if its file or its anchor is not there.
fn html_fault(page: &Path, html: &str, link: &str) -> Option<String> {
    let link = link.replace("%60", "`");
    let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
    if link.contains("://") || link.starts_with("javascript:") {
        return None;
    }
    let target = if path.is_empty() { page.to_owned() } else { page.parent()?.join(path) };
    if !target.exists() {
        return Some(format!("{}: {link}: no such file", page.display()));
    }
    // Lines of sources are made by a script.
    if anchor.is_empty() || path.contains("/src/") {
        return None;
    }
    let other =
        if path.is_empty() { html.to_owned() } else { fs::read_to_string(&target).unwrap_or_default() };
    let missing = !attributes(&other, " id").any(|id| id == anchor);
    missing.then(|| format!("{}: {link}: no such anchor", page.display()))
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target =
        builds::cargo(here, "documentation", &["doc", "--quiet", "--no-deps", "-p", "mtsafe-env"], "");
    let folder = target.join("doc/mtsafe_env");
    let (mut faults, mut count) = (Vec::new(), 0);
    for page in files(&folder, ".html") {
        let html = fs::read_to_string(&page).expect("UTF-8");
        for link in attributes(&html, " href") {
            count += 1;
            faults.extend(html_fault(&page, &html, link));
        }
    }
    faults.dedup();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 1_000, "{count} links");
    // Each page of the repository that is here, too, links within.
    let html = |module: &str| fs::read_to_string(folder.join(module).join("index.html")).expect("a page");
    for (module, link) in [
        ("soundness", "../struct.Environ.html"),
        ("soundness", "../why_it_is_right/index.html"),
        ("which_way", "../fn.status.html"),
        ("why_it_is_right", "../glossary/index.html"),
        ("limits", "../why_it_is_right/index.html"),
    ] {
        assert!(attributes(&html(module), " href").any(|found| found == link), "{module}: {link}");
        assert!(
            !attributes(&html(module), " href").any(|found| found.ends_with(".rs") || found.ends_with(".md"))
        );
    }
    let page = folder.join("index.html");
    assert!(html_fault(&page, "", "batch.rs").is_some() && html_fault(&page, "", "#nowhere").is_some());
}
