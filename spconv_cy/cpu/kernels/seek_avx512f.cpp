// The search for partners, for avx512f.
#define NAME avx512f
#include "seek.inl"
