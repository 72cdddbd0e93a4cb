//! Pixels, coordinate spaces, masks and mask checks for SAM 2. No Burn.
