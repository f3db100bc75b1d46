//! Which libc a process has, and what its changes of the environment do to readers on other threads.

use mtsafe_env_trace_layout::effect;
use std::fs;
use std::path::Path;

/// A libc, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Libc {
    Glibc(u32, u32),
    Musl,
    Unknown,
}

impl Libc {
    /// Told from the files that a process has mapped.
    pub(crate) fn of<'a>(modules: impl Iterator<Item = &'a Path>) -> Libc {
        modules.filter_map(Libc::of_file).next().unwrap_or(Libc::Unknown)
    }

    fn of_file(path: &Path) -> Option<Libc> {
        let name = path.file_name()?.to_str()?;
        if !(name.starts_with("libc.") || name.starts_with("libc-") || name.starts_with("ld-musl")) {
            return None;
        }
        let bytes = fs::read(path).ok()?;
        let find = |text: &str| bytes.windows(text.len()).position(|window| window == text.as_bytes());
        if find("musl libc").is_some() {
            return Some(Libc::Musl);
        }
        let banner = "GNU C Library";
        let rest = &bytes[find(banner)?..];
        let rest = String::from_utf8_lossy(&rest[..rest.len().min(200)]).into_owned();
        let version = rest.split("release version ").nth(1)?;
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        Some(Libc::Glibc(numbers.next()?.ok()?, numbers.next()?.ok()?))
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Libc::Glibc(major, minor) => format!("glibc {major}.{minor}"),
            Libc::Musl => "musl".into(),
            Libc::Unknown => "unknown".into(),
        }
    }

    /// True if a reader can crash beside a change with this effect.
    pub(crate) fn crashes(&self, effect: u32) -> Option<bool> {
        let (glibc, musl) = crashers(effect);
        match self {
            Libc::Glibc(major, minor) => Some(glibc && (*major, *minor) < (2, 41)),
            Libc::Musl => Some(musl),
            Libc::Unknown => None,
        }
    }
}

/// Whether readers on other threads can crash beside a change with this effect: in glibc before 2.41, in musl.
///
/// glibc before 2.41 frees the array when it grows (`realloc` in `__add_to_environ`) and when it is cleared; values stay. musl frees
/// the array (`__putenv`) and the strings that it made itself, when they are replaced or removed (`__env_rm_add`). glibc 2.41 keeps
/// the arrays. Source: stdlib/setenv.c, and musl's src/env, as released.
pub(crate) fn crashers(effect: u32) -> (bool, bool) {
    match effect {
        effect::ADDED | effect::CLEARED | effect::UNKNOWN => (true, true),
        effect::REPLACED | effect::REMOVED | effect::SAME => (false, true),
        _ => (false, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(Libc::Glibc(2, 36).crashes(effect::ADDED), Some(true));
        assert_eq!(Libc::Glibc(2, 41).crashes(effect::ADDED), Some(false));
        assert_eq!(Libc::Glibc(2, 4).crashes(effect::ADDED), Some(true));
        assert_eq!(Libc::Glibc(2, 36).crashes(effect::REPLACED), Some(false));
        assert_eq!(Libc::Musl.crashes(effect::REPLACED), Some(true));
        assert_eq!(Libc::Unknown.crashes(effect::ADDED), None);
    }
}
