//! Exact differences of stored numbers.

use secateur_check::float::difference;

#[test]
fn differences_are_exact_or_none() {
    let numbers = [0.0, -0.0, 1.0, 0.1, -0.1, 0.3, 1e-3, 1e30, -3e38, f32::MAX, 1e-40, f32::from_bits(1), 16777215.0];
    let mut found = 0;
    for x in numbers {
        for y in numbers {
            let wide = f64::from(x) - f64::from(y);
            // Doubles hold the difference of any two whose exponents are near.
            let near = x == 0.0 || y == 0.0 || (x.abs().log2() - y.abs().log2()).abs() < 25.0;
            match difference(x, y) {
                Some(d) => {
                    found += 1;
                    assert!(near && f64::from(d) == wide, "{x} - {y} = {d}");
                }
                None if near => assert_ne!(f64::from(wide as f32), wide, "{x} - {y}"),
                None => {}
            }
        }
    }
    assert!(found > 50);
}
