"""Rules of sites of which few have changed, from those before the change."""

from libc.stdint cimport int32_t, int64_t

cdef struct Change:                     # from a canonical list of n sites to one of m sites
    const int32_t* row                  # (n,) the new row of each old one, -1 if it is gone
    const int32_t* was                  # (m,) the old row of each new one; of a new site, -1 - the old rows before it
    const int32_t* added                # (q,) the rows of the new sites
    int64_t n, m, q

cdef struct Patch:                      # pairs before the change, and what the pairs after it come from
    const int32_t* in_rows
    const int32_t* out_rows
    const int64_t* starts               # of the offsets
    const int64_t* keys                 # of the new inputs, and of stride * the new outputs, in one box
    const int64_t* wanted
    const int64_t* shifts               # what each offset adds to a key
    Change inputs
    Change outputs
    int32_t* partners                   # (n_merged, q_in + q_out): of each added input and output, -1: none
    int n_offsets, n_merged             # the offsets after the merged ones are mirror images, but for the centre

cdef int64_t changed(const int32_t* old, int64_t n, const int32_t* new, int64_t m, int width, int64_t most,
                     int32_t* row, int32_t* was, int32_t* added) noexcept nogil
cdef int64_t grown(const int32_t* old, int64_t n, const int32_t* reached, int64_t m, int width, const int32_t* in_rows,
                   const int32_t* out_rows, int64_t n_pairs, const Change* inputs, int32_t* row, int32_t* was,
                   int32_t* added, int32_t* sites, int64_t* n_added) noexcept nogil
cdef void count_patched(const Patch* patch, int64_t* offset_ptr, int n_threads) noexcept nogil
cdef void fill_patched(const Patch* patch, const int64_t* offset_ptr, int32_t* in_rows, int32_t* out_rows,
                       int n_threads) noexcept nogil
