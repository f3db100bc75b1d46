//! Tests that change variables, in parallel: `cargo test --example parallel_tests`
//!
//! Each takes its changes back, also when it fails. The process has one environment, so each test has variables of its own.

mtsafe_env::interpose!(); // for a library's unit tests: `#[cfg(test)] mtsafe_env::interpose!();` in `lib.rs`

/// What is tested: a setting with a default.
fn retries(variable: &str) -> u32 {
    mtsafe_env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(3)
}

fn main() {
    println!("{} retries", retries("CLIENT_RETRIES"));
}

#[cfg(test)]
mod tests {
    use super::retries;
    use mtsafe_env::{ChangeError, Scope};

    #[test]
    fn a_number_is_taken() -> Result<(), ChangeError> {
        let _scope = Scope::new().set("TEST_TAKEN", "7")?; // taken back at the end of the test
        assert_eq!(retries("TEST_TAKEN"), 7);
        Ok(())
    }

    #[test]
    fn nonsense_is_not() -> Result<(), ChangeError> {
        let found = Scope::new().set("TEST_NONSENSE", "many")?.run(|| retries("TEST_NONSENSE"));
        assert_eq!(found, 3);
        assert_eq!(mtsafe_env::var_os("TEST_NONSENSE"), None);
        Ok(())
    }

    #[test]
    fn a_failed_test_takes_its_changes_back() {
        let failed = std::panic::catch_unwind(|| {
            let _scope = Scope::new().set("TEST_FAILED", "1");
            panic!("as a failing test");
        });
        assert!(failed.is_err());
        assert_eq!(mtsafe_env::var_os("TEST_FAILED"), None);
    }
}
