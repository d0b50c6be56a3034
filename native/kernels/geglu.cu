// The gate of a GEGLU in one pass: gelu(gate) * value, with the exact GELU. The reference is in vs_vrt/ops/geglu.py.
// -DVECTOR: values that a thread makes, a divisor of their number.

#include "device.h"

extern "C" __global__ void geglu(const Scalar *gate, const Scalar *value, Scalar *out, int parts) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= parts) return;
    typedef Vector<Scalar, VECTOR> Part;
    const Part a = ((const Part *)gate)[index], b = ((const Part *)value)[index];
    Part made;
    UNROLL
    for (int i = 0; i < VECTOR; ++i) {
        const float x = widen(a.lane[i]);
        made.lane[i] = narrow(0.5f * x * (1 + erff(x * 0.70710678f)) * widen(b.lane[i]));
    }
    ((Part *)out)[index] = made;
}
