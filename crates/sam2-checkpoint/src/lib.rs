//! SAM 2 checkpoints and configurations: .pt, .safetensors and the project's own file, read strictly.
