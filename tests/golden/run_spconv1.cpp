// Runs the operations of spconv 1.2.1: run_spconv1 LIBSPCONV RESULTS < CASES. make_spconv1.py builds it and writes the cases.

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

using Sizes = std::vector<int64_t>;
using Values = std::vector<c10::IValue>;

enum Kind { SUBMANIFOLD, CONVOLUTION, TRANSPOSED, INVERSE, MAXIMUM };

static at::Tensor read(const Sizes& shape, at::ScalarType type) {
    at::Tensor found = at::empty(shape, type);
    const size_t size = found.nbytes();
    if (size && std::fread(found.data_ptr(), 1, size, stdin) != size) std::exit(2);
    return found;
}

static Sizes integers(int64_t count) {
    const at::Tensor found = read({count}, at::kInt).to(at::kLong);
    return Sizes(found.data_ptr<int64_t>(), found.data_ptr<int64_t>() + count);
}

static void write(const at::Tensor& array, FILE* file) {
    const at::Tensor whole = array.contiguous();
    const int64_t shape[2] = {whole.size(0), whole.size(1)};
    std::fwrite(shape, sizeof(int64_t), 2, file);
    std::fwrite(whole.data_ptr(), 1, whole.nbytes(), file);
}

static c10::IValue call(const char* name, const Values& arguments) {
    torch::jit::Stack stack(arguments.begin(), arguments.end());
    c10::Dispatcher::singleton().findSchemaOrThrow(name, "").callBoxed(&stack);
    return stack.front();
}

static at::Tensor convolve(const at::Tensor& x, const at::Tensor& weight, const std::vector<at::Tensor>& rules,
                           int64_t outputs, bool inverse, bool submanifold) {
    return call("spconv::indice_conv", {x, weight, rules[1], rules[2], outputs, static_cast<int64_t>(inverse),
                                        static_cast<int64_t>(submanifold), static_cast<int64_t>(0)}).toTensor();
}

static void run(FILE* results) {
    const Sizes head = integers(6);
    const int64_t kind = head[0], d = head[1], samples = head[2], n = head[3], c = head[4], o = head[5];
    const Sizes field = integers(d), field_out = integers(d), size = integers(d), stride = integers(d);
    const Sizes padding = integers(d), dilation = integers(d), none(d, 0);
    const at::Tensor sites = read({n, d + 1}, at::kInt), x = read({n, c}, at::kFloat);
    Sizes shape = size;
    shape.insert(shape.end(), {c, o});
    const at::Tensor weight = kind == MAXIMUM ? at::Tensor() : read(shape, at::kFloat);
    const c10::IValue found = call("spconv::get_indice_pairs", {
        sites, samples, field_out, field, size, stride, padding, dilation, none,
        static_cast<int64_t>(kind == SUBMANIFOLD), static_cast<int64_t>(kind == TRANSPOSED), static_cast<int64_t>(0)});
    std::vector<at::Tensor> rules;
    for (const c10::IValue& value : found.toListRef()) rules.push_back(value.toTensor());
    const int64_t outputs = rules[0].size(0);
    at::Tensor y = kind == MAXIMUM
        ? call("spconv::indice_maxpool", {x, rules[1], rules[2], outputs}).toTensor()
        : convolve(x, weight, rules, outputs, false, kind == SUBMANIFOLD);
    if (kind == INVERSE) {
        std::swap(shape[d], shape[d + 1]);
        y = convolve(y, read(shape, at::kFloat), rules, n, true, false);
    }
    write(kind == INVERSE ? sites : rules[0], results);
    write(y, results);
}

int main(int, char** arguments) {
    if (!dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL)) return 1;
    FILE* results = std::fopen(arguments[2], "wb");
    for (int64_t count = integers(1)[0]; count > 0; --count) run(results);
    return std::fclose(results);
}
