// The search for partners, for portable.
#define NAME portable
#include "seek.inl"
