/* Threads of C++ on every node, by tdsm.hpp: a matrix product, a stencil and a queue of work. Each
checks its result. From the root of the checkout, either of
g++ -std=c++17 -shared -fPIC -O2 -Izig/include -o libthreads.so examples/native/threads.cc
zig c++ -std=c++17 -shared -fPIC -O2 -Izig/include -o libthreads.so examples/native/threads.cc
*/

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tdsm.hpp"

namespace {

/** The threads of all nodes, and which of them this one is. */
struct Crew {
  std::uint32_t index;
  std::uint32_t size;

  /** The first of `count` things that this thread does, or with 1 that the next thread does. */
  std::size_t share(std::size_t count, std::uint32_t next = 0) const {
    return count * (index + next) / size;
  }
};

/** Does a job in so many threads of this node, and hands on what one of them throws. */
template <typename Job>
void in_threads(std::uint32_t threads, Job job) {
  // Asked before the threads begin: nodes that have done their part may leave meanwhile.
  const auto node = static_cast<std::uint32_t>(tdsm::node_id() - 1);
  const auto nodes = static_cast<std::uint32_t>(tdsm::nodes_here());
  std::vector<std::thread> crew;
  std::exception_ptr failure;
  std::mutex failed;
  for (std::uint32_t i = 0; i < threads; i++) {
    crew.emplace_back([&, i] {
      try {
        job(Crew{node * threads + i, nodes * threads});
      } catch (...) {
        const std::lock_guard<std::mutex> guard(failed);
        failure = std::current_exception();
      }
    });
  }
  for (auto &thread : crew) thread.join();
  if (failure) std::rethrow_exception(failure);
}

void require(bool holds, const std::string &what) {
  if (!holds) throw std::runtime_error(what);
}

/** C = A * B. Each thread fills its rows of A and B, and computes its rows of C. */
void matrix_product(const Crew &crew) {
  constexpr std::size_t n = 256;
  // By their names, every thread of every node gets the same cells. They start as zero.
  auto a = tdsm::alloc<double>(n * n, "product a");
  auto b = tdsm::alloc<double>(n * n, "product b");
  auto c = tdsm::alloc<double>(n * n, "product c");
  const tdsm::Barrier phase("product", crew.size);
  const std::size_t first = crew.share(n), end = crew.share(n, 1);
  for (std::size_t i = first; i < end; i++) {
    for (std::size_t j = 0; j < n; j++) {
      a[i * n + j] = static_cast<double>(i + j);
      b[i * n + j] = i == j ? 2 : static_cast<double>(i == j + 1);
    }
  }
  phase.arrive_and_wait();
  for (std::size_t i = first; i < end; i++) {
    std::vector<double> row(n);
    for (std::size_t k = 0; k < n; k++) {
      for (std::size_t j = 0; j < n; j++) row[j] += a[i * n + k] * b[k * n + j];
    }
    for (std::size_t j = 0; j < n; j++) c[i * n + j] = row[j];
  }
  phase.arrive_and_wait();
  // Each thread checks rows that the next one has computed: 2 A[i][j] + A[i][j + 1].
  for (std::size_t row = first; row < end; row++) {
    const std::size_t i = (row + end - first) % n;
    for (std::size_t j = 0; j < n; j++) {
      const double next = j + 1 < n ? static_cast<double>(i + j + 1) : 0;
      const double expected = 2 * static_cast<double>(i + j) + next;
      require(c[i * n + j] == expected, "the product has a wrong cell");
    }
  }
  phase.arrive_and_wait();
}

/** One step of Jacobi's method: each cell becomes the mean of its four neighbours. */
constexpr std::size_t width = 512;

void relax(const double *from, double *to, std::size_t first, std::size_t end) {
  for (std::size_t row = first; row < end; row++) {
    for (std::size_t i = row * width + 1; i < (row + 1) * width - 1; i++) {
      to[i] = 0.25 * (from[i - width] + from[i + width] + from[i - 1] + from[i + 1]);
    }
  }
}

/** All steps of a plate with one hot edge; only rows at the edges of shares move. */
void stencil(const Crew &crew) {
  constexpr int steps = 50;
  auto even = tdsm::alloc<double>(width * width, "stencil even");
  auto odd = tdsm::alloc<double>(width * width, "stencil odd");
  const tdsm::Barrier step("stencil", crew.size);
  // The edges stay as they are.
  const std::size_t first = 1 + crew.share(width - 2), end = 1 + crew.share(width - 2, 1);
  if (crew.index == 0) {
    for (std::size_t i = 0; i < width; i++) even[i] = odd[i] = 100;
  }
  step.arrive_and_wait();
  double *from = even.data(), *to = odd.data();
  for (int done = 0; done < steps; done++) {
    relax(from, to, first, end);
    step.arrive_and_wait();
    std::swap(from, to);
  }
  if (crew.index == 0) {
    std::vector<double> alone(width * width), next(width * width);
    for (std::size_t i = 0; i < width; i++) alone[i] = next[i] = 100;
    for (int done = 0; done < steps; done++) {
      relax(alone.data(), next.data(), 1, width - 1);
      alone.swap(next);
    }
    for (std::size_t i = 0; i < alone.size(); i++) {
      require(from[i] == alone[i], "the stencil differs from that of one thread");
    }
  }
  step.arrive_and_wait();
}

/** A queue of bounded length, in the region: by two semaphores and a mutex. */
class Queue {
 public:
  explicit Queue(std::uint64_t key)
      : cells_(tdsm::alloc<std::uint32_t>(2 + places, "queue")),
        free_(key),
        full_(key + 1),
        mutex_("queue") {}

