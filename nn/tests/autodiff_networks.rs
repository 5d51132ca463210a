//! Derivatives of whole networks against PyTorch in double precision (`fixtures/generate.py`).

#[path = "corpus/record.rs"]
mod record;

use record::numbers;
use secateur_linalg::Tensor;
use secateur_nn::autodiff::{self, CrossEntropy, MeanSquaredError, Objective, Weighted};
use secateur_nn::eval::{Evaluator, Number};
use secateur_nn::graph::{Graph, NodeId};
use serde_json::Value as Json;

struct Network {
    json: Json,
    graph: Graph,
    /// The input, then the differentiated constants.
    wrt: Vec<NodeId>,
}

fn records() -> Vec<Network> {
    let records: Vec<Json> = serde_json::from_str(include_str!("fixtures/autodiff_networks.json")).unwrap();
    let record = |json: Json| {
        let graph = record::graph(&json["model"], json["name"].as_str().unwrap());
        let named = |name: &Json| graph.nodes().find(|(_, n)| n.name == name.as_str().unwrap()).unwrap().0;
        let wrt = json["wrt"].as_array().unwrap().iter().map(named).collect();
        Network { graph, wrt, json }
    };
    records.into_iter().map(record).collect()
}

impl Network {
    fn tensor(&self, id: NodeId, value: &Json) -> Tensor<f64> {
        Tensor::new(self.graph.node(id).shape.clone(), numbers(value))
    }

    fn tensors(&self, values: &Json) -> Vec<Tensor<f64>> {
        self.wrt.iter().zip(values.as_array().unwrap()).map(|(id, v)| self.tensor(*id, v)).collect()
    }

    fn input(&self) -> Tensor<f64> {
        self.tensor(self.graph.input(), &self.json["input"])
    }

    fn evaluator(&self) -> Evaluator<f64> {
        Evaluator::new(&self.graph).unwrap()
    }

    #[track_caller]
    fn check(&self, what: &str, found: &[Tensor<f64>], expected: &[Tensor<f64>]) {
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let scale = expected.data().iter().fold(1.0_f64, |m, v| m.max(v.abs()));
            for (a, b) in found.data().iter().zip(expected.data()) {
                // Both compute the same sums of fewer than 1000 terms in f64: 1000 roundoffs of 1e-16.
                let name = &self.json["name"];
                assert!((a - b).abs() <= 1e-13 * scale, "{name} {what}, variable {i}: {a} for {b}");
            }
        }
    }
}

/// The objectives that PyTorch differentiated.
enum Kind {
    Weighted(Weighted),
    CrossEntropy(CrossEntropy),
    MeanSquaredError(MeanSquaredError),
}

impl Kind {
    fn new(kind: &str, cotangent: &[f64]) -> Self {
        match kind {
            "weighted" => Self::Weighted(Weighted { weights: cotangent.to_vec() }),
            "cross_entropy" => Self::CrossEntropy(CrossEntropy { labels: vec![1] }),
            "mean_squared_error" => Self::MeanSquaredError(MeanSquaredError { targets: cotangent.to_vec() }),
            other => panic!("{other}"),
        }
    }
}

impl Objective for Kind {
    fn differentiate<N: Number>(&self, output: &Tensor<N>) -> (N, Tensor<N>) {
        match self {
            Self::Weighted(o) => o.differentiate(output),
            Self::CrossEntropy(o) => o.differentiate(output),
            Self::MeanSquaredError(o) => o.differentiate(output),
        }
    }
}

#[test]
fn jacobian_products_agree() {
    for record in records() {
        let (evaluator, input) = (record.evaluator(), record.input());
        let output = record.graph.output();
        let expected = [record.tensor(output, &record.json["output"]), record.tensor(output, &record.json["jvp"])];
        let direction = record.tensors(&record.json["direction"]);
        let direction: Vec<_> = record.wrt.iter().copied().zip(&direction).collect();
        let (value, tangent) = autodiff::jvp(&evaluator, &input, &direction).unwrap();
        record.check("jvp", &[value, tangent], &expected);

        let cotangent = record.tensor(output, &record.json["cotangent"]);
        let (value, gradients) = autodiff::vjp(&evaluator, &input, &cotangent, &record.wrt).unwrap();
        record.check("value", &[value], &expected[..1]);
        record.check("vjp", &gradients, &record.tensors(&record.json["objectives"][0]["gradient"]));
    }
}

