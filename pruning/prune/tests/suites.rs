//! Compaction on the networks of public benchmark suites, where `SECATEUR_BENCH` says where they are.

use secateur_linalg::random::Random;
use secateur_nn::onnx;
use secateur_prune::structured::disagreement;
use secateur_prune::{PruneError, compact, structure};
use std::path::{Path, PathBuf};

fn networks(directory: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            networks(&path, found);
        } else if name.ends_with(".onnx") || name.ends_with(".onnx.gz") {
            found.push(path);
        }
    }
}

#[test]
fn real_networks_without_units_are_those_with_masked_units() {
    let Some(directory) = std::env::var_os("SECATEUR_BENCH") else {
        eprintln!("SECATEUR_BENCH is not set: nothing to read");
        return;
    };
    let mut files = Vec::new();
    networks(Path::new(&directory), &mut files);
    assert!(!files.is_empty(), "no networks below {directory:?}");
    for file in files {
        let name = file.display();
        let graph = onnx::read(&file).unwrap();
        let structure = match structure(&graph) {
            Err(PruneError::NothingToPrune) => continue,
            other => other.unwrap_or_else(|e| panic!("{name}: {e}")),
        };
        let mut random = Random::new(7);
        let removed: Vec<usize> = (0..structure.units.len()).filter(|_| random.unit() < 0.3).collect();
        let masks = structure.masks(&graph, removed.iter().copied());
        let masked = masks.apply(&graph).unwrap();
        let small = match compact(&graph, &masks) {
            Err(PruneError::Constant { .. }) => continue,
            other => other.unwrap_or_else(|e| panic!("{name}: {e}")),
        };
        let kinds = structure.units.iter().fold([0; 3], |mut counts, unit| {
            counts[unit.kind as usize] += 1;
            counts
        });
        if name.to_string().contains("/vit/") {
            // Three heads in each layer; the names count the layers first.
            let layers = file.file_name().map_or(0, |f| usize::from(f.to_string_lossy().as_bytes()[4] - b'0'));
            assert_eq!(kinds[2], 3 * layers, "{name}");
        }
        let difference = disagreement(&masked, &small.graph, 2, 1).unwrap_or_else(|e| panic!("{name}: {e}"));
        eprintln!(
            "{name}: units {kinds:?} in {} bundles, removed {} of {} (constant {}, kept {}, folded operators {}), {difference:.1e}",
            structure.bundles,
            small.removed,
            removed.len(),
            small.folded,
            small.kept,
            small.constant.len()
        );
        // Biases that take up constants are rounded to f32.
        assert!(difference < 1e-6, "{name}: {difference}");
        onnx::to_bytes(&small.graph).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}
