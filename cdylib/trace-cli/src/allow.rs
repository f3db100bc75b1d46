//! Places that are known and not to be reported, as valgrind's suppressions.

use crate::Failure;
use crate::symbols::Frame;
use std::fs;
use std::path::Path;

/// The lines of one or more files.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<Rule>);

/// What must match, each if it is given.
#[derive(Debug, Default)]
struct Rule {
    function: Option<String>,
    library: Option<String>,
    name: Option<String>,
}

impl Rules {
    pub(crate) fn read(&mut self, path: &Path) -> Result<(), Failure> {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
        self.parse(&text).map_err(|(line, error)| Failure::new(format!("{}:{line}: {error}", path.display())))
    }

    fn parse(&mut self, text: &str) -> Result<(), (usize, String)> {
        for (number, line) in text.lines().enumerate() {
            let mut rule = Rule::default();
            let mut empty = true;
            for word in line.split('#').next().unwrap_or_default().split_whitespace() {
                let wrong =
                    || (number + 1, format!("{word:?} is none of function=, library=, name= and a pattern"));
                let (key, pattern) = word.split_once('=').ok_or_else(wrong)?;
                let place = match key {
                    "function" => &mut rule.function,
                    "library" => &mut rule.library,
                    "name" => &mut rule.name,
                    _ => return Err(wrong()),
                };
                *place = Some(pattern.into());
                empty = false;
            }
            if !empty {
                self.0.push(rule);
            }
        }
        Ok(())
    }

    /// True if a change of `name` from this stack is allowed. `None`: the name is not known, so a rule that wants one does not match.
    pub(crate) fn allow(&self, stack: &[Frame], name: Option<&str>) -> bool {
        self.0.iter().any(|rule| {
            let name =
                rule.name.as_ref().is_none_or(|pattern| name.is_some_and(|name| matches(pattern, name)));
            // One frame must satisfy both: "in this function of this library".
            let place = (rule.function.is_none() && rule.library.is_none())
                || stack.iter().any(|frame| {
                    let function = rule.function.as_ref().is_none_or(|pattern| {
                        frame.function.as_ref().is_some_and(|function| matches(pattern, function))
                    });
                    let library =
                        rule.library.as_ref().is_none_or(|pattern| matches(pattern, frame.module_name()));
                    function && library
                });
            name && place
        })
    }
}

/// True if the whole text fits the pattern.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when a character does not fit: behind the last `*`, which then takes one more.
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some('?') => (p, t) = (p + 1, t + 1),
            Some(&c) if c == text[t] => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((after, from)) = star else { return false };
                star = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("*::set_?ar*", "std::env::set_var::<&str>", true),
            ("a*b*c", "aXbYbZc", true),
            ("a?", "a", false),
            ("TZ", "TZDIR", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn all_words_of_a_line_must_fit_one_frame_and_the_name() {
        let frame = |function: &str, module: &str| Frame {
            function: Some(function.into()),
            module: module.into(),
            ..Frame::default()
        };
        let stack = [frame("set_zone", "/usr/lib/libzone.so.1"), frame("main", "/usr/bin/prog")];
        let allowed = |text: &str, name| {
            let mut rules = Rules::default();
            rules.parse(text).expect("valid");
            rules.allow(&stack, name)
        };
        assert!(!allowed("", Some("TZ")));
        assert!(allowed("# known\nfunction=set_* library=libzone.so* name=T?", Some("TZ")));
        assert!(!allowed("function=set_* library=libzone.so* name=T?", Some("LANG")));
        assert!(!allowed("function=main library=libzone.so*", Some("TZ")), "two frames");
        assert!(allowed("name=NO\nlibrary=prog # ours", Some("TZ")));
        assert!(!allowed("name=*", None));
        assert_eq!(Rules::default().parse("\nfunktion=x").expect_err("refused").0, 2);
    }
}
