//! The UCI digits, which ship with the program: 1797 pictures of 8 × 8 numbers from 0 to 16. `data/digits.py` says how the
//! file came about.

const FILE: &str = include_str!("../data/digits.csv");

/// Numbers of a picture.
pub const PIXELS: usize = 64;

/// Each picture with its digit, in the order of the file.
pub fn digits() -> impl Iterator<Item = (usize, Vec<u8>)> {
    FILE.lines().filter_map(|line| {
        let mut numbers = line.split(',').filter_map(|field| field.parse::<u8>().ok());
        let digit = numbers.next()?;
        Some((usize::from(digit), numbers.collect()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_whole() {
        let all: Vec<(usize, Vec<u8>)> = digits().collect();
        assert_eq!(all.len(), 1797);
        assert!(all.iter().all(|(digit, pixels)| *digit < 10 && pixels.len() == PIXELS));
        assert!(all.iter().all(|(_, pixels)| pixels.iter().all(|pixel| *pixel <= 16)));
        let count = |digit| all.iter().filter(|(d, _)| *d == digit).count();
        assert_eq!((count(3), count(8)), (183, 174));
    }
}
