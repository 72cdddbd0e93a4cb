//! Linear layers and the MLP of a transformer block.

use super::cpu::{self, gemm};
use super::{Activation, GPU_ELEMENTS, LayerNorm, cpu_data, rows};
use crate::weights::{LoadError, Weights};
use burn::tensor::{Tensor, activation};

/// `y = x W + b`. `weight [in, out]`: the transpose of PyTorch's, turned once at load.
#[derive(Debug)]
pub struct Linear {
    pub weight: Tensor<2>,
    pub bias: Option<Tensor<1>>,
}

impl Linear {
    /// Reads `weight [out, in]` and `bias [out]`.
    pub fn load(w: &mut Weights, inputs: usize, outputs: usize) -> Result<Self, LoadError> {
        let weight = w.matrix_transposed("weight", outputs, inputs)?;
        let bias = Some(w.tensor("bias", [outputs])?);
        Ok(Self { weight, bias })
    }

    /// A 1 x 1 convolution over channels-last maps: `weight [out, in, 1, 1]`, `bias [out]`.
    pub fn load_pointwise(
        w: &mut Weights,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, LoadError> {
        let weight = w.pointwise("weight", outputs, inputs)?;
        Ok(Self {
            weight,
            bias: Some(w.tensor("bias", [outputs])?),
        })
    }

    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.forward_act(x, Activation::None)
    }

    /// `act(x W + b)` over the last dimension.
    pub fn forward_act<const D: usize>(&self, x: Tensor<D>, act: Activation) -> Tensor<D> {
        self.run(x, None, act)
    }

    /// `x W + b + residual`.
    pub fn forward_add<const D: usize>(&self, x: Tensor<D>, residual: Tensor<D>) -> Tensor<D> {
        self.run(x, Some(residual), Activation::None)
    }

    fn run<const D: usize>(
        &self,
        x: Tensor<D>,
        residual: Option<Tensor<D>>,
        act: Activation,
    ) -> Tensor<D> {
        let mut shape = x.dims();
        let inputs = shape[D - 1];
        let [_, outputs] = self.weight.dims();
        shape[D - 1] = outputs;
        if let Some(cpu) = cpu_data(&x) {
            drop(x);
            let out = self.on_cpu(|layer| {
                let residual = residual.as_ref().and_then(cpu_data);
                let residual = residual.as_ref().map(|r| r.data());
                gemm::linear_residual(&cpu.data(), inputs, layer, residual.as_deref(), act)
            });
            return cpu::into_tensor(out, shape);
        }
        let n: usize = shape[..D - 1].iter().product();
        let mut y = x.reshape([n, inputs]).matmul(self.weight.clone());
        if let Some(bias) = &self.bias {
            y = y + bias.clone().unsqueeze();
        }
        if let Some(residual) = residual {
            y = y + residual.reshape([n, outputs]);
        }
        act.apply(y).reshape(shape)
    }

    /// Calls `f` with the parameters as slices.
    fn on_cpu<R>(&self, f: impl FnOnce(gemm::Layer) -> R) -> R {
        let weight = cpu_data(&self.weight);
        let weight = weight.as_ref().map(|w| w.data()).unwrap_or_default();
        let bias = self.bias.as_ref().and_then(cpu_data);
        let bias = bias.as_ref().map(|b| b.data());
        let outputs = self.weight.dims()[1];
        f(gemm::Layer {
            weight: &weight,
            bias: bias.as_deref(),
            outputs,
        })
    }
}

/// `x + second(act(first(norm(x))))`, the second half of a transformer block, in blocks of rows: the
/// hidden layer of large at 1024² would be 151 MB, over WebGPU's guaranteed binding.
pub fn mlp_residual(
    x: Tensor<3>,
    norm: &LayerNorm,
    first: &Linear,
    act: Activation,
    second: &Linear,
) -> Tensor<3> {
    let [b, n, c] = x.dims();
    if let Some(cpu) = cpu_data(&x) {
        drop(x);
        let out = first.on_cpu(|first| {
            second.on_cpu(|second| {
                norm.on_cpu(|gamma, beta, eps| {
                    gemm::mlp_residual(&cpu.data(), c, (gamma, beta, eps), first, act, second)
                })
            })
        });
        return cpu::into_tensor(out, [b, n, c]);
    }
    let hidden = first.weight.dims()[1];
    let block = (GPU_ELEMENTS / (b * hidden)).clamp(1, n);
    if block == n {
        let y = second.forward(first.forward_act(norm.forward(x.clone()), act));
        return x + y;
    }
    let parts = (0..n).step_by(block).map(|start| {
        let x = rows(&x, start, block.min(n - start));
        let y = second.forward(first.forward_act(norm.forward(x.clone()), act));
        x + y
    });
    Tensor::cat(parts.collect(), 1)
}

/// The official `MLP`: linear layers with an activation between them
/// (sam2/modeling/sam2_utils.py), keys `layers.0`, `layers.1`, …
#[derive(Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    act: Activation,
    sigmoid_output: bool,
}

impl Mlp {
    pub fn load(
        w: &mut Weights,
        sizes: &[usize],
        act: Activation,
        sigmoid_output: bool,
    ) -> Result<Self, LoadError> {
        let layers = sizes
            .windows(2)
            .enumerate()
            .map(|(i, s)| Linear::load(&mut w.at(&format!("layers.{i}")), s[0], s[1]))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            layers,
            act,
            sigmoid_output,
        })
    }

    /// One linear layer where another configuration has several (`pred_obj_scores_mlp: false`).
    pub fn single(linear: Linear) -> Self {
        Self {
            layers: vec![linear],
            act: Activation::None,
            sigmoid_output: false,
        }
    }

    pub fn forward<const D: usize>(&self, mut x: Tensor<D>) -> Tensor<D> {
        for (i, layer) in self.layers.iter().enumerate() {
            let last = i + 1 == self.layers.len();
            x = layer.forward_act(x, if last { Activation::None } else { self.act });
        }
        if self.sigmoid_output {
            activation::sigmoid(x)
        } else {
            x
        }
    }

    /// The layers, for a block that runs them in blocks of rows.
    pub fn layers(&self) -> &[Linear] {
        &self.layers
    }
}
