//! The attributes of a node, taken one by one; what is left over was not understood.

use super::fault::OnnxFault;
use super::proto::{AttributeProto, NodeProto, TensorProto, attribute};

/// How errors name a node.
#[derive(Clone)]
pub struct Place {
    /// The node's name, or its first output's where it has none.
    pub node: String,
    /// Its operator.
    pub op: String,
}

impl Place {
    /// The place of a node.
    pub fn of(node: &NodeProto) -> Self {
        let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
        Self { node: name.cloned().unwrap_or_default(), op: node.op_type.clone() }
    }

    /// That a setting has a value which is not supported.
    pub fn setting(&self, setting: impl Into<String>, found: impl Into<String>) -> OnnxFault {
        let (node, op) = (self.node.clone(), self.op.clone());
        OnnxFault::Setting { node, op, setting: setting.into(), found: found.into() }
    }

    /// An axis counted from the end when negative.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, OnnxFault> {
        let wrapped = if axis < 0 { axis.checked_add_unsigned(rank as u64) } else { Some(axis) };
        let inside = wrapped.and_then(|a| usize::try_from(a).ok()).filter(|a| *a < rank);
        inside.ok_or_else(|| OnnxFault::Axis { node: self.node.clone(), op: self.op.clone(), axis, rank })
    }

    /// Distinct axes in ascending order.
    pub fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>, OnnxFault> {
        let mut wrapped = axes.iter().map(|a| self.axis(*a, rank)).collect::<Result<Vec<_>, _>>()?;
        wrapped.sort_unstable();
        wrapped.dedup();
        Ok(wrapped)
    }

    /// That a constant does not fit the shape it is about.
    pub fn misfit(&self, setting: &'static str, found: &[i64], shape: &[usize]) -> OnnxFault {
        let (node, op) = (self.node.clone(), self.op.clone());
        OnnxFault::Misfit { node, op, setting, found: found.to_vec(), shape: shape.to_vec() }
    }
}

/// A node's attributes that nobody has asked for yet.
pub struct Attributes {
    place: Place,
    left: Vec<AttributeProto>,
}

impl Attributes {
    /// The attributes of the node at `place`.
    pub fn new(place: Place, left: Vec<AttributeProto>) -> Self {
        Self { place, left }
    }

    fn take(&mut self, name: &str) -> Option<AttributeProto> {
        let position = self.left.iter().position(|a| a.name == name)?;
        Some(self.left.swap_remove(position))
    }

    fn typed<T>(
        &mut self,
        name: &str,
        (code, expected): (i32, &'static str),
        value: impl FnOnce(AttributeProto) -> Option<T>,
    ) -> Result<Option<T>, OnnxFault> {
        let Some(found) = self.take(name) else { return Ok(None) };
        // Old files leave the type out; the value alone tells it then.
        let fits = found.r#type == code || found.r#type == 0;
        fits.then(|| value(found)).flatten().map(Some).ok_or_else(|| OnnxFault::AttributeType {
            node: self.place.node.clone(),
            op: self.place.op.clone(),
            attribute: name.to_owned(),
            expected,
        })
    }

    /// An integer, if given.
    pub fn int(&mut self, name: &str) -> Result<Option<i64>, OnnxFault> {
        self.typed(name, (attribute::INT, "an integer"), |a| if a.r#type == 0 { a.i } else { Some(a.i.unwrap_or(0)) })
    }

    /// A flag, false unless given.
    pub fn flag(&mut self, name: &str) -> Result<bool, OnnxFault> {
        Ok(self.int(name)?.unwrap_or(0) != 0)
    }

    /// A finite float, if given.
    pub fn float(&mut self, name: &str) -> Result<Option<f32>, OnnxFault> {
        let read = |a: AttributeProto| if a.r#type == 0 { a.f } else { Some(a.f.unwrap_or(0.0)) };
        let found = self.typed(name, (attribute::FLOAT, "a float"), read)?;
        match found {
            Some(value) if !value.is_finite() => Err(self.place.setting(name, value.to_string())),
            _ => Ok(found),
        }
    }

    /// Integers, if given.
    pub fn ints(&mut self, name: &str) -> Result<Option<Vec<i64>>, OnnxFault> {
        self.typed(name, (attribute::INTS, "a list of integers"), |a| Some(a.ints))
    }

    /// Floats, if given.
    pub fn floats(&mut self, name: &str) -> Result<Option<Vec<f32>>, OnnxFault> {
        self.typed(name, (attribute::FLOATS, "a list of floats"), |a| Some(a.floats))
    }

    /// A text, if given.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, OnnxFault> {
        let read = |a: AttributeProto| String::from_utf8(a.s.unwrap_or_default().to_vec()).ok();
        self.typed(name, (attribute::STRING, "a text"), read)
    }

    /// A tensor, if given.
    pub fn tensor(&mut self, name: &str) -> Result<Option<TensorProto>, OnnxFault> {
        self.typed(name, (attribute::TENSOR, "a tensor"), |a| a.t)
    }

    /// A text that must be the one supported.
    pub fn expect_text(&mut self, name: &str, supported: &str) -> Result<(), OnnxFault> {
        match self.text(name)? {
            Some(found) if found != supported => Err(self.place.setting(name, found)),
            _ => Ok(()),
        }
    }

    /// An integer that must be the one supported.
    pub fn expect_int(&mut self, name: &str, supported: i64) -> Result<(), OnnxFault> {
        match self.int(name)? {
            Some(found) if found != supported => Err(self.place.setting(name, found.to_string())),
            _ => Ok(()),
        }
    }

    /// Drops an attribute that has no influence on the result.
    pub fn ignore(&mut self, name: &str) {
        self.take(name);
    }

    /// Refuses attributes that were not asked for.
    pub fn refuse_left(&self) -> Result<(), OnnxFault> {
        match self.left.first() {
            Some(unknown) => Err(self.place.setting(format!("attribute `{}`", unknown.name), "anything")),
            None => Ok(()),
        }
    }
}
