//! Convolutions over channels-last maps `[B, H, W, C]`.

use super::cpu::conv::{self as kernel, Size, Window};
use super::cpu::gemm;
use super::{Linear, cpu, cpu_data, is_cpu};
use crate::weights::{LoadError, Weights};
use burn::tensor::{Tensor, module, ops::ConvOptions};

/// A dense convolution with kernel > 1. On the CPU the weight is kept `[kh * kw * in, out]`, on a GPU
/// `[out, in, kh, kw]` as Burn's convolution wants it.
#[derive(Debug)]
pub struct Conv2d {
    weight: Weight,
    bias: Tensor<1>,
    outputs: usize,
    window: Window,
}

#[derive(Debug)]
enum Weight {
    Patches(Tensor<2>),
    Kernel(Tensor<4>),
}

/// The order of a patch's elements.
enum Order {
    /// (ky, kx, c): channels-last maps.
    ChannelsLast,
    /// (c, ky, kx): pictures in planes.
    Planar,
}

impl Weight {
    fn load(
        w: &mut Weights,
        [outputs, inputs, k]: [usize; 3],
        order: Order,
    ) -> Result<Self, LoadError> {
        let shape = [outputs, inputs, k, k];
        if !is_cpu(w.device()) {
            return Ok(Self::Kernel(w.tensor("weight", shape)?));
        }
        let official = w.values("weight", &shape)?;
        let mut patches = vec![0.0; official.len()];
        for (i, value) in official.into_iter().enumerate() {
            let (o, c, tap) = (i / (inputs * k * k), i / (k * k) % inputs, i % (k * k));
            let row = match order {
                Order::ChannelsLast => tap * inputs + c,
                Order::Planar => c * k * k + tap,
            };
            patches[row * outputs + o] = value;
        }
        Ok(Self::Patches(super::from_vec(
            patches,
            [inputs * k * k, outputs],
            w.device(),
        )))
    }
}

impl Conv2d {
    /// Reads `weight [out, in, k, k]` and `bias [out]`.
    pub fn load(
        w: &mut Weights,
        inputs: usize,
        outputs: usize,
        window: Window,
    ) -> Result<Self, LoadError> {
        let weight = Weight::load(w, [outputs, inputs, window.kernel], Order::ChannelsLast)?;
        Ok(Self {
            weight,
            bias: w.tensor("bias", [outputs])?,
            outputs,
            window,
        })
    }

    /// `[B, H, W, in]` to `[B, H', W', out]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.weight {
            Weight::Patches(weight) => {
                let [batch, height, width, channels] = x.dims();
                let size = Size {
                    batch,
                    height,
                    width,
                    channels,
                };
                self.on_cpu(x, size, weight, kernel::conv2d)
            }
            Weight::Kernel(weight) => {
                let x = x.permute([0, 3, 1, 2]);
                self.on_gpu(x, weight).permute([0, 2, 3, 1])
            }
        }
    }

    fn on_gpu(&self, x: Tensor<4>, weight: &Tensor<4>) -> Tensor<4> {
        let Window {
            stride, padding, ..
        } = self.window;
        let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
        module::conv2d(x, weight.clone(), Some(self.bias.clone()), options)
    }

    fn on_cpu(&self, x: Tensor<4>, size: Size, weight: &Tensor<2>, run: Kernel) -> Tensor<4> {
        let (data, weight, bias) = (cpu_data(&x), cpu_data(weight), cpu_data(&self.bias));
        let data = data.as_ref().map(|t| t.data()).unwrap_or_default();
        let weight = weight.as_ref().map(|t| t.data()).unwrap_or_default();
        let bias = bias.as_ref().map(|t| t.data());
        let layer = gemm::Layer {
            weight: &weight,
            bias: bias.as_deref(),
            outputs: self.outputs,
        };
        let out = run(&data, size, self.window, layer);
        let (h, w) = (
            self.window.output(size.height),
            self.window.output(size.width),
        );
        cpu::into_tensor(out, [size.batch, h, w, self.outputs])
    }
}

type Kernel = fn(&[f32], Size, Window, gemm::Layer) -> Vec<f32>;

/// Hiera's patch embedding: a 7 x 7 convolution with stride 4 of the preprocessed picture
/// (sam2/modeling/backbones/utils.py, `PatchEmbed`).
#[derive(Debug)]
pub struct PatchEmbed(Conv2d);

impl PatchEmbed {
    const WINDOW: Window = Window {
        kernel: 7,
        stride: 4,
        padding: 3,
    };

    pub fn load(w: &mut Weights, embed_dim: usize) -> Result<Self, LoadError> {
        let w = &mut w.at("proj");
        let weight = Weight::load(w, [embed_dim, 3, Self::WINDOW.kernel], Order::Planar)?;
        let bias = w.tensor("bias", [embed_dim])?;
        Ok(Self(Conv2d {
            weight,
            bias,
            outputs: embed_dim,
            window: Self::WINDOW,
        }))
    }

    /// `[B, 3, S, S]` to `[B, S / 4, S / 4, embed_dim]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.0.weight {
            Weight::Patches(weight) => {
                let [batch, channels, height, width] = x.dims();
                let size = Size {
                    batch,
                    height,
                    width,
                    channels,
                };
                self.0.on_cpu(x, size, weight, kernel::conv2d_planar)
            }
            Weight::Kernel(weight) => self.0.on_gpu(x, weight).permute([0, 2, 3, 1]),
        }
    }
}

/// A depthwise convolution (`groups = channels`), stride 1, same size.
#[derive(Debug)]
pub struct DepthwiseConv2d {
    /// `[kernel * kernel, C]` on the CPU, `[C, 1, kernel, kernel]` on a GPU.
    weight: Weight,
    bias: Tensor<1>,
    window: Window,
}

