//! What stays on the device between being made and being used: embeddings, features, memories.
//!
//! They are never read as a whole, so that the checks of an answer cannot see them change: a buffer
//! that a driver emptied or overwrote gives a smooth, plausible, wrong mask. A [`Seal`] is taken where
//! tensors are made and taken again where they are used; the two travel to the host with the answer
//! that was computed from them, in the same submission.
//!
//! On a GPU a seal is three numbers for each tensor of n values, seen as `[rows, columns]`: the mean
//! weighted by row, the mean weighted by column (weights of `sam2_image::checksum_weights`, which no
//! moved block leaves as they were), and the mean magnitude, by which the tolerance is measured:
//! `2 (4 + sqrt(n) / 16) 2^-24` of it, as for the checksums of an answer and for the same reason, twice
//! because both sides are rounded. On the CPU it is an exact fingerprint.

use super::cost::counted;
use super::fault::Fault;
use super::weights::weights;
use crate::device::{DeviceKind, Runtime};
use burn::tensor::Tensor;
use sam2_image::{Fingerprint, MaskFault};
use sam2_model::ops::GPU_ELEMENTS;
use sam2_model::ops::cpu::CpuTensor;

/// Half a unit in the last place of 1 in f32.
const UNIT: f64 = 1.0 / (1 << 24) as f64;
/// Numbers of a tensor's seal on a GPU.
const NUMBERS: usize = 3;

/// Tensors whose seal is taken: as `[rows, columns]` each.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub what: &'static str,
    pub tensors: Vec<Tensor<2>>,
}

impl Held {
    pub fn new(what: &'static str) -> Self {
        Self {
            what,
            tensors: Vec::new(),
        }
    }

    /// Adds a tensor whose last dimension are the columns.
    pub fn with<const D: usize>(mut self, tensor: &Tensor<D>) -> Self {
        let columns = tensor.dims()[D - 1].max(1);
        let rows = tensor.dims().iter().product::<usize>() / columns;
        self.tensors.push(tensor.clone().reshape([rows, columns]));
        self
    }

    fn len(&self, i: usize) -> usize {
        self.tensors[i].dims().iter().product()
    }
}

/// How tensors were when they were made.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // on one device all are of one variant
pub(crate) enum Seal {
    Host(Vec<Fingerprint>),
    /// `[tensors * NUMBERS]`, on the device.
    Device(Tensor<1>),
}

impl Seal {
    /// Takes the seal. Nothing is read from a GPU here.
    pub fn take(runtime: &Runtime, held: &Held) -> Self {
        match runtime.kind {
            DeviceKind::Cpu => {
                counted(|| Self::Host(held.tensors.iter().map(fingerprint).collect()))
            }
            DeviceKind::Gpu => Self::Device(numbers(runtime, &held.tensors)),
        }
    }
}

impl Seal {
    /// The seal of the `i`-th tensor alone.
    pub fn part(&self, i: usize) -> Self {
        match self {
            Self::Host(prints) => Self::Host(prints.get(i).copied().into_iter().collect()),
            Self::Device(seal) => Self::Device(seal.clone().narrow(0, i * NUMBERS, NUMBERS)),
        }
    }

    /// One seal of all the tensors, in order; `None` where there are none, or some are on the CPU and
    /// some on a GPU.
    pub fn join(seals: Vec<Self>) -> Option<Self> {
        let (mut prints, mut numbers) = (Vec::new(), Vec::new());
        for seal in seals {
            match seal {
                Self::Host(own) => prints.extend(own),
                Self::Device(own) => numbers.push(own),
            }
        }
        match (prints.is_empty(), numbers.is_empty()) {
            (false, true) => Some(Self::Host(prints)),
            (true, false) => Some(Self::Device(Tensor::cat(numbers, 0))),
            _ => None,
        }
    }
}

fn fingerprint(tensor: &Tensor<2>) -> Fingerprint {
    match CpuTensor::new(tensor.clone()) {
        Some(tensor) => Fingerprint::of(&tensor.data()),
        // Not on the CPU after all: like nothing that was ever made.
        None => Fingerprint::of(&[f32::NAN]),
    }
}

/// `[tensors * NUMBERS]`. Tensors of one shape go through together: a batch of objects has hundreds.
fn numbers(runtime: &Runtime, tensors: &[Tensor<2>]) -> Tensor<1> {
    let numbers = groups(tensors, GPU_ELEMENTS).map(|group| numbers_of_group(runtime, group));
    Tensor::cat(numbers.collect(), 0)
}

