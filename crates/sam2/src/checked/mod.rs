//! The one way by which answers leave a device: read once, checked before anybody sees them.
//!
//! On a GPU two index-weighted checksums of every block and the request's number are computed in the same submission
//! as the answer. They are compared with the host's sums of what arrived: a short read, a stale buffer
//! or swapped halves differ. On the CPU the "read" hands over the same memory, so there an exact
//! fingerprint before and after is compared. What went into the computation is checked with it
//! ([`seal`]).

mod cost;
mod fault;
mod guard;
mod ladder;
mod seal;
mod weights;

pub use cost::check_time;
pub use fault::{Fault, FaultCounts, fault_counts};
pub(crate) use guard::guarded;
pub(crate) use ladder::Ladder;
pub(crate) use seal::{Held, Input, Seal};

use crate::Error;
use crate::device::{DeviceKind, Runtime};
#[cfg(feature = "fault-injection")]
use crate::inject;
use burn::tensor::{Device, Tensor, Transaction};
use cost::counted;
use fault::{Cure, count_refused, settle};
use sam2_image::{
    CHECKSUM_BLOCK, Fingerprint, IOU_RANGE, LOGIT_RANGE, MaskFault, SCORE_RANGE, inspect,
    inspect_scores, verify_checksums,
};
use sam2_model::ops::cpu::CpuTensor;
use sam2_model::ops::from_vec;
use sam2_model::sam::mask_decoder::DecoderOutput;
use std::sync::atomic::{AtomicU32, Ordering};
use weights::weights;

/// What a decode gave back, on the host, checked.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Logits `[B, 4, h, w]`.
    pub masks: Vec<f32>,
    /// Height and width of a low-resolution mask.
    pub size: (usize, usize),
    /// Predicted IoU `[B, 4]`.
    pub iou: Vec<f32>,
    /// Logits of "the object is there", `[B]`.
    pub object_score: Vec<f32>,
    /// Other values that the caller wanted in the same read (object pointers), row-major.
    pub extra: Vec<f32>,
}

/// Numbers every read, so that a stale buffer is told from a fresh one.
static REQUEST: AtomicU32 = AtomicU32::new(1);

const LOGITS: &str = "the mask logits";

/// Reads a decode: masks `[B, 4, h, w]`, IoU `[B, 4]` (in 0 to 1 where the model has the sigmoid),
/// object scores `[B, 1]`, and `extra`. What the mask check refuses is read once more.
///
/// # Errors
/// [`Error::Fault`] names the broken rule; [`Error::DeviceLost`] when the device does not answer.
pub async fn read_answer(
    runtime: &Runtime,
    output: &DecoderOutput,
    iou_sigmoid: bool,
    extra: Option<Tensor<2>>,
) -> Result<Answer, Error> {
    read_answer_of(runtime, output, iou_sigmoid, extra, &[]).await
}

/// As [`read_answer`], and holds what went into the decode against its seals.
pub(crate) async fn read_answer_of(
    runtime: &Runtime,
    output: &DecoderOutput,
    iou_sigmoid: bool,
    extra: Option<Tensor<2>>,
    inputs: &[Input],
) -> Result<Answer, Error> {
    let extra = &extra;
    twice(|| read_answer_once(runtime, output, iou_sigmoid, extra.clone(), inputs)).await
}

/// Reads a vector and compares its checksums with the device's; what the check refuses is read once
/// more. Its values are finite.
///
/// # Errors
/// As [`read_answer`].
pub async fn read(
    runtime: &Runtime,
    what: &'static str,
    values: Tensor<1>,
) -> Result<Vec<f32>, Error> {
    let values = &values;
    twice(|| async {
        let got = read_once(runtime, what, values.clone()).await?;
        let all = f32::MIN..=f32::MAX;
        inspect_scores(&got, got.len(), &all)
            .map_err(|fault| Fault::new(what, runtime.kind.name(), fault))?;
        Ok(got)
    })
    .await
}