impl DepthwiseConv2d {
    pub fn load(w: &mut Weights, channels: usize, window: Window) -> Result<Self, LoadError> {
        // With one input per group, (ky, kx, c) order is [taps, C].
        let weight = Weight::load(w, [channels, 1, window.kernel], Order::ChannelsLast)?;
        Ok(Self {
            weight,
            bias: w.tensor("bias", [channels])?,
            window,
        })
    }

    /// `[B, H, W, C]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, channels] = x.dims();
        match &self.weight {
            Weight::Patches(weight) => {
                let (data, weight, bias) = (cpu_data(&x), cpu_data(weight), cpu_data(&self.bias));
                let data = data.as_ref().map(|t| t.data()).unwrap_or_default();
                let weight = weight.as_ref().map(|t| t.data()).unwrap_or_default();
                let bias = bias.as_ref().map(|t| t.data()).unwrap_or_default();
                let size = Size {
                    batch,
                    height,
                    width,
                    channels,
                };
                let out = kernel::depthwise(&data, size, self.window, &weight, &bias);
                let (h, w) = (self.window.output(height), self.window.output(width));
                cpu::into_tensor(out, [batch, h, w, channels])
            }
            Weight::Kernel(weight) => {
                let Window {
                    stride, padding, ..
                } = self.window;
                let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], channels);
                let x = x.permute([0, 3, 1, 2]);
                module::conv2d(x, weight.clone(), Some(self.bias.clone()), options)
                    .permute([0, 2, 3, 1])
            }
        }
    }
}

/// `ConvTranspose2d(in, out, kernel_size=2, stride=2)`: no two outputs share an input, so it is a
/// linear layer to four outputs per place, then a pixel shuffle.
#[derive(Debug)]
pub struct ConvTranspose2x2 {
    linear: Linear,
}

impl ConvTranspose2x2 {
    /// Reads `weight [in, out, 2, 2]` and `bias [out]`.
    pub fn load(w: &mut Weights, inputs: usize, outputs: usize) -> Result<Self, LoadError> {
        let official = w.values("weight", &[inputs, outputs, 2, 2])?;
        let mut weight = vec![0.0; official.len()];
        for (i, value) in official.into_iter().enumerate() {
            let (c, o, tap) = (i / (outputs * 4), i / 4 % outputs, i % 4);
            weight[(c * 4 + tap) * outputs + o] = value;
        }
        let bias = w.values("bias", &[outputs])?.repeat(4);
        let device = w.device();
        let linear = Linear {
            weight: super::from_vec(weight, [inputs, 4 * outputs], device),
            bias: Some(super::from_vec(bias, [4 * outputs], device)),
        };
        Ok(Self { linear })
    }

    /// `[B, H, W, in]` to `[B, 2 H, 2 W, out]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        pixel_shuffle(self.linear.forward(x))
    }
}

/// `[B, H, W, 4 * C]`, taps in (dy, dx) order, to `[B, 2 H, 2 W, C]`.
fn pixel_shuffle(x: Tensor<4>) -> Tensor<4> {
    let [b, h, w, c4] = x.dims();
    let c = c4 / 4;
    if let Some(data) = cpu_data(&x) {
        let out = kernel::spread_2x(&data.data(), [b, h, w, c], |dy, dx| (dy * 2 + dx) * c, c4);
        return cpu::into_tensor(out, [b, 2 * h, 2 * w, c]);
    }
    x.reshape([b, h, w, 2, 2, c])
        .permute([0, 1, 3, 2, 4, 5])
        .reshape([b, 2 * h, 2 * w, c])
}

/// Nearest 2 x upsampling of `[B, H, W, C]`.
pub fn upsample_nearest_2x(x: Tensor<4>) -> Tensor<4> {
    let [b, h, w, c] = x.dims();
    if let Some(data) = cpu_data(&x) {
        let out = kernel::spread_2x(&data.data(), [b, h, w, c], |_, _| 0, c);
        return cpu::into_tensor(out, [b, 2 * h, 2 * w, c]);
    }
    x.reshape([b, h, 1, w, 1, c])
        .expand([b, h, 2, w, 2, c])
        .reshape([b, 2 * h, 2 * w, c])
}

/// A convolution whose kernel equals its stride (no padding, no overlap): patches to rows, then a
/// linear layer. Keys and shapes as `Conv2d`.
#[derive(Debug)]
pub struct PatchLinear {
    linear: Linear,
    kernel: usize,
}

impl PatchLinear {
    pub fn load(
        w: &mut Weights,
        inputs: usize,
        outputs: usize,
        kernel: usize,
    ) -> Result<Self, LoadError> {
        let official = w.values("weight", &[outputs, inputs, kernel, kernel])?;
        let taps = kernel * kernel;
        let mut weight = vec![0.0; official.len()];
        for (i, value) in official.into_iter().enumerate() {
            let (o, c, tap) = (i / (inputs * taps), i / taps % inputs, i % taps);
            weight[(tap * inputs + c) * outputs + o] = value;
        }
        let weight = super::from_vec(weight, [inputs * taps, outputs], w.device());
        let linear = Linear {
            weight,
            bias: Some(w.tensor("bias", [outputs])?),
        };
        Ok(Self { linear, kernel })
    }

    /// `[B, H, W, in]` to `[B, H / kernel, W / kernel, out]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, h, w, c] = x.dims();
        let k = self.kernel;
        let patches = x
            .reshape([b, h / k, k, w / k, k, c])
            .permute([0, 1, 3, 2, 4, 5])
            .reshape([b, h / k, w / k, k * k * c]);
        self.linear.forward(patches)
    }
}
