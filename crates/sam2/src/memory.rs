//! Does the model fit? Asked before the first large allocation.

use crate::Error;
use sam2_checkpoint::config::ModelConfig;

#[cfg(not(target_family = "wasm"))]
mod limits;
mod refused;

pub use refused::{Remembering, take_refused};

/// Bytes that loading the model and encoding one picture take at most.
///
/// `parameters + 12 maps of the first stage + 24 bytes for each value of the input's side squared +
/// 48 MB`, with the file once more in wasm, where it is in memory while it is read. A map of the first
/// stage is `[S / 4, S / 4, embed_dim]`: qkv, scores, hidden layer and residual of the widest moment;
/// the input is there three times (the picture, normalised, and kept). Calibrated against VmHWM of real
/// runs on the CPU, see tests/trust/MEMORY.md.
pub fn need(config: &ModelConfig) -> u64 {
    let parameters = config.num_parameters() * 4;
    let pixels = (config.image_size as u64).pow(2);
    let map = pixels / 16 * config.image_encoder.trunk.embed_dim as u64 * 4;
    let copies = if cfg!(target_family = "wasm") { 2 } else { 1 };
    copies * parameters + 12 * map + 24 * pixels + (48 << 20)
}

/// Bytes this process may still take: the least of what the machine has free, what its cgroups allow,
/// and what `ulimit -v` leaves; in wasm what is left of 4 GiB. `None` where it cannot be known.
pub fn available() -> Option<u64> {
    #[cfg(target_family = "wasm")]
    {
        let used = core::arch::wasm32::memory_size(0) as u64 * 65_536;
        Some((4u64 << 30).saturating_sub(used))
    }
    #[cfg(not(target_family = "wasm"))]
    {
        limits::available(std::path::Path::new("/"))
    }
}

/// # Errors
/// [`Error::OutOfMemory`] with both figures and what to choose instead.
pub fn check(config: &ModelConfig, available: Option<u64>) -> Result<(), Error> {
    let (Some(have), need) = (available, need(config)) else {
        return Ok(());
    };
    if need <= have {
        return Ok(());
    }
    let mut smaller = config.image_size;
    let step = config.image_size_multiple().max(64);
    while smaller > step {
        smaller = (smaller - 1) / step * step;
        let fits = config
            .with_image_size(smaller)
            .is_ok_and(|c| self::need(&c) <= have);
        if fits {
            break;
        }
    }
    let hint = match config
        .with_image_size(smaller)
        .is_ok_and(|c| self::need(&c) <= have)
    {
        true => format!("use a smaller model, or image-size {smaller}"),
        false => "use a smaller model".to_owned(),
    };
    let what = format!(
        "this model at {} x {}",
        config.image_size, config.image_size
    );
    let mb = |bytes: u64| bytes.div_ceil(1 << 20);
    Err(Error::OutOfMemory {
        what,
        need_mb: mb(need),
        have_mb: have >> 20,
        hint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam2_checkpoint::config::{Size, Version};

    #[test]
    fn the_error_gives_both_figures_and_a_way_out() {
        let tiny = ModelConfig::official(Size::Tiny, Version::V2_1);
        assert!(check(&tiny, Some(8 << 30)).is_ok());
        assert!(check(&tiny, None).is_ok());
        let error = check(&tiny, Some(400 << 20)).unwrap_err();
        assert_eq!(error.code(), "out_of_memory");
        let text = error.to_string();
        assert!(
            text.contains("400 MB") && text.contains(" image-size "),
            "{text}"
        );
    }

    #[test]
    fn need_grows_with_the_model_and_the_input() {
        let tiny = ModelConfig::official(Size::Tiny, Version::V2_1);
        let large = ModelConfig::official(Size::Large, Version::V2_1);
        assert!(need(&tiny) < need(&large));
        assert!(need(&tiny.with_image_size(512).unwrap()) < need(&tiny));
    }
}
