//! Weights of the checksums, made once for each length: an application reads a handful of lengths.

use burn::tensor::{Device, Tensor};
use sam2_image::checksum_weights;
use sam2_model::ops::from_vec;
use std::sync::{Arc, Mutex, PoisonError};

/// The weights of both checksums for one length, where the device sums and where the host does.
#[derive(Debug, Clone)]
pub(super) struct Weights {
    pub on_host: Arc<[Vec<f32>; 2]>,
    pub on_device: [Tensor<1>; 2],
}

static CACHE: Mutex<Vec<(usize, Weights)>> = Mutex::new(Vec::new());
/// Lengths kept: answers with and without pointers, and rows and columns of the maps that are sealed.
const CACHED: usize = 32;

pub(super) fn weights(n: usize, device: &Device) -> Weights {
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let known =
        |(len, weights): &&(usize, Weights)| *len == n && weights.on_device[0].device() == *device;
    if let Some((_, found)) = cache.iter().find(known) {
        return found.clone();
    }
    let on_host = [0, 1].map(|which| checksum_weights(which, n));
    let made = Weights {
        on_device: on_host.clone().map(|values| from_vec(values, [n], device)),
        on_host: Arc::new(on_host),
    };
    if cache.len() == CACHED {
        cache.remove(0);
    }
    cache.push((n, made.clone()));
    made
}
