//! Where the network runs: the GPU through wgpu (WebGPU in the page), or the CPU.
//!
//! The CPU backend is Burn's ndarray, natively and in wasm: with our own kernels
//! (`sam2_model::ops::cpu`) its arrays are only containers, and its matrix products (matrixmultiply)
//! measured faster than flex's on both targets. This module is the one place that names it.

use crate::Error;
use burn::tensor::{Device, DeviceKind as GpuKind, Tensor, activation};
use sam2_model::ops::cpu::{parallel, simd};
use std::sync::OnceLock;
use web_time::Instant;

/// What a caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The GPU where one answers rightly and fast, else the CPU.
    #[default]
    Auto,
    /// The GPU, or an error.
    Gpu,
    /// The CPU; no GPU is touched.
    Cpu,
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    Gpu,
    Cpu,
}

impl DeviceKind {
    /// `"webgpu"` (in the page) or `"gpu"` (natively), or `"cpu"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpu if cfg!(target_family = "wasm") => "webgpu",
            Self::Gpu => "gpu",
            Self::Cpu => "cpu",
        }
    }
}

/// An open device, and why it was chosen.
#[derive(Debug, Clone)]
pub struct Runtime {
    pub(crate) device: Device,
    pub kind: DeviceKind,
    /// One line for people: what was chosen and why.
    pub why: String,
    /// Name of the GPU, or the CPU's instruction set.
    pub adapter: String,
    /// Threads of the CPU kernels.
    pub threads: usize,
}

impl Runtime {
    /// Opens a device.
    ///
    /// # Errors
    /// [`Error::NoGpu`] where the GPU was asked for and does not answer, or answers wrongly. `Auto`
    /// falls back to the CPU and says why.
    pub async fn open(choice: DeviceChoice) -> Result<Self, Error> {
        if choice == DeviceChoice::Cpu {
            return Ok(Self::cpu("the CPU was asked for"));
        }
        match open_gpu(choice == DeviceChoice::Auto).await {
            Ok(gpu) => Ok(gpu),
            Err(reason) if choice == DeviceChoice::Auto => {
                Ok(Self::cpu(&format!("no GPU is used: {reason}")))
            }
            Err(reason) => Err(Error::NoGpu(reason)),
        }
    }

    /// The CPU; always there.
    pub fn cpu(why: &str) -> Self {
        #[allow(deprecated)] // burn-ndarray's successor is slower here, see the head of this file
        let device = Device::ndarray();
        Self {
            device,
            kind: DeviceKind::Cpu,
            why: why.to_owned(),
            adapter: simd::simd_name().to_owned(),
            threads: parallel::threads(),
        }
    }

    /// Burn's device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Gives memory that no tensor uses back to the system (a GPU's pools keep it otherwise).
    pub fn cleanup(&self) {
        if self.kind == DeviceKind::Gpu {
            let clean = std::panic::AssertUnwindSafe(|| self.device.memory_cleanup());
            // Of a device that was lost nothing can be had back.
            if std::panic::catch_unwind(clean).is_err() {
                tracing::debug!("the GPU's memory could not be cleaned up");
            }
        }
    }

    /// Waits until the device has done what it was given. A software GPU that still works when the
    /// process ends can bring it down, after all was done well (seen with SwiftShader): a video leaves
    /// the memory of its last frame behind, which nobody reads.
    #[cfg(not(target_family = "wasm"))]
    pub fn settle(&self) {
        if self.kind == DeviceKind::Gpu {
            let wait = std::panic::AssertUnwindSafe(|| self.device.sync());
            // A device that was lost has nothing left to do.
            if !matches!(std::panic::catch_unwind(wait), Ok(Ok(()))) {
                tracing::debug!("the GPU could not be waited for");
            }
        }
    }
}

/// Sets the threads of the CPU kernels, once per process, before any work.
///
/// # Errors
/// [`Error::Setting`] when work has begun already with another number.
#[cfg(not(target_family = "wasm"))]
pub fn set_threads(threads: usize) -> Result<(), Error> {
    match rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
    {
        Ok(()) => Ok(()),
        Err(_) if rayon::current_num_threads() == threads => Ok(()),
        Err(e) => Err(Error::Setting(format!(
            "the number of threads cannot change now: {e}"
        ))),
    }
}

/// Burn's wgpu runtime starts once per process (or page); later calls share its device.
static GPU: OnceLock<(Device, String, bool)> = OnceLock::new();

/// wgpu's own handle, kept to destroy the device on purpose.
#[cfg(all(feature = "fault-injection", not(target_family = "wasm")))]
static RAW: OnceLock<burn::tensor::wgpu::wgpu::Device> = OnceLock::new();

/// Takes the GPU away from under everything that uses it. `false` where there is none.
#[cfg(feature = "fault-injection")]
pub(crate) fn destroy_gpu() -> bool {
    #[cfg(not(target_family = "wasm"))]
    if let Some(device) = RAW.get() {
        device.destroy();
        return true;
    }
    false
}