  /** To be called once, by one thread. */
  void open() { free_.release(places); }

  void put(std::uint32_t item) {
    free_.acquire();
    {
      const std::lock_guard<tdsm::Mutex> guard(mutex_);
      cells_[2 + cells_[0]++ % places] = item;
    }
    full_.release();
  }

  std::uint32_t take() {
    full_.acquire();
    std::uint32_t item = 0;
    {
      const std::lock_guard<tdsm::Mutex> guard(mutex_);
      item = cells_[2 + cells_[1]++ % places];
    }
    free_.release();
    return item;
  }

 private:
  static constexpr std::uint32_t places = 16;
  tdsm::Array<std::uint32_t> cells_;
  tdsm::Semaphore free_, full_;
  tdsm::Mutex mutex_;
};

/** How many steps a number takes to 1, by Collatz's rule. */
std::uint64_t steps_of(std::uint64_t number) {
  std::uint64_t steps = 0;
  for (; number > 1; steps++) number = number % 2 == 0 ? number / 2 : 3 * number + 1;
  return steps;
}

/** The first thread puts numbers into a queue; all others take them, and add up what they find. */
void work_queue(const Crew &crew) {
  constexpr std::uint32_t jobs = 300;
  require(crew.size > 1, "a queue needs two threads");
  auto total = tdsm::alloc<std::uint64_t>(1, "queue total");
  // A word of the region is atomic across nodes, as it is between threads. C++17 has atomics only
  // as objects, which have the layout of their words.
  auto *sum = reinterpret_cast<std::atomic<std::uint64_t> *>(total.data());
  const tdsm::Barrier phase("queue", crew.size);
  Queue queue(0x71);
  if (crew.index == 0) {
    queue.open();
    for (std::uint32_t job = 1; job <= jobs; job++) queue.put(job);
    for (std::uint32_t worker = 1; worker < crew.size; worker++) queue.put(0);
  } else {
    for (std::uint32_t job = queue.take(); job != 0; job = queue.take()) {
      sum->fetch_add(steps_of(job));
    }
  }
  phase.arrive_and_wait();
  std::uint64_t expected = 0;
  for (std::uint32_t job = 1; job <= jobs; job++) expected += steps_of(job);
  require(sum->load() == expected, "the queue has lost a job, or done one twice");
  phase.arrive_and_wait();
}

/** Runs a job; no exception may leave for JavaScript. Answers 0, or 1 with the reason on stderr. */
template <typename Job>
int run(const char *name, std::uint32_t threads, Job job) {
  try {
    in_threads(threads, job);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}

}  // namespace

extern "C" {
int run_matrix_product(std::uint32_t threads) {
  return run("matrix product", threads, matrix_product);
}
int run_stencil(std::uint32_t threads) { return run("stencil", threads, stencil); }
int run_work_queue(std::uint32_t threads) { return run("work queue", threads, work_queue); }
}
