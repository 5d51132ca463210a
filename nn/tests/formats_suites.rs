//! Every network and property of the public suites loads, where they are at hand.

use secateur_nn::graph::GraphBuilder;
use secateur_nn::op::{ElementType, Op};
use secateur_nn::{onnx, vnnlib};
use std::collections::HashMap;
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

#[test]
fn every_property_loads() {
    for path in files(".vnnlib.gz") {
        let start = std::time::Instant::now();
        let property = vnnlib::read(&path).unwrap_or_else(|e| panic!("{e}"));
        let ways: usize = property.cases.iter().map(|c| c.unsafe_set.len()).sum();
        let (name, boxes, time) = (path.file_name(), property.cases.len(), start.elapsed());
        println!("{name:?} {} inputs, {boxes} boxes, {ways} ways in {time:?}", property.inputs);
        assert!(property.cases.iter().all(|c| !c.unsafe_set.is_empty()));
    }
}

#[test]
fn networks_and_properties_of_an_instance_have_the_same_sizes() {
    let (mut graphs, mut checked) = (HashMap::new(), 0);
    for list in files("instances.csv") {
        let folder = list.parent().unwrap();
        for line in std::fs::read_to_string(&list).unwrap().lines() {
            let mut columns = line.split(',');
            let mut next = || format!("{}.gz", folder.join(columns.next().unwrap()).display());
            let (model, spec) = (next(), next());
            let graph = graphs.entry(model.clone()).or_insert_with(|| {
                let graph = onnx::read(&model).unwrap();
                let sizes = [graph.input(), graph.output()].map(|id| graph.node(id).shape.iter().product::<usize>());
                let mut small = GraphBuilder::new("x", vec![sizes[0]], ElementType::F32);
                let whole = Op::Slice { starts: vec![0], steps: vec![1], lengths: vec![sizes[1]] };
                // Only the sizes are kept: all networks together would not fit the memory bound.
                let output = if sizes[1] <= sizes[0] {
                    small.add("y", whole, &[small.input()])
                } else {
                    small.add(
                        "y",
                        Op::Pad { begin: vec![0], end: vec![sizes[1] - sizes[0]], value: 0.0 },
                        &[small.input()],
                    )
                };
                small.finish(output.unwrap()).unwrap()
            });
            vnnlib::read(&spec).unwrap().check_against(graph).unwrap_or_else(|e| panic!("{model} {spec}: {e}"));
            checked += 1;
        }
    }
    println!("{checked} instances");
}
