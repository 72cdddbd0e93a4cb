//! The static server of the page, its weights and its health. No Burn.