#[test]
fn gradients_and_hessian_products_agree() {
    for record in records() {
        let (evaluator, input) = (record.evaluator(), record.input());
        let direction = record.tensors(&record.json["direction"]);
        let direction: Vec<_> = record.wrt.iter().copied().zip(&direction).collect();
        for objective in record.json["objectives"].as_array().unwrap() {
            let name = objective["kind"].as_str().unwrap();
            let kind = Kind::new(name, &numbers(&record.json["cotangent"]));
            let found = autodiff::hessian_vector_product(&evaluator, &input, &kind, &direction, &record.wrt).unwrap();
            let value = objective["value"].as_f64().unwrap();
            record.check(name, &[Tensor::scalar(found.value)], &[Tensor::scalar(value)]);
            record.check(name, &found.gradient, &record.tensors(&objective["gradient"]));
            record.check(name, &found.product, &record.tensors(&objective["product"]));
            let (value, gradient) = autodiff::gradient(&evaluator, &input, &kind, &record.wrt).unwrap();
            record.check(name, &[Tensor::scalar(value)], &[Tensor::scalar(found.value)]);
            record.check(name, &gradient, &found.gradient);
        }
    }
}

#[test]
fn per_example_gradients_agree_whatever_the_threads() {
    for record in records() {
        let examples = record.json["examples"].as_array().unwrap();
        let inputs: Vec<_> = examples.iter().map(|e| record.tensor(record.graph.input(), &e["input"])).collect();
        let labels: Vec<_> = examples.iter().map(|e| e["label"].as_u64().unwrap() as usize).collect();
        let (evaluator, wrt) = (record.evaluator(), &record.wrt[1..]);
        let cotangent = |i: usize, y: &Tensor<f64>| CrossEntropy { labels: vec![labels[i]] }.differentiate(y).1;
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| autodiff::per_example_gradients(&evaluator, &inputs, cotangent, wrt).unwrap())
        };
        let found = run(1);
        assert_eq!(found, run(3));
        for (found, example) in found.iter().zip(examples) {
            let expected: Vec<_> = (wrt.iter().zip(example["gradient"].as_array().unwrap()))
                .map(|(id, v)| record.tensor(*id, v))
                .collect();
            record.check("example", found, &expected);
        }
    }
}

#[test]
fn a_batch_has_the_mean_of_its_examples_gradients() {
    for record in records() {
        let examples = record.json["examples"].as_array().unwrap();
        let labels: Vec<_> = examples.iter().map(|e| e["label"].as_u64().unwrap() as usize).collect();
        let rows: Vec<f64> = examples.iter().flat_map(|e| numbers(&e["input"])).collect();
        let graph = record.graph.with_batch(labels.len()).unwrap();
        let input = Tensor::new(graph.node(graph.input()).shape.clone(), rows);
        let evaluator = Evaluator::<f64>::new(&graph).unwrap();
        let named = |id: &NodeId| {
            let name = &record.graph.node(*id).name;
            graph.nodes().find(|(_, n)| n.name == *name).unwrap().0
        };
        let wrt: Vec<NodeId> = record.wrt[1..].iter().map(named).collect();
        let (_, found) = autodiff::gradient(&evaluator, &input, &CrossEntropy { labels }, &wrt).unwrap();
        let mut expected: Vec<_> = found.iter().map(|t| t.map(|_| 0.0)).collect();
        for example in examples {
            for (sum, part) in expected.iter_mut().zip(example["gradient"].as_array().unwrap()) {
                sum.data_mut().iter_mut().zip(numbers(part)).for_each(|(s, p)| *s += p / examples.len() as f64);
            }
        }
        record.check("batch", &found, &expected);
    }
}
