//! Readers of every kind, parked at any slot at random moments, across random changes beside threads.

use super::*;
use crate::testing::random;

/// A reader who counted the list, and has loaded nothing of it yet.
struct Parked {
    step: usize,
    moves: usize,
    first: *const Slot,
    names: Vec<String>,
}

/// Moves to another array, up to which a reader in any order misses nothing.
const LATE: usize = 6;
const NAMES_PUT: usize = 4;

fn name_of(entry: &str) -> String {
    entry.split('=').next().unwrap().into()
}

fn names_at(first: *const Slot) -> Vec<String> {
    entries_at(first).iter().map(|entry| name_of(entry)).collect()
}

/// One random life of a list. Fails if a parked reader would miss a variable that was set when it counted and has been ever since; or
/// would find more slots than it counted. (But for strings of an owner's, who uses their memory again once they are not in the list: readers who
/// are late see that.)
fn live(seed: u64, steps: usize) {
    let mut below = random(seed);
    let names = [4, 12, 40, 120][below(4)];
    let list: Vec<CString> = (0..names).map(|i| CString::new(format!("N{i}=1")).unwrap()).collect();
    let list: Vec<&CStr> = list.iter().map(CString::as_c_str).collect();
    let mut env = Env::alone(&list[..below(names)]);
    (0..below(4)).for_each(|_| env.set(&format!("N{}", below(names)), "2"));
    env.store.one_thread = false;
    let kind = below(4);
    // Since when each is set; and memory of an owner's, with the name that is in the list with it.
    let mut since: BTreeMap<String, usize> =
        names_at(env.head.load()).into_iter().map(|name| (name, 0)).collect();
    let buffers: [*mut u8; NAMES_PUT] = [(); NAMES_PUT].map(|()| vec![0; 32].leak().as_mut_ptr());
    let mut put = [const { None::<String> }; NAMES_PUT];
    let mut put_last: BTreeMap<String, usize> = BTreeMap::new();
    let (mut moves, mut parked, mut before) = (0, Vec::<Parked>::new(), env.head.load());
    for step in 1..steps {
        let name = match kind {
            0 => format!("N{}", below(3)),
            1 if below(8) > 0 => "N1".into(),
            _ => format!("N{}", below(names)),
        };
        let mut is_put_no_more = |name: &str| {
            put.iter_mut().filter(|put| put.as_deref() == Some(name)).for_each(|put| *put = None);
        };
        match below(16) {
            0..5 => {
                env.set(&name, &below(3).to_string());
                is_put_no_more(&name);
                since.entry(name).or_insert(step);
            }
            5..10 => {
                env.unset(&name).unwrap();
                is_put_no_more(&name);
                since.remove(&name);
            }
            10 | 11 => {
                is_put_no_more(&name);
                let Some(i) = (0..NAMES_PUT).find(|&i| put[i].is_none()) else { continue };
                let text = format!("{name}=p\0");
                // The owner's memory, used again for another name, unless it still is in the list.
                // SAFETY: a proper list.
                if unsafe { slots(env.head.load()) }.any(|(_, entry)| entry == buffers[i].cast()) {
                    continue;
                }
                // SAFETY: 32 bytes, in no list; never freed.
                unsafe {
                    ptr::copy_nonoverlapping(text.as_ptr(), buffers[i], text.len());
                    env.store.put(&env.head, buffers[i].cast()).unwrap();
                }
                put[i] = Some(name.clone());
                put_last.insert(name.clone(), step);
                since.entry(name).or_insert(step);
            }
            12 if kind == 3 => {
                let (set, unset) = (format!("N{}", below(names)), format!("N{}", below(names)));
                if set != unset {
                    let changes: [(&[u8], Option<&[u8]>); 2] =
                        [(set.as_bytes(), Some(b"b")), (unset.as_bytes(), None)];
                    // SAFETY: proper lists.
                    unsafe { env.store.batch(&env.head, &changes) }.unwrap();
                    is_put_no_more(&set);
                    is_put_no_more(&unset);
                    since.entry(set).or_insert(step);
                    since.remove(&unset);
                }
            }
            13 if kind == 2 && below(20) == 0 => {
                env.clear();
                since.clear();
                put = [const { None }; NAMES_PUT];
            }
            14 => {
                let first = env.head.load();
                let owned = entries_at(first).into_iter().filter(|entry| entry.ends_with("=p"));
                put_last.extend(owned.map(|entry| (name_of(&entry), step)));
                parked.push(Parked { step, moves, first, names: names_at(first) });
                if parked.len() > 40 {
                    parked.remove(below(40));
                }
            }
            _ => {}
        }
        let head = env.head.load();
        moves += usize::from(env.store.arrays.holding(head).is_some_and(|array| !array.holds(before)));
        before = head;
        let mut now = names_at(head);
        now.sort();
        assert_eq!(now, since.keys().cloned().collect::<Vec<_>>(), "SEED={seed} step {step}");
        is_in_order(&env, false);
        for name in since.keys() {
            // SAFETY: proper lists.
            assert!(unsafe { env.store.value(&env.head, name.as_bytes()) }.is_some(), "SEED={seed} {name}");
        }
        for reader in &parked {
            let what = || {
                format!(
                    "SEED={seed} step {step}: counted at {}, {} moves ago",
                    reader.step,
                    moves - reader.moves
                )
            };
            let ahead = names_at(reader.first);
            assert!(ahead.len() <= reader.names.len(), "{}: it is longer", what());
            for (i, name) in reader.names.iter().enumerate() {
                let was_put = put_last.get(name).is_some_and(|&put| put >= reader.step);
                if was_put || since.get(name).is_none_or(|&since| since > reader.step) {
                    continue;
                }
                // Upwards, about to load any slot up to the one where it was.
                assert!(
                    ahead.get(i..).is_some_and(|ahead| ahead.contains(name)),
                    "{}: {name} of slot {i}",
                    what()
                );
                // SAFETY: a slot of an array of ours.
                let entry = unsafe { &*reader.first.wrapping_add(i) }.own();
                let stays = !entry.is_null() && name_of(&crate::testing::text(entry)) == *name;
                assert!(stays || moves - reader.moves > LATE, "{}: {name} left slot {i}", what());
            }
        }
    }
}

#[test]
fn parked_readers_find_what_nobody_removes() {
    let seed: u64 = std::env::var("SEED").map_or(20_261_126, |seed| seed.parse().unwrap());
    let lives: u64 =
        std::env::var("LIVES").map_or(if cfg!(miri) { 1 } else { 30 }, |lives| lives.parse().unwrap());
    (seed..seed + lives).for_each(|seed| live(seed, if cfg!(miri) { 40 } else { 600 }));
}