/// Neighbours of one shape, no more of them than one tensor of so many elements holds: an object may look
/// at hundreds of prompted frames.
fn groups(tensors: &[Tensor<2>], elements: usize) -> impl Iterator<Item = &[Tensor<2>]> {
    let alike = tensors.chunk_by(|a, b| a.dims() == b.dims());
    alike.flat_map(move |group| {
        let each: usize = group.first().map_or(1, |x| x.dims().iter().product());
        group.chunks((elements / each.max(1)).max(1))
    })
}

fn numbers_of_group(runtime: &Runtime, tensors: &[Tensor<2>]) -> Tensor<1> {
    let device = &runtime.device;
    let k = tensors.len();
    let [rows, columns] = tensors.first().map_or([1, 1], Tensor::dims);
    let n = rows * columns;
    let [by_row, _] = weights(rows, device).on_device;
    let [_, by_column] = weights(columns, device).on_device;
    let x: Tensor<2> = match tensors {
        [one] => one.clone(),
        many => Tensor::cat(many.to_vec(), 0),
    };
    let x = x.reshape([k, rows, columns]);
    let mean = |x: Tensor<3>| x.reshape([k, n]).sum_dim(1) / n as f32;
    let means = vec![
        mean(x.clone() * by_row.reshape([1, rows, 1])),
        mean(x.clone() * by_column.reshape([1, 1, columns])),
        mean(x.abs()),
    ];
    Tensor::cat(means, 1).reshape([k * NUMBERS])
}

/// Tensors that go into a computation, and the seal that was taken when they were made.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub held: Held,
    pub seal: Seal,
}

impl Input {
    /// On the CPU: holds what is there against the seal, at once.
    ///
    /// # Errors
    /// A [`Fault`] of an input.
    pub fn verify_on_host(&self, runtime: &Runtime) -> Result<(), Box<Fault>> {
        let Seal::Host(seals) = &self.seal else {
            return Ok(());
        };
        for (i, (tensor, seal)) in self.held.tensors.iter().zip(seals).enumerate() {
            let now = fingerprint(tensor);
            let verdict = seal
                .verify(&now)
                .and_then(|()| sound(&now, self.held.len(i)));
            verdict.map_err(|fault| self.fault(runtime, fault))?;
        }
        Ok(())
    }

    /// On a GPU: the seal as it was and as it is, to be read with the answer.
    pub fn to_read(&self, runtime: &Runtime) -> Option<Tensor<1>> {
        match &self.seal {
            Seal::Host(_) => None,
            Seal::Device(seal) => Some(Tensor::cat(
                vec![seal.clone(), numbers(runtime, &self.held.tensors)],
                0,
            )),
        }
    }

    /// How many numbers [`Input::to_read`] adds to a read.
    pub fn numbers(&self) -> usize {
        match self.seal {
            Seal::Host(_) => 0,
            Seal::Device(_) => 2 * NUMBERS * self.held.tensors.len(),
        }
    }

    /// Holds the two against each other once they are read.
    ///
    /// # Errors
    /// A [`Fault`] of an input.
    pub fn verify(&self, runtime: &Runtime, numbers: &[f32]) -> Result<(), Box<Fault>> {
        let (before, now) = numbers.split_at(numbers.len() / 2);
        let pairs = before.chunks_exact(NUMBERS).zip(now.chunks_exact(NUMBERS));
        for (i, (before, now)) in pairs.enumerate() {
            compare(before, now, self.held.len(i)).map_err(|fault| self.fault(runtime, fault))?;
        }
        Ok(())
    }

    fn fault(&self, runtime: &Runtime, fault: MaskFault) -> Box<Fault> {
        Box::new(Fault {
            input: true,
            ..Fault::new(self.held.what, runtime.kind.name(), fault)
        })
    }
}

fn sound(print: &Fingerprint, len: usize) -> Result<(), MaskFault> {
    if !print.finite {
        return Err(MaskFault::NotFinite {
            index: 0,
            value: f32::NAN,
            count: 1,
        });
    }
    // Features of hundreds of channels that are all alike were never computed.
    if print.constant && len > 1 {
        return Err(MaskFault::Constant {
            value: 0.0,
            count: len,
        });
    }
    Ok(())
}

