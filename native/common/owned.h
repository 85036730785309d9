// Owners of memory, and the only code that takes any. An owner without memory is empty: its maker says ENOMEM.
// None of them fills what it takes: who needs zeros writes them.
#pragma once

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace berth {

// One object.
template <typename T>
class Owned {
 public:
  Owned() = default;
  Owned(Owned&& other) noexcept : object_(other.release()) {}
  Owned& operator=(Owned&& other) noexcept {
    adopt(other.release());
    return *this;
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { reset(); }

  // Empty when there is no memory.
  template <typename... Args>
  [[nodiscard]] static Owned make(Args&&... args) {
    static_assert(alignof(T) <= alignof(max_align_t));
    Owned owned;
    if (void* const room = malloc(sizeof(T)); room != nullptr)
      owned.object_ = new (room) T(std::forward<Args>(args)...);
    return owned;
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }

  void reset() { adopt(nullptr); }
  // For another owner: what release() gave becomes its.
  [[nodiscard]] T* release() { return std::exchange(object_, nullptr); }
  void adopt(T* object) {
    T* const old = std::exchange(object_, object);
    if (old == nullptr) return;
    old->~T();
    free(old);
  }

 private:
  T* object_ = nullptr;
};

// A list that owns its elements and links them by their `next`.
template <typename T>
class OwnedList {
 public:
  OwnedList() = default;
  OwnedList(const OwnedList&) = delete;
  OwnedList& operator=(const OwnedList&) = delete;
  ~OwnedList() {
    while (first_ != nullptr) take(*first_);
  }

  T* first() const { return first_; }
  int size() const { return size_; }
  bool empty() const { return first_ == nullptr; }

  T& push_front(Owned<T> element) { return link(&first_, std::move(element)); }
  T& push_back(Owned<T> element) {
    T** end = &first_;
    while (*end != nullptr) end = &(*end)->next;
    return link(end, std::move(element));
  }

  // Out of the list, to end with the result. Empty when it is not in the list (any more).
  Owned<T> take(const T& element) {
    Owned<T> taken;
    for (T** at = &first_; *at != nullptr; at = &(*at)->next) {
      if (*at != &element) continue;
      taken.adopt(*at);
      *at = std::exchange(taken->next, nullptr);
      size_--;
      break;
    }
    return taken;
  }

 private:
  T& link(T** at, Owned<T> element) {
    T* const linked = element.release();
    linked->next = *at;
    *at = linked;
    size_++;
    return *linked;
  }

  T* first_ = nullptr;
  int size_ = 0;
};

// Several objects of one type. Those that need no constructor are as they lie in memory.
template <typename T>
class OwnedArray {
 public:
  OwnedArray() = default;
  OwnedArray(OwnedArray&& other) noexcept
      : items_(std::exchange(other.items_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  OwnedArray& operator=(OwnedArray&& other) noexcept {
    reset();
    items_ = std::exchange(other.items_, nullptr);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }
  OwnedArray(const OwnedArray&) = delete;
  OwnedArray& operator=(const OwnedArray&) = delete;
  ~OwnedArray() { reset(); }

  // In place of what there was. False: there is no memory, and the array is empty. None at all need none.
  [[nodiscard]] bool make(size_t count) {
    reset();
    if (count == 0) return true;
    if (count > SIZE_MAX / sizeof(T)) return false;
    items_ = static_cast<T*>(malloc(count * sizeof(T)));
    if (items_ == nullptr) return false;
    size_ = count;
    if constexpr (!std::is_trivially_default_constructible_v<T>) {
      for (size_t i = 0; i < count; i++) new (&items_[i]) T();
    }
    return true;
  }

  // To more of them, or fewer, which keep their values. False: there is no memory, and nothing has changed.
  [[nodiscard]] bool resize(size_t count) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    if (count == 0) return reset(), true;
    if (count > SIZE_MAX / sizeof(T)) return false;
    void* const room = realloc(items_, count * sizeof(T));
    if (room == nullptr) return false;
    items_ = static_cast<T*>(room);
    size_ = count;
    return true;
  }

  void reset() {
    if constexpr (!std::is_trivially_destructible_v<T>) {
      for (size_t i = 0; i < size_; i++) items_[i].~T();
    }
    free(std::exchange(items_, nullptr));
    size_ = 0;
  }

  T* data() const { return items_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t index) const { return items_[index]; }

 private:
  T* items_ = nullptr;
  size_t size_ = 0;
};

// A text that ends with a zero. The empty one needs no memory.
class OwnedText {
 public:
  OwnedText() = default;
  OwnedText(OwnedText&& other) noexcept = default;
  OwnedText& operator=(OwnedText&& other) noexcept = default;

  // False: there is no memory, and the text is empty.
  [[nodiscard]] bool set(std::string_view text) {
    if (text.empty()) return bytes_.reset(), true;
    OwnedArray<char> copy;  // `text` may be of this one
    const bool made = copy.make(text.size() + 1);
    if (made) {
      memcpy(copy.data(), text.data(), text.size());
      copy[text.size()] = '\0';
    }
    bytes_ = std::move(copy);
    return made;
  }

  const char* c_str() const { return bytes_.empty() ? "" : bytes_.data(); }
  bool empty() const { return bytes_.empty(); }
  std::string_view view() const { return {c_str(), bytes_.empty() ? 0 : bytes_.size() - 1}; }

 private:
  OwnedArray<char> bytes_;
};

// Texts in a vector that ends with a null pointer, as execve(2) takes it.
class OwnedStrings {
 public:
  OwnedStrings() = default;
  OwnedStrings(const OwnedStrings&) = delete;
  OwnedStrings& operator=(const OwnedStrings&) = delete;
  ~OwnedStrings() {
    for (size_t i = 0; i < size_; i++) free(items_[i]);
  }

  // The place of one more: `size` bytes that the caller fills before he asks for items(), with a zero behind them. Null
  // when there is no memory.
  [[nodiscard]] char* add(size_t size) {
    constexpr size_t kFirst = 32;
    if (size_ + 2 > items_.size()) {
      if (!items_.resize(items_.empty() ? kFirst : items_.size() * 2)) return nullptr;
      items_[size_] = nullptr;
    }
    char* const item = size < SIZE_MAX ? static_cast<char*>(malloc(size + 1)) : nullptr;
    if (item == nullptr) return nullptr;
    item[size] = '\0';
    items_[size_++] = item;
    items_[size_] = nullptr;
    return item;
  }

  char* const* items() const {
    static constexpr char* kNone[] = {nullptr};
    return items_.empty() ? kNone : items_.data();
  }
  size_t size() const { return size_; }

 private:
  OwnedArray<char*> items_;
  size_t size_ = 0;
};

// Pages of their own from the kernel, all zeros, which go back to it at once.
class Pages {
 public:
  Pages() = default;
  Pages(Pages&& other) noexcept : bytes_(std::exchange(other.bytes_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Pages& operator=(Pages&& other) noexcept {
    reset();
    bytes_ = std::exchange(other.bytes_, nullptr);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() { reset(); }

  // `sharing`: MAP_PRIVATE, or MAP_SHARED with those who will be forked. False with errno.
  [[nodiscard]] bool make(size_t size, int sharing = MAP_PRIVATE) {
    reset();
    void* const room = mmap(nullptr, size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) return false;
    bytes_ = static_cast<char*>(room);
    size_ = size;
    return true;
  }

  void reset() {
    if (bytes_ != nullptr) munmap(std::exchange(bytes_, nullptr), std::exchange(size_, 0));
  }
  // Keeps the room and gives back what it holds: zeros again.
  void clear() const { madvise(bytes_, size_, MADV_DONTNEED); }

  char* data() const { return bytes_; }
  size_t size() const { return size_; }
  explicit operator bool() const { return bytes_ != nullptr; }

 private:
  char* bytes_ = nullptr;
  size_t size_ = 0;
};

// One object, all zeros at first, in memory that is shared with those who are forked later.
template <typename T>
class Shared {
 public:
  static_assert(std::is_trivially_destructible_v<T>);

  // False with errno.
  [[nodiscard]] bool make() { return pages_.make(sizeof(T), MAP_SHARED); }
  void reset() { pages_.reset(); }

  T* get() const { return reinterpret_cast<T*>(pages_.data()); }
  T* operator->() const { return get(); }
  T& operator*() const { return *get(); }
  explicit operator bool() const { return static_cast<bool>(pages_); }

 private:
  Pages pages_;
};

}  // namespace berth
