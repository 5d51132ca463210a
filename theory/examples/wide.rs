//! How long a bracket of the cut norm takes: `cargo run --release -p secateur-theory --example wide -- 4096`.

use secateur_linalg::random::Random;
use secateur_theory::graphon::cut::Params;
use secateur_theory::graphon::law::Law;
use secateur_theory::graphon::{FactorisedSaliency, StepGraphon, cut_distance};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let width: usize = std::env::args().nth(1).map_or(Ok(1024), |text| text.parse())?;
    let mut random = Random::new(1);
    let outer: Vec<f64> = (0..width).map(|_| random.normal().abs()).collect();
    let start = Instant::now();
    let rows: Vec<f64> = (0..width).map(|i| ((i as f64 + 0.5) / width as f64).powi(2)).collect();
    let model = FactorisedSaliency::new(rows.clone(), outer.clone(), Law::absolute_normal())?;
    let limit = model.limit(0.2)?;
    println!("limit: {:.1} s", start.elapsed().as_secs_f64());
    let mask: Vec<bool> = (0..width * width)
        .map(|k| random.normal().abs() * rows[k / width] * outer[k % width] >= limit.threshold)
        .collect();
    let mask = StepGraphon::from_mask(width, width, &mask)?;
    let start = Instant::now();
    let found = cut_distance(&mask, &limit.graphon, &Params::default())?;
    println!("distance: {found}, {:.1} s", start.elapsed().as_secs_f64());
    println!(
        "times the root of the width: {:.4} to {:.4}",
        found.lower * (width as f64).sqrt(),
        found.upper * (width as f64).sqrt()
    );
    println!("largest singular value: {:.5}", found.spectral);
    Ok(())
}