/// Holds tensors that were just made against their seal: they are sound, and still what they were.
///
/// # Errors
/// As [`read_answer`].
pub(crate) async fn verify(runtime: &Runtime, input: &Input) -> Result<(), Error> {
    twice(|| async {
        counted(|| input.verify_on_host(runtime))?;
        let Some(numbers) = input.to_read(runtime) else {
            return Ok(());
        };
        let numbers = read_once(runtime, input.held.what, numbers).await?;
        Ok(input.verify(runtime, &numbers)?)
    })
    .await
}

/// Once more where the mask check refuses: the first rung of the ladder.
async fn twice<T, F: Future<Output = Result<T, Error>>>(
    mut work: impl FnMut() -> F,
) -> Result<T, Error> {
    let first = match work().await {
        Err(Error::Fault(first)) => first,
        other => return other,
    };
    count_refused();
    tracing::debug!(fault = %first, "reading once more");
    let again = work().await;
    match &again {
        Ok(_) => settle(&first, Cure::ReadAgain),
        Err(_) => count_refused(),
    }
    again
}

async fn read_answer_once(
    runtime: &Runtime,
    output: &DecoderOutput,
    iou_sigmoid: bool,
    extra: Option<Tensor<2>>,
    inputs: &[Input],
) -> Result<Answer, Error> {
    for input in inputs {
        counted(|| input.verify_on_host(runtime))?;
    }
    let [b, m, h, w] = output.masks.dims();
    let logits = b * m * h * w;
    let extras = extra.as_ref().map_or(0, |t| t.dims().iter().product());
    let mut parts = vec![
        output.masks.clone().reshape([logits]),
        output.iou.clone().reshape([b * m]),
        output.object_score.clone().reshape([b]),
    ];
    if let Some(extra) = extra {
        parts.push(extra.reshape([extras]));
    }
    parts.extend(inputs.iter().filter_map(|input| input.to_read(runtime)));
    let mut masks = read_once(runtime, LOGITS, Tensor::cat(parts, 0)).await?;
    // The logits stay where they arrived: a copy of a megabyte costs as much as all the checks.
    let rest = masks.split_off(logits);
    let (iou, rest) = rest.split_at(b * m);
    let (object_score, rest) = rest.split_at(b);
    let (extra, mut numbers) = rest.split_at(extras);
    for input in inputs {
        let (own, others) = numbers.split_at(input.numbers());
        input.verify(runtime, own)?;
        numbers = others;
    }
    let fault = |what: &'static str, item: Option<usize>| {
        move |fault| Fault {
            item,
            ..Fault::new(what, runtime.kind.name(), fault)
        }
    };
    counted(|| -> Result<(), Error> {
        for (i, mask) in masks.chunks_exact((h * w).max(1)).enumerate() {
            inspect(mask, h * w, &LOGIT_RANGE).map_err(fault(LOGITS, Some(i / m.max(1))))?;
        }
        // Without the sigmoid the IoU is a plain score.
        let iou_range = if iou_sigmoid { IOU_RANGE } else { SCORE_RANGE };
        inspect_scores(iou, b * m, &iou_range).map_err(fault("the predicted IoU", None))?;
        inspect_scores(object_score, b, &SCORE_RANGE).map_err(fault("the object score", None))?;
        inspect_scores(extra, extras, &SCORE_RANGE).map_err(fault("the object pointers", None))?;
        Ok(())
    })?;
    Ok(Answer {
        masks,
        size: (h, w),
        iou: iou.to_vec(),
        object_score: object_score.to_vec(),
        extra: extra.to_vec(),
    })
}

