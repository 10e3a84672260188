// The search for partners, for avx2.
#define NAME avx2
#include "seek.inl"