async fn open_gpu(auto: bool) -> Result<Runtime, String> {
    if GPU.get().is_none() {
        let opened = start_gpu().await?;
        // Another task may have been first; its device is as good.
        let _ = GPU.set(opened);
    }
    let Some((device, adapter, software)) = GPU.get().cloned() else {
        return Err("it could not be kept open".to_owned());
    };
    if auto && software {
        return Err(format!(
            "{adapter} is a software renderer, slower than the CPU itself"
        ));
    }
    self_test(&device).await?;
    let mut why = format!("{adapter} passed its self-test");
    if auto {
        let (gpu, cpu) = (
            timed_run(&device).await?,
            timed_run(&Runtime::cpu("").device).await?,
        );
        if gpu < cpu * 1.2 {
            return Err(format!(
                "{adapter} runs at {gpu:.0} GFLOP/s, the CPU at {cpu:.0}"
            ));
        }
        why = format!(
            "{adapter} passed its self-test and runs at {gpu:.0} GFLOP/s, the CPU at {cpu:.0}"
        );
    }
    let kind = DeviceKind::Gpu;
    Ok(Runtime {
        device,
        kind,
        why,
        adapter,
        threads: parallel::threads(),
    })
}

/// Opens the default adapter: its device, its name, and whether it is a software renderer.
async fn start_gpu() -> Result<(Device, String, bool), String> {
    #[cfg(not(target_family = "wasm"))]
    {
        // Burn panics inside wgpu where a driver misbehaves; that must not end the program.
        let opened = std::panic::catch_unwind(|| {
            Device::wgpu_options()
                .device_kind(GpuKind::DefaultDevice)
                .init_with_setup()
        });
        let (device, setup) = opened
            .map_err(|_| "the driver failed while it was opened".to_owned())?
            .map_err(|e| e.to_string())?;
        #[cfg(feature = "fault-injection")]
        let _ = RAW.set(setup.device.clone());
        let info = setup.adapter.get_info();
        let software = info.device_type == burn::tensor::wgpu::wgpu::DeviceType::Cpu;
        Ok((device, info.name, software))
    }
    #[cfg(target_family = "wasm")]
    {
        // The page has asked the browser for an adapter with `timestamp-query` before: without it
        // Burn's runtime would panic (web/sam2/worker.js).
        let options = Device::wgpu_options().device_kind(GpuKind::DefaultDevice);
        let (device, setup) = options
            .init_with_setup_async()
            .await
            .map_err(|e| e.to_string())?;
        let info = setup.adapter.get_info();
        let name = if info.name.is_empty() {
            "WebGPU".to_owned()
        } else {
            info.name
        };
        Ok((device, name, false))
    }
}

/// Runs the operators that the network is made of on small inputs and holds them against the CPU.
///
/// Browsers skip an invalid shader silently and hand back whatever the buffer held (cubecl#1641), so
/// "no error" proves nothing.
async fn self_test(device: &Device) -> Result<(), String> {
    let cpu = Runtime::cpu("").device;
    for seed in 0..2 {
        let (expected, got) = (
            test_values(&cpu, seed).await?,
            test_values(device, seed).await?,
        );
        if expected.len() != got.len() {
            return Err("its self-test came back with another length".to_owned());
        }
        let scale = expected.iter().fold(1.0_f32, |m, v| m.max(v.abs()));
        let worst = expected.iter().zip(&got).map(|(a, b)| (a - b).abs());
        let worst = worst.fold(0.0_f32, |m, v| if v > m || v.is_nan() { v } else { m });
        // Products of 64 terms and an erf of 1.5e-7: 1e-4 of the largest value leaves a margin of 50.
        if worst.is_nan() || worst > 1e-4 * scale {
            return Err(format!(
                "its self-test is off by {worst:.2e} of {scale:.2e}"
            ));
        }
    }
    Ok(())
}

async fn test_values(device: &Device, seed: usize) -> Result<Vec<f32>, String> {
    let wave = |n: usize, f: f32| -> Vec<f32> {
        (0..n).map(|i| ((i + 31 * seed) as f32 * f).sin()).collect()
    };
    let from = |v: Vec<f32>, shape: [usize; 3]| sam2_model::ops::from_vec(v, shape, device);
    let x = from(wave(48 * 64, 0.37), [1, 48, 64]);
    let w = from(wave(64 * 64, 0.11), [1, 64, 64]);
    let y = sam2_model::ops::matmul_transposed(x.clone(), w);
    let y = sam2_model::ops::Activation::Gelu.apply(y * 0.1);
    let y = sam2_model::ops::attention(y.clone(), x.clone(), y, 4);
    let y: Tensor<3> = activation::sigmoid(y) + x;
    let data = y
        .into_data_async()
        .await
        .map_err(|e| format!("it cannot be read: {e:?}"))?;
    data.try_into_vec::<f32>()
        .map_err(|e| format!("it cannot be read: {e:?}"))
}

/// GFLOP/s of a product of 512 x 512 matrices, the better of two runs after a warm-up.
async fn timed_run(device: &Device) -> Result<f64, String> {
    const N: usize = 512;
    let values: Vec<f32> = (0..N * N).map(|i| (i % 17) as f32 * 0.1).collect();
    let a: Tensor<3> = sam2_model::ops::from_vec(values, [1, N, N], device);
    let mut best = f64::MAX;
    for round in 0..3 {
        let start = Instant::now();
        let mut y = a.clone();
        for _ in 0..4 {
            y = sam2_model::ops::matmul_transposed(y * 1e-3, a.clone());
        }
        y.sum()
            .into_data_async()
            .await
            .map_err(|e| format!("{e:?}"))?;
        if round > 0 {
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(4.0 * 2.0 * (N * N * N) as f64 / best / 1e9)
}

/// Name of the CPU's instruction set in use.
pub fn simd_name() -> &'static str {
    simd::simd_name()
}
