// Partners of sites in a map of places: what each instruction set offers.
// Every set's file includes it, so it holds types and declarations only.
#pragma once
#include <cstdint>

namespace spconv_cy {

// A map, and which `taps` places are looked at from that of each key on: `step` apart, the last at most 4 behind the
// first.
struct Seek {
    const uint32_t* bits;   // of 32 places each: 1 where there is a site; a word more than there are
    const int32_t* before;  // number of sites before each word
    int64_t room;           // of each tap in the rows found and asked for: 16 more than there may be
    int32_t taps;
    int32_t step;
};

// Looks at the places keys + shift + t * step, and adds the number of those with a site to hits[t]. Unless null,
// found + t * room gets the rows of these sites, and asked + t * room those of their keys, which count from `first`;
// they are written behind the hits[t] rows that are there.
#define SPCONV_CY_SEEK(isa)                                                                                            \
    namespace isa {                                                                                                    \
    void seek(const Seek* job, const int64_t* keys, int64_t rows, int64_t shift, int32_t first, int32_t* found,        \
              int32_t* asked, int32_t* hits);                                                                          \
    }

SPCONV_CY_SEEK(portable)
SPCONV_CY_SEEK(avx2)
SPCONV_CY_SEEK(avx512f)

}  // namespace spconv_cy
