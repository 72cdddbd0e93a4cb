//! From a checkpoint's tensors to the network's.
//!
//! There is no rename table: every module asks for its tensors under the official key, and the few
//! whose layout differs (linear weights turned, convolutions as patches) are rearranged where they are
//! read. That a file holds exactly the expected keys and shapes is checked before
//! (`sam2_checkpoint::Checkpoint::check_against`), so that every difference is named at once.

use burn::tensor::{Device, Tensor};

/// Where tensors come from: a checkpoint, or values made from a seed.
pub trait TensorSource {
    /// Row-major f32 values of the tensor `key`, whose shape must be `shape`.
    fn read_f32(&self, key: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError>;
}

/// A tensor could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot load {key}: {reason}")]
pub struct LoadError {
    /// The official key of the tensor.
    pub key: String,
    pub reason: String,
}

/// A place in a checkpoint: a source, a device, and the prefix of the module being read.
pub struct Weights<'a> {
    source: &'a dyn TensorSource,
    device: &'a Device,
    prefix: String,
    progress: Option<&'a dyn Fn(usize)>,
}

impl<'a> Weights<'a> {
    pub fn new(source: &'a dyn TensorSource, device: &'a Device) -> Self {
        Self {
            source,
            device,
            prefix: String::new(),
            progress: None,
        }
    }

    /// Calls `progress` with the number of values of each tensor read.
    pub fn with_progress(mut self, progress: &'a dyn Fn(usize)) -> Self {
        self.progress = Some(progress);
        self
    }

    pub fn device(&self) -> &'a Device {
        self.device
    }

    /// The child module `name` (`"trunk.blocks.3"`).
    pub fn at(&self, name: &str) -> Weights<'a> {
        Weights {
            prefix: self.key(name),
            ..*self
        }
    }

    fn key(&self, name: &str) -> String {
        match self.prefix.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.prefix),
        }
    }

    /// The values of `name` as they lie in the file.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let key = self.key(name);
        let values = self.source.read_f32(&key, shape)?;
        let expected: usize = shape.iter().product();
        if values.len() != expected {
            let reason = format!("{} values where the shape has {expected}", values.len());
            return Err(LoadError { key, reason });
        }
        if let Some(progress) = self.progress {
            progress(expected);
        }
        Ok(values)
    }

    /// The tensor `name` as it lies in the file.
    pub fn tensor<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Tensor<D>, LoadError> {
        Ok(crate::ops::from_vec(
            self.values(name, &shape)?,
            shape,
            self.device,
        ))
    }

    /// `name [rows, cols]`, transposed to `[cols, rows]`. A key that names a 1 x 1 convolution has
    /// shape `[rows, cols, 1, 1]`, see [`Weights::pointwise`].
    pub fn matrix_transposed(
        &self,
        name: &str,
        rows: usize,
        cols: usize,
    ) -> Result<Tensor<2>, LoadError> {
        let values = self.values(name, &[rows, cols])?;
        Ok(crate::ops::from_vec(
            transpose(&values, rows, cols),
            [cols, rows],
            self.device,
        ))
    }

    /// The weight of a 1 x 1 convolution, `[rows, cols, 1, 1]`, as `[cols, rows]`.
    pub fn pointwise(&self, name: &str, rows: usize, cols: usize) -> Result<Tensor<2>, LoadError> {
        let values = self.values(name, &[rows, cols, 1, 1])?;
        Ok(crate::ops::from_vec(
            transpose(&values, rows, cols),
            [cols, rows],
            self.device,
        ))
    }
}

fn transpose(values: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for (r, row) in values.chunks_exact(cols).enumerate() {
        for (c, value) in row.iter().enumerate() {
            out[c * rows + r] = *value;
        }
    }
    out
}
