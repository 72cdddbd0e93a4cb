//! The SAM 2 network in Burn, one file per file of the official sam2/modeling/.
