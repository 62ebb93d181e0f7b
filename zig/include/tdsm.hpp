/**
 * tDSM for C++17: classes over the functions of `tdsm.h`, which says what each of them does. What
 * fails throws a `tdsm::Error`.
 */
#ifndef TDSM_HPP
#define TDSM_HPP

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "tdsm.h"

namespace tdsm {

/** Why a call failed. */
class Error : public std::runtime_error {
 public:
  explicit Error(int code) : std::runtime_error(tdsm_last_error()), code_(code) {}
  /** One of `tdsm_code`. */
  int code() const noexcept { return code_; }

 private:
  int code_;
};

/** Throws where a code is below zero. */
template <typename Number>
Number check(Number code) {
  if (code < 0) throw Error(static_cast<int>(code));
  return code;
}

/** How long to wait; by default without end. */
using Timeout = std::chrono::milliseconds;
inline constexpr Timeout forever{TDSM_FOREVER};

inline std::int64_t node_id() { return check(tdsm_node_id()); }
inline std::int64_t nodes_here() { return check(tdsm_nodes_here()); }
inline std::int64_t node_count() { return check(tdsm_node_count()); }
/** From 0; throws where no launcher gave one. */
inline std::int64_t node_rank() { return check(tdsm_node_rank()); }

/** Attaches its thread while it lives: for threads that name their node, or end late. */
class Thread {
 public:
  explicit Thread(std::uint32_t node = 0) { check(tdsm_thread_attach(node)); }
  ~Thread() { tdsm_thread_detach(); }
  Thread(const Thread &) = delete;
  Thread &operator=(const Thread &) = delete;
};

/** A counting semaphore, the same on every node. */
class Semaphore {
 public:
  explicit Semaphore(std::uint64_t key) noexcept : key_(key) {}
  /** One with a key that no other has. */
  static Semaphore make(std::uint32_t count) {
    std::uint64_t key = 0;
    check(tdsm_sem_make(count, &key));
    return Semaphore(key);
  }
  std::uint64_t key() const noexcept { return key_; }
  void acquire() const { check(tdsm_sem_acquire(key_, TDSM_FOREVER)); }
  /** Whether a permit came in time. */
  bool try_acquire_for(Timeout timeout) const {
    const int code = tdsm_sem_acquire(key_, timeout.count());
    return code == TDSM_TIMED_OUT ? false : (check(code), true);
  }
  bool try_acquire() const {
    const int code = tdsm_sem_try_acquire(key_);
    return code == TDSM_UNAVAILABLE ? false : (check(code), true);
  }
  void release(std::uint32_t count = 1) const { check(tdsm_sem_release(key_, count)); }

 private:
  std::uint64_t key_;
};

/**
 * A mutex, the same on every node, for `std::lock_guard` and `std::unique_lock`. An object is for
 * one thread; several of one name are the same mutex.
 */
class Mutex {
 public:
  explicit Mutex(std::string name) : name_(std::move(name)) {}
  Mutex(const Mutex &) = delete;
  Mutex &operator=(const Mutex &) = delete;
  ~Mutex() {
    if (lock_.ticket != 0) tdsm_mutex_unlock(&lock_);
  }
  void lock() { locked(check(tdsm_mutex_lock(name_.c_str(), TDSM_FOREVER, &lock_))); }
  bool try_lock() {
    const int code = tdsm_mutex_try_lock(name_.c_str(), &lock_);
    return code == TDSM_UNAVAILABLE ? false : locked(check(code));
  }
  bool try_lock_for(Timeout timeout) {
    const int code = tdsm_mutex_lock(name_.c_str(), timeout.count(), &lock_);
    return code == TDSM_TIMED_OUT ? false : locked(check(code));
  }
  void unlock() { check(tdsm_mutex_unlock(&lock_)); }
  /** Whether the last holder was gone without unlocking when this one locked. */
  bool abandoned() const noexcept { return abandoned_; }

