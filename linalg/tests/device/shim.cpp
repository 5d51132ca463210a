// Runs the kernels on the processor: blocks one after the other, the threads of a block side by side.
//
// Reads launches from standard input and writes what they wrote to standard output: the kernel's name (length first), blocks,
// threads, then each argument; a buffer is its length and its content.

#include <barrier>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

struct Index {
    unsigned x;
};
static thread_local Index threadIdx, blockIdx;
static Index blockDim;
static std::unique_ptr<std::barrier<>> fence;

#define __global__
#define __device__
#define __shared__ static
static void __syncthreads() { fence->arrive_and_wait(); }
static unsigned __float_as_uint(float f) {
    unsigned bits;
    std::memcpy(&bits, &f, sizeof bits);
    return bits;
}
static float __uint_as_float(unsigned bits) {
    float f;
    std::memcpy(&f, &bits, sizeof f);
    return f;
}

#include "kernels.cu"

static void take(void *to, size_t bytes) {
    if (std::fread(to, 1, bytes, stdin) != bytes) std::exit(1);
}
template <class T> static T one() {
    T value;
    take(&value, sizeof value);
    return value;
}

// An argument: a number, or a buffer between fences that show what was written beside it.
template <class T> struct Held {
    T value = one<T>();
    T get() { return value; }
    void put() {}
};
template <class T> struct Held<T *> {
    static constexpr size_t MARGIN = 64;
    std::vector<unsigned> data;
    size_t length;
    Held() : length(one<unsigned>()) {
        data.assign(length + 2 * MARGIN, 0x7fc0dead);
        take(data.data() + MARGIN, length * 4);
    }
    T *get() { return (T *)(data.data() + MARGIN); }
    void put() {
        for (size_t i = 0; i < MARGIN; i++)
            if (data[i] != 0x7fc0dead || data[data.size() - 1 - i] != 0x7fc0dead) std::exit(2);
        if (!std::is_const_v<T>) std::fwrite(data.data() + MARGIN, 4, length, stdout);
    }
};

template <class... A> static std::function<void()> runner(void (*kernel)(A...)) {
    return [kernel] {
        unsigned blocks = one<unsigned>(), threads = one<unsigned>();
        std::tuple<Held<A>...> held{Held<A>{}...};
        blockDim.x = threads;
        fence = std::make_unique<std::barrier<>>(threads);
        std::vector<std::thread> team;
        for (unsigned t = 0; t < threads; t++)
            team.emplace_back([&, t] {
                threadIdx.x = t;
                for (unsigned b = 0; b < blocks; b++) {
                    blockIdx.x = b;
                    std::apply([&](auto &...each) { kernel(each.get()...); }, held);
                    fence->arrive_and_wait();
                }
            });
        for (auto &thread : team) thread.join();
        std::apply([](auto &...each) { (each.put(), ...); }, held);
        std::fflush(stdout);
    };
}

#define KERNEL(name) {#name, runner(name)}

int main() {
    std::map<std::string, std::function<void()>> kernels{
        KERNEL(sparse), KERNEL(convolve), KERNEL(convolve_back), KERNEL(add), KERNEL(spread), KERNEL(dot),
        KERNEL(relax_back), KERNEL(relax_forward), KERNEL(subtract), KERNEL(minimum), KERNEL(minimiser), KERNEL(rise),
        KERNEL(keep_rows), KERNEL(keep_entries), KERNEL(alpha_step), KERNEL(beta_step)};
    unsigned length;
    while (std::fread(&length, 4, 1, stdin) == 1) {
        std::string name(length, ' ');
        take(name.data(), length);
        kernels.at(name)();
    }
}
