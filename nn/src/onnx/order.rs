//! The nodes that the output needs, in an order in which they can be computed.

use super::attributes::Place;
use super::fault::OnnxFault;
use super::proto::NodeProto;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// The nodes that `output` needs, each after its producers; the file's order where that allows it.
///
/// `known` tells the tensors that exist before any node runs.
pub fn needed(nodes: Vec<NodeProto>, output: &str, known: impl Fn(&str) -> bool) -> Result<Vec<NodeProto>, OnnxFault> {
    let mut producers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for tensor in node.output.iter().filter(|t| !t.is_empty()) {
            if known(tensor) || producers.insert(tensor, index).is_some() {
                return Err(OnnxFault::Duplicate { tensor: tensor.clone() });
            }
        }
    }
    let undefined = |user, tensor: &str| OnnxFault::Undefined { user, tensor: tensor.to_owned() };
    let mut pending = Vec::new();
    match producers.get(output) {
        Some(index) => pending.push(*index),
        None if known(output) => {}
        None => return Err(undefined("the output".to_owned(), output)),
    }
    // How many inputs each needed node still waits for, and who waits for it.
    let mut waiting: HashMap<usize, usize> = pending.iter().map(|i| (*i, 0)).collect();
    let mut users: HashMap<usize, Vec<usize>> = HashMap::new();
    while let Some(index) = pending.pop() {
        for tensor in nodes[index].input.iter().filter(|t| !t.is_empty() && !known(t)) {
            let Some(producer) = producers.get(tensor.as_str()) else {
                let place = Place::of(&nodes[index]);
                return Err(undefined(format!("node `{}` ({})", place.node, place.op), tensor));
            };
            *waiting.entry(index).or_default() += 1;
            users.entry(*producer).or_default().push(index);
            if let std::collections::hash_map::Entry::Vacant(entry) = waiting.entry(*producer) {
                entry.insert(0);
                pending.push(*producer);
            }
        }
    }
    let mut ready: BinaryHeap<_> = waiting.iter().filter(|(_, n)| **n == 0).map(|(i, _)| Reverse(*i)).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(Reverse(index)) = ready.pop() {
        waiting.remove(&index);
        order.push(index);
        for user in users.remove(&index).unwrap_or_default() {
            if let Some(count) = waiting.get_mut(&user) {
                *count -= 1;
                if *count == 0 {
                    ready.push(Reverse(user));
                }
            }
        }
    }
    if let Some(stuck) = waiting.keys().min() {
        return Err(OnnxFault::Cycle { node: Place::of(&nodes[*stuck]).node });
    }
    let mut nodes: Vec<_> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|i| nodes[i].take()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(output: &str, input: &[&str]) -> NodeProto {
        let input = input.iter().map(|s| s.to_string()).collect();
        NodeProto { input, output: vec![output.to_owned()], op_type: "Op".to_owned(), ..Default::default() }
    }

    fn run(nodes: Vec<NodeProto>) -> Result<Vec<String>, OnnxFault> {
        let ordered = needed(nodes, "y", |t| t == "x")?;
        Ok(ordered.into_iter().map(|n| n.output[0].clone()).collect())
    }

    #[test]
    fn producers_come_first_and_the_unneeded_go() {
        let nodes = vec![node("y", &["b", "a"]), node("a", &["x"]), node("dead", &["a"]), node("b", &["a", "x"])];
        assert_eq!(run(nodes).unwrap(), ["a", "b", "y"]);
    }

    #[test]
    fn bad_orders_are_refused() {
        let cycle = vec![node("a", &["b"]), node("b", &["a"]), node("y", &["a", "x"])];
        assert!(matches!(run(cycle), Err(OnnxFault::Cycle { .. })));
        assert!(matches!(run(vec![node("y", &["z"])]), Err(OnnxFault::Undefined { .. })));
        assert!(matches!(run(vec![node("z", &["x"])]), Err(OnnxFault::Undefined { .. })));
        let twice = vec![node("y", &["x"]), node("y", &["x"])];
        assert!(matches!(run(twice), Err(OnnxFault::Duplicate { .. })));
        assert!(matches!(run(vec![node("x", &["x"])]), Err(OnnxFault::Duplicate { .. })));
    }
}
