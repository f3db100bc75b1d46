//! Sums in wide registers around reads. They come out wrong if a read, inlined here, changes registers that it does not say it changes.

mtsafe_env::interpose!();

/// Sums of the four columns, of which the compiler keeps all in two registers across the reads.
#[inline(never)]
fn sums(rows: &[[f64; 4]], name: &str) -> ([f64; 4], [f64; 4]) {
    let (mut plain, mut fading) = ([0.0; 4], [1.0; 4]);
    for row in rows {
        for (i, number) in row.iter().enumerate() {
            plain[i] += number;
            fading[i] = fading[i] * 0.5 + number;
        }
        if mtsafe_env::with_var(name, |value| value.is_empty()) != Some(false) {
            plain = [f64::NAN; 4];
        }
    }
    (plain, fading)
}

fn main() {
    let rows: Vec<_> = (0..64).map(|i| [1, 2, 3, 4].map(|column| f64::from(i * column))).collect();
    // The same by whole numbers: all of them fit.
    let plain = [1, 2, 3, 4].map(|column| f64::from((0..64).map(|i| i * column).sum::<i32>()));
    let fading = [1, 2, 3, 4].map(|column| (0..64).fold(1.0, |sum, i| sum / 2.0 + f64::from(i * column)));
    for variables in [10, 1500] {
        for i in 0..variables {
            mtsafe_env::set_var(format!("VARIABLE_{i}"), "1");
        }
        let found = sums(&rows, "VARIABLE_7");
        assert_eq!(found, (plain, fading), "{variables} variables");
    }
    println!("{}: right", if mtsafe_env::interposed() { "LinkedIn" } else { "NotInterposed" });
}
