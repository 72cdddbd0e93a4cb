//! CPU kernels over the arrays of Burn's ndarray backend.
//!
//! Burn's own CPU operators lose most of their time outside the matrix product (scalar GELU, softmax
//! and LayerNorm in several passes, copies around windows). These kernels do the same arithmetic in
//! one pass over cached blocks. Each has a plain-Burn twin in `ops`, which the GPU runs, and tests
//! hold the two together.

// burn-ndarray is deprecated in favour of flex, which is slower here: see crates/sam2/src/device.rs.
#![allow(deprecated)]

pub mod attention;
pub mod conv;
pub mod gemm;
pub mod norm;
pub mod parallel;
pub mod simd;
pub mod windows;

use burn::backend::NdArray;
use burn::tensor::Tensor;
use burn_ndarray::NdArrayTensor;
use ndarray::{ArrayD, IxDyn};
use std::borrow::Cow;

/// A tensor of the CPU backend, readable as one row-major slice.
pub struct CpuTensor(NdArrayTensor);

impl CpuTensor {
    /// The tensor's array, without copying. `None` where the tensor is not f32 on the CPU.
    pub fn new<const D: usize>(tensor: Tensor<D>) -> Option<Self> {
        match tensor.try_into_primitive::<NdArray>() {
            Ok(primitive @ NdArrayTensor::F32(_)) => Some(Self(primitive)),
            _ => None,
        }
    }

    /// Row-major elements; copied only where the tensor is a permuted view.
    pub fn data(&self) -> Cow<'_, [f32]> {
        let NdArrayTensor::F32(storage) = &self.0 else {
            return Cow::Owned(Vec::new()); // `new` lets no other variant in
        };
        let view = storage.view();
        match view.to_slice() {
            Some(slice) => Cow::Borrowed(slice),
            None => Cow::Owned(view.iter().copied().collect()),
        }
    }
}

/// Hands row-major elements to Burn without copying. `data` has as many elements as `shape` says.
pub fn into_tensor<const D: usize>(data: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    match ArrayD::from_shape_vec(IxDyn(&shape), data) {
        Ok(array) => Tensor::from_primitive::<NdArray>(NdArrayTensor::from(array.into_shared())),
        Err(error) => unreachable!("a kernel returned the wrong number of elements: {error}"),
    }
}
