#!/bin/sh
# Everything from nothing, or on from where it stopped: ./train.sh WORK [--data DIR] [--threads N]
set -eu
work=$(realpath -m "$1")
shift
here=$(dirname "$(realpath "$0")")
mkdir -p "$work"
if [ ! -x "$work/venv/bin/python" ] || ! cmp -s "$here/requirements.lock" "$work/venv/requirements.lock"; then
    python3 -m venv "$work/venv"
    grep -v '^sam2==' "$here/requirements.lock" | "$work/venv/bin/pip" install -r /dev/stdin
    # sam2 builds against the torch just installed; its CUDA extension is not needed.
    SAM2_BUILD_CUDA=0 "$work/venv/bin/pip" install --no-build-isolation --no-deps "$(grep '^sam2==' "$here/requirements.lock")"
    cp "$here/requirements.lock" "$work/venv/requirements.lock"
fi
cd "$here"
# Memory is kept, in large pages: a step allocates and frees gigabytes, and faulting them in anew took a fifth of its time.
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000:glibc.malloc.top_pad=268435456
# Loader and trainer share the cores: threads that spin while they wait would take them from each other.
OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 exec nice -n 10 "$work/venv/bin/python" -m nano run --work "$work" "$@"
