// Which frames of a clip belong to which window: a function of frame numbers alone, so that no frame depends on how it
// was reached.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace vrt {

enum class Sharing {
    segments,  // window k restores frames k*length ..., and reads `overlap` more on each side as warm-up
    ramp,      // window k restores all `length` frames it reads, from k*(length - overlap); neighbours blend linearly
    average,   // the published test of VRT: as above, but the last window ends with the clip, and all count the same
};

// The part of one window in a frame.
struct Share {
    int window;
    float weight;  // those of a frame sum to one
};

struct Grid {
    int frames;  // of the clip
    Sharing sharing;
    int length, overlap;
    int stride;  // segments begin to read on multiples of this

    int64_t step() const { return sharing == Sharing::segments ? length : length - overlap; }

    int count() const {
        if (frames <= length) return 1;
        const int64_t further = sharing == Sharing::segments ? frames - 1 : int64_t(frames) - overlap - 1;
        return static_cast<int>(further / step()) + 1;
    }

    // The frames that window k restores.
    int begin(int k) const {
        if (sharing == Sharing::average && k == count() - 1) return std::max(frames - length, 0);
        return static_cast<int>(k * step());
    }
    int end(int k) const { return static_cast<int>(std::min<int64_t>(int64_t(begin(k)) + length, frames)); }

    // The frames that it reads.
    int first(int k) const {
        return sharing == Sharing::segments ? std::max(begin(k) - overlap, 0) / stride * stride : begin(k);
    }
    int last(int k) const {
        return static_cast<int>(
            std::min<int64_t>(int64_t(end(k)) + (sharing == Sharing::segments ? overlap : 0), frames));
    }

    // The frames that two neighbouring windows both read, at most. Of averaged windows the last one comes early.
    int shared() const {
        if (sharing == Sharing::segments) return 2 * overlap + stride - 1;
        return sharing == Sharing::average ? std::min(length, frames) : overlap;
    }

    // The windows that frames in flight may still ask for. At least two, so that stepping back over a border costs
    // nothing.
    int kept(int in_flight) const {
        const int64_t span = int64_t(in_flight) + (sharing == Sharing::segments ? 0 : length - step());
        const int64_t windows = (span + step() - 1) / step() + 1;
        return static_cast<int>(std::clamp<int64_t>(windows, 2, std::max(count(), 2)));
    }

    // The windows that restore frame n, in ascending order.
    std::vector<Share> shares(int n) const {
        if (sharing == Sharing::segments) return {{n / length, 1.0F}};
        std::vector<Share> found;
        const int final = count() - 1;
        const int64_t earliest = n < length ? 0 : (int64_t(n) - length) / step() + 1;
        for (int64_t k = earliest; k <= final && begin(static_cast<int>(k)) <= n; ++k)
            found.push_back({static_cast<int>(k), 1.0F});
        if (sharing == Sharing::average) {
            for (Share &share : found) share.weight = 1.0F / static_cast<float>(found.size());
        } else if (found.size() == 2) {
            // A ramp over the frames they share: 1/(overlap + 1), 2/(overlap + 1), ...
            const float later = static_cast<float>(n - begin(found[1].window) + 1) / static_cast<float>(overlap + 1);
            found[0].weight = 1 - later;
            found[1].weight = later;
        }
        return found;
    }
};

}  // namespace vrt