 private:
  bool locked(int code) {
    abandoned_ = code == TDSM_ABANDONED;
    return true;
  }
  std::string name_;
  tdsm_lock lock_ = {0, 0};
  bool abandoned_ = false;
};

/** A barrier, the same on every node; to be used again and again. */
class Barrier {
 public:
  Barrier(std::string name, std::uint32_t parties) : name_(std::move(name)), parties_(parties) {}
  /** Whether this thread was the last. A time-out throws, too. */
  bool arrive_and_wait(Timeout timeout = forever) const {
    return check(tdsm_barrier_wait(name_.c_str(), parties_, timeout.count())) == TDSM_LAST;
  }

 private:
  std::string name_;
  std::uint32_t parties_;
};

/** How a wait for a word ended. */
enum class Wake { notified, changed, timed_out };

/** A parameter from which no type is deduced. */
template <typename Type>
struct AsGiven {
  using type = Type;
};

/** Waits while a word of 4 or 8 bytes in the region has a value, until it is notified. */
template <typename Word>
Wake wait(const volatile Word *word, typename AsGiven<Word>::type expected,
          Timeout timeout = forever) {
  static_assert(std::is_integral_v<Word> && (sizeof(Word) == 4 || sizeof(Word) == 8),
                "a word has 32 or 64 bits");
  int code = 0;
  if constexpr (sizeof(Word) == 4) {
    code = tdsm_futex_wait(word, static_cast<std::uint32_t>(expected), timeout.count());
  } else {
    code = tdsm_futex_wait64(word, static_cast<std::uint64_t>(expected), timeout.count());
  }
  if (code == TDSM_TIMED_OUT) return Wake::timed_out;
  return check(code) == TDSM_CHANGED ? Wake::changed : Wake::notified;
}

/** The same for a word that is an atomic object. */
template <typename Word>
Wake wait(const volatile std::atomic<Word> *word, typename AsGiven<Word>::type expected,
          Timeout timeout = forever) {
  static_assert(sizeof(std::atomic<Word>) == sizeof(Word), "this atomic is more than its word");
  return wait(reinterpret_cast<const volatile Word *>(word), expected, timeout);
}

/** Wakes as many threads at most that wait for a word; returns how many. */
inline std::int64_t notify(const volatile void *word, std::uint32_t count = UINT32_MAX) {
  return check(tdsm_futex_notify(word, count));
}

/** What arrays of a type of C++ are called. */
template <typename Element>
constexpr tdsm_element element_of() {
  static_assert(std::is_arithmetic_v<Element> && sizeof(Element) <= 8, "no array of these");
  if constexpr (std::is_floating_point_v<Element>) {
    return sizeof(Element) == 4 ? TDSM_F32 : TDSM_F64;
  } else {
    constexpr bool is_signed = std::is_signed_v<Element>;
    switch (sizeof(Element)) {
      case 1: return is_signed ? TDSM_I8 : TDSM_U8;
      case 2: return is_signed ? TDSM_I16 : TDSM_U16;
      case 4: return is_signed ? TDSM_I32 : TDSM_U32;
      default: return is_signed ? TDSM_I64 : TDSM_U64;
    }
  }
}

/** An array in the region. It is freed by `free` alone: other nodes may use the same cells. */
template <typename Element>
class Array {
 public:
  Array() = default;
  Array(Element *data, std::size_t size) noexcept : data_(data), size_(size) {}
  Element *data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  Element *begin() const noexcept { return data_; }
  Element *end() const noexcept { return data_ + size_; }
  Element &operator[](std::size_t index) const noexcept { return data_[index]; }
  /** Where it begins in the region: the same number on every node. */
  std::uint64_t offset() const {
    return static_cast<std::uint64_t>(check(tdsm_offset_of(data_)));
  }
  void free() {
    check(tdsm_free(data_, size_ * sizeof(Element)));
    *this = Array();
  }

 private:
  Element *data_ = nullptr;
  std::size_t size_ = 0;
};

/** Allocates zeros: the same cells on every node where there is a name. */
template <typename Element>
Array<Element> alloc(std::size_t size, const char *name = nullptr, std::uint32_t home = 0) {
  const tdsm_alloc_options options = {name, 0, home, 0};
  void *data = nullptr;
  check(tdsm_alloc(element_of<Element>(), size, &options, &data));
  return Array<Element>(static_cast<Element *>(data), size);
}

}  // namespace tdsm

#endif
