//! Mask prompts on their way to the model's input size (the official `add_new_mask`).

use crate::Error;
use sam2_image::{Mask, resize_antialias};

/// A mask prompt at `size` x `size`, 0 or 1 (`interpolate(antialias=True) >= 0.5`).
pub(super) fn to_model_size(mask: &Mask, size: usize) -> Result<Vec<f32>, Error> {
    let values: Vec<f32> = mask.bits().iter().map(|bit| f32::from(*bit)).collect();
    if (mask.width(), mask.height()) == (size, size) {
        return Ok(values);
    }
    let resized = resize_antialias(&values, (mask.height(), mask.width()), (size, size))?;
    Ok(resized
        .into_iter()
        .map(|v| f32::from(u8::from(v >= 0.5)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_keeps_its_sides_apart() {
        // 8 x 4, the right half inside.
        let bits = (0..32).map(|i| u8::from(i % 8 >= 4)).collect();
        let mask = Mask::from_bytes(8, 4, bits).unwrap();
        assert_eq!(
            to_model_size(&mask, 4).unwrap(),
            [0.0, 0.0, 1.0, 1.0].repeat(4)
        );
        let same = Mask::from_bytes(2, 2, vec![0, 1, 1, 0]).unwrap();
        assert_eq!(to_model_size(&same, 2).unwrap(), [0.0, 1.0, 1.0, 0.0]);
    }
}
