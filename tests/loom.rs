//! Smoke.
#![cfg(loom)]
use loom::sync::Arc;
use loom::thread;
use mtsafe_env_core::{Head, Store};

struct Env {
    head: Head,
    store: Store,
}
impl Env {
    fn new() -> Arc<Env> {
        mtsafe_env_core::reset();
        Arc::new(Env { head: Head::new(), store: Store::new() })
    }
    fn set(&self, n: &str, v: &str) {
        unsafe { self.store.set(&self.head, n.as_bytes(), v.as_bytes(), true).unwrap() }
    }
    fn unset(&self, n: &str) {
        unsafe { self.store.unset(&self.head, n.as_bytes()).unwrap() }
    }
    fn get(&self, n: &str) -> Option<String> {
        unsafe {
            self.head.get(n.as_bytes()).map(|p| std::ffi::CStr::from_ptr(p).to_str().unwrap().to_owned())
        }
    }
}

#[test]
fn a_bystander_survives_a_reused_slot() {
    static N: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    loom::model(|| {
        N.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let env = Env::new();
        env.set("Y", "1");
        env.set("X", "9");
        let r = {
            let env = env.clone();
            thread::spawn(move || assert_eq!(env.get("X").as_deref(), Some("9")))
        };
        env.unset("Y");
        env.set("P", "1");
        r.join().unwrap();
    });
    println!("executions {N:?}");
}

#[test]
fn an_added_variable_stays_found() {
    static N: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    loom::model(|| {
        N.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let env = Env::new();
        env.set("Y", "1");
        env.set("X", "9");
        let r = {
            let env = env.clone();
            thread::spawn(move || {
                let a = env.get("P");
                let b = env.get("P");
                assert!(a.is_none() || b.is_some());
            })
        };
        env.unset("Y");
        env.set("P", "1");
        r.join().unwrap();
    });
    println!("executions {N:?}");
}
