//! Random changes of images that keep their class.

use secateur_linalg::random::Random;

/// Which changes are made at random, sample by sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augmentation {
    /// Mirror half of the images, left to right.
    pub flip: bool,
    /// Shift by up to so many pixels along each side; what comes in from outside is zero.
    pub crop: usize,
}

impl Augmentation {
    /// Whether anything is changed.
    pub fn changes(&self) -> bool {
        *self != Self::default()
    }

    /// Changes one image in place.
    ///
    /// # Shapes
    /// The last two axes of `shape` are rows and columns; fewer axes are left as they are.
    pub fn apply(&self, image: &mut [f32], shape: &[usize], random: &mut Random) {
        let &[.., rows, columns] = shape else { return };
        if self.flip && random.bits() & 1 == 1 {
            image.chunks_exact_mut(columns).for_each(<[f32]>::reverse);
        }
        if self.crop == 0 {
            return;
        }
        let mut shift = || random.index(2 * self.crop + 1) as isize - self.crop as isize;
        let (down, right) = (shift(), shift());
        for plane in image.chunks_exact_mut(rows * columns) {
            let old = plane.to_vec();
            for (place, value) in plane.iter_mut().enumerate() {
                let (row, column) = ((place / columns) as isize - down, (place % columns) as isize - right);
                let inside = (0..rows as isize).contains(&row) && (0..columns as isize).contains(&column);
                *value = if inside { old[row as usize * columns + column as usize] } else { 0.0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flip_mirrors_every_plane() {
        let flip = Augmentation { flip: true, crop: 0 };
        let seen: Vec<Vec<f32>> = (0..8)
            .map(|seed| {
                let mut image = vec![1.0, 2.0, 3.0, 4.0];
                flip.apply(&mut image, &[2, 1, 2], &mut Random::new(seed));
                image
            })
            .collect();
        assert!(seen.contains(&vec![1.0, 2.0, 3.0, 4.0]) && seen.contains(&vec![2.0, 1.0, 4.0, 3.0]));
    }

    #[test]
    fn a_crop_shifts_by_at_most_its_padding() {
        let crop = Augmentation { flip: false, crop: 1 };
        for seed in 0..20 {
            let mut image = vec![0.0; 25];
            image[12] = 1.0;
            crop.apply(&mut image, &[1, 5, 5], &mut Random::new(seed));
            let place = image.iter().position(|v| *v == 1.0).unwrap();
            assert!((1..4).contains(&(place / 5)) && (1..4).contains(&(place % 5)));
            assert_eq!(image.iter().sum::<f32>(), 1.0);
        }
    }
}