fn compare(before: &[f32], now: &[f32], len: usize) -> Result<(), MaskFault> {
    let magnitude = f64::from(before[NUMBERS - 1]);
    if let Some(at) = before.iter().position(|v| !v.is_finite()) {
        return Err(MaskFault::NotFinite {
            index: 0,
            value: before[at],
            count: 1,
        });
    }
    if magnitude == 0.0 && len > 1 {
        return Err(MaskFault::Constant {
            value: 0.0,
            count: len,
        });
    }
    let tolerance = 2.0 * (4.0 + (len as f64).sqrt() / 16.0) * UNIT * magnitude;
    for (before, now) in before.iter().zip(now) {
        let (before, now) = (f64::from(*before), f64::from(*now));
        // A NaN is not near.
        let near = (before - now).abs() <= tolerance;
        if !near {
            return Err(MaskFault::Changed {
                before,
                now,
                tolerance,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam2_model::ops::from_vec;

    fn held(values: Vec<f32>) -> Held {
        let runtime = Runtime::cpu("a test");
        let rows = values.len() / 4;
        Held::new("a test").with(&from_vec(values, [1, rows, 4], runtime.device()))
    }

    fn values() -> Vec<f32> {
        (0..64).map(|i| (i as f32).sin()).collect()
    }

    fn verdict(made: Vec<f32>, used: Vec<f32>) -> Result<(), Box<Fault>> {
        let runtime = Runtime::cpu("a test");
        let seal = Seal::take(&runtime, &held(made));
        let held = held(used);
        Input { held, seal }.verify_on_host(&runtime)
    }

    #[test]
    fn what_changed_since_it_was_made_is_a_fault_of_an_input() {
        verdict(values(), values()).unwrap();
        let mut swapped = values();
        swapped.rotate_left(32);
        let fault = verdict(values(), swapped).unwrap_err();
        assert!(fault.input && matches!(fault.fault, MaskFault::Changed { .. }));
    }

    #[test]
    fn what_was_never_right_is_a_fault_although_nothing_changed() {
        let mut unsound = values();
        unsound[5] = f32::INFINITY;
        for made in [vec![0.0; 64], unsound] {
            assert!(verdict(made.clone(), made).is_err());
        }
    }

    #[test]
    fn tensors_go_through_together_up_to_what_one_tensor_may_hold() {
        let runtime = Runtime::cpu("a test");
        let tensor = |rows| from_vec(vec![0.0; rows * 4], [rows, 4], runtime.device());
        let tensors = [2, 2, 2, 2, 2, 3, 3, 9].map(tensor);
        let lengths =
            |elements| -> Vec<usize> { groups(&tensors, elements).map(<[_]>::len).collect() };
        assert_eq!(lengths(1 << 10), [5, 2, 1]);
        assert_eq!(lengths(16), [2, 2, 1, 1, 1, 1]);
        // And one by one they give the same numbers, in the same order.
        let waves: Vec<Tensor<2>> = (0..5)
            .map(|i| (0..8).map(|j| ((i * 8 + j) as f32).sin()).collect())
            .map(|values| from_vec(values, [2, 4], runtime.device()))
            .collect();
        let read = |x: Tensor<1>| -> Vec<f32> { x.into_data().try_into_vec().unwrap() };
        let together = read(numbers(&runtime, &waves));
        let apart = waves.chunks(1).flat_map(|one| read(numbers(&runtime, one)));
        assert!(
            together
                .iter()
                .zip(apart)
                .all(|(a, b)| (a - b).abs() < 1e-7)
        );
        assert_eq!(together.len(), 5 * NUMBERS);
    }

    #[test]
    fn numbers_of_a_gpu_are_held_within_their_tolerance() {
        let before = [0.01, -0.02, 1.0];
        let near = [0.01 + 4e-7, -0.02, 1.0];
        compare(&before, &near, 64).unwrap();
        compare(&before, &[0.01 + 5e-6, -0.02, 1.0], 64).unwrap_err();
        compare(&before, &[f32::NAN, -0.02, 1.0], 64).unwrap_err();
        compare(&[0.0; 3], &[0.0; 3], 64).unwrap_err();
        compare(&[f32::INFINITY; 3], &[f32::INFINITY; 3], 64).unwrap_err();
        // The larger the tensor the more rounding there is to allow for.
        compare(&before, &[0.01 + 5e-6, -0.02, 1.0], 1 << 20).unwrap();
    }
}
