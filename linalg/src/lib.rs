//! Numerical ground: tensors, dense and sparse products, seeded random numbers.
//!
//! | concept | file |
//! |---|---|
//! | scalar types with their unit roundoff | [`scalar`] |
//! | row-major tensors | [`tensor`] |
//! | dense products $C \leftarrow \beta C + A B$ | [`gemm`] |
//! | products with one vector | [`matvec`] |
//! | factors of positive definite matrices | [`cholesky`] |
//! | systems with large ones, in place | [`definite`] |
//! | all eigenvalues with their vectors, all singular values | [`spectrum`] |
//! | the largest ones, by products only | [`lanczos`] |
//! | orthonormal bases of row spaces | [`orthonormal`] |
//! | compressed sparse rows | [`sparse`] |
//! | seeded random streams | [`random`] |
//! | devices that bound many subproblems at once | [`device`] |

pub mod cholesky;
pub mod definite;
pub mod device;
pub mod gemm;
pub mod lanczos;
pub mod matvec;
pub mod orthonormal;
pub mod random;
pub mod scalar;
pub mod sparse;
pub mod spectrum;
pub mod tensor;

pub use scalar::Scalar;
pub use sparse::Csr;
pub use tensor::Tensor;
