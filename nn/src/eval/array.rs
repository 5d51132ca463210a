//! What a node evaluates to.

use super::number::Number;
use crate::op::{ElementType, Value};
use secateur_linalg::Tensor;
use std::sync::Arc;

/// The value of a node. Floats of either width are evaluated in the same arithmetic `N`.
#[derive(Clone, Debug)]
pub enum Array<N> {
    /// Numbers.
    Real(Arc<Tensor<N>>),
    /// Integers.
    Integer(Arc<Tensor<i64>>),
    /// Truth values.
    Truth(Arc<Tensor<bool>>),
}

impl<N: Number> Array<N> {
    /// A stored constant, shared with the graph where no conversion is needed.
    pub fn constant(value: &Value) -> Self {
        match value {
            Value::F32(t) => Self::Real(N::from_f32_tensor(t)),
            Value::F64(t) => Self::Real(N::from_f64_tensor(t)),
            Value::I64(t) => Self::Integer(Arc::clone(t)),
            Value::Bool(t) => Self::Truth(Arc::clone(t)),
        }
    }

    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Real(t) => t.shape(),
            Self::Integer(t) => t.shape(),
            Self::Truth(t) => t.shape(),
        }
    }

    /// The numbers, if it holds numbers.
    pub fn as_real(&self) -> Option<&Arc<Tensor<N>>> {
        match self {
            Self::Real(t) => Some(t),
            Self::Integer(_) | Self::Truth(_) => None,
        }
    }

    /// The numbers of a value that shape inference found to be one of numbers.
    #[track_caller]
    pub(crate) fn real(&self) -> &Tensor<N> {
        self.as_real().expect("shape inference admits only floats here")
    }

    /// [`Array::real`], by value.
    #[track_caller]
    pub(crate) fn into_real(self) -> Arc<Tensor<N>> {
        match self {
            Self::Real(t) => t,
            Self::Integer(_) | Self::Truth(_) => panic!("shape inference admits only floats here"),
        }
    }

    /// Conversion of the element type: to an integer towards zero, to a truth value by $a \ne 0$.
    pub(crate) fn cast(self, element: ElementType) -> Self {
        fn map<A, B>(t: &Tensor<A>, f: impl FnMut(&A) -> B) -> Arc<Tensor<B>> {
            Arc::new(t.map(f))
        }
        match (self, element) {
            (a @ Self::Real(_), ElementType::F32 | ElementType::F64)
            | (a @ Self::Integer(_), ElementType::I64)
            | (a @ Self::Truth(_), ElementType::Bool) => a,
            (Self::Real(t), ElementType::I64) => Self::Integer(map(&t, |v| v.value() as i64)),
            (Self::Real(t), ElementType::Bool) => Self::Truth(map(&t, |v| v.value() != 0.0)),
            (Self::Integer(t), ElementType::F32 | ElementType::F64) => Self::Real(map(&t, |v| N::of(*v as f64))),
            (Self::Integer(t), ElementType::Bool) => Self::Truth(map(&t, |v| *v != 0)),
            (Self::Truth(t), ElementType::F32 | ElementType::F64) => {
                Self::Real(map(&t, |v| N::of(f64::from(u8::from(*v)))))
            }
            (Self::Truth(t), ElementType::I64) => Self::Integer(map(&t, |v| i64::from(*v))),
        }
    }
}