/// One read, with the right length and the device's checksums.
async fn read_once(
    runtime: &Runtime,
    what: &'static str,
    values: Tensor<1>,
) -> Result<Vec<f32>, Error> {
    #[cfg(feature = "fault-injection")]
    inject::step(runtime.kind)?;
    let [n] = values.dims();
    let request = REQUEST.fetch_add(1, Ordering::Relaxed) % (1 << 20);
    let fault = |fault| Fault::new(what, runtime.kind.name(), fault);
    let (got, sums) = match runtime.kind {
        DeviceKind::Cpu => {
            let print =
                counted(|| CpuTensor::new(values.clone()).map(|t| Fingerprint::of(&t.data())));
            (take(values).await?, Sums::Host(print))
        }
        DeviceKind::Gpu => {
            let sums = device_sums(values.clone(), request, &runtime.device);
            let mut data = Transaction::default()
                .register(values)
                .register(sums)
                .execute_async()
                .await
                .map_err(Error::device_lost)?
                .into_iter();
            let mut next = || {
                let data = data
                    .next()
                    .ok_or_else(|| Error::DeviceLost("no data".to_owned()))?;
                data.try_into_vec::<f32>().map_err(Error::device_lost)
            };
            (next()?, Sums::Device(next()?))
        }
    };
    #[cfg(feature = "fault-injection")]
    let (got, sums) = match sums {
        Sums::Device(sums) => {
            let (got, sums) = inject::read(runtime.kind, got, sums);
            (got, Sums::Device(sums))
        }
        host => (inject::read(runtime.kind, got, Vec::new()).0, host),
    };
    if got.len() != n {
        return Err(fault(MaskFault::WrongLength {
            expected: n,
            actual: got.len(),
        })
        .into());
    }
    match sums {
        Sums::Host(Some(print)) => {
            counted(|| print.verify(&Fingerprint::of(&got))).map_err(fault)?;
        }
        Sums::Host(None) => {}
        Sums::Device(sums) => {
            counted(|| check_sums(&got, &sums, request, &runtime.device)).map_err(fault)?;
        }
    }
    Ok(got)
}

/// What was summed up where the values were made.
enum Sums {
    Host(Option<Fingerprint>),
    Device(Vec<f32>),
}

async fn take(values: Tensor<1>) -> Result<Vec<f32>, Error> {
    let data = values.into_data_async().await;
    let data = data.map_err(Error::device_lost)?;
    data.try_into_vec::<f32>().map_err(Error::device_lost)
}

/// Two weighted sums of every block of the values, and the request's number.
fn device_sums(values: Tensor<1>, request: u32, device: &Device) -> Tensor<1> {
    let [n] = values.dims();
    let blocks = n.div_ceil(CHECKSUM_BLOCK);
    let padding = blocks * CHECKSUM_BLOCK - n;
    let values = match padding {
        0 => values,
        more => Tensor::cat(vec![values, Tensor::zeros([more], device)], 0),
    };
    let weights = weights(blocks * CHECKSUM_BLOCK, device);
    let sums = weights.on_device.map(|weights| {
        let products = values.clone() * weights;
        let sums: Tensor<2> = products.reshape([blocks, CHECKSUM_BLOCK]).sum_dim(1);
        sums.reshape([blocks])
    });
    // Through the arithmetic unit: a skipped shader leaves another number.
    let number: Tensor<1> = from_vec(vec![request as f32], [1], device) * 2.0;
    Tensor::cat([sums.to_vec(), vec![number]].concat(), 0)
}

fn check_sums(got: &[f32], sums: &[f32], request: u32, device: &Device) -> Result<(), MaskFault> {
    let Some((number, sums)) = sums.split_last() else {
        return Err(MaskFault::WrongLength {
            expected: 1,
            actual: 0,
        });
    };
    let (expected, actual) = (u64::from(request), (number / 2.0) as u64);
    if actual != expected {
        return Err(MaskFault::Stale { expected, actual });
    }
    let weights = weights(got.len().next_multiple_of(CHECKSUM_BLOCK), device);
    let [first, second] = &*weights.on_host;
    verify_checksums(got, [first, second], sums)
}

#[cfg(test)]
mod tests;
