// Operations on whole rows. The including file defines NAME and LANES.
#include "columns.inl"

namespace spconv_cy {
namespace NAME {
namespace {

// Calls one(Columns, first column, first row, last row) for all c columns, one register of doubles at a time: compilers
// keep wider sums in memory. Few rows at a time, so that they stay in the first cache for all columns.
template <class One>
inline void sums_of(int64_t rows, int64_t c, const One& one) {
    const int64_t near = c < 128 ? 1024 / c : 8;
    for (int64_t row = 0; row < rows; row += near) {
        const int64_t end = row + near < rows ? row + near : rows;
        each<LANES / 2>(c, [=](auto at, int64_t i) { one(at, i, row, end); });
    }
}

template <class At>
inline auto centred(At, const Affine& map, const float* x, int64_t i) {
    return At::at(x + i) - At::at(map.centre + i) - At::at(map.rest + i);
}

template <class At>
inline auto shifted(At, const Affine& map, typename At::Floats centred, int64_t i) {
    return centred * At::at(map.scale + i) + At::at(map.shift + i);
}

template <class At>
inline auto gradient(At, const Affine& map, typename At::Floats centred, const float* dy, int64_t i) {
    const auto value = At::at(dy + i);
    return shifted(At(), map, centred, i) > 0.0f ? value : map.slope * value;
}

}  // namespace

void add(float* y, const float* x, int64_t c) {
    each(c, [=](auto at, int64_t i) { at.put(y + i, at.at(y + i) + at.at(x + i)); });
}

void sum(float* y, const float* a, const float* b, int64_t n) {
    each(n, [=](auto at, int64_t i) { at.put(y + i, at.at(a + i) + at.at(b + i)); });
}

void copy(float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t rows, int64_t c) {
    for (int64_t row = 0; row < rows; ++row, y += y_stride, x += x_stride) {
        each(c, [=](auto at, int64_t i) { at.put(y + i, at.at(x + i)); });
    }
}

void add_rows(double* sums, const float* x, int64_t rows, int64_t c) {
    sums_of(rows, c, [=](auto at, int64_t i, int64_t row, int64_t end) {
        auto sum = at.at(sums + i);
        for (; row < end; ++row) sum += at.wide(at.at(x + row * c + i));
        at.put(sums + i, sum);
    });
}

void add_pairs(float* y, const float* x, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs, int64_t c) {
    for (int64_t j = 0; j < pairs; ++j) add(y + out_rows[j] * c, x + in_rows[j] * c, c);
}

// !(x <= y) holds for a greater x and for NaN on either side; y == y then keeps the first NaN.
void max(float* y, int32_t* winner, const float* x, int32_t row, int64_t c) {
    each(c, [=](auto at, int64_t i) {
        const auto before = at.at(y + i), value = at.at(x + i);
        const auto take = (!(value <= before)) & (before == before);
        at.put(y + i, take ? value : before);
        at.put(winner + i, take ? at.all(row) : at.at(winner + i));
    });
}

void merge(float* y, int32_t* winner, const float* x, const int32_t* rows, int64_t c) {
    each(c, [=](auto at, int64_t i) {
        const auto before = at.at(y + i), value = at.at(x + i);
        const auto take = (!(value <= before)) & (before == before);
        at.put(y + i, take ? value : before);
        at.put(winner + i, take ? at.at(rows + i) : at.at(winner + i));
    });
}

void max_rows(float* y, int32_t* winner, const float* x, const int32_t* rows, int64_t n, int64_t c) {
    each(c, [=](auto at, int64_t i) {
        auto best = at.at(x + rows[0] * c + i);
        auto row = at.all(rows[0]);
        for (int64_t j = 1; j < n; ++j) {
            const auto value = at.at(x + rows[j] * c + i);
            const auto take = (!(value <= best)) & (best == best);
            best = take ? value : best;
            row = take ? at.all(rows[j]) : row;
        }
        at.put(y + i, best);
        at.put(winner + i, row);
    });
}

void won_rows(float* dx, const float* dy, const int32_t* winner, const int32_t* rows, int64_t n, int32_t row,
              int64_t c) {
    each(c, [=](auto at, int64_t i) {
        auto sum = at.all(0.0f);
        for (int64_t j = 0; j < n; ++j) {
            sum = sum + (at.at(winner + rows[j] * c + i) == at.all(row) ? at.at(dy + rows[j] * c + i) : at.all(0.0f));
        }
        at.put(dx + i, sum);
    });
}

void won_pairs(float* dx, const float* dy, const int32_t* winner, const int32_t* in_rows, const int32_t* out_rows,
               int64_t pairs, int64_t c) {
    for (int64_t j = 0; j < pairs; ++j) {
        const int32_t row = in_rows[j];
        float* to = dx + row * c;
        const float* from = dy + out_rows[j] * c;
        const int32_t* won = winner + out_rows[j] * c;
        each(c, [=](auto at, int64_t i) {
            at.put(to + i, at.at(to + i) + (at.at(won + i) == at.all(row) ? at.at(from + i) : at.all(0.0f)));
        });
    }
}

void lost_rows(float* total, const float* dy, const int32_t* winner, int64_t rows, int64_t c) {
    for (int64_t row = 0; row < rows; ++row, dy += c, winner += c) {
        each(c, [=](auto at, int64_t i) {
            at.put(total + i, at.at(total + i) + (at.at(winner + i) < 0 ? at.at(dy + i) : at.all(0.0f)));
        });
    }
}

void leaky(float* y, const float* x, float slope, int64_t n) {
    each(n, [=](auto at, int64_t i) { at.put(y + i, at.through(at.at(x + i), slope)); });
}

void leaky_dx(float* dx, const float* y, const float* dy, float slope, int64_t n) {
    each(n, [=](auto at, int64_t i) {
        const auto value = at.at(dy + i);
        at.put(dx + i, at.at(y + i) > 0.0f ? value : slope * value);
    });
}

void affine(float* y, const float* x, const Affine* map, int64_t rows) {
    const Affine m = *map;
    for (int64_t row = 0; row < rows; ++row, x += m.c, y += m.c) {
        each(m.c, [=](auto at, int64_t i) {
            at.put(y + i, at.through(shifted(at, m, centred(at, m, x, i), i), m.slope));
        });
    }
}

void affine_sums(double* total, double* dot, const float* x, const float* dy, const Affine* map, int64_t rows) {
    const Affine m = *map;
    sums_of(rows, m.c, [=](auto at, int64_t i, int64_t row, int64_t end) {
        auto sum = at.at(total + i), product = at.at(dot + i);
        for (; row < end; ++row) {
            const auto from_centre = centred(at, m, x + row * m.c, i);
            const auto dz = at.wide(gradient(at, m, from_centre, dy + row * m.c, i));
            sum += dz;
            product += dz * at.wide(from_centre);
        }
        at.put(total + i, sum);
        at.put(dot + i, product);
    });
}

void affine_dx(float* dx, const float* x, const float* dy, const Affine* map, const float* a, const float* b,
               int64_t rows) {
    const Affine m = *map;
    for (int64_t row = 0; row < rows; ++row, x += m.c, dy += m.c, dx += m.c) {
        each(m.c, [=](auto at, int64_t i) {
            const auto from_centre = centred(at, m, x, i);
            at.put(dx + i, gradient(at, m, from_centre, dy, i) * at.at(m.scale + i)
                            + (from_centre * at.at(a + i) + at.at(b + i)));
        });
    }
}

#include "finish.inl"

}  // namespace NAME
}  // namespace spconv_cy
