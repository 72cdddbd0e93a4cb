//! LayerNorm over the last dimension; over channels-last maps that is also the official LayerNorm2d.

use super::{cpu, cpu_data};
use crate::weights::{LoadError, Weights};
use burn::tensor::Tensor;

/// Epsilon of Hiera's LayerNorms and of LayerNorm2d.
pub const EPS_BACKBONE: f32 = 1e-6;
/// PyTorch's default, which the transformers of the decoder and of the memory use.
pub const EPS_DEFAULT: f32 = 1e-5;

/// `(x - mean) / sqrt(var + eps) * gamma + beta`.
#[derive(Debug)]
pub struct LayerNorm {
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f32,
}

impl LayerNorm {
    pub fn load(w: &mut Weights, width: usize, eps: f32) -> Result<Self, LoadError> {
        Ok(Self {
            gamma: w.tensor("weight", [width])?,
            beta: w.tensor("bias", [width])?,
            eps,
        })
    }

    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if let Some(cpu) = cpu_data(&x) {
            let shape = x.dims();
            drop(x);
            let out = self.on_cpu(|g, b, eps| cpu::norm::layer_norm(&cpu.data(), g, b, eps));
            return cpu::into_tensor(out, shape);
        }
        let mean = x.clone().mean_dim(D - 1);
        let centred = x - mean;
        let var = centred.clone().square().mean_dim(D - 1);
        centred / (var + self.eps).sqrt() * self.gamma.clone().unsqueeze()
            + self.beta.clone().unsqueeze()
    }

    /// Calls `f` with gamma, beta and epsilon.
    pub(crate) fn on_cpu<R>(&self, f: impl FnOnce(&[f32], &[f32], f32) -> R) -> R {
        let (gamma, beta) = (cpu_data(&self.gamma), cpu_data(&self.beta));
        let gamma = gamma.as_ref().map(|t| t.data()).unwrap_or_default();
        let beta = beta.as_ref().map(|t| t.data()).unwrap_or_default();
        f(&gamma, &beta, self.eps)
    }
}
