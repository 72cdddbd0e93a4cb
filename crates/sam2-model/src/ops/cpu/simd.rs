//! Instruction sets chosen at run time, and the two functions worth vectorising by hand.
//!
//! rustc's default x86-64 target stops at SSE2. `multiversion!` compiles one `#[inline(always)]`
//! body several times, for AVX-512, AVX2 + FMA and the baseline, and picks once per call. In wasm
//! the only version is the build's own (`+simd128`).

/// The widest instruction set of this machine that [`multiversion!`] compiles for.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    Baseline,
    Avx2,
    Avx512,
}

#[cfg(target_arch = "x86_64")]
pub fn level() -> Level {
    use std::sync::OnceLock;
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("fma")
        {
            Level::Avx512
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            Level::Avx2
        } else {
            Level::Baseline
        }
    })
}

/// Name of the instruction set in use, for the start line and `sam2 devices`.
pub fn simd_name() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    return match level() {
        Level::Baseline => "sse2",
        Level::Avx2 => "avx2+fma",
        Level::Avx512 => "avx512",
    };
    #[cfg(target_arch = "aarch64")]
    return "neon";
    #[cfg(all(target_family = "wasm", target_feature = "simd128"))]
    return "simd128";
    #[cfg(not(any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        all(target_family = "wasm", target_feature = "simd128")
    )))]
    return "scalar";
}

/// Defines `fn name(args)` that runs `body` compiled for the widest instruction set present.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
                fn avx512($($arg: $ty),*) { $body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) { $body($($arg),*) }
                match $crate::ops::cpu::simd::level() {
                    // SAFETY: `level` saw these features on this processor.
                    $crate::ops::cpu::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::ops::cpu::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
                    $crate::ops::cpu::simd::Level::Baseline => $body($($arg),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            $body($($arg),*)
        }
    };
}
pub(crate) use multiversion;

/// `exp(x)` in f32, within 2 units in the last place on [-87, 88]; 0 below, +inf above. NaN stays NaN.
///
/// Range reduction by ln 2 in two parts, then a degree-5 polynomial (Cephes `expf`). Branch-free, so
/// that loops over it vectorise.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LOG2E: f32 = std::f32::consts::LOG2_E;
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    // 1.5 * 2^23: adding it rounds to the nearest integer and leaves that integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x > 88.0 { 88.0 } else { x };
    let clamped = if clamped < -87.0 { -87.0 } else { clamped };
    let t = clamped * LOG2E + ROUND;
    let n = t - ROUND;
    let r = clamped - n * LN2_HI - n * LN2_LO;
    let mut p = 1.987_569_1e-4_f32;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_6e-1;
    p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    let scale = f32::from_bits((t.to_bits().wrapping_add(127)) << 23);
    let y = y * scale;
    let y = if x > 88.5 { f32::INFINITY } else { y };
    if x < -87.0 { 0.0 } else { y }
}

/// `erf(x)` in f32, absolute error below 1.5e-7: a polynomial below 0.93, `1 - exp(polynomial)` above,
/// both computed and one chosen, so that loops over it vectorise. NaN stays NaN.
///
/// A rational approximation with one division is twice as fast, at 4e-7.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let t = x.abs();
    let s = x * x;
    let mut far = -1.728_534_7e-5_f32 * t + 3.831_971_3e-4;
    far = far * s + (-3.883_964_4e-3 * t + 2.425_462_2e-2);
    far = far * t - 1.067_778_8e-1;
    far = far * t - 6.348_467e-1;
    far = far * t - 1.287_175_1e-1;
    far = far * t - t;
    let far = (1.0 - exp(far)).copysign(x);
    let mut near = -5.967_617e-4_f32;
    near = near * s + 4.991_194_2e-3;
    near = near * s - 2.676_813_5e-2;
    near = near * s + 1.128_199_2e-1;
    near = near * s - 3.761_253_4e-1;
    near = near * s + 1.283_791_7e-1;
    let near = near * x + x;
    if t > 0.927_734_4 { far } else { near }
}

#[inline(always)]
fn gelu_body(x: &mut [f32]) {
    for v in x {
        *v = 0.5 * *v * (1.0 + erf(*v * std::f32::consts::FRAC_1_SQRT_2));
    }
}
multiversion! {
    /// Exact (erf) GELU in place, as `torch.nn.GELU()`.
    pub fn gelu(x: &mut [f32]) = gelu_body
}

#[inline(always)]
fn relu_body(x: &mut [f32]) {
    for v in x {
        // `max` would turn a NaN into 0 and hide it from the mask check.
        *v = if *v < 0.0 { 0.0 } else { *v };
    }
}
multiversion! {
    /// ReLU in place; NaN stays NaN, as in torch.
    pub fn relu(x: &mut [f32]) = relu_body
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erf by its Taylor series in f64, enough for |x| <= 4.
    fn erf64(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn exp_is_within_two_ulp() {
        for i in -86_900..88_000 {
            let x = i as f32 * 1e-3;
            let exact = (x as f64).exp();
            let error = (exp(x) as f64 - exact).abs() / exact;
            assert!(
                error < 2.4e-7,
                "exp({x}) = {}, exact {exact}, off by {error}",
                exp(x)
            );
        }
        assert_eq!(exp(-200.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn erf_is_within_1_5e_7() {
        for i in -4_000..=4_000 {
            let x = i as f32 * 1e-3;
            let error = (erf(x) as f64 - erf64(x as f64)).abs();
            assert!(error < 1.5e-7, "erf({x}) is off by {error}");
        }
        assert!(erf(30.0) == 1.0 && erf(-30.0) == -1.0);
        assert!(erf(f32::NAN).is_nan());
    }

    #[test]
    fn activations_keep_nan_and_agree_at_all_lengths() {
        for len in [0, 1, 7, 16, 33, 100] {
            // Within the reach of `erf64`.
            let mut x: Vec<f32> = (0..len).map(|i| (i % 20) as f32 * 0.3 - 3.0).collect();
            let expected: Vec<f64> = x
                .iter()
                .map(|&v| 0.5 * v as f64 * (1.0 + erf64(v as f64 / 2f64.sqrt())))
                .collect();
            gelu(&mut x);
            for (a, b) in x.iter().zip(expected) {
                assert!((*a as f64 - b).abs() < 1e-6 * b.abs().max(1.0));
            }
        }
        let mut nan = [f32::NAN, -1.0, 2.0];
        relu(&mut nan);
        assert!(nan[0].is_nan());
        assert_eq!(nan[1..], [0.0, 2.0]);
        gelu(&mut nan);
        assert!(nan[0].is_nan());
    }
}
