// Row operations for portable.
#define NAME portable
#define LANES 4
#include "rows.inl"
#include "classes.inl"
