#!/bin/sh
# Everything that needs a CUDA GPU, in one go: tests, one pass under compute-sanitizer, and the benchmarks.
#     tools/gpu_check.sh FOLDER
# Logs and figures go into FOLDER. Whatever fails, the rest runs; the exit status tells.
cd "$(dirname "$0")/.." || exit
out=${1:?'vrt: no folder to write to; `tools/gpu_check.sh FOLDER`'}
mkdir -p "$out"
status=0
step() {
    name=$1
    shift
    echo "vrt: $name"
    "$@" >"$out/$name.log" 2>&1 || { status=1; echo "vrt: $name failed"; }
    tail -n 5 "$out/$name.log"
}
step tests python3 -m pytest -q -m cuda
# torch's caching allocator would hide what is read or written beyond a tensor.
export PYTORCH_NO_CUDA_MEMORY_CACHING=1
for tool in memcheck racecheck; do
    step $tool compute-sanitizer --tool $tool --error-exitcode 9 python3 -m pytest -q -m cuda tests/kernels
done
unset PYTORCH_NO_CUDA_MEMORY_CACHING
step benchmarks python3 -m benchmarks --device cuda --out "$out/benchmarks.json"
exit $status
