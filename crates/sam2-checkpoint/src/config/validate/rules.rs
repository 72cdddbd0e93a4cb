//! The rules that values are held against, each with its sentence.

use super::super::ConfigError;

/// Bound on any channel count, head count or kernel.
pub(super) const MAX_DIM: usize = 16_384;
/// Bound on blocks and layers in one place.
pub(super) const MAX_LAYERS: usize = 256;
/// Bound on the side of the network's input, in pixels.
pub(super) const MAX_IMAGE_SIZE: usize = 4096;

pub(super) type Check = Result<(), ConfigError>;

pub(super) fn value(path: &'static str, message: String) -> Check {
    Err(ConfigError::Value { path, message })
}

pub(super) fn in_range(path: &'static str, found: usize, min: usize, max: usize) -> Check {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    value(
        path,
        format!("is {found}, but must be between {min} and {max}"),
    )
}

pub(super) fn divides(path: &'static str, divisor: usize, found: usize, what: &str) -> Check {
    if found != 0 && found.is_multiple_of(divisor) {
        return Ok(());
    }
    value(path, format!("{divisor} must divide {found} ({what})"))
}

pub(super) fn equal(path: &'static str, found: usize, wanted: usize, because: &str) -> Check {
    if found == wanted {
        return Ok(());
    }
    value(
        path,
        format!("is {found}, but must be {wanted} ({because})"),
    )
}

pub(super) fn only(path: &'static str, holds: bool, supported: &str) -> Check {
    if holds {
        return Ok(());
    }
    value(path, format!("only {supported} is supported"))
}

pub(super) fn finite(path: &'static str, found: f64) -> Check {
    if found.is_finite() {
        return Ok(());
    }
    value(path, format!("is {found}, but must be a finite number"))
}

pub(super) fn fraction(path: &'static str, found: f64) -> Check {
    if (0.0..=1.0).contains(&found) {
        return Ok(());
    }
    value(path, format!("is {found}, but a rate is between 0 and 1"))
}

pub(super) fn factor(path: &'static str, found: f64) -> Check {
    if found.is_finite() && (0.125..=16.0).contains(&found) {
        return Ok(());
    }
    value(
        path,
        format!("is {found}, but must be between 0.125 and 16"),
    )
}
