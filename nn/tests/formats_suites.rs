//! Every network and property of the public suites loads, where they are at hand.

use secateur_nn::onnx;
use std::path::{Path, PathBuf};

/// The files below `SECATEUR_BENCH` whose name ends in `suffix`.
fn files(suffix: &str) -> Vec<PathBuf> {
    let Some(root) = std::env::var_os("SECATEUR_BENCH") else {
        println!("skipped: SECATEUR_BENCH is not set");
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::from(root)];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.to_string_lossy().ends_with(suffix) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {suffix} below SECATEUR_BENCH");
    found
}

fn resident_peak_mib() -> Option<usize> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|k| k / 1024)
}

#[test]
fn every_network_loads_in_bounded_memory() {
    for path in files(".onnx.gz") {
        let start = std::time::Instant::now();
        let graph = onnx::read(&path).unwrap_or_else(|e| panic!("{e}"));
        let (input, output) = (graph.node(graph.input()), graph.node(graph.output()));
        let (name, nodes, time) = (path.file_name(), graph.len(), start.elapsed());
        println!("{name:?} {nodes} nodes {:?} -> {:?} in {time:?}", input.shape, output.shape);
    }
    if let Some(peak) = resident_peak_mib() {
        println!("peak {peak} MiB");
        assert!(peak < 700, "peak {peak} MiB");
    }
}
