//! The real data sets, where `SECATEUR_DATA` says where they are.

use secateur_nn::data::images::{dataset, load, load_training};
use secateur_nn::data::{DataSet, Targets, text};
use std::path::PathBuf;

fn directory() -> Option<PathBuf> {
    let directory = std::env::var_os("SECATEUR_DATA").map(PathBuf::from);
    if directory.is_none() {
        println!("skipped: SECATEUR_DATA does not say where the data sets are");
    }
    directory
}

#[test]
fn images_are_as_many_as_published() {
    let Some(directory) = directory() else { return };
    // CIFAR-10 as the data directory has it: 1000 JPEG files a class, and 300 test images.
    for (set, training, test) in [(DataSet::Mnist, 60_000, 10_000), (DataSet::Cifar, 10_000, 300)] {
        let images = load_training(set, &directory).unwrap();
        assert_eq!((images.len(), load(set, &directory).unwrap().len()), (training, test));
        let data = dataset("training", &images, &set.shape(), 10).unwrap();
        let Targets::Classes { labels, .. } = data.targets() else { panic!("classes") };
        for class in 0..10 {
            let share = labels.iter().filter(|l| **l == class).count() as f64 / training as f64;
            assert!((share - 0.1).abs() < 0.02, "{set}: class {class} is {share} of all");
        }
    }
}

#[test]
fn a_text_becomes_sequences() {
    let Some(directory) = directory() else { return };
    let (data, alphabet) = text::read_characters(&directory.join("text/tinyshakespeare.txt"), 64).unwrap();
    assert_eq!((alphabet.0.len(), data.len()), (65, 1_115_393 / 64), "65 characters, 1 115 394 in all");
}
