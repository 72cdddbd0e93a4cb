//! The layers that the network is made of.
//!
//! All maps are channels-last: tokens `[B, N, C]`, maps `[B, H, W, C]`. A `Conv2d` of kernel 1 is then
//! a [`Linear`] and a `LayerNorm2d` a [`LayerNorm`]. Every layer has one path of plain Burn operators,
//! which the GPU runs, and one of our own kernels for the CPU ([`cpu`]).

pub mod attention;
mod attention_parts;
pub mod conv;
pub mod cpu;
pub mod linear;
pub mod norm;
pub mod rope;

pub use attention::{Windows, attention, max_pool_2x2, window_attention};
pub use attention_parts::attention_in_parts;
pub use conv::{
    Conv2d, ConvTranspose2x2, DepthwiseConv2d, PatchEmbed, PatchLinear, upsample_nearest_2x,
};
pub use cpu::conv::Window;
pub use linear::{Linear, Mlp, mlp_residual};
pub use norm::LayerNorm;
pub use rope::AxialRope;

use burn::backend::DispatchDevice;
use burn::tensor::{Device, Tensor, TensorData, activation};

/// What follows a linear layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    None,
    Relu,
    /// The exact (erf) form, as `torch.nn.GELU()`.
    Gelu,
}

impl Activation {
    /// Applies the activation to a tensor of any device.
    pub fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::None => x,
            Self::Relu => activation::relu(x),
            Self::Gelu => match cpu_data(&x) {
                Some(t) => {
                    let mut data = t.data().into_owned();
                    cpu::parallel::for_each_chunk(&mut data, 1 << 14, |_, c| cpu::simd::gelu(c));
                    cpu::into_tensor(data, x.dims())
                }
                None => activation::gelu(x),
            },
        }
    }
}

/// Is this the CPU backend, whose kernels are ours?
pub fn is_cpu(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::NdArray(_))
}

/// The tensor's elements where it lies on the CPU.
pub(crate) fn cpu_data<const D: usize>(x: &Tensor<D>) -> Option<cpu::CpuTensor> {
    is_cpu(&x.device())
        .then(|| cpu::CpuTensor::new(x.clone()))
        .flatten()
}

/// The most elements a tensor on a GPU may have: half of WebGPU's guaranteed 128 MiB binding, so that
/// an operator that needs a padded copy stays under it too.
pub const GPU_ELEMENTS: usize = 16 << 20;

/// `a b^T` for `a [B, M, K]`, `b [B, N, K]`: `[B, M, N]`.
pub fn matmul_transposed(a: Tensor<3>, b: Tensor<3>) -> Tensor<3> {
    let ([batch, m, k], [_, n, _]) = (a.dims(), b.dims());
    if let (Some(a), Some(b)) = (cpu_data(&a), cpu_data(&b)) {
        let (a, b) = (a.data(), b.data());
        let mut out = vec![0.0; batch * m * n];
        for (i, out) in out.chunks_exact_mut((m * n).max(1)).enumerate() {
            let a = cpu::gemm::Mat::rows(&a[i * m * k..], k);
            let b = cpu::gemm::Mat::rows(&b[i * n * k..], k).transposed();
            cpu::gemm::sgemm((m, k, n), 1.0, a, b, 0.0, out, n);
        }
        return cpu::into_tensor(out, [batch, m, n]);
    }
    a.matmul(b.swap_dims(1, 2))
}

/// Rows `[start, start + rows)` along dimension 1 of `[B, N, C]`.
pub(crate) fn rows(x: &Tensor<3>, start: usize, rows: usize) -> Tensor<3> {
    x.clone().narrow(1, start, rows)
}

/// A tensor from row-major elements.
pub fn from_vec<const D: usize>(data: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    if is_cpu(device) {
        return cpu::into_tensor(data, shape);
    }
    Tensor::from_data(TensorData::new(data, shape), device)
}
