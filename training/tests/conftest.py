"""Tests run on one thread: the tensors are tiny, and threads that wait for each other only burn a shared machine."""

import torch

torch.set_num_threads(1)
